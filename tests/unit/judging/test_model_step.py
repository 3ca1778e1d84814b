"""The model step: each float operation rounded on its own, equal to a slow scalar computation bit for bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fl_platform.judging.model_step import apply_sums, step_factor
from fl_platform.protocol.spec import ModelSpec, ScaleSpec, TensorSpec
from tests.support.specs import small_spec

SPEC = small_spec()
SCALE = ScaleSpec((-5, -8))
RULE = replace(SPEC.aggregation, server_lr_num=7, server_lr_den=10)


def test_equals_scalar_arithmetic_bit_for_bit() -> None:
    rng = np.random.default_rng(1)
    parent = {t.name: rng.normal(size=t.shape).astype(np.float32) for t in SPEC.model.tensors}
    sums = rng.integers(-(2**31), 2**31, SPEC.model.size)
    new = apply_sums(parent, sums, model=SPEC.model, scale=SCALE, rule=RULE, divisor=65_533)
    start = 0
    for index, tensor in enumerate(SPEC.model.tensors):
        factor = ((7 / 10) * 2.0 ** SCALE.exponents[index]) / 65_533.0
        assert step_factor(RULE, SCALE, index, 65_533) == factor
        old = parent[tensor.name].reshape(-1)
        for k in range(tensor.size):
            product = float(int(sums[start + k])) * factor  # a Python float operation rounds once
            assert new[tensor.name].reshape(-1)[k] == np.float32(float(old[k]) + product)
        start += tensor.size
        assert new[tensor.name].dtype == np.float32


def test_nothing_admitted_leaves_the_parent() -> None:
    parent = {t.name: np.full(t.shape, 0.5, dtype=np.float32) for t in SPEC.model.tensors}
    sums = np.zeros(SPEC.model.size, dtype=np.int64)
    new = apply_sums(parent, sums, model=SPEC.model, scale=SCALE, rule=RULE, divisor=0)
    assert all(np.array_equal(new[name], parent[name]) and new[name] is not parent[name] for name in parent)


def test_a_variance_ends_at_zero_and_a_mean_does_not() -> None:
    statistics = TensorSpec("mean", (2,), counted=False), TensorSpec("var", (2,), counted=False, nonnegative=True)
    model = ModelSpec("m", (TensorSpec("w", (2,)), *statistics))
    parent = {tensor.name: np.array([0.5, 4.0], np.float32) for tensor in model.tensors}
    sums = np.array([-1, 1] * 3, np.int32)
    rule = replace(RULE, server_lr_num=1, server_lr_den=1)
    new = apply_sums(parent, sums, model=model, scale=ScaleSpec((0, 0, 0)), rule=rule, divisor=1)
    assert {name: array.tolist() for name, array in new.items()} == {
        "w": [-0.5, 5.0], "mean": [-0.5, 5.0], "var": [0.0, 5.0],
    }  # fmt: skip
