"""The global model as integers: an int32 row of d parameters, fixed point, whose content root is its name on chain.

    parameter = integer * 2^-q,   q the point of its tensor, frozen when the task is opened

A task's first model is rounded once, by its owner; from then on rounds move integers, and what trains and measures sees
float32 of them, correctly rounded: the same everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from fl_platform.protocol.model_spec import LARGEST_POINT, LEAST_POINT, ModelSpec, ScaleSpec, TensorSpec
from fl_platform.protocol.rows import LARGEST_WEIGHT
from fl_platform.updates.content import SUM_BITS, content_root
from fl_platform.updates.tensors import Tensors, check_tensors, tensor_slices

ModelRow = npt.NDArray[np.int32]  # (d,), canonical order
Model = dict[str, npt.NDArray[np.float32]]

# The largest number seen at first has this many bits: it can grow 64 times.
STARTING_BITS = 25
# Of statistics, which grow to what the data are like.
STATISTICS_BITS = 18
# A step of the updates has at most this many bits in the model: finer is lost in what training itself is.
STEP_BITS = 12


def with_points(model: ModelSpec, scale: ScaleSpec, *seen: Tensors) -> ModelSpec:
    """Return the model with the point of each tensor: from its first step, and from the largest number in `seen`,
    states of the model (the first, and one that is trained a little)."""
    pairs = zip(model.tensors, scale.exponents, strict=True)
    return replace(model, tensors=tuple(replace(one, point=_point(one, exponent, *seen)) for one, exponent in pairs))


def _point(tensor: TensorSpec, exponent: int, *seen: Tensors) -> int:
    largest = max(Fraction(float(np.abs(state[tensor.name]).max())) for state in seen)
    finest = STEP_BITS - exponent
    if largest:
        bits = STARTING_BITS if tensor.counted else STATISTICS_BITS
        finest = min(finest, bits - _log2_up(largest))
    return max(LEAST_POINT, min(finest, LARGEST_POINT))


def _log2_up(value: Fraction) -> int:
    """Return the least e with value <= 2^e; value is positive."""
    e = value.numerator.bit_length() - value.denominator.bit_length()
    while value > Fraction(2) ** e:
        e += 1
    return e


def integers_nearest(state: Tensors, model: ModelSpec) -> ModelRow:
    """Return a model's floats as integers, to nearest even, saturating; what is never below 0 starts at 0 or more.

    The one place where a model's floats become integers. Raises UpdateHeaderMismatch, UpdateNotFinite.
    """
    check_tensors(state, model)
    row = np.empty(model.size, dtype=np.int32)
    for tensor, place in zip(model.tensors, tensor_slices(model), strict=True):
        exact = np.ldexp(state[tensor.name].reshape(-1).astype(np.float64), tensor.point)
        least = 0 if tensor.nonnegative else -LARGEST_WEIGHT
        row[place] = np.clip(np.rint(exact), least, LARGEST_WEIGHT).astype(np.int32)
    return row


def floats_of(row: ModelRow, model: ModelSpec) -> Model:
    """Return a model's integers as float32: each to nearest even, then times a power of two."""
    places = zip(model.tensors, tensor_slices(model), strict=True)
    return {
        tensor.name: np.ldexp(row[place].astype(np.float32), -tensor.point).reshape(tensor.shape)
        for tensor, place in places
    }


def row_root(row: ModelRow, model: ModelSpec) -> bytes:
    """Return the content root of a public row, int32 (d,), 32 bytes: a model's name on chain, or that of sums."""
    return content_root(row.astype("<i4").tobytes(), table=model.leaves, bits=SUM_BITS, key=None)


def saturated(row: ModelRow, model: ModelSpec) -> Mapping[str, int]:
    """Return how many integers of each tensor are at the end of their range; those without any are left out."""
    found = {
        tensor.name: int(np.count_nonzero(np.abs(row[place]) == LARGEST_WEIGHT))
        for tensor, place in zip(model.tensors, tensor_slices(model), strict=True)
    }
    return {name: count for name, count in found.items() if count}
