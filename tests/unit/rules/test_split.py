"""The split as a program gives what `payout.split_pot` gives, which was written apart from it, in every branch."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from fl_platform.protocol.building import Builder
from fl_platform.protocol.payout import split_pot
from fl_platform.protocol.program import Axis, Program, Source
from fl_platform.protocol.tape import Lengths, Tape, evaluate
from fl_platform.rules.split import Parties, catch_up

POT, BASE_BPS = 10**20, 1_500


def program() -> Program:
    """Return the split over seats, each of which finds its entry by a hint; admitted and present are the same here."""
    b = Builder()
    score = b.source(Source.SCORE_SUM)
    entry = b.inverse(b.source(Source.SEAT_OF), score, b.source(Source.COUNT))
    here = b.gather(1 - b.source(Source.REFUSED), entry)
    parties = Parties(score, b.source(Source.PAID_SCORED), b.gather(b.source(Source.STAKE), entry), here, here)
    split = catch_up(
        b, parties, Axis.SEAT, pot=b.source(Source.POT), pots_before=b.source(Source.POTS_BEFORE),
        fee_bps=b.source(Source.FEE_BPS), base_bps=BASE_BPS,
    )  # fmt: skip
    for name in ("fee", "base", "scored", "scored_pot", "dust"):
        b.output(name, getattr(split, name))
    return b.program()


PROGRAM = program()


def some_round(dice: random.Random) -> tuple[Lengths, dict[Source, Any]]:
    """Return a round: often with nobody, all refused, all equal, no positive score, nobody who lacks anything."""
    seats = dice.choice((1, 2, 3, 7))
    seat_of = dice.sample(range(seats), dice.randrange(seats + 1))
    kinds: tuple[Any, ...] = (lambda: 0, lambda: 7, lambda: -dice.randrange(9), lambda: dice.randint(-(10**30), 10**30))
    score, paid = dice.choice(kinds), dice.choice((lambda: 0, lambda: 10**26, lambda: dice.randrange(10**21)))
    refused = dice.choice((lambda: 0, lambda: 1, lambda: dice.randrange(2)))
    cells: dict[Source, Any] = {
        Source.SEAT_OF: seat_of, Source.STAKE: [dice.choice((0, 1, 10**18, dice.randrange(10**20))) for _ in seat_of],
        Source.REFUSED: [refused() for _ in seat_of], Source.SCORE_SUM: [score() for _ in range(seats)],
        Source.PAID_SCORED: [paid() for _ in range(seats)],
    }  # fmt: skip
    sources: dict[Source, Any] = {name: np.array(values, dtype=object) for name, values in cells.items()}
    sources |= {
        Source.POT: dice.choice((0, 1, POT)), Source.FEE_BPS: dice.choice((0, 500, 10_000)),
        Source.POTS_BEFORE: dice.choice((0, POT, 3 * POT + 1)), Source.COUNT: len(seat_of),
    }  # fmt: skip
    return Lengths(len(seat_of), seats), sources


def in_words(lengths: Lengths, sources: dict[Source, Any]) -> tuple[Any, ...]:
    """Return the split by the module that says it in words."""
    stake, here = [0] * lengths.seats, [False] * lengths.seats
    for entry, seat in enumerate(sources[Source.SEAT_OF]):
        stake[seat], here[seat] = sources[Source.STAKE][entry], not sources[Source.REFUSED][entry]
    found = split_pot(
        pot=sources[Source.POT], fee_bps=sources[Source.FEE_BPS], base_bps=BASE_BPS,
        pots_before=sources[Source.POTS_BEFORE], scores=list(sources[Source.SCORE_SUM]),
        paid_scored=list(sources[Source.PAID_SCORED]), stakes=stake, admitted=here, present=here,
    )  # fmt: skip
    return found.fee, list(found.base), list(found.scored), found.scored_pot, found.dust


def by_program(tape: Tape) -> tuple[Any, ...]:
    """Return the split of a tape."""
    fee, base, scored, pot, dust = (tape.output(n) for n in ("fee", "base", "scored", "scored_pot", "dust"))
    return int(fee), base.tolist(), scored.tolist(), int(pot), int(dust)


@pytest.mark.parametrize("seed", range(8))
def test_it_gives_what_the_words_say(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(100):
        lengths, sources = some_round(dice)
        tape = evaluate(PROGRAM, lengths, sources)
        assert list(tape.broken()) == []
        assert by_program(tape) == in_words(lengths, sources), sources


def test_each_branch_is_drawn() -> None:
    """With and without: a positive score, somebody who lacks something, somebody admitted, somebody at all."""
    seen = set()
    dice = random.Random(1)
    for _ in range(500):
        lengths, sources = some_round(dice)
        tape = evaluate(PROGRAM, lengths, sources)
        lacking = tape.columns[PROGRAM.column("lacking")]
        entitled = tape.columns[PROGRAM.column("entitled")]
        admitted = bool(len(sources[Source.REFUSED])) and min(sources[Source.REFUSED]) == 0
        seen.add((any(entitled), any(lacking), admitted, lengths.entries > 0))
    assert len(seen) == 7  # of what can be: who lacks is entitled and there; who is admitted is there


def test_a_pot_is_spent_whole() -> None:
    dice = random.Random(5)
    for _ in range(200):
        lengths, sources = some_round(dice)
        fee, base, scored, _, dust = by_program(evaluate(PROGRAM, lengths, sources))
        assert fee + sum(base) + sum(scored) + dust == sources[Source.POT]
        assert min(fee, dust, *base, *scored) >= 0


def test_it_has_a_size() -> None:
    """A rule of a page is a program of some kilobytes."""
    assert len(PROGRAM.columns) < 80
    assert len(PROGRAM.to_bytes()) < 16_000
