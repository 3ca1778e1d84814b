"""Step 3: local training from the parent model on one party's rows.

On one thread (the default) the same parent, rows, plan and seed give the same bytes on the same machine: a BLAS or
convolution splits its sums by its thread count. (Not of a model that learns from buffers which it also writes, such as
a codebook that is an average: they are the party's own, from round to round.) Nothing audits a training, so a party may
give it all its cores or a GPU; audits start at the integers.
"""

from __future__ import annotations

import itertools
import logging
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fl_platform.errors import ConfigError, TaskCodeError
from fl_platform.learning.algorithms import algorithm_of
from fl_platform.learning.algorithms.seam import Local, LocalResult, Tensors
from fl_platform.learning.base import load_base
from fl_platform.learning.batches import Batch, Batches, Resident, open_batches
from fl_platform.learning.machine import CPU, Machine, seeded
from fl_platform.learning.own_code import described, innermost, named, own_code, own_rows
from fl_platform.learning.parameters import State, input_dtype, learned, load_state, unwrap
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.statistics import settle_norms
from fl_platform.learning.task import LearningTask

logger = logging.getLogger(__name__)

LONG_STREAM = 10_000  # batches of a stream without an end in sight that are read without a word


@dataclass(frozen=True)
class LocalUpdate:
    """What one party learned in one round, in floats; the codec turns it into integers."""

    delta: Mapping[str, npt.NDArray[np.float32]]  # trained minus parent, canonical order
    samples: int  # rows learned from, a row twice in two epochs once (informative: no weight follows from it)
    steps: int
    mean_loss: float  # over all batches
    first_loss: float  # over the first ten: about what the parent model loses on these rows
    last_loss: float  # over the last ten
    memory: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)  # for the party's next round


@dataclass(frozen=True)
class Past:
    """What a party knows of the rounds before: where the task stands, public models, and its algorithm's own memory."""

    round: int = 0
    rounds: int = 1  # of the whole task
    models: Sequence[State] = ()  # public ones before the parent, newest first
    memory: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)


class Bench:
    """What stays on the device between a party's rounds: its rows, and its model with its own buffers."""

    def __init__(self) -> None:
        self.rows = Resident()
        self._modules: dict[tuple[int, Machine], nn.Module] = {}

    def module(self, task: LearningTask, machine: Machine, base: bytes | None) -> nn.Module:
        """Return the task's model, built with its base when it is asked for the first time.

        Raises TaskCodeError, DocumentInvalid: the base is of another model.
        """
        key = (id(task), machine)
        if key not in self._modules:
            module = build_module(task)
            if base is not None:
                load_base(module, base)
            if machine.compiled:
                module.compile()
            self._modules[key] = module  # now that nothing can fail: without its base it would learn something else
            weakref.finalize(task, self._modules.pop, key, None).atexit = False
        return self._modules[key]


def build_module(task: LearningTask) -> nn.Module:
    """Call a party's `model()`. Raises TaskCodeError."""
    with own_code(task, "model"):
        module = task.model()
    if not isinstance(module, nn.Module):
        raise TaskCodeError(f"{type(task).__name__}.model returned a {type(module).__name__}; return a torch.nn.Module")
    return unwrap(module)


