"""Flower's own processes for a federation on this machine: SuperLink, SuperNodes and the run of the courier.

Everything listens on loopback, over TLS, and only registered node keys get in. No process here holds a wallet: the
aggregator and the trainers are reached through their sockets.

Warning: Flower's own SuperNode executes whatever app a run brings along. Ours (`node`) takes the courier's alone, which
holds no code. A stock one must run as another user than the trainer (`serve_trainer(..., guests=...)`).
"""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fl_platform.errors import ProcessAbsent
from fl_platform.flower.client_app import SOCKET_KEY
from fl_platform.flower.keys import CertificateFiles, NodeKeyFiles
from fl_platform.flower.processes import (
    LOG_TAIL_CHARS,
    Polled,
    await_port,
    find_program,
    flower_environment,
    free_port,
    kept,
    running,
)
from fl_platform.flower.server_app import QUEUE_KEY

logger = logging.getLogger(__name__)

_COMMAND_S = 120.0
_CONNECTION = "fl-platform"  # name of the SuperLink in Flower's own configuration file
DEPLOYED_CLIENT = "fl_platform.flower.client_app:app"


@dataclass(frozen=True)
class SuperLink:
    """A running SuperLink."""

    port: int
    home: Path  # FLWR_HOME of the commands that talk to it
    certificates: CertificateFiles
    process: Polled
    starts: Callable[[], int] = lambda: 1  # a SuperLink that was started again has forgotten nodes and runs


def app_project(client: str = DEPLOYED_CLIENT, settings: Sequence[str] = (QUEUE_KEY,)) -> str:
    """Return the pyproject.toml of the courier app: names of this package's parts, and no code of its own."""
    return f"""\
[project]
name = "fl-platform-courier"
version = "0.1.0"
description = "Carries the orders of fl-platform's aggregator"
license = "Apache-2.0"
dependencies = ["flwr==1.41.0"]

[tool.flwr.app]
publisher = "fl-platform"

[tool.flwr.app.components]
serverapp = "fl_platform.flower.server_app:app"
clientapp = "{client}"

[tool.flwr.app.config]
""" + "".join(f'{name} = ""\n' for name in settings)


@contextlib.contextmanager
def superlink(
    folder: Path,
    certificates: CertificateFiles,
    *,
    simulated: bool = False,
    environment: Mapping[str, str] | None = None,
    port: int = 0,
) -> Iterator[SuperLink]:
    """Run a SuperLink while the block runs; its log is `folder/superlink.log`. Port 0: a free one.

    It admits registered nodes only, or, when `simulated`, starts virtual ones itself.
    """
    port, log = port or free_port(), folder / "superlink.log"
    command, variables = _superlink(folder, certificates, port, simulated=simulated)
    with running(command, log=log, environment={**variables, **(environment or {})}) as process:
        await_port(port, process, log=log)
        yield SuperLink(port, folder / "flwr", certificates, process)


@contextlib.contextmanager
def kept_superlink(
    folder: Path, certificates: CertificateFiles, *, ended: Callable[[int], None]
) -> Iterator[SuperLink]:  # fmt: skip
    """Run a SuperLink for registered nodes while the block runs, started again when it ends; `ended` is told of it."""
    port, log, starts = free_port(), folder / "superlink.log", [0]
    command, variables = _superlink(folder, certificates, port)

    def start() -> list[str]:
        starts[0] += 1
        return command

    def again(code: int) -> bool:
        ended(code)
        return True

    with kept(start, log=log, environment=variables, again=again) as process:
        await_port(port, process, log=log)
        yield SuperLink(port, folder / "flwr", certificates, process, lambda: starts[0])


def _superlink(
    folder: Path, certificates: CertificateFiles, port: int, *, simulated: bool = False
) -> tuple[list[str], dict[str, str]]:
    """Return a SuperLink's command and environment, once Flower's own commands know where it is."""
    home = folder / "flwr"
    home.mkdir(parents=True, exist_ok=True)
    command = [
        "flower-superlink",
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--ssl-certfile", str(certificates.certificate), "--ssl-keyfile", str(certificates.key)),
        *("--ssl-ca-certfile", str(certificates.authority)),
        "--simulation" if simulated else "--enable-supernode-auth",
        # Otherwise every run calls `uv sync`.
        "--disable-runtime-dependency-installation",
    ]
    _write_connection(home, {"address": f"127.0.0.1:{port}", "root-certificates": str(certificates.authority)})
    return command, flower_environment(home)


