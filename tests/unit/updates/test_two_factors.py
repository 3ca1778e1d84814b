"""A product of two factors, as adapters have it, survives int8: B starts at zero, and A hardly moves before B has."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from fl_platform.judging.model_step import moved
from fl_platform.protocol.model_spec import ModelSpec, TensorSpec
from fl_platform.protocol.rows import STEP_POINT
from fl_platform.updates import decode_update, dequantise, encode_update, floats_of, integers_nearest, measured_scale
from fl_platform.updates.model_row import with_points

WIDTH, RANK, TRAINERS = 32, 4, 8
MODEL = ModelSpec("adapter", (TensorSpec("a", (RANK, WIDTH)), TensorSpec("b", (WIDTH, RANK))))
Factors = dict[str, npt.NDArray[np.float32]]


def start(shift: int) -> npt.NDArray[np.float64]:
    """Return A, stored 2^shift times larger; B is zero."""
    return np.ldexp(np.random.default_rng(0).standard_normal((RANK, WIDTH)) * 0.3, shift)


def train(seed: int, shift: int) -> Factors:
    """Return what 20 steps of SGD on a linear task change; step sizes undo how A is stored: BA is always the same."""
    target = np.random.default_rng(1).standard_normal((WIDTH, WIDTH)) * 0.1
    a, b = start(shift), np.zeros((WIDTH, RANK))
    rng = np.random.default_rng(seed)
    for _ in range(20):
        rows = rng.standard_normal((16, WIDTH))
        gradient = (rows @ (b @ a - target).T).T @ rows / 16
        a, b = a - np.ldexp(0.05 * b.T @ gradient, 2 * shift), b - np.ldexp(0.05 * gradient @ a.T, -2 * shift)
    return {"a": (a - start(shift)).astype(np.float32), "b": b.astype(np.float32)}


def sent(delta: Factors, shift: int, number: int) -> Factors:
    """Return what arrives of a delta at int8, in the steps of the owner's own training."""
    scale = measured_scale(train(99, shift), model=MODEL, bits=8)
    data = encode_update(delta, model=MODEL, scale=scale, bits=8, seed=bytes([number]) * 32).data
    return dequantise(decode_update(data, model=MODEL, bits=8), model=MODEL, scale=scale)


@pytest.mark.parametrize("shift", [-10, -5, 0, 5, 10])
def test_the_product_is_within_five_percent_after_a_round(shift: int) -> None:
    deltas = [train(number, shift) for number in range(TRAINERS)]
    arrived = [sent(delta, shift, number) for number, delta in enumerate(deltas)]
    exact, product = (
        np.mean([f["b"] for f in each], axis=0) @ (start(shift) + np.mean([f["a"] for f in each], axis=0))
        for each in (deltas, arrived)
    )
    assert np.linalg.norm(product - exact) <= 0.05 * np.linalg.norm(exact)


@pytest.mark.parametrize("shift", [-10, 0, 10])
def test_the_models_integers_keep_the_product_too(shift: int) -> None:
    """A factor that begins at zero gets its point from its step alone."""
    begin = {"a": start(shift).astype(np.float32), "b": np.zeros((WIDTH, RANK), np.float32)}
    own = train(99, shift)
    scale = measured_scale(own, model=MODEL, bits=8)
    model = with_points(MODEL, scale, begin, {name: begin[name] + own[name] for name in own})
    deltas, total = [train(number, shift) for number in range(TRAINERS)], np.zeros(MODEL.size, np.int32)
    for number, delta in enumerate(deltas):
        data = encode_update(delta, model=MODEL, scale=scale, bits=8, seed=bytes([number]) * 32).data
        total += decode_update(data, model=MODEL, bits=8)
    pairs = zip(scale.exponents, model.tensors, strict=True)
    factors = [2 * ((1 << exponent + tensor.point + STEP_POINT) // TRAINERS) for exponent, tensor in pairs]
    new = floats_of(moved(integers_nearest(begin, model), total, factors, model), model)
    exact = np.mean([d["b"] for d in deltas], axis=0) @ (start(shift) + np.mean([d["a"] for d in deltas], axis=0))
    assert np.linalg.norm(new["b"] @ new["a"] - exact) <= 0.05 * np.linalg.norm(exact)