def train_locally(
    task: LearningTask,
    parent: State,
    *,
    plan: TrainPlan,
    seed: int,
    machine: Machine = CPU,
    past: Past | None = None,
    bench: Bench | None = None,
    base: bytes | None = None,
) -> LocalUpdate:
    """Train the parent model on the task's rows and return the float delta.

    `parent`: float32 arrays of the names and shapes that the model learns; `seed` orders the rows and feeds dropout;
    `base`: the task's frozen parameters. A diverged training returns NaN in the delta, which the codec refuses by name.
    Raises ConfigError without rows or with an impossible plan, UpdateHeaderMismatch when the parent is not of this
    model, TaskCodeError when the party's own code fails.
    """
    past, bench = past or Past(), bench or Bench()
    algorithm = algorithm_of(plan)
    if plan.batch_size < 1 or plan.epochs < 1:
        raise ConfigError(f"batches of {plan.batch_size} rows, {plan.epochs} epochs: both must be over 0")
    with seeded(seed, machine):
        module = placed(bench.module(task, machine, base), parent, machine.device)
        settle_norms(module)
        torch.manual_seed(seed)  # the same whether the model was built or kept
        batches = open_rows(
            task, "train_data", plan.batch_size, module, seed=seed, machine=machine, bench=bench,
            first_epoch=past.round * plan.epochs,
        )  # fmt: skip
        module.train()
        weights = learned(module)
        local = Local(
            task=task,
            module=module,
            learned=weights,
            parent={name: weight.detach().clone() for name, weight in weights.items()},
            batches=batches,
            plan=plan,
            rate=plan.rate(past.round, past.rounds),
            rate_before=plan.rate(past.round - 1, past.rounds) if past.round else 0.0,
            previous=_Models(past.models, machine.device),
            memory=_on_device(past.memory, machine.device),
        )
        with labels_checked(task, module, batches):
            result = algorithm.run(local)
        _require_same_learned(task, module, weights)
    return _update(local, result, plan)


def try_rows(task: LearningTask, *, plan: TrainPlan, machine: Machine = CPU, base: bytes | None = None) -> None:
    """Let a party's rows and model meet in one batch of its loss, before anything hangs on them; nothing is kept.

    Raises ConfigError without rows, TaskCodeError when the party's own code fails.
    """
    bench = Bench()
    with seeded(0, machine):
        module = bench.module(task, machine, base).to(machine.device)
        batches = open_rows(task, "train_data", plan.batch_size, module, seed=0, machine=machine, bench=bench)
        module.train()
        with labels_checked(task, module, batches):
            for batch in itertools.islice(batches.epoch(0), 1):
                with own_code(task, "training_step", batch.inputs, batch.targets):
                    task.training_step(module, batch)


def _require_same_learned(task: LearningTask, module: nn.Module, weights: Tensors) -> None:
    """Refuse a model that freezes or unfreezes as it goes: the rules name its tensors once, for all rounds."""
    odd = learned(module).keys() ^ weights.keys()
    if odd:
        raise TaskCodeError(
            f"{named(task, 'model')} changes what it learns while it is trained: {min(odd)!r} was switched by "
            "requires_grad; decide it in model(), the same for every round"
        )


def placed(module: nn.Module, state: State, device: torch.device) -> nn.Module:
    """Return a module that holds a state, on a device, laid out for its convolutions."""
    load_state(module, state)
    module = module.to(device)
    if any(parameter.dim() == 4 for parameter in module.parameters()):
        # Convolutions run about a quarter faster with channels last, on CPU and GPU alike.
        return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
    return module


def open_rows(
    task: LearningTask, hook: str, batch_size: int, module: nn.Module, *, seed: int, machine: Machine, bench: Bench,
    shuffle: bool = True, first_epoch: int = 0,
) -> OwnRows:  # fmt: skip
    """Ask a party for rows by one of its methods and open them. Raises ConfigError without rows, TaskCodeError."""
    dtype = input_dtype(module)
    with own_rows(task, hook):
        batches = open_batches(
            getattr(task, hook)(), batch_size=batch_size, seed=seed, device=machine.device, dtype=dtype,
            shuffle=shuffle, workers=machine.workers, resident=bench.rows, first_epoch=first_epoch,
        )  # fmt: skip
    if batches.rows == 0:
        raise ConfigError(f"{named(task, hook)} returned 0 rows; there must be one at least")
    return OwnRows(task, hook, batches)


class OwnRows:
    """A party's batches: what its data set raises while it is read is its own code's."""

    def __init__(self, task: LearningTask, hook: str, inner: Batches) -> None:
        self._task, self._inner, self.hook = task, inner, hook
        self.last: Batch | None = None  # that was read

    @property
    def rows(self) -> int | None:
        return self._inner.rows

    @property
    def batches_an_epoch(self) -> int | None:
        return self._inner.batches_an_epoch

    def require_classes(self, classes: int) -> None:
        self._inner.require_classes(classes)

    def epoch(self, number: int) -> Any:
        batches = iter(self._inner.epoch(number))
        for read in itertools.count():
            if read == LONG_STREAM and self._inner.rows is None:
                logger.warning(
                    "%s: %d batches and no end; a round of a stream that never ends needs --max-steps, and rows to "
                    "validate on must end", named(self._task, self.hook), read,
                )  # fmt: skip
            with own_rows(self._task, self.hook):
                self.last = batch = next(batches, None)
            if batch is None:
                return
            yield batch