@contextlib.contextmanager
def supernode(link: SuperLink, folder: Path, name: str, *, key: NodeKeyFiles, trainer: Path) -> Iterator[None]:
    """Register a node's key and run its SuperNode, which reaches the trainer at the socket `trainer`."""
    register(link, key.public)
    address = f"127.0.0.1:{link.port}"
    with kept_node(address, link.certificates.authority, folder, name, key=key, trainer=trainer):
        yield


def register(link: SuperLink, public_key: Path) -> None:
    """Admit a node by its public key (OpenSSH). Raises ProcessAbsent: the SuperLink refused."""
    flwr(link, ["supernode", "register", str(public_key), _CONNECTION])


@contextlib.contextmanager
def kept_node(
    address: str, authority: Path, folder: Path, name: str, *, key: NodeKeyFiles, trainer: Path
) -> Iterator[None]:
    """Run a SuperNode for the SuperLink at `address` while the block runs; its log is `folder/NAME.log`.

    It is started again when it ends: one that comes before its key is registered, or while the SuperLink is away,
    gives up at once.
    """
    home = folder / f"{name}.home"
    home.mkdir(parents=True, exist_ok=True)

    def again(code: int) -> bool:
        logger.info("the SuperNode ended with %s; it is started again", code)
        return True

    def command() -> list[str]:
        return [
            *(sys.executable, "-P", "-m", "fl_platform.flower.node"),
            *("--superlink", address, "--root-certificates", str(authority)),
            *("--auth-supernode-private-key", str(key.private)),
            *("--host", "127.0.0.1", "--port", str(free_port())),
            *("--node-config", f'{SOCKET_KEY}="{trainer}"'),
        ]

    with kept(command, log=folder / f"{name}.log", environment=flower_environment(home), again=again):
        yield


@contextlib.contextmanager
def courier_run(
    link: SuperLink,
    folder: Path,
    settings: Mapping[str, str],
    *,
    client: str = DEPLOYED_CLIENT,
    simulation: Sequence[str] = (),
) -> Iterator[int]:
    """Start the run whose ServerApp carries an order queue's orders, stop it after the block; yields the run's id.

    settings: the run's configuration, with QUEUE_KEY; simulation: Flower's settings for virtual nodes, `name=value`.
    """
    app = folder / "courier"
    app.mkdir(parents=True, exist_ok=True)
    (app / "pyproject.toml").write_text(app_project(client, tuple(settings)), encoding="utf-8")
    arguments = ["run", str(app), _CONNECTION]
    arguments += ["--run-config", " ".join(f"{name}={json.dumps(value)}" for name, value in settings.items())]
    arguments += ["--federation-config", " ".join(simulation)] if simulation else []
    answer = flwr(link, arguments)
    if not str(answer.get("run-id", "")).isdigit():
        raise ProcessAbsent(f"flwr run gave no run id: {answer}")
    run_id = int(str(answer["run-id"]))
    try:
        yield run_id
    finally:
        try:
            flwr(link, ["stop", str(run_id), _CONNECTION])
        except ProcessAbsent as error:  # most often: "already finished", since the courier goes home with the queue
            logger.info("run %d needed no stop: %s", run_id, error)


def run_status(link: SuperLink, run_id: int) -> str:
    """Return Flower's word for the state of a run, such as `running` or `finished:completed`."""
    runs = flwr(link, ["list", _CONNECTION, "--run-id", str(run_id)]).get("runs")
    return str(runs[0].get("status", "unknown")) if isinstance(runs, list) and runs else "unknown"


def flwr(link: SuperLink, arguments: Sequence[str]) -> Mapping[str, object]:
    """Run one `flwr` command and return its JSON answer. Raises ProcessAbsent with its words when it fails."""
    try:
        result = subprocess.run(
            [find_program("flwr"), *arguments, "--format", "json"],
            env=flower_environment(link.home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_COMMAND_S,
            check=False,
            text=True,
        )
    except subprocess.TimeoutExpired as error:
        raise ProcessAbsent(f"flwr {arguments[0]} did not end within {_COMMAND_S:g} s") from error
    begin = result.stdout.find("{")  # friendly lines may come first
    try:
        answer = json.loads(result.stdout[begin:]) if begin >= 0 else {}
    except ValueError:
        answer = {}
    if result.returncode != 0 or not isinstance(answer, dict) or answer.get("success") is False:
        said = (result.stdout + result.stderr)[-LOG_TAIL_CHARS:]
        raise ProcessAbsent(f"flwr {arguments[0]} failed with {result.returncode}: {said}")
    return answer


def _write_connection(home: Path, values: Mapping[str, str]) -> None:
    lines = ["[superlink]", f'default = "{_CONNECTION}"', "", f"[superlink.{_CONNECTION}]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    (home / "config.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
