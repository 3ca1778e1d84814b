"""Run Flower's programs: found beside this Python, quiet, and ended with everything that they have started.

Tests: tests/unit/flower/test_deployment.py
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import fl_platform
from fl_platform.errors import ConfigError, ProcessAbsent

START_S = 60.0
STOP_S = 15.0
AGAIN_S = 3.0  # before a program that ended is started again
LINGER_S = 5.0  # what Flower's and Ray's own clean-up may take
LOG_TAIL_CHARS = 2000
_POLL_S = 0.2
_LOOK_S = 1.0  # between looks whether a program still runs
# Before a program: it is told to end when this process does, however that ends (prctl PR_SET_PDEATHSIG, which lasts
# over exec). An aggregator that outlived its `up` would work against the one that is started next.
_LEASH = """import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""
_MARK = "FL_PLATFORM_MARK"  # environment variable that every descendant inherits


def flower_environment(home: Path) -> dict[str, str]:
    """Return the environment for Flower's processes: quiet, able to find this package, and without what is ours.

    Whoever gets code into one of them finds no password there.
    """
    found = own_environment(home)
    return {name: value for name, value in found.items() if name == _MARK or not name.startswith("FL_PLATFORM_")}


def own_environment(home: Path) -> dict[str, str]:
    """Return the same for processes of ours that start Flower's: with password, network and store."""
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
    """Run a program while the block runs; after it, end the program and everything that it has started.

    On Linux it ends, too, when the thread that started it does: with this process at the latest, if that is killed.
    """
    mark = secrets.token_hex(16)
    leash = [sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid())] if sys.platform == "linux" else []
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*leash, find_program(command[0]), *command[1:]],
            env={**environment, _MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _stop(process, mark)


class Polled(Protocol):
    """A program that can be asked for its end."""

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""


class Kept:
    """A program that is started again when it ends; `poll` tells when it was left ended."""

    def __init__(self) -> None:
        self.code: int | None = None

    def poll(self) -> int | None:
        """Return the exit code after which it was not started again, None before that."""
        return self.code


@contextlib.contextmanager
def kept(
    command: Callable[[], Sequence[str]], *, log: Path, environment: Mapping[str, str], again: Callable[[int], bool],
    pause_s: float = AGAIN_S,
) -> Iterator[Kept]:  # fmt: skip
    """Run a program while the block runs, and start it again where `again` says so of its exit code."""
    program = Kept()

    def keep(over: threading.Event) -> None:
        while not over.is_set():
            with running(command(), log=log, environment=environment) as process:
                while process.poll() is None and not over.wait(_LOOK_S):
                    pass
                code = process.poll()
            if code is None:
                return
            if not again(code):
                program.code = code
                return
            over.wait(pause_s)

    with beside(f"kept:{log.stem}", keep):
        yield program


@contextlib.contextmanager
def beside(name: str, loop: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run `loop` in a thread while the block runs; the event that it is given is set at the end, and it is awaited."""
    over = threading.Event()
    thread = threading.Thread(target=loop, args=(over,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def await_port(port: int, process: Polled, *, log: Path) -> None:
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


def _stop(process: subprocess.Popen[bytes], mark: str) -> None:
    """End the process by request and its session by force; then whatever of it moved to sessions of its own.

    Flower's SuperExec and apps do move, and look for their parent only now and then; Ray's processes move as well.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
    process.wait()
    deadline = time.monotonic() + LINGER_S
    while (left := _marked(mark)) and time.monotonic() < deadline + LINGER_S:
        if time.monotonic() >= deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(_POLL_S)


def _marked(mark: str) -> list[int]:
    """Return the processes that inherited our mark (Linux; elsewhere none, and Flower's own parent watch must do)."""
    entry = f"{_MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # another user's, or gone meanwhile
            if entry in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found
