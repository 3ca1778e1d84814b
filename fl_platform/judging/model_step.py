"""The new global model (step 7): one float step from the exact integer sum, the same bits on every machine.

    new_t = float32(float64(old_t) + c_t * sum_t),   c_t = (server_lr * step_t) / divisor

and no less than 0 where the specification says so.

server_lr is itself num / den in float64. Each operation is one IEEE 754 double operation of numpy, rounded on its own:
numpy never fuses a multiplication with an addition across two calls.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fl_platform.judging.sums import Sums
from fl_platform.protocol.spec import AggregationRule, ModelSpec, ScaleSpec
from fl_platform.updates import step_of, tensor_slices
from fl_platform.updates.tensors import Tensors

Model = dict[str, npt.NDArray[np.float32]]


def step_factor(rule: AggregationRule, scale: ScaleSpec, index: int, divisor: int) -> float:
    """Return c_t of tensor `index`, float64: three operations, each rounded."""
    learning_rate = float(rule.server_lr_num) / float(rule.server_lr_den)
    return (learning_rate * step_of(scale, index)) / float(divisor)


def apply_sums(
    parent: Tensors, sums: Sums, *, model: ModelSpec, scale: ScaleSpec, rule: AggregationRule, divisor: int
) -> Model:
    """Return the new model. `sums`: int32 (d,).

    A divisor of 0 (nothing admitted) leaves the parent as it is.
    """
    if divisor == 0:
        return {tensor.name: np.array(parent[tensor.name], dtype=np.float32) for tensor in model.tensors}
    new: Model = {}
    for index, (tensor, place) in enumerate(zip(model.tensors, tensor_slices(model), strict=True)):
        change = sums[place].astype(np.float64)
        change *= step_factor(rule, scale, index, divisor)
        change += parent[tensor.name].reshape(-1).astype(np.float64)
        if tensor.nonnegative:  # rounding can take an average of variances a part of a step below 0
            np.maximum(change, 0.0, out=change)
        new[tensor.name] = change.astype(np.float32).reshape(tensor.shape)
    return new
