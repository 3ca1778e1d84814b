"""The split as a program gives what `payout.split_pot` gives, which was written apart from it, in every branch."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from fl_platform.protocol.building import Builder
from fl_platform.protocol.payout import split_pot
from fl_platform.protocol.program import Program
from fl_platform.protocol.sources import INDEX_OF, Axis, Source
from fl_platform.protocol.tape import Given, Lengths, Tape, evaluate
from fl_platform.rules.split import Parties, catch_up

POT, BASE_BPS = 10**20, 1_500


CARRIED = {"score": (-(2**120), 2**120), "paid": (0, 2**96 - 1), "pots": (0, 2**96 - 1)}
Round = tuple[Lengths, dict[Source | str, Any]]


def program() -> Program:
    """Return the split over seats, each of which finds its entry by a hint; admitted and present are the same here."""
    b = Builder()
    score, paid, pots = (
        b.carried(name, () if name == "pots" else (Axis.SEAT,), bounds) for name, bounds in CARRIED.items()
    )
    for one in (score, paid, pots):
        b.carry(one, one + 0)
    entry = b.inverse(b.source(Source.SEAT_OF), score, b.source(Source.COUNT))
    here = b.gather(1 - b.source(Source.REFUSED), entry)
    parties = Parties(score, paid, b.gather(b.source(Source.STAKE), entry), here, here)
    split = catch_up(
        b, parties, Axis.SEAT, pot=b.source(Source.POT), pots_before=pots, fee_bps=b.word("fee_bps"), base_bps=BASE_BPS,
    )  # fmt: skip
    for name in ("fee", "base", "scored", "scored_pot", "dust"):
        b.name(name, getattr(split, name))
    return b.program()


PROGRAM = program()


def some_round(dice: random.Random) -> Round:
    """Return a round: often with nobody, all refused, all equal, no positive score, nobody who lacks anything."""
    seats = dice.choice((1, 2, 3, 7))
    seat_of = dice.sample(range(seats), dice.randrange(seats + 1))
    kinds: tuple[Any, ...] = (lambda: 0, lambda: 7, lambda: -dice.randrange(9), lambda: dice.randint(-(10**30), 10**30))
    score, paid = dice.choice(kinds), dice.choice((lambda: 0, lambda: 10**26, lambda: dice.randrange(10**21)))
    refused = dice.choice((lambda: 0, lambda: 1, lambda: dice.randrange(2)))
    cells: dict[Source | str, Any] = {
        Source.SEAT_OF: seat_of, Source.STAKE: [dice.choice((0, 1, 10**18, dice.randrange(10**20))) for _ in seat_of],
        Source.REFUSED: [refused() for _ in seat_of], "score": [score() for _ in range(seats)],
        "paid": [paid() for _ in range(seats)],
    }  # fmt: skip
    found: dict[Source | str, Any] = {name: np.array(values, dtype=object) for name, values in cells.items()}
    found |= {
        Source.POT: dice.choice((0, 1, POT)), "fee_bps": dice.choice((0, 500, 10_000)),
        "pots": dice.choice((0, POT, 3 * POT + 1)), Source.COUNT: len(seat_of),
    }  # fmt: skip
    return Lengths(len(seat_of), seats), found


def tape_of(lengths: Lengths, found: dict[Source | str, Any]) -> Tape:
    """Evaluate a round: what is carried comes from the round before."""
    previous: list[Any] = [None] * len(PROGRAM.columns)
    for name in CARRIED:
        column = PROGRAM.columns[PROGRAM.column(name)]
        previous[column.operands[0].column] = np.array(found[name], dtype=object)
    sources = {source: cells for source, cells in found.items() if isinstance(source, Source)}
    return evaluate(PROGRAM, lengths, Given(sources, {INDEX_OF["fee_bps"]: found["fee_bps"]}, previous))


def in_words(lengths: Lengths, sources: dict[Source | str, Any]) -> tuple[Any, ...]:
    """Return the split by the module that says it in words."""
    stake, here = [0] * lengths.seats, [False] * lengths.seats
    for entry, seat in enumerate(sources[Source.SEAT_OF]):
        stake[seat], here[seat] = sources[Source.STAKE][entry], not sources[Source.REFUSED][entry]
    found = split_pot(
        pot=sources[Source.POT], fee_bps=sources["fee_bps"], base_bps=BASE_BPS,
        pots_before=sources["pots"], scores=list(sources["score"]),
        paid_scored=list(sources["paid"]), stakes=stake, admitted=here, present=here,
    )  # fmt: skip
    return found.fee, list(found.base), list(found.scored), found.scored_pot, found.dust


def by_program(tape: Tape) -> tuple[Any, ...]:
    """Return the split of a tape."""
    fee, base, scored, pot, dust = (tape.named(n) for n in ("fee", "base", "scored", "scored_pot", "dust"))
    return int(fee), base.tolist(), scored.tolist(), int(pot), int(dust)


@pytest.mark.parametrize("seed", range(8))
def test_it_gives_what_the_words_say(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(100):
        lengths, sources = some_round(dice)
        tape = tape_of(lengths, sources)
        assert list(tape.broken()) == []
        assert by_program(tape) == in_words(lengths, sources), sources


def test_each_branch_is_drawn() -> None:
    """With and without: a positive score, somebody who lacks something, somebody admitted, somebody at all."""
    seen = set()
    dice = random.Random(1)
    for _ in range(500):
        lengths, sources = some_round(dice)
        tape = tape_of(lengths, sources)
        lacking, entitled = tape.named("lacking"), tape.named("entitled")
        admitted = bool(len(sources[Source.REFUSED])) and min(sources[Source.REFUSED]) == 0
        seen.add((any(entitled), any(lacking), admitted, lengths.entries > 0))
    assert len(seen) == 7  # of what can be: who lacks is entitled and there; who is admitted is there


def test_a_pot_is_spent_whole() -> None:
    dice = random.Random(5)
    for _ in range(200):
        lengths, sources = some_round(dice)
        fee, base, scored, _, dust = by_program(tape_of(lengths, sources))
        assert fee + sum(base) + sum(scored) + dust == sources[Source.POT]
        assert min(fee, dust, *base, *scored) >= 0


def test_it_has_a_size() -> None:
    """A rule of a page is a program of some kilobytes."""
    assert len(PROGRAM.columns) < 90
    assert len(PROGRAM.to_bytes()) < 16_000
