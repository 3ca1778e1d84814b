"""The model step: each float operation rounded on its own, equal to a slow scalar computation bit for bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fl_platform.aggregation.server import apply_sums, step_factor
from tests.support.specs import small_spec

SPEC = small_spec()
SCALE = replace(SPEC.codec.initial_scale, mantissa=201, exponent=-15, offsets=(3, 0))
RULE = replace(SPEC.aggregation, server_lr_num=7, server_lr_den=10)


def test_equals_scalar_arithmetic_bit_for_bit() -> None:
    rng = np.random.default_rng(1)
    parent = {t.name: rng.normal(size=t.shape).astype(np.float32) for t in SPEC.model.tensors}
    sums = rng.integers(-(2**31), 2**31, SPEC.model.size)
    new = apply_sums(parent, sums, model=SPEC.model, scale=SCALE, rule=RULE, divisor=65_533)
    start = 0
    for index, tensor in enumerate(SPEC.model.tensors):
        step = 201 * 2.0 ** (-15 + SCALE.offsets[index])
        factor = ((7 / 10) * step) / 65_533.0
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
