"""Random games without any chain: a lie is followed to a cell that does not follow, and nothing else is claimed."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from fl_platform.dispute.claims import CellClaim, Claim, CombineClaim, DotClaim
from fl_platform.dispute.known import KnownRound
from fl_platform.dispute.next_moves import GivenDiffers, Refute, next_moves
from fl_platform.protocol.evaluation import evaluate_column
from fl_platform.protocol.operations import HINTS, Op
from fl_platform.protocol.tape import Place, Tape
from tests.support.referee import PaperCourt, drawn_round, play, some_lie


def place_of(claim: Claim) -> tuple[int, Place]:
    """Return the column and place that a claim is about."""
    if isinstance(claim, CellClaim):
        return claim.refutation.column, claim.refutation.place
    assert isinstance(claim, DotClaim | CombineClaim)
    return claim.column, claim.place


def does_not_follow(known: KnownRound, liar: Tape, number: int, place: Place) -> bool:
    """Whether a cell of a tape is not what its own earlier columns give: a check, that it is 0."""
    if known.program.columns[number].op is Op.MUST and liar.cell(number, place) == 0:
        return True
    given = replace(known.given, brought={})
    right = evaluate_column(liar.program, liar.lengths, given, liar.columns[:number], number)
    return int(right[place]) != liar.cell(number, place)


@pytest.mark.parametrize("hidden", [False, True], ids=["known", "hidden"])
@pytest.mark.parametrize("seed", range(30))
def test_a_lie_is_followed_to_a_cell_that_does_not_follow(seed: int, hidden: bool) -> None:
    known, _, liar, op = some_lie(seed + 2_000)
    court = PaperCourt()
    game = play(court, known, liar, hidden=hidden)
    if op in (Op.SOURCE, Op.PREV):
        assert isinstance(game.end, GivenDiffers)
        return
    assert isinstance(game.end, Refute)
    number, place = place_of(game.end.claim)
    assert known.program.columns[number].op not in HINTS
    assert does_not_follow(known, liar, number, place)


@pytest.mark.parametrize("seed", range(10))
def test_an_honest_tape_is_left_alone(seed: int) -> None:
    known, honest = drawn_round(random.Random(seed + 2_000))
    for published in (honest, None):
        assert next_moves(known, honest.root, published=published, shown={}) == ()