class labels_checked:  # a context manager
    """Hold the labels against the model's outputs once, before a loss meets them: a GPU's own check kills its context.

    Only where the party left `loss` as it is: who brings its own knows what its targets mean.
    """

    def __init__(self, task: LearningTask, module: nn.Module, batches: OwnRows) -> None:
        self._task, self._batches, kind = task, batches, type(innermost(task))
        standard = kind.loss is LearningTask.loss and kind.training_step is LearningTask.training_step
        self._handle = module.register_forward_hook(self._look) if standard else None

    def _look(self, _module: nn.Module, _inputs: Any, outputs: Any) -> None:
        assert self._handle is not None
        self._handle.remove()
        if not isinstance(outputs, torch.Tensor) or outputs.dim() < 2:
            raise TaskCodeError(
                f"{named(self._task, 'model')} returned {described(outputs)} for a batch; class scores have shape "
                "(rows, classes, ...): return them, or override `loss`"
            )
        targets = self._batches.last.targets if self._batches.last else None
        classes = targets if isinstance(targets, torch.Tensor) and not targets.is_floating_point() else None
        if classes is not None and classes.shape != (len(outputs), *outputs.shape[2:]):
            raise TaskCodeError(
                f"{named(self._task, 'model')} returned {described(outputs)} for targets {described(targets)}; class "
                "scores are (rows, classes, ...), targets (rows, ...): reshape them, or override `loss` (of tokens by "
                "`losses.token_cross_entropy`)"
            )
        try:
            self._batches.require_classes(outputs.shape[1])
        except ConfigError as error:
            raise TaskCodeError(f"{named(self._task, self._batches.hook)}: {error}") from error

    def __enter__(self) -> None:
        """Wait for the first batch."""

    def __exit__(self, *_: object) -> None:
        """Stop waiting."""
        if self._handle is not None:
            self._handle.remove()


class _Models(Sequence[Tensors]):
    """Public models as tensors, each brought to the device when it is asked for."""

    def __init__(self, models: Sequence[State], device: torch.device) -> None:
        self._models, self._device = models, device

    def __len__(self) -> int:
        return len(self._models)

    def __getitem__(self, index: Any) -> Any:
        return _on_device(self._models[index], self._device)


def _on_device(arrays: State, device: torch.device) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(array, np.float32)).to(device) for name, array in arrays.items()}


def _update(local: Local, result: LocalResult, plan: TrainPlan) -> LocalUpdate:
    if not result.steps:
        raise ConfigError(f"{named(local.task, 'train_data')} has no rows; give one at least")
    with torch.no_grad():
        delta = {name: weight - local.parent[name] for name, weight in local.learned.items()}
    rows = local.batches.rows
    return LocalUpdate(
        delta=_to_host(delta),
        samples=result.steps * plan.batch_size if rows is None else rows,
        steps=result.steps,
        mean_loss=result.losses.mean,
        first_loss=result.losses.first,
        last_loss=result.losses.last,
        memory=_to_host(result.memory),
    )


def _to_host(tensors: Tensors) -> dict[str, npt.NDArray[np.float32]]:
    """Copy tensors to float32 arrays of their shapes, from a GPU in one piece through pinned memory."""
    if not tensors:
        return {}
    flat = torch.cat([tensor.detach().reshape(-1).float() for tensor in tensors.values()])
    host = torch.empty(flat.shape, dtype=torch.float32, pin_memory=flat.is_cuda)
    host.copy_(flat)
    arrays, start = {}, 0
    whole = host.numpy()
    for name, tensor in tensors.items():
        arrays[name] = whole[start : start + tensor.numel()].reshape(tuple(tensor.shape))
        start += tensor.numel()
    return arrays
