"""The frozen scale formula, held against a slow twin; bounds from the number of parameters alone."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import ConfigError
from fl_platform.protocol.spec import FARTHEST_DOWN, FARTHEST_UP, ModelSpec, ScaleSpec, TensorSpec
from fl_platform.updates import decode_update, encode_update
from fl_platform.updates.scale import (
    CLIP_FACTOR,
    SPREAD,
    check_sum_bound,
    clip_steps,
    largest_integer,
    measured_scale,
    next_scale,
    norm_bound_squared,
    step_of,
)

MODEL = ModelSpec("three", (TensorSpec("a", (100, 10)), TensorSpec("b", (10,)), TensorSpec("c", (5, 5, 5))))
SIZES = [t.size for t in MODEL.tensors]
BITS = (4, 8, 16)


def slow_exponent(old: int, first: int, *, bits: int, median: int, size: int) -> int:
    """The exponent whose step is nearest to the wanted one, by comparing steps one by one, as fractions."""
    wanted = Fraction(SPREAD[bits] ** 2 * median, largest_integer(bits) ** 2 * size)  # squared, in old steps
    wanted = Fraction(wanted.numerator * 2**32 // wanted.denominator, 2**32)
    best = old - 16
    while Fraction(2) ** (2 * (best - old) + 1) <= wanted:
        best += 1
    moved = min(max(best, old - 1), old + 1)
    return min(max(moved, first - FARTHEST_DOWN), first + FARTHEST_UP)


@settings(max_examples=300, deadline=None)
@given(
    old=st.lists(st.integers(-60, 10), min_size=3, max_size=3),
    moved=st.lists(st.integers(-FARTHEST_UP, FARTHEST_DOWN), min_size=3, max_size=3),
    bits=st.sampled_from(BITS),
    medians=st.lists(st.integers(0, 2**60) | st.integers(0, 2**14), min_size=3, max_size=3),
)
def test_next_scale_follows_the_formula(old: list[int], moved: list[int], bits: int, medians: list[int]) -> None:
    first = [e + m for e, m in zip(old, moved, strict=True)]
    result = next_scale(
        ScaleSpec(tuple(old)), first=ScaleSpec(tuple(first)), model=MODEL, bits=bits, medians=medians
    )
    assert list(result.exponents) == [
        slow_exponent(e, f, bits=bits, median=m, size=d)
        for e, f, m, d in zip(old, first, medians, SIZES, strict=True)
    ]


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(("part", "moves"), [((1, 2), 0), ((1, 1), 0), ((2, 1), 1), ((4, 1), 1), ((1, 4), -1)])
def test_a_step_that_is_as_wanted_stays(bits: int, part: tuple[int, int], moves: int) -> None:
    """`part`: the wanted step over this one, squared. From 1/2 up to 2 nothing moves."""
    limit = largest_integer(bits)
    model = ModelSpec("one", (TensorSpec("a", (2 * SPREAD[bits] ** 2,)),))
    median = limit * limit * 2 * part[0] // part[1]
    scale = ScaleSpec((-9,))
    after = next_scale(scale, first=scale, model=model, bits=bits, medians=[median])
    assert after.exponents == (-9 + moves,)
    if part == (1, 2):
        assert next_scale(scale, first=scale, model=model, bits=bits, medians=[median - 1]).exponents == (-10,)
    if part == (2, 1):
        assert next_scale(scale, first=scale, model=model, bits=bits, medians=[median - 1]) == scale


def test_a_round_that_kept_nothing_keeps_the_scale() -> None:
    previous = ScaleSpec((-20, -19, -18))
    assert next_scale(previous, first=previous, model=MODEL, bits=8, medians=None) == previous


def test_the_scale_goes_no_farther_than_its_bounds() -> None:
    first = scale = ScaleSpec((0, 0, 0))
    for _ in range(40):
        scale = next_scale(scale, first=first, model=MODEL, bits=8, medians=[2**90, 0, 2**90])
    assert scale.exponents == (FARTHEST_UP, -FARTHEST_DOWN, FARTHEST_UP)


@pytest.mark.parametrize("bits", BITS)
def test_a_measured_step_is_the_nearest_power_of_two(bits: int) -> None:
    for rms in np.geomspace(0.001, 0.01, 50):
        delta = {t.name: np.full(t.shape, np.float32(rms)) for t in MODEL.tensors}
        wanted = SPREAD[bits] * float(np.float32(rms)) / largest_integer(bits)
        scale = measured_scale(delta, model=MODEL, bits=bits)
        assert scale.exponents == (round(math.log2(wanted)),) * 3


def test_a_measured_scale_is_a_fixed_point_of_a_steady_task() -> None:
    rng = np.random.default_rng(1)
    delta = {
        t.name: (rng.standard_normal(t.shape) * s).astype(np.float32)
        for t, s in zip(MODEL.tensors, [0.004, 0.03, 0.001], strict=True)
    }
    scale = measured_scale(delta, model=MODEL, bits=16)
    steps = [delta[t.name].astype(np.float64) / step_of(scale, k) for k, t in enumerate(MODEL.tensors)]
    medians = [int((np.rint(part) ** 2).sum()) for part in steps]
    assert next_scale(scale, first=scale, model=MODEL, bits=16, medians=medians) == scale


def test_a_tensor_that_did_not_move_gets_the_finest_step() -> None:
    delta = {t.name: np.full(t.shape, 0.25 * 2.0**-k, np.float32) for k, t in enumerate(MODEL.tensors)}
    scale = measured_scale(delta, model=MODEL, bits=8)
    delta["b"][:] = 0
    still = measured_scale(delta, model=MODEL, bits=8)
    assert still.exponents == (scale.exponents[0], scale.exponents[2], scale.exponents[2])


def test_measuring_nothing_is_an_error() -> None:
    zeros = {t.name: np.zeros(t.shape, dtype=np.float32) for t in MODEL.tensors}
    with pytest.raises(ConfigError, match="zero"):
        measured_scale(zeros, model=MODEL, bits=8)


def test_extreme_deltas_stay_inside_the_exponents() -> None:
    for size in (1e-38, 1e38):
        delta = {t.name: np.full(t.shape, size, dtype=np.float32) for t in MODEL.tensors}
        scale = measured_scale(delta, model=MODEL, bits=16)
        assert all(-180 <= exponent <= 192 for exponent in scale.exponents)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("shift", [-10, 10])
def test_the_integers_do_not_see_by_which_power_of_two_a_tensor_is_stored(bits: int, shift: int) -> None:
    rng = np.random.default_rng(bits)
    delta = {t.name: (rng.standard_normal(t.shape) * 0.01).astype(np.float32) for t in MODEL.tensors}
    other = {**delta, "a": np.ldexp(delta["a"], shift)}
    scales = [measured_scale(d, model=MODEL, bits=bits) for d in (delta, other)]
    assert scales[1].exponents == (scales[0].exponents[0] + shift, *scales[0].exponents[1:])
    longer = np.float32(9)  # clipped, too
    rows = [
        decode_update(
            encode_update({n: a * longer for n, a in d.items()}, model=MODEL, scale=s, bits=bits, seed=bytes(32)).data,
            model=MODEL,
            bits=bits,
        )
        for d, s in zip((delta, other), scales, strict=True)
    ]
    assert np.array_equal(*rows)


@pytest.mark.parametrize("bits", BITS)
def test_clip_and_bound_come_from_the_size_alone(bits: int) -> None:
    exact = CLIP_FACTOR * largest_integer(bits) / SPREAD[bits] * math.sqrt(sum(SIZES))
    clip = clip_steps(MODEL, bits)
    assert exact - 1 <= clip <= exact
    assert norm_bound_squared(MODEL, bits) >= (clip + math.sqrt(sum(SIZES))) ** 2


def test_values_must_match_the_model() -> None:
    scale = ScaleSpec((0, 0, 0))
    with pytest.raises(ConfigError, match="2 values for the 3 tensors"):
        next_scale(scale, first=scale, model=MODEL, bits=8, medians=[1, 1])


def test_the_sum_bound_is_exact_at_its_limit() -> None:
    for bits in BITS:
        check_sum_bound([2**16], bits=bits)  # what a round's weights add up to at most
    most = (2**31 - 1) // 127
    check_sum_bound([most - 5, -5], bits=8)
    with pytest.raises(ConfigError, match="2\\^31"):
        check_sum_bound([most - 5, -6], bits=8)
