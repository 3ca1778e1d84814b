"""What a hidden tape says of a refusal is its sealer's word where the chain allows it, and shields no lie behind it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from fl_platform.dispute.known import KnownRound
from fl_platform.dispute.next_moves import Ask, GivenDiffers, Refute, believed, next_moves
from fl_platform.dispute.questions import Answer, Question
from fl_platform.protocol.evaluation import evaluate
from fl_platform.protocol.sources import Refused, Source
from fl_platform.protocol.tape import Tape
from tests.support.bound_rounds import CHALLENGER, BoundTask, RefereeWorld, Sealed, referee_world
from tests.support.referee import Liar, lie

REFUSALS = [Refused.WITHHELD, Refused.MISSING]


@pytest.fixture
def world() -> RefereeWorld:
    return referee_world()


def saying(known: KnownRound, why: Refused) -> KnownRound:
    """Return a round whose sealer says that it could not have the last update."""
    words = known.given.sources[Source.REFUSED].copy()  # type: ignore[union-attr]
    words[-1] = int(why)
    return replace(known, given=replace(known.given, sources={**known.given.sources, Source.REFUSED: words}))


def sealed_round(world: RefereeWorld, why: Refused, *, lies: bool) -> Sealed:
    task = BoundTask(random.Random(3), world)

    def told(known: KnownRound, _: Tape) -> Tape:
        known = saying(known, why)
        honest = evaluate(known.program, known.lengths, known.given)
        number = known.program.column("weight")
        return lie(known, honest, number, (0,), honest.cell(number, (0,)) + 1) if lies else honest

    return task.play(told)


def searched(world: RefereeWorld, sealed: Sealed, known: KnownRound) -> tuple[object, dict[Question, Answer]]:
    """Return what is done about a hidden seal in the end, and what was shown until then."""
    target, sealer = sealed.target.encoded(), sealed.target.record.aggregator
    held, shown = Liar(sealed.sealed, sealed.known.rows), dict[Question, Answer]()
    while True:
        moves = next_moves(known, sealed.sealed.root, published=None, shown=shown)
        if not moves or not isinstance(moves[0], Ask):
            return (moves[0] if moves else None), shown
        for question in moves[0].questions:
            world.disputes.send(CHALLENGER, "ask", target, question.encoded(), bytes(32))
            shown[question] = held.answer(question)
            world.disputes.send(sealer, "show", target, question.encoded(), shown[question].encoded())


@pytest.mark.parametrize("why", REFUSALS)
def test_a_lie_behind_a_refusal_falls(world: RefereeWorld, why: Refused) -> None:
    sealed = sealed_round(world, why, lies=True)
    allowed = (frozenset({int(Refused.NO), int(why)}),) * len(sealed.entries)
    move, _ = searched(world, sealed, replace(sealed.known, allowed=allowed))
    assert isinstance(move, Refute)
    target, sealer = sealed.target.encoded(), sealed.target.record.aggregator
    world.disputes.send(CHALLENGER, move.claim.function, target, *move.claim.encoded())
    assert world.escrow.call("member", sealed.target.task, sealer)[0] == 0


@pytest.mark.parametrize("why", REFUSALS)
def test_the_refusal_itself_is_taken(world: RefereeWorld, why: Refused) -> None:
    sealed = sealed_round(world, why, lies=False)
    known = replace(sealed.known, allowed=(frozenset({int(Refused.NO), int(why)}),) * len(sealed.entries))
    move, shown = searched(world, sealed, known)
    assert move is None
    assert believed(known, sealed.sealed.root, shown).root == sealed.sealed.root


@pytest.mark.parametrize("why", REFUSALS)
def test_one_that_the_chain_does_not_allow_is_what_falls(world: RefereeWorld, why: Refused) -> None:
    sealed = sealed_round(world, why, lies=True)
    known = replace(sealed.known, allowed=(frozenset({int(Refused.NO)}),) * len(sealed.entries))
    move, _ = searched(world, sealed, known)
    assert isinstance(move, GivenDiffers)
    assert move.claimed.value == why
