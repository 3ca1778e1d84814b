"""Screens at their limits, and one step beyond: lengths, the reference's way, replays."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest

from fl_platform.protocol.seats import REFERENCE_SEAT
from fl_platform.protocol.tape import Tape
from fl_platform.rules.compose import Rule, compose
from fl_platform.rules.verdicts import Verdict
from tests.support.rule_rounds import FIRST_TRAINER, Entry, Federation

LENGTH = compose(Rule(screens=("length",), worth="equal", directions=0))
DIRECTION = compose(Rule(screens=("direction",), worth="equal", directions=0))
REPLAY = compose(Rule(screens=("replay",), worth="equal", directions=2))
SIZE = 64


def task(**words: int) -> Federation:
    """Return a task of one block, without rounding noise."""
    limits = {"stochastic": 0, "floor_bps": 5_000, "reject_bps": 20_000, "clip_bps": 15_000, "stake_cap_bps": 10_000}
    return Federation(random.Random(0), sizes=(SIZE,), counting=1, directions=2, words=limits | words)


def entry(of: Federation, number: int, *values: int) -> Entry:
    """Return an update that begins with these integers and goes on with 0."""
    row = np.zeros(SIZE, dtype=np.int64)
    row[: len(values)] = values
    return Entry(FIRST_TRAINER + number, 10**18, of.rows.add(row))


def verdict(tape: Tape, number: int = -1) -> Verdict:
    return Verdict(int(tape.named("verdict")[number]))


@pytest.mark.parametrize(
    ("length", "wanted"),
    [(5, Verdict.ADMITTED), (4, Verdict.NO_WORK), (0, Verdict.NO_WORK), (20, Verdict.ADMITTED), (21, Verdict.TOO_LONG)],
)
def test_lengths_are_held_against_the_median(length: int, wanted: Verdict) -> None:
    of = task()
    tape = of.played(LENGTH, [*(entry(of, k, 10) for k in range(3)), entry(of, 3, length)])
    assert verdict(tape) is wanted
    assert int(tape.named("median_length")) == 10 << 16


@pytest.mark.parametrize(("length", "clipped"), [(15, 0), (16, 1)])
def test_over_the_clip_bound_an_update_weighs_less_and_others_no_more(length: int, clipped: int) -> None:
    of = task()
    tape = of.played(LENGTH, [*(entry(of, k, 10) for k in range(3)), entry(of, 3, length)])
    assert int(tape.named("clipped")[3]) == clipped
    assert tape.named("weight").tolist() == [1 << 14] * 3 + [(1 << 14) * 15 // 16 if clipped else 1 << 14]
    assert int(tape.named("divisor")) == 1 << 16


@pytest.mark.parametrize(("more", "wanted"), [(0, Verdict.ADMITTED), (1, Verdict.TOO_LONG)])
def test_nobody_sends_what_no_honest_encoder_makes(more: int, wanted: Verdict) -> None:
    """Eight times 127 / 32 * 64^.5 is 254; 2 for both roots rounded up, and 8 for rounding: 264."""
    of = task(reject_bps=1_000_000)
    longest = (127, 127, 127, 127, 71, 11, 4, 1, 1)
    assert sum(value * value for value in longest) == 264**2
    tape = of.played(LENGTH, [*(entry(of, k, 10) for k in range(3)), entry(of, 3, *longest, more)])
    assert verdict(tape) is wanted


def test_expected_rounding_noise_is_taken_out_but_for_an_eighth() -> None:
    of = task(stochastic=1)
    tape = of.played(LENGTH, [entry(of, 0, 10), entry(of, 1, 3), entry(of, 2, 1)])
    energies = [(int(x) / 2**16) ** 2 for x in tape.named("clean_length")]
    np.testing.assert_allclose(energies, [100 - SIZE // 7, 9 // 8, 0], atol=1e-3)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [((30, 95), Verdict.ADMITTED), ((29, 95), Verdict.OFF_REFERENCE), ((0, 9), Verdict.OFF_REFERENCE),
     ((-9,), Verdict.OFF_REFERENCE), ((), Verdict.OFF_REFERENCE)],
)  # fmt: skip
def test_what_goes_too_little_the_reference_s_way_is_other_work(values: Sequence[int], wanted: Verdict) -> None:
    """The median goes all its way, so a cosine of .3 is needed."""
    of = task()
    entries = [entry(of, k, 10) for k in range(3)] + [entry(of, 3, *values)]
    reference = Entry(REFERENCE_SEAT, 0, entry(of, 0, 100).content)
    assert verdict(of.played(DIRECTION, [reference, *entries])) is wanted
    assert verdict(of.played(DIRECTION, entries)) is Verdict.ADMITTED, "nobody without a reference"
    zero = Entry(REFERENCE_SEAT, 0, entry(of, 0).content)
    assert verdict(of.played(DIRECTION, [zero, *entries])) is Verdict.ADMITTED, "nor with one that is zero"


def test_where_the_median_goes_against_the_reference_its_way_is_enough() -> None:
    of = task()
    reference = Entry(REFERENCE_SEAT, 0, entry(of, 0, 100).content)
    tape = of.played(DIRECTION, [reference, *(entry(of, k, -10) for k in range(3)), entry(of, 3, 1, 90)])
    assert [verdict(tape, k) for k in range(1, 5)] == [Verdict.OFF_REFERENCE] * 3 + [Verdict.ADMITTED]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [((6, 1), Verdict.ADMITTED), ((8, 1), Verdict.REPLAY), ((0, 0, -9), Verdict.REPLAY), ((5, 0, 5), Verdict.REPLAY),
     ((5, 0, 5, 5), Verdict.ADMITTED), ((), Verdict.ADMITTED)],
)  # fmt: skip
def test_combinations_of_earlier_sums_are_replays(values: Sequence[int], wanted: Verdict) -> None:
    """The sums span the first and the third coordinate; more than .98 of the energy there is too much: 64 / 65 is."""
    of = task()
    first = of.played(REPLAY, [entry(of, 0, 9)])
    second = of.played(REPLAY, [entry(of, 0, 0, 0, 9)], first)
    tape = of.played(REPLAY, [entry(of, 0, 1, 9), entry(of, 1, *values)], second)
    assert verdict(tape) is wanted
