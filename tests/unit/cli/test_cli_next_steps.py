"""What a newcomer reads at the end of a command: what to type next, why there is nothing, and who can do the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from fl_platform.cli.common import Options, reading
from fl_platform.cli.next_steps import after_following
from fl_platform.round.rewards import what_is_left
from tests.support.cli import CliInside

DONE, REFUNDED = "1", "2"
BY = ("--wallet", "owner", "--aggregator", "aggregator", "--trainers", "2", "--rounds", "1", "--epochs", "1")


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CliInside:
    """A folder with a finished task that names no auditor; what its commands said is kept in the folder."""
    made = CliInside(tmp_path_factory.mktemp("next-steps"))
    made("wallet", "new", "--light", "owner", "aggregator", "one", "two")
    made("deploy", "--wallet", "owner")
    made("wallet", "fund", "owner", "aggregator", "one", "two", "--tokens", "300")
    opened = made("task", "open", *BY, "--windows", "minutes")
    joined = made("trainer", "join", DONE, "--wallet", "one")
    made("aggregator", "bond", DONE, "--wallet", "aggregator")
    bonded = made("trainer", "join", DONE, "--wallet", "two")
    (made.folder / "said").write_text(opened.stdout + joined.stdout + bonded.stdout)
    made("aggregator", "run", DONE, "--wallet", "aggregator", "--local")
    return made


def test_whoever_joins_is_told_the_whole_next_command(cli: CliInside) -> None:
    said = (cli.folder / "said").read_text()
    run = f"`fl-platform aggregator run {DONE} --wallet aggregator --local`\n"
    bond = f"`fl-platform aggregator bond {DONE} --wallet aggregator`, then "
    assert f"once they have joined: {bond}{run}" in said
    assert f"one joined task 1 with 50 tokens at stake; once all have joined, next is {bond}{run}" in said
    assert f"two joined task 1 with 50 tokens at stake; once all have joined, next is {run}" in said


def test_an_audit_promises_no_auditor_where_the_task_names_none(cli: CliInside) -> None:
    aggregator = cli.report("wallet", "show", "aggregator")["address"]
    told = cli("audit", DONE, code=3).stdout
    assert "this task names no auditor: only its aggregators' wallets" in told
    assert aggregator in told.splitlines()[-1].lower()
    assert "auditor's wallet" not in told
    assert "every value was recomputed" in cli("audit", DONE, "--key", "aggregator").stdout


def test_a_second_claim_says_why_it_pays_nothing(cli: CliInside) -> None:
    claim = ("rewards", "claim", DONE, "--wallet", "one")
    first = cli(*claim, "--fast-forward").stdout
    assert "nothing for" not in first
    kept = cli(*claim).stdout
    assert "was claimed before" in kept
    assert "--withdraw pays them out" in kept
    cli(*claim, "--withdraw")
    again = cli(*claim, "--withdraw").stdout
    assert "all that final rounds earned it" in again
    assert "wait for it" not in again


def test_a_refunded_task_pays_nobody_and_says_where_the_money_is(cli: CliInside) -> None:
    cli("task", "open", *BY, "--windows", "minutes", "--title", "nobody joins")
    cli("aggregator", "advance", REFUNDED, "--wallet", "one", "--fast-forward")
    assert cli.report("task", "show", REFUNDED)["state"] == "refunded"
    told = cli("rewards", "claim", REFUNDED, "--wallet", "one", code=5).stderr
    assert "ended without a sealed round" in told
    assert f"`fl-platform task close {REFUNDED}`" in told
    assert " yet" not in told


def test_what_cannot_be_claimed_yet_is_told(cli: CliInside) -> None:
    with reading(Options(cli.folder / "w", "embedded", "", None)) as workspace:
        reader = workspace.reader(int(DONE))
        seal, final = reader.history().rounds[0].seal, reader.history().final_at(0)
        assert seal is not None
        assert final is not None
        (account, *_) = reader.history().members
        assert what_is_left(reader, account, now=seal.sealed_at).endswith("tokens more in 300 s of block time, if the "
                                                                          "seals stand")  # fmt: skip
        assert what_is_left(reader, account, now=final) == ""
        assert what_is_left(reader, bytes(20), now=seal.sealed_at) == ""


def test_dates_of_the_chain_are_told_to_be_its_own(cli: CliInside) -> None:
    shown = cli("task", "show", DONE).stdout
    assert "sealed (block time)" in shown
    assert "block time is the embedded chain's own, not the wall's" in shown


def test_without_a_policy_no_empty_table_is_shown(cli: CliInside) -> None:
    shown = cli("policy", "check", DONE).stdout
    assert "no policy holds here" in shown
    assert "it allows" not in shown


def test_whoever_looked_at_a_task_is_told_how_to_join_it() -> None:
    own, public = (after_following(Path("hospital.toml"), 3, model) for model in ("task:Mine", "digits-mlp"))
    assert own[0] == "next: `fl-platform join hospital.toml --data task:Mine`, to train"
    assert public[0] == "next: `fl-platform join hospital.toml`, to train"
    assert own[1] == "next: `fl-platform audit 3`, to recompute its rounds"


def test_a_clock_that_is_moved_is_told(cli: CliInside) -> None:
    cli("rewards", "claim", DONE, "--wallet", "two", "--fast-forward")
    asked = cli("trainer", "leave", DONE, "--wallet", "two")
    assert "clock" not in asked.stderr
    told = cli("trainer", "leave", DONE, "--wallet", "two", "--fast-forward").stderr
    assert "the clock of this local chain was moved on by " in told
    assert "for all of its tasks" in told
    again = cli("trainer", "leave", DONE, "--wallet", "two", "--fast-forward")
    assert "clock" not in again.stderr
    assert "nothing was paid now" in again.stdout
