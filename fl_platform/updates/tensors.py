"""Float tensors of a model, held against its spec: names, shapes, finite values, canonical order.

Canonical order is the order of `ModelSpec.tensors`; a flat vector of d parameters is the tensors one after another in
that order, each in C order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from fl_platform.errors import UpdateHeaderMismatch, UpdateNotFinite
from fl_platform.protocol.model_spec import ModelSpec

Tensors = Mapping[str, npt.NDArray[np.float32]]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.signedinteger[npt.NBitBase]]


def tensor_slices(model: ModelSpec) -> Iterator[slice]:
    """Yield each tensor's place in the flat vector of d parameters, in canonical order."""
    start = 0
    for tensor in model.tensors:
        yield slice(start, start + tensor.size)
        start += tensor.size


def check_tensors(tensors: Tensors, model: ModelSpec) -> None:
    """Refuse names, shapes or dtypes other than the spec's, and any NaN or infinity.

    Raises UpdateHeaderMismatch (names, shapes, dtypes), UpdateNotFinite naming the tensor and the flat index.
    """
    expected = {tensor.name: tensor.shape for tensor in model.tensors}
    if set(tensors) != set(expected):
        odd = sorted(set(tensors) ^ set(expected))
        raise UpdateHeaderMismatch(f"tensors {odd[:4]} are not in both the delta and model {model.name!r}")
    for name, shape in expected.items():
        array = tensors[name]
        if array.dtype != np.float32:
            raise UpdateHeaderMismatch(f"tensor {name!r} is {array.dtype}, only float32 is encoded; convert it first")
        if tuple(array.shape) != shape:
            raise UpdateHeaderMismatch(f"tensor {name!r} has shape {tuple(array.shape)}, the model spec says {shape}")
        if not np.isfinite(array).all():
            first = int(np.flatnonzero(~np.isfinite(array).reshape(-1))[0])
            raise UpdateNotFinite(
                f"tensor {name!r} holds {array.reshape(-1)[first]} at flat index {first}; did local training diverge? "
                "lower the learning rate"
            )


def exact_sum(values: Floats) -> float:
    """Sum a float64 vector by halving: elementwise additions only, so the result is the same on every machine.

    `np.sum` and BLAS may group the terms by the width of the processor's vectors.
    """
    rest = values
    while rest.size > 1:
        half = rest.size // 2
        folded = rest[:half] + rest[half : 2 * half]
        if rest.size % 2:
            folded[0] += rest[-1]
        rest = folded
    return float(rest[0]) if rest.size else 0.0


def energy(array: npt.NDArray[np.float32]) -> float:
    """Sum of squares of one tensor, float64, machine-independent (see `exact_sum`)."""
    flat = array.reshape(-1).astype(np.float64)
    return exact_sum(flat * flat)


def l2_norm(tensors: Tensors) -> float:
    """Length of all tensors as one vector, float64, machine-independent; NaN or infinity where an element is."""
    return math.sqrt(sum(energy(array) for array in tensors.values()))
