"""A task tried once before any money: does it train, what goes over the wire, how much of it do the integers keep."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch

from fl_platform.errors import UpdateNotFinite
from fl_platform.learning.algorithms.seam import AT_EACH_END
from fl_platform.learning.base import check_buffers, encode_base
from fl_platform.learning.evaluation import Measured, measure
from fl_platform.learning.machine import CPU, Machine
from fl_platform.learning.own_code import innermost, own_code
from fl_platform.learning.parameters import State, initial_module, model_spec, state_arrays
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.task import LearningTask
from fl_platform.learning.train import Bench, LocalUpdate, build_module, open_rows, train_locally
from fl_platform.protocol.model_spec import ModelSpec
from fl_platform.updates import (
    decode_update,
    dequantise,
    encode_update,
    measured_scale,
    model_length,
    rounding_seed,
    tensor_slices,
    update_length,
)

WIDTHS = (4, 8, 16)  # bits
_SEEN_ROWS = 2_000  # rows that are looked at for their spread
_SEEN = 1 << 24  # numbers of them
_WIDE = 100.0  # a feature this many times as spread as the median one is not normalised
_HIGH = 20.0  # nats: ten thousand times as sure of the wrong class as chance is
_COARSE = 0.25  # of the update's length that integers may lose without a word
_SPREAD_RATIO = 1e-12  # a feature that never changes has no spread


@dataclass(frozen=True)
class TensorError:
    """What integers lose of one tensor's first update: |integers * step - delta| / |delta|, by width."""

    name: str
    shape: tuple[int, ...]
    errors: Mapping[int, float]  # bits -> relative error; NaN where the tensor did not move


@dataclass(frozen=True)
class Checked:
    """What one round of one party showed."""

    model: ModelSpec
    frozen_bytes: int
    samples: int
    update: LocalUpdate
    seconds: float  # of CPU
    before: Measured
    after: Measured
    whole: TensorError  # of all tensors together
    tensors: tuple[TensorError, ...]
    wire_bytes: Mapping[int, int]  # bits -> bytes of one update
    model_bytes: int
    warnings: tuple[str, ...]


def check_task(
    task: LearningTask, *, name: str, plan: TrainPlan, bits: int, seed: int = 0, machine: Machine = CPU
) -> Checked:
    """Train one round of one party and measure it. Raises TaskCodeError, ConfigError, UpdateNotFinite: it diverged."""
    bench, build, plan = Bench(), partial(build_module, task), TrainPlan.of(plan.rule_nearest())
    module = initial_module(build, seed=seed)
    check_buffers(module, build, seed=seed)
    model, parent, base = model_spec(module, name), state_arrays(module), encode_base(module)
    warnings = list(_spread_warnings(task, module, machine))
    before = measure(task, parent, machine=machine, bench=bench, base=base)
    warnings += _output_warnings(task, module, machine)
    started = time.process_time()
    update = train_locally(task, parent, plan=plan, seed=seed, machine=machine, bench=bench, base=base)
    seconds = time.process_time() - started
    whole, tensors = _errors(update.delta, model)
    trained = {key: parent[key] + change for key, change in update.delta.items()}
    after = measure(task, trained, machine=machine, bench=bench, base=base)
    warnings += _training_warnings(update, whole, bits)
    return Checked(
        model=model, frozen_bytes=len(base or b""), samples=update.samples, update=update, seconds=seconds,
        before=before, after=after, whole=whole, tensors=tensors,
        wire_bytes={width: update_length(model.size, width) for width in WIDTHS},
        model_bytes=model_length(model), warnings=tuple(warnings),
    )  # fmt: skip


