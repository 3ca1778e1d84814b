"""Steps of the next round: an exact fit stays, half way to the next power of two moves, by one at most."""

from __future__ import annotations

import random

import numpy as np
import pytest

from fl_platform.protocol.tape import Tape
from fl_platform.rules.carried import MOVES
from fl_platform.rules.compose import Rule, compose
from tests.support.rule_rounds import FIRST_TRAINER, Entry, Federation

STEPS = compose(Rule(screens=(), worth="equal", directions=0))


def task() -> Federation:
    """Two blocks of 64; at 4 bits q_max is 7, and with a spread of 7 an energy of 64 is an exact fit."""
    return Federation(random.Random(0), sizes=(64, 64), counting=2, directions=0, words={"bits": 4, "spread": 7})


def played(of: Federation, values: list[int], stakes: list[int], previous: Tape | None = None) -> Tape:
    """Return a round of updates whose first block has these values at its first places, squared and summed."""
    entries = []
    for number, (value, stake) in enumerate(zip(values, stakes, strict=True)):
        row = np.zeros(128, np.int64)
        row[:value] = 1
        row[64:] = 1
        entries.append(Entry(FIRST_TRAINER + number, stake, of.rows.add(row)))
    return of.played(STEPS, entries, previous)


def moves(tape: Tape, of: Federation) -> list[int]:
    return [int(e) - first for e, first in zip(tape.named("exponent"), of.first, strict=True)]


@pytest.mark.parametrize(("energy", "move"), [(64, 0), (33, 0), (32, 0), (31, -1), (1, -1), (0, -1)])
def test_half_an_exponent_below_moves_down(energy: int, move: int) -> None:
    of = task()
    assert moves(played(of, [energy], [5]), of) == [move, 0]


@pytest.mark.parametrize(("spread", "move"), [(7, 0), (9, 0), (10, 1), (1_024, 1)])
def test_half_an_exponent_above_moves_up_by_one_at_most(spread: int, move: int) -> None:
    """(9 / 7)^2 is below 2, (10 / 7)^2 above."""
    of = task()
    of.rules["spread"] = spread
    assert moves(played(of, [64], [5]), of) == [move, move]


def test_the_median_is_by_stake_and_the_lower_one() -> None:
    of = task()
    of.rules["stake_cap_bps"] = 10_000
    assert moves(played(of, [1, 64, 64], [2, 1, 1]), of)[0] == -1
    assert moves(played(of, [1, 64, 64], [2, 2, 1]), of)[0] == 0
    assert int(played(of, [3, 9], [1, 1]).named("median_energy")[0]) == 3


def test_nothing_summed_leaves_steps_and_they_stop_at_the_ends() -> None:
    of = task()
    assert moves(played(of, [], []), of) == [0, 0]
    tape = played(of, [0], [1])
    for _ in range(25):
        tape = played(of, [0], [1], tape)
    assert moves(tape, of) == [MOVES[0], 0]
    of.rules["spread"] = 1_024
    for _ in range(40):
        tape = played(of, [64], [1], tape)
    assert moves(tape, of) == [MOVES[1], MOVES[1]]
    assert moves(played(of, [], [], tape), of) == [MOVES[1], MOVES[1]]
