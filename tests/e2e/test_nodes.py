"""The nodes that the other `node` tests stand on: they start, answer as configured, and are gone afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support import nodes
from tests.support.cli import CliInside

pytestmark = pytest.mark.node

Starter = Callable[[], AbstractContextManager[nodes.Node]]
SOMEBODY = "0x00000000000000000000000000000000000000aa"


@pytest.mark.parametrize(
    ("start", "chain_id"),
    [(nodes.anvil, 31337), (nodes.ganache, 1337), (nodes.sepolia_rehearsal, 11155111)],
    ids=["anvil", "ganache", "sepolia-rehearsal"],
)
def test_a_node_answers_as_configured_and_ends_with_its_block(start: Starter, chain_id: int) -> None:
    with start() as node:
        assert node.chain_id == chain_id
        assert len(node.accounts) == 10
        node.fund(SOMEBODY, 12345)
        assert int(node.rpc("eth_getBalance", SOMEBODY, "latest"), 16) == 12345
        before = int(node.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        node.advance(3600)
        assert int(node.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16) >= before + 3600
        os.kill(node.pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(node.pid, 0)


def test_a_missing_tool_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "ANVIL", nodes.ROOT / "node_modules" / "absent")
    with pytest.raises(nodes.NodeToolMissing, match="make tools"), nodes.anvil():
        pass


def test_a_node_that_dies_at_once_shows_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(nodes.NodeFailed, match="unexpected argument"), nodes.anvil(options=["--no-such-option"]):
        pass


def test_a_folder_goes_on_with_a_node_that_was_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told from a broken chain by what every command says; `deploy` is the way on, and keeps what was."""
    cli = CliInside(tmp_path, network="anvil")
    cli("wallet", "new", "--light", "owner")
    for number in range(2):
        # Two blocks 0: nodes started within one second have the same one, and a coin-only `wallet fund` is at home
        # on it.
        with nodes.anvil(options=["--timestamp", str(1_800_000_000 + number)]) as node:
            monkeypatch.setenv("FL_PLATFORM_ANVIL_URL", node.url)
            if number:
                for words in (("task", "list"), ("wallet", "fund", "owner"), ("status",)):
                    assert "`fl-platform deploy`" in cli(*words, code=5).stderr
                findings = {one["about"]: one["text"] for one in cli.report("doctor", code=5)}
                assert "restarted development chain" in findings["contracts"]
            aside = cli.report("deploy")["put_aside"]
            assert len(aside) == number
            cli("wallet", "fund", "owner", "--tokens", "5")
            assert "no tasks on anvil" in cli("task", "list").stdout
            assert cli.report("deploy")["put_aside"] == []
    kept = {path.relative_to(aside[0]).as_posix() for path in Path(aside[0]).rglob("*") if path.is_file()}
    assert kept == {"deployments/anvil.json", "journal/anvil.owner"}
