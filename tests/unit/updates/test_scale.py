"""The frozen scale formula, held against a slow float64 reference; integer bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import ConfigError
from fl_platform.protocol.spec import ModelSpec, ScaleSpec, TensorSpec
from fl_platform.updates.scale import (
    CLIP_FACTOR,
    SPREAD,
    base_step,
    check_sum_bound,
    clip_units,
    largest_integer,
    measured_scale,
    next_scale,
    norm_bound_squared,
    step_of,
)

MODEL = ModelSpec("three", (TensorSpec("a", (100, 10)), TensorSpec("b", (10,)), TensorSpec("c", (5, 5, 5))))
SIZES = [t.size for t in MODEL.tensors]

scales = st.builds(
    ScaleSpec,
    mantissa=st.integers(128, 255),
    exponent=st.integers(-60, 10),
    offsets=st.tuples(*[st.integers(0, 4)] * 3),
)


def wanted_steps(previous: ScaleSpec, bits: int, median_squared: int, energies: list[int]) -> list[float]:
    """The formula of the docstring in plain float64."""
    shares = [s * 4.0**o for s, o in zip(energies, previous.offsets, strict=True)]
    norm_squared = base_step(previous) ** 2 * median_squared
    rms = [math.sqrt(norm_squared * share / sum(shares) / d) for share, d in zip(shares, SIZES, strict=True)]
    return [SPREAD[bits] * value / largest_integer(bits) for value in rms]


@settings(max_examples=200, deadline=None)
@given(
    previous=scales,
    bits=st.sampled_from([4, 8, 16]),
    median_squared=st.integers(1, 2**60),
    energies=st.lists(st.integers(0, 2**80), min_size=3, max_size=3).filter(any),
)
def test_next_scale_follows_the_formula(
    previous: ScaleSpec, bits: int, median_squared: int, energies: list[int]
) -> None:
    result = next_scale(
        previous, model=MODEL, bits=bits, median_norm_squared=median_squared, aggregate_energies=energies
    )
    assert 128 <= result.mantissa <= 255
    wanted = wanted_steps(previous, bits, median_squared, energies)
    base = max(min(w for w in wanted if w > 0), max(wanted) / 16)
    base = min(max(base, base_step(previous) / 2), base_step(previous) * 4)
    # Smallest dyadic number with an 8-bit mantissa: at most 1/128 over.
    assert base * (1 - 1e-12) <= base_step(result) <= base * (1 + 1 / 128) * (1 + 1e-12)
    for index, step in enumerate(wanted):
        offset = result.offsets[index]
        if offset < 4:
            assert step_of(result, index) >= step * (1 - 1e-12)
        if offset > 0:
            assert step_of(result, index) / 2 < step * (1 + 1e-12)


def test_a_common_weight_cancels() -> None:
    previous = ScaleSpec(200, -20, (0, 1, 2))
    one = next_scale(previous, model=MODEL, bits=8, median_norm_squared=10**6, aggregate_energies=[9, 4, 1])
    many = next_scale(
        previous,
        model=MODEL,
        bits=8,
        median_norm_squared=10**6,
        aggregate_energies=[9 * 65521**2, 4 * 65521**2, 65521**2],
    )
    assert one == many


@pytest.mark.parametrize(("median", "energies"), [(0, [1, 1, 1]), (100, [0, 0, 0])])
def test_an_empty_round_keeps_the_scale(median: int, energies: list[int]) -> None:
    previous = ScaleSpec(200, -20, (0, 1, 2))
    assert (
        next_scale(previous, model=MODEL, bits=8, median_norm_squared=median, aggregate_energies=energies) == previous
    )


def test_one_round_moves_the_scale_by_a_bounded_factor() -> None:
    previous = ScaleSpec(200, -20, (0, 0, 0))
    up = next_scale(previous, model=MODEL, bits=8, median_norm_squared=2**90, aggregate_energies=[1, 1, 1])
    down = next_scale(previous, model=MODEL, bits=8, median_norm_squared=1, aggregate_energies=[1, 1, 1])
    assert base_step(up) == 4 * base_step(previous)
    assert base_step(down) == base_step(previous) / 2


def test_the_scale_is_a_fixed_point_of_a_steady_task() -> None:
    """Deltas of a steady size: after the scale has settled, the spread is what was asked for."""
    rng = np.random.default_rng(1)
    spread = [0.004, 0.03, 0.001]
    delta = {
        t.name: (rng.standard_normal(t.shape) * s).astype(np.float32)
        for t, s in zip(MODEL.tensors, spread, strict=True)
    }
    scale = measured_scale(delta, model=MODEL, bits=16)
    energies, norm = [], 0
    for index, tensor in enumerate(MODEL.tensors):
        q = np.rint(delta[tensor.name].astype(np.float64) / step_of(scale, index)).astype(np.int64)
        energies.append(int((q * q).sum()))
        norm += energies[-1] * 4 ** scale.offsets[index]
    after = next_scale(scale, model=MODEL, bits=16, median_norm_squared=norm, aggregate_energies=energies)
    assert abs(base_step(after) / base_step(scale) - 1) < 0.02
    assert all(abs(a - b) <= 1 for a, b in zip(after.offsets, scale.offsets, strict=True))


def test_measuring_nothing_is_an_error() -> None:
    zeros = {t.name: np.zeros(t.shape, dtype=np.float32) for t in MODEL.tensors}
    with pytest.raises(ConfigError, match="zero"):
        measured_scale(zeros, model=MODEL, bits=8)


def test_extreme_deltas_stay_inside_the_exponents() -> None:
    for size in (1e-38, 1e38):
        delta = {t.name: np.full(t.shape, size, dtype=np.float32) for t in MODEL.tensors}
        scale = measured_scale(delta, model=MODEL, bits=16)
        assert -200 <= scale.exponent <= 200


@given(scale=scales, bits=st.sampled_from([4, 8, 16]))
@settings(max_examples=50, deadline=None)
def test_clip_and_bound_come_from_the_scale_alone(scale: ScaleSpec, bits: int) -> None:
    grid = sum(d * 4**o for d, o in zip(SIZES, scale.offsets, strict=True))
    exact = CLIP_FACTOR * largest_integer(bits) / SPREAD[bits] * math.sqrt(grid)
    clip = clip_units(scale, MODEL, bits)
    assert exact - 1 <= clip <= exact
    assert norm_bound_squared(scale, MODEL, bits) >= (clip + math.sqrt(grid)) ** 2


def test_values_must_match_the_model() -> None:
    with pytest.raises(ConfigError, match="2 values for the 3 tensors"):
        next_scale(ScaleSpec(200, 0, (0, 0, 0)), model=MODEL, bits=8, median_norm_squared=1, aggregate_energies=[1, 1])


def test_the_sum_bound_is_exact_at_its_limit() -> None:
    check_sum_bound(updates=1, largest_weight=2**55 - 1, bits=8)
    with pytest.raises(ConfigError, match="2\\^62"):
        check_sum_bound(updates=1, largest_weight=2**55, bits=8)
    with pytest.raises(ConfigError, match="2\\^62"):
        check_sum_bound(updates=2**39, largest_weight=2**16, bits=8)
