"""Run Flower's programs: found beside this Python, quiet, in a session of their own, ended with all they started."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import fl_platform
from fl_platform.errors import ConfigError, ProcessAbsent

START_S = 60.0
STOP_S = 15.0
LOG_TAIL_CHARS = 2000
_POLL_S = 0.2


def flower_environment(home: Path) -> dict[str, str]:
    """Return the environment for Flower's processes: quiet, self-contained, and able to find this package."""
    package = str(Path(fl_platform.__file__).resolve().parent.parent)
    python_path = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        # Idle cost against delay: at 0.05 ten idle nodes burn a core, at 1 each message waits half a second more.
        "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.25",
        "PYTHONPATH": os.pathsep.join(python_path),
        # Flower starts its helpers by name.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
    }


@contextlib.contextmanager
def running(command: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a session of its own while the block runs; end the whole session after it."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [find_program(command[0]), *command[1:]],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that its SuperExec and apps can be ended with it
        )
    try:
        yield process
    finally:
        _stop(process)


def await_port(port: int, process: subprocess.Popen[bytes], *, log: Path) -> None:
    """Return when something listens on loopback's `port`. Raises ProcessAbsent with the end of the log if not."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return
        time.sleep(_POLL_S)
    tail = log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL_CHARS:]
    raise ProcessAbsent(f"nothing listens on port {port} after {START_S:g} s at most; {log.name} ends: {tail}")


def free_port() -> int:
    """Return a port that was free on loopback a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def find_program(name: str) -> str:
    """Return the path of one of Flower's programs. Raises ConfigError when it is not installed."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise ConfigError(f"{name} is not installed; pip install flwr==1.41.0 into this environment")
    return found


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the process by request, then its whole session (our own, by its id) by force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
    process.wait()
