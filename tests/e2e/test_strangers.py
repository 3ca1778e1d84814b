"""Owner, aggregator and two data owners with a folder and wallets of their own, over Flower: invite, up, join."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import pytest

from tests.support.cli import Cli
from tests.support.nodes import anvil

pytestmark = pytest.mark.node

TASK_S = 400.0  # on a busy machine; each Flower message starts processes


def await_file(path: Path, process: subprocess.Popen[str]) -> None:
    """Return when the file is there; the process must still run."""
    while not path.exists():
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
            raise AssertionError(f"{process.args!r} ended with {process.returncode}")


def test_strangers(tmp_path: Path) -> None:
    with anvil() as node, contextlib.ExitStack() as stack:
        variables = {"FL_PLATFORM_ANVIL_URL": node.url}
        people = {}
        for name in ("owner", "aggregator", "alice", "bob"):
            (tmp_path / name).mkdir()
            people[name] = Cli(tmp_path / name, "anvil", variables) if name == "owner" else Cli(tmp_path / name, "")
        owner, aggregator = people["owner"], people["aggregator"]
        aggregator("wallet", "new", "--light", "one")
        party = aggregator.report("wallet", "show", "one")["party"]
        owner("wallet", "new", "--light", "me")
        owner("deploy", "--wallet", "me")
        owner(
            "task", "open", "--trainers", "2", "--rounds", "1", "--pot", "10", "--epochs", "1", "--aggregator", party,
            "--windows", "hourly",
        )  # fmt: skip
        offered, invited = tmp_path / "task.toml", tmp_path / "hospital.toml"
        referee = stack.enter_context(owner.staying("up", "owner", "1", "-o", str(offered), "--orders", str(invited)))
        await_file(offered, referee)
        aggregator("follow", str(offered))
        upped = stack.enter_context(aggregator.staying("up", "aggregator", "1", "--trainers", "2", "-o", str(invited)))
        await_file(invited, upped)
        refused = people["alice"]("join", str(invited), "--part", "1/2", code=5)
        assert "run this again with --yes" in refused.stderr
        assert "encrypted for the 1 aggregators and 0 auditors" in refused.stdout
        joined = [
            stack.enter_context(people[name].staying("join", str(invited), "--part", f"{part}/2", "--yes"))
            for part, name in enumerate(("alice", "bob"), 1)
        ]
        assert upped.wait(TASK_S) == 0
        assert [process.wait(60) for process in joined] == [0, 0]
        (told,) = people["alice"].report("why", "me")
        assert told["rounds"][0]["verdict"] == "admitted"
        assert owner.report("audit", "1", code=3)["ok"]
        assert people["bob"].report("audit", "1", code=3)["ok"]  # from the owner's store, over the wire
