"""When somebody fails: by command line, a left-out trainer forces its work in, a late aggregator is replaced, and an
abandoned roster is paid by stake.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from fl_platform.cli.common import Options
from fl_platform.round.validation_slices import slices_in
from tests.support.cli import CliInside
from tests.support.own_task import TASK
from tests.support.troubles import begin

POT = 10 * 10**18
BOND = 20 * 10**18
TRAINERS = ("one", "two", "three")


@pytest.fixture
def cli(tmp_path: Path) -> CliInside:
    """An open task of one round that pays by stake; two aggregators, three trainers."""
    made = CliInside(tmp_path)
    made("wallet", "new", "--light", "owner", "first", "second", *TRAINERS)
    made("deploy", "--wallet", "owner")
    made("wallet", "fund", "owner", "first", "second", *TRAINERS, "--tokens", "100")
    made(
        "task", "open", "--wallet", "owner", "--trainers", "3", "--rounds", "1", "--pot", "10", "--epochs", "1",
        "--worth", "equal", "--aggregator", "first", "--aggregator", "second", "--windows", "minutes",
    )  # fmt: skip
    for name in TRAINERS:
        made("trainer", "join", "1", "--wallet", name)
    made("aggregator", "bond", "1", "--wallet", "first")
    return made


def begun(cli: CliInside, *, forgetful: bool) -> tuple[str, ...]:
    """Collect and roster as the first aggregator; return the name of the trainer that was left out, if one was."""
    options = Options(cli.folder / "w", "embedded", "", cli.folder / "password")
    return begin(options, "first", TRAINERS, forgetful=forgetful)


def test_a_trainer_that_was_left_out_forces_its_work_in(cli: CliInside) -> None:
    (left_out,) = begun(cli, forgetful=True)
    status = cli("trainer", "status", "1", "--wallet", left_out).stdout
    assert "fl-platform trainer force 1 0" in status
    cli("trainer", "force", "1", "0", "--wallet", left_out)
    cli("trainer", "force", "1", "0", "--wallet", left_out)  # again: nothing happens twice
    assert cli.report("aggregator", "run", "1", "--wallet", "first", "--local")["state"] == "done"
    told = cli("why", left_out).stdout
    assert "forced in on chain by the trainer" in told


def test_a_trainer_puts_its_keys_on_chain_itself_and_answers_what_it_is_asked(cli: CliInside) -> None:
    early = cli("trainer", "reveal", "1", "0", "--wallet", "one", code=5)
    assert "signed nothing" in early.stderr
    assert begun(cli, forgetful=False) == ()
    for _ in range(2):  # again: nothing happens twice
        cli("trainer", "reveal", "1", "0", "--wallet", "one")
    told = cli.report("trainer", "answer", "1", "--wallet", "one")
    assert (told["answered"], told["left"], told["bonds_wei"]) == ([], [], 0)
    assert cli.report("aggregator", "run", "1", "--wallet", "first", "--local")["state"] == "done"
    late = cli("trainer", "reveal", "1", "0", "--wallet", "two", code=8)
    assert "NotForceable" in late.stderr


def test_a_late_aggregator_is_replaced_and_pays(cli: CliInside) -> None:
    early = cli("aggregator", "advance", "1", "--wallet", "one", code=8)
    assert "TooEarly" in early.stderr
    cli("aggregator", "bond", "1", "--wallet", "second")
    cli("aggregator", "advance", "1", "--wallet", "one", "--fast-forward")
    late = cli("aggregator", "run", "1", "--wallet", "first", "--local", code=5)
    assert "current aggregator" in late.stderr
    assert cli.report("aggregator", "run", "1", "--wallet", "second", "--local")["state"] == "done"
    (told,) = cli.report("why", "first")
    assert 0 < told["slashed_wei"] <= BOND
    paid = cli.report("rewards", "claim", "1", "--wallet", "one", "--all", "--withdraw", "--fast-forward")
    assert sum(item["withdrawn_wei"] for item in paid) >= POT  # the pot and what the late one lost
    gone = cli.report("aggregator", "leave", "1", "--wallet", "second", "--fast-forward")
    assert (gone["done"], gone["returned_wei"]) == (True, BOND)


def test_an_abandoned_roster_is_paid_by_stake(cli: CliInside) -> None:
    assert begun(cli, forgetful=False) == ()
    cli("aggregator", "advance", "1", "--wallet", "one", "--fast-forward")
    cli("aggregator", "advance", "1", "--wallet", "one", "--fast-forward")
    assert cli.report("task", "show", "1")["state"] == "compensated"
    early = cli("rewards", "claim", "1", "--wallet", "one", code=5)
    assert "task close" in early.stderr
    waits = cli("task", "close", "1", "--wallet", "one", code=5)
    assert "the roster of round 0 can be asked for, and fall, for" in waits.stderr
    cli("task", "close", "1", "--wallet", "one", "--fast-forward")
    paid = cli.report("rewards", "claim", "1", "--wallet", "one", "--all", "--withdraw")
    assert len({item["withdrawn_wei"] for item in paid}) == 1
    assert sum(item["withdrawn_wei"] for item in paid) > POT - 3  # equal stakes, rounded down; and the late one's bond
    assert "compensated" in cli("why", "one").stdout


def test_an_abandoned_roster_that_left_somebody_out_is_shared_by_everybody(cli: CliInside) -> None:
    (left_out,) = begun(cli, forgetful=True)
    cli("trainer", "force", "1", "0", "--wallet", left_out)
    cli("aggregator", "advance", "1", "--wallet", "one", "--fast-forward")
    cli("aggregator", "advance", "1", "--wallet", "one", "--fast-forward")
    cli("task", "close", "1", "--wallet", "one", "--fast-forward")
    paid = [cli.report("rewards", "claim", "1", "--wallet", name, "--withdraw")[0] for name in TRAINERS]
    assert len({item["withdrawn_wei"] for item in paid}) == 1
    assert sum(item["withdrawn_wei"] for item in paid) > POT - 3


def test_worth_is_evaluated_on_rows_that_the_owner_opens_after_the_roster(cli: CliInside) -> None:
    rules = (
        "task", "open", "--wallet", "owner", "--trainers", "2", "--rounds", "1", "--pot", "10", "--epochs", "3",
        "--worth", "leave-one-out", "--aggregator", "first", "--auditor", "second", "--windows", "minutes",
    )  # fmt: skip
    cli(*rules)
    for name in TRAINERS[:2]:
        cli("trainer", "join", "2", "--wallet", name)
    cli("aggregator", "bond", "2", "--wallet", "first")
    early = cli("task", "reveal", "2", "0", "--wallet", "owner", code=5)
    assert "no roster yet" in early.stderr
    assert "has no validation rows" in cli("task", "reveal", "1", "0", "--wallet", "owner", code=5).stderr
    assert cli.report("aggregator", "run", "2", "--wallet", "first", "--local")["state"] == "done"
    assert "froze" in cli("task", "reveal", "2", "0", "--wallet", "one", code=5).stderr
    cli("task", "reveal", "2", "0", "--wallet", "owner")
    assert slices_in(cli.folder / "w" / "slices" / "embedded-2", patience_s=0.0)(0)
    assert slices_in(cli.folder / "nowhere", patience_s=0.0)(0) == ()
    assert cli.report("audit", "2", "--key", "second")["ok"]


def test_trainers_with_rows_of_their_own_are_no_local_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_local_task.py").write_text(TASK)
    monkeypatch.chdir(tmp_path)
    cli = CliInside(tmp_path)
    cli("wallet", "new", "--light", "owner", "first", "one")
    cli("deploy", "--wallet", "owner")
    cli("wallet", "fund", "owner", "first", "one", "--tokens", "100")
    words = ("--trainers", "1", "--rounds", "1", "--pot", "10", "--aggregator", "first", "--windows", "seconds")
    cli("task", "open", "--wallet", "owner", "--data", "my_local_task:Mine", *words)
    cli("aggregator", "bond", "1", "--wallet", "first")
    cli("trainer", "join", "1", "--wallet", "one")
    refused = cli("aggregator", "run", "1", "--wallet", "first", "--local", code=5).stderr
    assert "trainers of 'my_local_task:Mine' have rows of their own" in refused
    assert "`fl-platform trainer run 1 --wallet NAME --data module:NAME`" in refused
