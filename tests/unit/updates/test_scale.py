"""The scale of round 0, measured by the owner; bounds from the number of parameters alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fl_platform.errors import ConfigError
from fl_platform.protocol.model_spec import ModelSpec, TensorSpec
from fl_platform.updates import decode_update, encode_update
from fl_platform.updates.scale import (
    CLIP_FACTOR,
    SPREAD,
    check_sum_bound,
    clip_steps,
    largest_integer,
    measured_scale,
)

MODEL = ModelSpec("three", (TensorSpec("a", (100, 10)), TensorSpec("b", (10,)), TensorSpec("c", (5, 5, 5))))
SIZES = [t.size for t in MODEL.tensors]
BITS = (4, 8, 16)


@pytest.mark.parametrize("bits", BITS)
def test_a_measured_step_is_the_nearest_power_of_two(bits: int) -> None:
    for rms in np.geomspace(0.001, 0.01, 50):
        delta = {t.name: np.full(t.shape, np.float32(rms)) for t in MODEL.tensors}
        wanted = SPREAD[bits] * float(np.float32(rms)) / largest_integer(bits)
        scale = measured_scale(delta, model=MODEL, bits=bits)
        assert scale.exponents == (round(math.log2(wanted)),) * 3


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
def test_the_clip_comes_from_the_size_alone(bits: int) -> None:
    exact = CLIP_FACTOR * largest_integer(bits) / SPREAD[bits] * math.sqrt(sum(SIZES))
    assert exact - 1 <= clip_steps(MODEL, bits) <= exact


def test_the_sum_bound_is_exact_at_its_limit() -> None:
    for bits in BITS:
        check_sum_bound([2**16], bits=bits)  # what a round's weights add up to at most
    most = (2**31 - 1) // 127
    check_sum_bound([most - 5, -5], bits=8)
    with pytest.raises(ConfigError, match="2\\^31"):
        check_sum_bound([most - 5, -6], bits=8)
