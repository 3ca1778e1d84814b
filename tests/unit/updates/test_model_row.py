"""A model as integers: rounded once, read the same everywhere, blind to the power of two that a tensor is stored by."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from fl_platform.errors import UpdateNotFinite
from fl_platform.protocol.model_spec import ModelSpec, ScaleSpec, TensorSpec
from fl_platform.updates.model_row import floats_of, integers_nearest, row_root, saturated, with_points

MODEL = ModelSpec("m", (TensorSpec("w", (40, 5)), TensorSpec("b", (5,)), TensorSpec("var", (5,), False, True)))
SCALE = ScaleSpec((-14, -12, -9))


def state(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    found = {t.name: rng.normal(0, 0.3, t.shape).astype(np.float32) for t in MODEL.tensors}
    return found | {"b": np.zeros(5, np.float32), "var": np.abs(found["var"])}


def test_points_leave_room_to_grow_and_are_no_finer_than_a_step_needs() -> None:
    model = with_points(MODEL, SCALE, state())
    for tensor, exponent in zip(model.tensors, SCALE.exponents, strict=True):
        largest = float(np.abs(state()[tensor.name]).max())
        assert tensor.point <= 12 - exponent
        assert not largest or largest * 2.0**tensor.point <= 2 ** (25 if tensor.counted else 18)
    assert model.tensors[1].point == 24  # of a tensor of zeros the step alone decides
    assert model.tensors[0].point == 25  # its largest number lies between 1/2 and 1


def test_what_is_trained_a_little_widens_the_room() -> None:
    grown = state() | {"var": np.full(5, 300, np.float32)}
    assert with_points(MODEL, SCALE, state(), grown).tensors[2].point == 18 - 9


def test_floats_are_rounded_once_and_to_nearest() -> None:
    model = with_points(MODEL, SCALE, state())
    row = integers_nearest(state(), model)
    back = floats_of(row, model)
    for tensor in model.tensors:
        error = np.abs(back[tensor.name].astype(float) - state()[tensor.name]).max()
        assert error <= 2.0 ** -(tensor.point + 1)
    assert integers_nearest(back, model).tolist() == row.tolist()


def test_to_float_is_correctly_rounded() -> None:
    model = replace(MODEL, tensors=(TensorSpec("w", (400,), point=27),))
    row = np.random.default_rng(1).integers(-(2**31) + 1, 2**31, 400).astype(np.int32)
    for integer, number in zip(row.tolist(), floats_of(row, model)["w"].tolist(), strict=True):
        exact = Fraction(integer, 2**27)
        spacing = Fraction(float(np.spacing(np.float32(abs(number)))))
        assert abs(Fraction(number) - exact) * 2 <= spacing


def test_a_model_stored_by_another_power_of_two_has_the_same_integers() -> None:
    by = {"w": 10, "b": -7, "var": 3}
    scaled = {name: np.ldexp(array, by[name]).astype(np.float32) for name, array in state().items()}
    other = ScaleSpec(tuple(e + by[t.name] for t, e in zip(MODEL.tensors, SCALE.exponents, strict=True)))
    first, second = with_points(MODEL, SCALE, state()), with_points(MODEL, other, scaled)
    rows = integers_nearest(state(), first), integers_nearest(scaled, second)
    assert rows[0].tolist() == rows[1].tolist()
    assert row_root(rows[0], first) == row_root(rows[1], second)


def test_what_leaves_the_range_saturates_and_is_counted() -> None:
    wide = state() | {"b": np.array([1e9, -1e9, 0, 1, 2], np.float32), "var": np.full(5, -1, np.float32)}
    row = integers_nearest(wide, MODEL)
    assert saturated(row, MODEL) == {"b": 2}
    assert row[-5:].tolist() == [0] * 5
    with pytest.raises(UpdateNotFinite):
        integers_nearest(state() | {"b": np.full(5, np.inf, np.float32)}, MODEL)
