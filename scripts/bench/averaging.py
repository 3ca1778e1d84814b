"""One round of federated averaging in a benchmark: what happens to the deltas, in float32 or through the codec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fl_platform.judging.model_step import moved
from fl_platform.judging.round_rows import products
from fl_platform.protocol.model_spec import FARTHEST_DOWN, FARTHEST_UP, ModelSpec, ScaleSpec
from fl_platform.protocol.rows import STEP_POINT
from fl_platform.updates.codec import decode_update, encode_update
from fl_platform.updates.model_row import floats_of, integers_nearest
from fl_platform.updates.scale import SPREAD, largest_integer
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


def trained(state: State, delta: State) -> State:
    """Return a model after one training."""
    return {name: state[name] + change for name, change in delta.items()}


def _mean_step(parent: npt.NDArray[np.float32], deltas: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    total = np.sum([delta.astype(np.float64) for delta in deltas], axis=0)
    return np.asarray((parent.astype(np.float64) + total / len(deltas)).astype(np.float32))


def next_scale(
    scale: ScaleSpec, *, first: ScaleSpec, model: ModelSpec, bits: int, medians: Sequence[int], spread: int
) -> ScaleSpec:
    """Return the next round's scale by the rule of `fl_platform.rules.steps`, written a second time.

    medians: of the updates' energies (sums of squares), one a tensor; spread: root mean squares that the largest
    integer shall stand for. `first`: the scale of round 0.
    """
    exponents = []
    for tensor, old, start, median in zip(model.tensors, scale.exponents, first.exponents, medians, strict=True):
        # the wanted step over this one, squared, with 32 fractional bits; its exponent is rounded to the nearest
        square = (spread**2 * median << 32) // (largest_integer(bits) ** 2 * tensor.size)
        near = max(old - 1, min(old - 16 + square.bit_length() // 2, old + 1))
        exponents.append(max(start - FARTHEST_DOWN, min(near, start + FARTHEST_UP)))
    return ScaleSpec(tuple(exponents))


def _integer_step(
    state: State, rows: Sequence[Integers], model: ModelSpec, scale: ScaleSpec, first: ScaleSpec, arm: Arm
) -> tuple[State, ScaleSpec]:
    total, places, bits = np.sum([row.astype(np.int64) for row in rows], axis=0), tuple(tensor_slices(model)), arm.bits
    assert bits is not None
    # the factors of `fl_platform.rules.model`, written a second time
    factors = [
        2 * ((1 << exponent + tensor.point + STEP_POINT) // len(rows)) + tensor.nonnegative
        for tensor, exponent in zip(model.tensors, scale.exponents, strict=True)
    ]
    after = floats_of(moved(integers_nearest(state, model), total, factors, model), model)
    energies = [products([row], [row], bits=bits, places=places)[:, 0, 0].tolist() for row in rows]
    medians = [sorted(column)[(len(rows) - 1) // 2] for column in zip(*energies, strict=True)]
    spread = arm.spread or SPREAD[bits]
    return after, next_scale(scale, first=first, model=model, bits=bits, medians=medians, spread=spread)
