"""A round by command line over Flower: CLI trainers behind SuperNodes, the CLI aggregator behind a SuperLink."""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path

import pytest

from fl_platform.flower.deployment import courier_run, superlink, supernode
from fl_platform.flower.keys import NodeKeyFiles, create_certificates
from fl_platform.flower.server_app import QUEUE_KEY
from tests.support.cli import Cli
from tests.support.nodes import anvil

pytestmark = pytest.mark.node

TRAINERS = ("one", "two")
ROUND_S = 280.0  # on a busy machine; each Flower message starts processes


def prepare(cli: Cli) -> str:
    """Open a task of one round, join and bond; return the CID of the owner's binding."""
    cli("wallet", "new", "--light", "owner", "aggregator", *TRAINERS)
    cli("deploy", "--wallet", "owner")
    cli("wallet", "fund", "owner", "aggregator", *TRAINERS, "--tokens", "100")
    cli(
        "task", "open", "--wallet", "owner", "--trainers", "2", "--rounds", "1", "--pot", "10", "--epochs", "1",
        "--aggregator", "aggregator", "--windows", "hourly",
    )  # fmt: skip
    for name in TRAINERS:
        cli("trainer", "join", "1", "--wallet", name)
    cli("aggregator", "bond", "1", "--wallet", "aggregator")
    needed = cli("aggregator", "run", "1", "--wallet", "aggregator", "--flower", "orders", code=5)
    assert "--reference-binding" in needed.stderr
    return str(cli.report("trainer", "join", "1", "--wallet", "owner", "--reference")["binding"])


def key_of(cli: Cli, name: str) -> NodeKeyFiles:
    """Return the node key that `trainer join` made."""
    private = cli.folder / "w" / "roles" / "anvil" / name / "node-key"
    return NodeKeyFiles(private, private.with_name("node-key.pub"))


def await_sockets(process: subprocess.Popen[str], *paths: Path) -> None:
    """Return when all sockets are there; the process must still run."""
    while not all(path.exists() for path in paths):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
            raise AssertionError(f"{process.args!r} ended with {process.returncode}")


def test_a_round_over_flower(tmp_path: Path) -> None:
    with anvil() as node, contextlib.ExitStack() as stack:
        cli = Cli(tmp_path, "anvil", {"FL_PLATFORM_ANVIL_URL": node.url})
        binding = prepare(cli)
        sockets = {name: tmp_path / f"{name}.sock" for name in (*TRAINERS, "owner")}
        for part, name in enumerate(TRAINERS, 1):
            words = ("trainer", "run", "1", "--wallet", name, "--part", f"{part}/2", "--socket", str(sockets[name]))
            trainer = stack.enter_context(cli.staying(*words))
        words = ("trainer", "run", "1", "--wallet", "owner", "--reference", "--socket", str(sockets["owner"]))
        stack.enter_context(cli.staying(*words))
        await_sockets(trainer, *sockets.values())
        link = stack.enter_context(superlink(tmp_path, create_certificates(tmp_path)))
        for name, path in sockets.items():
            stack.enter_context(supernode(link, tmp_path, f"node-{name}", key=key_of(cli, name), trainer=path))
        report = tmp_path / "sealed.json"
        orders = stack.enter_context(cli.staying(
            "aggregator", "run", "1", "--wallet", "aggregator", "--flower", "orders.sock",
            "--reference-binding", binding, "--timeout", "240", "--json", str(report),
        ))  # fmt: skip
        await_sockets(orders, tmp_path / "orders.sock")
        stack.enter_context(courier_run(link, tmp_path, {QUEUE_KEY: str(tmp_path / "orders.sock")}))
        assert orders.wait(ROUND_S) == 0
    sealed = json.loads(report.read_text())
    assert sealed["state"] == "done"
    assert sorted(sealed["sealed"][0]["verdicts"].values()) == ["admitted", "admitted", "reference"]
