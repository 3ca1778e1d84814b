"""Sums that do not depend on the machine."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fl_platform.protocol.model_spec import ModelSpec, TensorSpec
from fl_platform.updates.tensors import energy, exact_sum, l2_norm, tensor_slices


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 8, 1000, 1023])
def test_the_halving_sum_is_a_sum(size: int) -> None:
    values = np.random.default_rng(size).standard_normal(size)
    before = values.copy()
    assert math.isclose(exact_sum(values), math.fsum(values), rel_tol=1e-12, abs_tol=1e-12)
    np.testing.assert_array_equal(values, before)


def test_energy_does_not_depend_on_the_layout() -> None:
    array = np.random.default_rng(0).standard_normal((31, 17)).astype(np.float32)
    assert energy(array) == energy(np.asfortranarray(array)) == energy(array.copy())
    assert math.isclose(energy(array), math.fsum(float(v) ** 2 for v in array.reshape(-1)), rel_tol=1e-12)


def test_the_norm_is_of_all_tensors_as_one_vector() -> None:
    assert l2_norm({"a": np.full((2, 2), 3, np.float32), "b": np.array(8, np.float32)}) == 10.0
    assert l2_norm({}) == 0.0
    assert math.isclose(l2_norm({"a": np.full(4, 1e38, np.float32)}), 2e38, rel_tol=1e-6)  # squares are over float32
    assert math.isnan(l2_norm({"a": np.array([1, np.nan], np.float32), "b": np.ones(1, np.float32)}))
    assert l2_norm({"a": np.array([1, -np.inf], np.float32)}) == math.inf


def test_slices_cover_the_vector_in_order() -> None:
    model = ModelSpec("m", (TensorSpec("b", (2, 3)), TensorSpec("a", ()), TensorSpec("c", (4,))))
    assert list(tensor_slices(model)) == [slice(0, 6), slice(6, 7), slice(7, 11)]
