"""Start and stop Flower's own processes for a federation on this machine: SuperLink, SuperNodes and the run.

Everything listens on loopback, over TLS, and only registered node keys get in. No process here holds a wallet: the
aggregator and the trainers are reached through their sockets. Processes are ended by their own ids and with everything
they started.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import fl_platform
from fl_platform.errors import ConfigError, ProcessAbsent
from fl_platform.flower.client_app import SOCKET_KEY
from fl_platform.flower.keys import CertificateFiles, NodeKeyFiles
from fl_platform.flower.server_app import DESK_KEY

logger = logging.getLogger(__name__)

START_S = 60.0
STOP_S = 15.0
_POLL_S = 0.2
_COMMAND_S = 120.0
_CONNECTION = "fl-platform"  # name of the SuperLink in Flower's own configuration file
_LOG_TAIL_CHARS = 2000

APP_PROJECT = f"""\
[project]
name = "fl-platform-courier"
version = "0.1.0"
description = "Carries the orders of fl-platform's aggregator; holds no code of its own"
license = "Apache-2.0"
dependencies = ["flwr==1.41.0"]

[tool.flwr.app]
publisher = "fl-platform"

[tool.flwr.app.components]
serverapp = "fl_platform.flower.server_app:app"
clientapp = "fl_platform.flower.client_app:app"

[tool.flwr.app.config]
{DESK_KEY} = ""
"""


@dataclass(frozen=True)
class SuperLink:
    """A running SuperLink."""

    port: int
    home: Path  # FLWR_HOME of the commands that talk to it
    certificates: CertificateFiles
    process: subprocess.Popen[bytes]


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
def superlink(folder: Path, certificates: CertificateFiles) -> Iterator[SuperLink]:
    """Run a SuperLink that admits registered nodes only, while the block runs. Its log is `folder/superlink.log`."""
    home = folder / "flwr"
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [
        "flower-superlink",
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--ssl-certfile", str(certificates.certificate), "--ssl-keyfile", str(certificates.key)),
        *("--ssl-ca-certfile", str(certificates.authority)),
        "--enable-supernode-auth",
        # Otherwise every run calls `uv sync`.
        "--disable-runtime-dependency-installation",
    ]
    connection = {"address": f"127.0.0.1:{port}", "root-certificates": str(certificates.authority)}
    _write_connection(home, connection)
    with _process(command, log=folder / "superlink.log", environment=flower_environment(home)) as process:
        _await_port(port, process, folder / "superlink.log")
        yield SuperLink(port=port, home=home, certificates=certificates, process=process)


@contextlib.contextmanager
def supernode(link: SuperLink, folder: Path, name: str, *, key: NodeKeyFiles, trainer: Path) -> Iterator[None]:
    """Register a node's key and run its SuperNode, which reaches the trainer at the socket `trainer`."""
    flwr(link, ["supernode", "register", str(key.public), _CONNECTION, "--format", "json"])
    command = [
        "flower-supernode",
        *("--superlink", f"127.0.0.1:{link.port}", "--root-certificates", str(link.certificates.authority)),
        *("--auth-supernode-private-key", str(key.private)),
        *("--host", "127.0.0.1", "--port", str(free_port())),
        *("--node-config", f'{SOCKET_KEY}="{trainer}"'),
    ]
    home = folder / f"{name}.home"
    home.mkdir(parents=True, exist_ok=True)
    with _process(command, log=folder / f"{name}.log", environment=flower_environment(home)):
        yield


@contextlib.contextmanager
def courier_run(link: SuperLink, folder: Path, desk: Path) -> Iterator[int]:
    """Start the run whose ServerApp carries the orders of the desk at the socket `desk`; yields the run's id."""
    app = folder / "courier"
    app.mkdir(parents=True, exist_ok=True)
    (app / "pyproject.toml").write_text(APP_PROJECT, encoding="utf-8")
    answer = flwr(link, ["run", str(app), _CONNECTION, "--run-config", f'{DESK_KEY}="{desk}"', "--format", "json"])
    run_id = answer.get("run-id")
    if not run_id:
        raise ProcessAbsent(f"flwr run gave no run id: {answer}")
    try:
        yield int(str(run_id))
    finally:
        if run_status(link, int(str(run_id))).startswith("finished"):
            logger.info("run %s is over", run_id)
        else:
            flwr(link, ["stop", str(run_id), _CONNECTION, "--format", "json"])


def run_status(link: SuperLink, run_id: int) -> str:
    """Return Flower's word for the state of a run, such as `running` or `finished:completed`."""
    answer = flwr(link, ["list", _CONNECTION, "--run-id", str(run_id), "--format", "json"])
    runs = answer.get("runs")
    return str(runs[0].get("status", "unknown")) if isinstance(runs, list) and runs else "unknown"


def flwr(link: SuperLink, arguments: Sequence[str]) -> Mapping[str, object]:
    """Run one `flwr` command that answers in JSON. Raises ProcessAbsent with its words when it fails."""
    result = subprocess.run(
        [_program("flwr"), *arguments],
        env=flower_environment(link.home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_COMMAND_S,
        check=False,
        text=True,
    )
    begin = result.stdout.find("{")
    try:
        answer = json.loads(result.stdout[begin:]) if begin >= 0 else {}
    except ValueError:
        answer = {}
    if result.returncode != 0 or not isinstance(answer, dict) or answer.get("success") is False:
        said = (result.stdout + result.stderr)[-_LOG_TAIL_CHARS:]
        raise ProcessAbsent(f"flwr {arguments[0]} failed with {result.returncode}: {said}")
    return answer


def free_port() -> int:
    """Return a port that was free on loopback a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _write_connection(home: Path, values: Mapping[str, str]) -> None:
    lines = ["[superlink]", f'default = "{_CONNECTION}"', "", f"[superlink.{_CONNECTION}]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    (home / "config.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextlib.contextmanager
def _process(command: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a session of its own while the block runs; end the whole session after it."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [_program(command[0]), *command[1:]],
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


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)  # our own session, by its id
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
    process.wait()


def _await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return
        time.sleep(_POLL_S)
    tail = log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL_CHARS:]
    raise ProcessAbsent(f"the SuperLink does not listen on port {port} after {START_S:g} s; its log ends: {tail}")


def _program(name: str) -> str:
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise ConfigError(f"{name} is not installed; pip install flwr==1.41.0 into this environment")
    return found
