"""The wrong things around processes and nodes: killed, left behind, restarted, two at once. See `test_wrong_things`."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fl_platform.chain.embedded import EmbeddedBackend
from fl_platform.errors import ConfigError
from fl_platform.store import DiskStore
from fl_platform.store.hosted import HostedStore, Quotas
from fl_platform.store.server import StoreServer
from tests.support import nodes
from tests.support.cli import Cli, CliInside
from tests.support.wrong import MEASURED, OPEN, copied, later, prepare, unprivileged
from tests.support.wrong_messages import sees

WORK = ("aggregator", "run", OPEN, "--wallet", "first")
TRAIN = ("trainer", "run", OPEN, "--wallet")


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> CliInside:
    """The folder that is copied."""
    return prepare(tmp_path_factory.mktemp("wrong"))


@pytest.fixture
def cli(ready: CliInside, tmp_path: Path) -> CliInside:
    """A folder of its own for each test."""
    return copied(ready, tmp_path)


def once(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Return when something has happened; the process must still run."""
    while not happened():
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
            raise AssertionError(f"{process.args!r} ended with {process.returncode}")


def killed(process: subprocess.Popen[str]) -> None:
    """Kill a process that still works."""
    process.kill()
    assert process.wait() == -signal.SIGKILL


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def paid(cli: CliInside) -> tuple[Any, int]:
    """Return everybody's money in the task, and how many transactions the aggregator sent."""
    account = next(one for one in cli.report("wallet", "list") if one["name"] == "first")["address"]
    with EmbeddedBackend(cli.folder / "w" / "chain") as backend:
        sent = backend.nonce(bytes.fromhex(account[2:]))
    return cli.report("rewards", "show", OPEN), sent


@pytest.mark.slow
def test_an_aggregator_killed_in_the_middle_of_a_round_does_nothing_twice(
    ready: CliInside, cli: CliInside, tmp_path: Path
) -> None:
    journal = tmp_path / "w" / "journal" / "embedded.first"
    before = journal.stat().st_size
    with Cli(tmp_path).staying(*WORK, "--local") as process:
        once(lambda: journal.stat().st_size > before, process)  # the roster is about to be sent
        killed(process)
    sees("killed", Cli(tmp_path)(*WORK, "--local").stdout)
    (tmp_path / "undisturbed").mkdir()
    undisturbed = copied(ready, tmp_path / "undisturbed")
    undisturbed(*WORK, "--local")
    assert paid(cli) == paid(undisturbed)


@pytest.mark.slow
def test_a_killed_trainer_s_socket_is_taken_over(cli: CliInside, tmp_path: Path) -> None:
    place = tmp_path / "w" / "sockets" / f"embedded-{OPEN}" / "one.sock"
    with Cli(tmp_path).staying(*TRAIN, "one") as process:
        once(place.exists, process)
        killed(process)
    assert place.is_socket()
    said = tmp_path / f"{'-'.join((*TRAIN, 'one'))}.log"
    with Cli(tmp_path).staying(*TRAIN, "one") as process:
        once(lambda: "answers orders" in said.read_text(), process)
        with socket.socket(socket.AF_UNIX) as aggregator:
            aggregator.connect(str(place))
    sees("stale socket", said.read_text())
    assert not place.exists()


@pytest.mark.slow
def test_a_trainer_that_waits_says_that_a_deadline_has_passed(cli: CliInside, tmp_path: Path) -> None:
    later(cli, 3600)
    said = tmp_path / f"{'-'.join((*TRAIN, 'one'))}.log"
    with Cli(tmp_path).staying(*TRAIN, "one") as process:
        once(lambda: "status" in said.read_text(), process)
    sees("everybody away", said.read_text())
    cli("aggregator", "advance", OPEN, "--wallet", "one")


@pytest.mark.slow
def test_a_store_cannot_be_served_where_somebody_listens(cli: CliInside, tmp_path: Path) -> None:
    serve = ("store", "serve", "--allow", "owner", "--bind")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        sees("port in use", cli(*serve, f"127.0.0.1:{port}", code=5).stderr)
    sees("address of another machine", cli(*serve, "203.0.113.1:8790", code=5).stderr)
    with Cli(tmp_path).staying(*serve, f"127.0.0.1:{port}") as process:
        once(lambda: listens(port), process)
        shown = cli("--store", f"http://127.0.0.1:{port}", "task", "show", OPEN).stdout
    assert "task 2: task 2" in shown


def test_a_port_that_is_for_root(tmp_path: Path) -> None:
    """Where the system gives all ports to everybody, as containers often do, there is none: then it is served."""
    first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    store = HostedStore(DiskStore(tmp_path), Quotas())
    refusal = pytest.raises(ConfigError) if first > 1 else contextlib.nullcontext()
    with unprivileged(), refusal as refused:
        StoreServer(store, bind=("127.0.0.1", max(1, first - 1)), members=bool).server_close()
    if refused is not None:
        sees("privileged port", str(refused.value))
    StoreServer(store, bind=("127.0.0.1", 0), members=bool).server_close()


# --- with a node ------------------------------------------------------------------------------------------------------


@pytest.fixture
def on_anvil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[CliInside, Cli]]:
    """The folder on a node, in this process and as processes."""
    with nodes.anvil() as node:
        monkeypatch.setenv("FL_PLATFORM_ANVIL_URL", node.url)
        yield prepare(tmp_path, "anvil"), Cli(tmp_path, "anvil", {"FL_PLATFORM_ANVIL_URL": node.url})


@pytest.mark.node
def test_two_commands_of_one_wallet_at_once(on_anvil: tuple[CliInside, Cli]) -> None:
    inside, cli = on_anvil
    commands = [("trainer", "join", task, "--wallet", "three") for task in (OPEN, OPEN, MEASURED)]
    with ThreadPoolExecutor(len(commands)) as pool:
        list(pool.map(lambda words: cli(*words), commands))
    stakes = [one["stake_wei"] for one in inside.report("status") if one["wallet"] == "three"]
    assert stakes == [5 * 10**18] * 2


@pytest.mark.node
def test_a_killed_trainer_is_an_absent_one(on_anvil: tuple[CliInside, Cli], tmp_path: Path) -> None:
    inside, cli = on_anvil
    inside("trainer", "join", OPEN, "--wallet", "two")
    place = tmp_path / "w" / "sockets" / f"anvil-{OPEN}"
    with cli.staying(*TRAIN, "one") as process:
        once((place / "one.sock").exists, process)
        killed(process)
    with cli.staying(*TRAIN, "two") as process:
        once((place / "two.sock").exists, process)
        sees("trainer absent", inside(*WORK, "--patience", "0").stderr)
    told = " ".join(inside("why", "one", "--task", OPEN).stdout.split())
    assert "no update of it is on the roster" in told
    assert inside.report("trainer", "leave", OPEN, "--wallet", "one", "--fast-forward")["returned_wei"] == 5 * 10**18


@pytest.mark.node
def test_another_chain_and_one_that_was_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cli = CliInside(tmp_path, "anvil")
    cli("wallet", "new", "--light", "owner")
    for number in range(2):
        with nodes.anvil() as node:
            monkeypatch.setenv("FL_PLATFORM_ANVIL_URL", node.url)
            monkeypatch.setenv("FL_PLATFORM_SEPOLIA_URL", node.url)
            sees("another chain", cli("--network", "sepolia", "task", "list", code=5).stderr)
            if number:
                sees("restarted development chain", cli("task", "list", code=5).stderr)
            cli("deploy")
            assert "no tasks on anvil" in cli("task", "list").stdout
    assert list((tmp_path / "w" / "past").iterdir())
