"""What a newcomer reads at the end of a command: what to type next, why there is nothing, and who can do the rest."""

from __future__ import annotations

import pytest

from tests.support.cli import CliInside

DONE, REFUNDED = "1", "2"
BY = ("--wallet", "owner", "--aggregator", "aggregator", "--trainers", "2", "--rounds", "1", "--epochs", "1")


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CliInside:
    """A folder with a finished task that names no auditor."""
    made = CliInside(tmp_path_factory.mktemp("next-steps"))
    made("wallet", "new", "--light", "owner", "aggregator", "one", "two")
    made("deploy", "--wallet", "owner")
    made("wallet", "fund", "owner", "aggregator", "one", "two", "--tokens", "300")
    made("task", "open", *BY, "--windows", "minutes")
    made("trainer", "join", DONE, "--wallet", "one")
    made("trainer", "join", DONE, "--wallet", "two")
    made("aggregator", "bond", DONE, "--wallet", "aggregator")
    made("aggregator", "run", DONE, "--wallet", "aggregator", "--local")
    return made


def test_an_audit_promises_no_auditor_where_the_task_names_none(cli: CliInside) -> None:
    aggregator = cli.report("wallet", "show", "aggregator")["address"]
    told = cli("audit", DONE, code=3).stdout
    assert "this task names no auditor: only its aggregators' wallets" in told
    assert aggregator in told.splitlines()[-1].lower()
    assert "auditor's wallet" not in told
    assert "every value was recomputed" in cli("audit", DONE, "--key", "aggregator").stdout
