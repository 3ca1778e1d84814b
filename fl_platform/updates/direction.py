"""Public directions as integer rows of the Gram matrix: the last applied aggregate, quantised by everybody alike."""

from __future__ import annotations

from math import frexp

import numpy as np

from fl_platform.protocol.spec import ModelSpec, ScaleSpec
from fl_platform.updates.codec import DTYPES
from fl_platform.updates.rounding import round_nearest
from fl_platform.updates.scale import largest_integer, step_of
from fl_platform.updates.tensors import Floats, Integers, Tensors, check_tensors, tensor_slices


def quantise_direction_nearest(
    after: Tensors, before: Tensors, *, model: ModelSpec, scale: ScaleSpec, bits: int
) -> Integers:
    """Return model_after - model_before as integers in the current steps, shape (d,), times one common power of two.

    What does not count is 0. A projection onto the row depends on its direction only, so the row is rescaled to fill
    the range: the largest coordinate lands in (q_max/2, q_max]. Differences are taken in float64 (both sides float32,
    so exactly rounded alike everywhere), rounding is half to even: every party gets the same integers. Equal models
    give the zero row. `bits` may exceed the codec's: 16 keeps more of the direction. Raises as `check_tensors`.
    """
    check_tensors(after, model)
    check_tensors(before, model)
    scaled = np.zeros(model.size, dtype=np.float64)
    for index, (tensor, place) in enumerate(zip(model.counted, tensor_slices(model), strict=False)):
        difference: Floats = after[tensor.name].astype(np.float64) - before[tensor.name].astype(np.float64)
        scaled[place] = difference.reshape(-1) / step_of(scale, index)
    peak = float(np.abs(scaled).max()) if scaled.size else 0.0
    if peak == 0.0:
        return np.zeros(model.size, dtype=DTYPES[bits])
    return np.asarray(round_nearest(np.ldexp(scaled, fitting_shift(peak, largest_integer(bits)))).astype(DTYPES[bits]))


def fitting_shift(peak: float, limit: int) -> int:
    """Largest integer s with peak * 2^s <= limit (peak > 0)."""
    shift = frexp(float(limit))[1] - frexp(peak)[1]
    return shift if np.ldexp(peak, shift) <= limit else shift - 1
