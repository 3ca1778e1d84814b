"""Public directions: the same integers for everybody, filling the range, pointing the same way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import UpdateNotFinite
from fl_platform.protocol.spec import ModelSpec, ScaleSpec, TensorSpec
from fl_platform.updates.direction import fitting_shift, quantise_direction_nearest
from fl_platform.updates.scale import largest_integer

MODEL = ModelSpec("two", (TensorSpec("w", (30, 20)), TensorSpec("b", (20,))))
SCALE = ScaleSpec((-9, -7))


def models(seed: int, size: float) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    before = {t.name: rng.standard_normal(t.shape).astype(np.float32) for t in MODEL.tensors}
    after = {n: (a + rng.standard_normal(a.shape) * size).astype(np.float32) for n, a in before.items()}
    return after, before


@pytest.mark.parametrize("bits", [4, 8, 16])
@pytest.mark.parametrize("size", [1e-6, 1e-2, 1e4])
def test_the_row_fills_the_range_and_keeps_the_direction(bits: int, size: float) -> None:
    after, before = models(0, size)
    row = quantise_direction_nearest(after, before, model=MODEL, scale=SCALE, bits=bits).astype(np.float64)
    limit = largest_integer(bits)
    assert limit / 2 - 0.5 <= np.abs(row).max() <= limit
    exact = np.concatenate(
        [
            (after["w"].astype(float) - before["w"]).reshape(-1),
            (after["b"].astype(float) - before["b"]).reshape(-1) / 4,
        ]
    )
    cosine = row @ exact / np.linalg.norm(row) / np.linalg.norm(exact)
    assert cosine > {4: 0.95, 8: 0.9998, 16: 0.9999999}[bits]


def test_equal_models_give_the_zero_row() -> None:
    after, _ = models(0, 0.1)
    assert not quantise_direction_nearest(after, after, model=MODEL, scale=SCALE, bits=8).any()


def test_a_model_with_nan_is_refused() -> None:
    after, before = models(0, 0.1)
    after["w"][0, 0] = np.nan
    with pytest.raises(UpdateNotFinite, match="'w'"):
        quantise_direction_nearest(after, before, model=MODEL, scale=SCALE, bits=8)


@settings(max_examples=200, deadline=None)
@given(peak=st.floats(min_value=1e-200, max_value=1e200), limit=st.sampled_from([7, 127, 32767]))
def test_the_shift_is_the_largest_that_fits(peak: float, limit: int) -> None:
    shift = fitting_shift(peak, limit)
    assert float(np.ldexp(peak, shift)) <= limit < float(np.ldexp(peak, shift + 1))