def _errors(delta: State, model: ModelSpec) -> tuple[TensorError, tuple[TensorError, ...]]:
    """Encode an update at each width and compare. Raises UpdateNotFinite where the training diverged."""
    if not all(np.isfinite(part).all() for part in delta.values()):
        raise UpdateNotFinite("the training diverged (NaN or infinity); lower the learning rate, or normalise the rows")
    flat = _flat(delta, model)
    lost: dict[int, npt.NDArray[np.float64]] = {}
    for bits in WIDTHS:
        scale = measured_scale(delta, model=model, bits=bits)
        seed = rounding_seed(bytes(32), task=0, round_number=0)
        data = encode_update(delta, model=model, scale=scale, bits=bits, seed=seed).data
        back = dequantise(decode_update(data, model=model, bits=bits), model=model, scale=scale)
        lost[bits] = _flat(back, model) - flat
    each = tuple(
        TensorError(tensor.name, tensor.shape, {bits: _share(lost[bits][place], flat[place]) for bits in WIDTHS})
        for tensor, place in zip(model.tensors, tensor_slices(model), strict=True)
    )
    return TensorError("all", (model.size,), {bits: _share(lost[bits], flat) for bits in WIDTHS}), each


def _flat(state: State, model: ModelSpec) -> npt.NDArray[np.float64]:
    return np.concatenate([state[tensor.name].reshape(-1).astype(np.float64) for tensor in model.tensors])


def _share(lost: npt.NDArray[np.float64], whole: npt.NDArray[np.float64]) -> float:
    length = float(np.linalg.norm(whole))
    return float(np.linalg.norm(lost)) / length if length else math.nan


def _training_warnings(update: LocalUpdate, whole: TensorError, bits: int) -> Iterator[str]:
    if update.first_loss > _HIGH:
        yield f"the loss starts at {update.first_loss:,.0f}: are the rows normalised?"
    # In ten steps or fewer, first and last are the same ones.
    if update.steps > AT_EACH_END and not update.last_loss < update.first_loss:
        yield f"the loss did not fall in a round ({update.first_loss:.3g} to {update.last_loss:.3g}): try another rate"
    if whole.errors[bits] > _COARSE:
        yield f"{bits} bits lose {100 * whole.errors[bits]:.0f} % of an update's length; take more with --bits"


def _output_warnings(task: LearningTask, module: torch.nn.Module, machine: Machine) -> Iterator[str]:
    """Look at the first outputs: probabilities where the usual loss takes scores learn slowly, without an error."""
    if type(innermost(task)).loss is not LearningTask.loss:
        return
    batches = open_rows(task, "validation_data", 100, module, seed=0, machine=machine, bench=Bench(), shuffle=False)
    first = next(iter(batches.epoch(0)))
    module = module.to(machine.device).eval()
    with torch.no_grad(), own_code(task, "model", first.inputs):
        outputs = module(first.inputs)
    if outputs.shape[1] > 1 and bool((outputs >= 0).all()) and torch.allclose(outputs.sum(1), outputs.new_ones(1)):
        yield "the model gives probabilities, the loss takes scores and makes its own: leave the softmax out of model()"


def _spread_warnings(task: LearningTask, module: torch.nn.Module, machine: Machine) -> Iterator[str]:
    """Look at the first rows: features that are far wider than the others, classes that hardly occur."""
    batches = open_rows(task, "train_data", 100, module, seed=0, machine=machine, bench=Bench(), shuffle=True)
    seen = [batch.inputs for batch in islice(batches.epoch(0), _SEEN_ROWS // 100)]
    if all(isinstance(part, torch.Tensor) and part.is_floating_point() for part in seen):
        alike = [part.reshape(len(part), -1) for part in seen if part.shape[1:] == seen[0].shape[1:]]
        rows = torch.cat(alike[: max(1, _SEEN // seen[0].numel())]).double().cpu().numpy()
        if not np.isfinite(rows).all():
            yield "inputs hold infinity: unless the model masks it, the first step makes NaN of every weight"
            return
        spread = rows.std(axis=0)
        usual = float(np.median(spread[spread > _SPREAD_RATIO])) if (spread > _SPREAD_RATIO).any() else 0.0
        wide = np.flatnonzero(spread > _WIDE * usual) if usual else np.array([], np.int64)
        for column in wide[:3]:
            yield (
                f"feature {column} is {spread[column] / usual:,.0f} times as spread as the median one: normalise it "
                "(by constants that all parties share)"
            )
        if not len(wide) and float(np.abs(rows).max()) > _WIDE:
            yield f"inputs reach {float(np.abs(rows).max()):,.0f}: normalise them (by constants that all parties share)"
