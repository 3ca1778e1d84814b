"""One round of federated averaging in a benchmark: what happens to the deltas, in float32 or through the codec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fl_platform.aggregation.gram import tensor_energies
from fl_platform.protocol.spec import ModelSpec, ScaleSpec
from fl_platform.updates.codec import decode_update, encode_update
from fl_platform.updates.scale import next_scale, step_of
from fl_platform.updates.tensors import Integers, tensor_slices

State = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Arm:
    """What happens to the deltas: `bits` None leaves them in float32."""

    name: str
    bits: int | None
    rounding: str = "stochastic"
    spread: int | None = None  # in place of the codec's frozen one


@dataclass(frozen=True)
class Averaged:
    """A round's result."""

    state: State
    scale: ScaleSpec | None  # of the next round; None in float32
    halvings: int = 0  # updates that were shortened because they saturated
    clipped: int = 0


def average(
    state: State, deltas: Sequence[State], *, model: ModelSpec, scale: ScaleSpec | None, arm: Arm,
    seeds: Sequence[bytes], first: ScaleSpec | None = None,
) -> Averaged:  # fmt: skip
    """Add the mean of the deltas, equal weights, server step 1.

    `seeds`: of the rounding, 32 bytes each; `first`: the scale of round 0, None in it.
    """
    if scale is None or arm.bits is None:
        return Averaged({name: _mean_step(state[name], [delta[name] for delta in deltas]) for name in state}, None)
    encoded = [
        encode_update(delta, model=model, scale=scale, bits=arm.bits, rounding=arm.rounding, seed=seed)
        for delta, seed in zip(deltas, seeds, strict=True)
    ]
    rows = [decode_update(update.data, model=model, bits=arm.bits) for update in encoded]
    after, following = _integer_step(state, rows, model, scale, first or scale, arm)
    shortened = sum(update.halvings > 0 for update in encoded)
    return Averaged(after, following, shortened, sum(update.clipped for update in encoded))


def _mean_step(parent: npt.NDArray[np.float32], deltas: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    total = np.sum([delta.astype(np.float64) for delta in deltas], axis=0)
    return np.asarray((parent.astype(np.float64) + total / len(deltas)).astype(np.float32))


def _integer_step(
    state: State, rows: Sequence[Integers], model: ModelSpec, scale: ScaleSpec, first: ScaleSpec, arm: Arm
) -> tuple[State, ScaleSpec]:
    total = np.sum([row.astype(np.int64) for row in rows], axis=0)
    after: dict[str, npt.NDArray[np.float32]] = {}
    for index, (tensor, place) in enumerate(zip(model.tensors, tensor_slices(model), strict=True)):
        change = total[place].astype(np.float64) * (step_of(scale, index) / len(rows))
        parent = state[tensor.name].astype(np.float64).reshape(-1)
        after[tensor.name] = (parent + change).astype(np.float32).reshape(tensor.shape)
    energies = [tensor_energies(row, model) for row in rows]
    medians = [sorted(column)[(len(rows) - 1) // 2] for column in zip(*energies, strict=True)]
    return after, next_scale(
        scale, first=first, model=model, bits=arm.bits or 0, medians=medians, spread=arm.spread
    )
