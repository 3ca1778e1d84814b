"""Every command that `status` names is one that this command line takes."""

from __future__ import annotations

import click
import pytest

from fl_platform.chain.types import Phase
from fl_platform.cli.main import cli
from fl_platform.ledger.history import RoundHistory
from fl_platform.ledger.records import ClosedBooks, Member, MemberFlag
from fl_platform.round.account_view import Demanded, Known
from fl_platform.round.status import moves
from tests.unit.round.test_status import (
    AGGREGATOR,
    NOW,
    OWNER,
    ROSTER,
    ROSTERED,
    SEAL,
    SUCCESSOR,
    TOKEN,
    TRAINER,
    at,
)

WINDOW = (NOW + 250, NOW + 850)
DISPUTED = {"rounds": (RoundHistory(0, 1, ROSTER, SEAL, challenged=True), RoundHistory(1, 2))}
PLACES = (
    at(AGGREGATOR, history={"bonded": frozenset()}),
    at(SUCCESSOR, window=(1, 2)),
    at(OWNER, reference=True),
    at(OWNER, head={"phase": Phase.REFUNDED}),
    at(TRAINER, demands=(Demanded(0, NOW + 9),), earned=TOKEN, final=TOKEN, ready_at=5),
    at(TRAINER, head=ROSTERED, window=WINDOW, signed=frozenset({0})),
    at(AGGREGATOR, head={"round": 1, "challenged": True}, history=DISPUTED),
    at(AGGREGATOR, head={"phase": Phase.DONE, "round": 3, "closed": True}),
    at(TRAINER, head={"phase": Phase.COMPENSATED, "closed": True}, settled=ClosedBooks(9, 0, NOW, 0, False, 2**16)),
    at(TRAINER, head={"phase": Phase.COMPENSATED, "closed": True}, settled=ClosedBooks(9, 0, 1, TOKEN, True, 2**16),
       member=Member(0, TOKEN, 0, MemberFlag.TRAINER | MemberFlag.RESIDUAL)),
)  # fmt: skip


@pytest.mark.parametrize("known", PLACES, ids=[str(number) for number in range(len(PLACES))])
def test_a_command_that_is_named_parses(known: Known) -> None:
    named = [move.command for move in moves(known) if move.command]
    assert named
    for text in named:
        program, group, command, *arguments = text.split()
        assert program == "fl-platform"
        with click.Context(cli) as parent:
            found = cli.get_command(parent, group)
            assert isinstance(found, click.Group), text
            inner = found.get_command(parent, command)
            assert inner is not None, text
            assert inner.make_context(command, arguments, parent=parent).params["wallet"] == "me"
