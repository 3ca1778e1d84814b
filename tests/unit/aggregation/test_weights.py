"""Stake, caps and clips: integers against fractions, and who gains by splitting (nobody under the cap)."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

from hypothesis import given
from hypothesis import strategies as st

from fl_platform.aggregation.weights import (
    WEIGHT_ONE,
    capped_stakes,
    clipped_weights,
    full_weights,
    norm_down,
    weighted_median,
)

STAKES = st.lists(st.integers(1, 10**24), min_size=1, max_size=30)


@given(STAKES, st.integers(1, 10_000))
def test_no_stake_counts_over_its_cap(stakes: list[int], cap: int) -> None:
    capped = capped_stakes(stakes, cap_bps=cap)
    assert all(c <= s and c <= max(1, sum(stakes) * cap // 10_000) for c, s in zip(capped, stakes, strict=True))
    assert all(c > 0 for c in capped)


@given(STAKES, st.data())
def test_weights_are_the_rounded_down_fractions(stakes: list[int], data: st.DataObject) -> None:
    norms = data.draw(st.lists(st.integers(0, 2**60), min_size=len(stakes), max_size=len(stakes)))
    limit = data.draw(st.integers(0, 2**60))
    weights = clipped_weights(stakes, norms, limit=limit)
    for weight, full, stake, norm in zip(weights, full_weights(stakes), stakes, norms, strict=True):
        exact = WEIGHT_ONE * Fraction(stake, sum(stakes)) * (min(Fraction(1), Fraction(limit, norm)) if norm else 1)
        assert weight == exact.numerator // exact.denominator
        assert weight <= full
    assert sum(weights) <= WEIGHT_ONE


@given(STAKES, st.integers(1, 10), st.integers(0, 29))
def test_splitting_a_stake_never_gains_weight(stakes: list[int], parts: int, who: int) -> None:
    who %= len(stakes)
    stakes[who] *= parts
    divided = [*stakes[:who], *[stakes[who] // parts] * parts, *stakes[who + 1 :]]
    assert sum(full_weights(divided)[who : who + parts]) <= full_weights(stakes)[who]


@given(STAKES, st.data())
def test_weighted_median_halves_the_stake(stakes: list[int], data: st.DataObject) -> None:
    values = data.draw(st.lists(st.integers(0, 100), min_size=len(stakes), max_size=len(stakes)))
    median = weighted_median(values, stakes)
    assert 2 * sum(s for v, s in zip(values, stakes, strict=True) if v <= median) >= sum(stakes)
    assert 2 * sum(s for v, s in zip(values, stakes, strict=True) if v < median) < sum(stakes)


def test_weighted_median_of_nothing_is_zero() -> None:
    assert weighted_median([], []) == 0


@given(st.integers(0, 2**120))
def test_norm_is_the_square_root_with_sixteen_more_bits(squared: int) -> None:
    norm = norm_down(squared)
    assert norm == isqrt(squared * 2**32)
    assert norm**2 <= squared << 32 < (norm + 1) ** 2


def test_claimed_samples_are_not_an_argument() -> None:
    """A16: there is no parameter through which a claimed number of samples could enter a weight."""
    import inspect

    for function in (capped_stakes, clipped_weights, full_weights):
        assert not any("sample" in name for name in inspect.signature(function).parameters)
