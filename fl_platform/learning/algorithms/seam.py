"""What a client algorithm gets and gives back, and the plain descent that most of them are a line away from.

Nothing here is audited: whatever a party does between parent and update is its own affair, and the judges decide what
the update is worth. The task names the algorithm so that all do the same.

Tests: tests/unit/learning/algorithms
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

from fl_platform.errors import ConfigError
from fl_platform.learning.batches import Batch, Batches
from fl_platform.learning.optimizers import make_optimizer
from fl_platform.learning.own_code import own_code
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.task import LearningTask

Tensors = Mapping[str, torch.Tensor]  # learned parameters by name, on the party's device, each as the module holds it
AT_EACH_END = 10  # steps whose mean loss is called the first and the last

# Changes the gradients (of these weights, same order) in place, before they are clipped and taken.
Adjust = Callable[[Sequence[torch.Tensor], Sequence[torch.Tensor]], None]


@dataclass(frozen=True)
class Local:
    """One party's round."""

    task: LearningTask
    module: nn.Module  # on its device, in train mode, holding the parent's values
    learned: Mapping[str, nn.Parameter]  # the module's own parameters that are learned, canonical order
    parent: Tensors  # their values at the start; not to be written to
    batches: Batches
    plan: TrainPlan
    rate: float  # learning rate of this round
    rate_before: float  # of the round before
    previous: Sequence[Mapping[str, torch.Tensor]]  # public models before the parent, newest first
    memory: Tensors  # what this party's algorithm kept of its last signed round; empty at first

    def value(self, name: str) -> int:
        """Return the algorithm's own integer `name`, as the task froze it."""
        return dict(self.plan.parameters)[name]

    def loss(self, batch: Batch) -> torch.Tensor:
        """Return the party's loss of a batch, with a graph; in bfloat16 products where the plan says so."""
        device = next(iter(self.learned.values())).device
        rough = self.plan.precision == "bf16"
        products = torch.autocast(device.type, torch.bfloat16) if rough else nullcontext()
        with own_code(self.task, "training_step", batch.inputs, batch.targets), products:
            loss = self.task.training_step(self.module, batch)
            if not isinstance(loss, torch.Tensor):
                raise TypeError(f"the loss is a {type(loss).__name__}: return the tensor that the loss function gives")
            if loss.dim():
                raise ValueError(f"the loss has shape {tuple(loss.shape)}, it must be one number: take the mean")
            return loss

    def steps(self) -> Iterator[Batch]:
        """Yield the batches of the round: the plan's epochs, at most its `max_steps`."""
        left = self.plan.max_steps or None
        for epoch in range(self.plan.epochs):
            for batch in self.batches.epoch(epoch):
                yield batch
                left = None if left is None else left - 1
                if left == 0:  # before a stream is asked for rows that nobody learns from
                    return


@dataclass(frozen=True)
class LocalResult:
    """What an algorithm did. The trained values stand in `Local.learned`."""

    steps: int
    losses: Losses
    memory: Tensors = field(default_factory=dict)  # kept for the party's next round, once this one is signed


class Losses:
    """Losses of a descent, summed on the device: reading each would wait for it."""

    def __init__(self) -> None:
        self.steps = 0
        self._total: torch.Tensor | None = None
        self._first: list[torch.Tensor] = []
        self._last: deque[torch.Tensor] = deque(maxlen=AT_EACH_END)

    def add(self, loss: torch.Tensor) -> None:
        """Count one step's loss."""
        value = loss.detach()
        self._total = value.double() if self._total is None else self._total.add_(value)
        if len(self._first) < AT_EACH_END:
            self._first.append(value)
        self._last.append(value)
        self.steps += 1

    @property
    def mean(self) -> float:
        """Mean over all steps; NaN of none."""
        return float("nan") if self._total is None else float(self._total) / self.steps

    @property
    def first(self) -> float:
        """Mean over the first ten steps: close to what the parent model loses."""
        return _mean(self._first)

    @property
    def last(self) -> float:
        """Mean over the last ten steps."""
        return _mean(self._last)


class Algorithm(ABC):
    """A way to learn from one's own rows in one round."""

    name: ClassVar[str]
    # The algorithm's own integers: name -> (default, least, largest).
    parameters: ClassVar[Mapping[str, tuple[int, int, int]]] = {}

    @abstractmethod
    def run(self, local: Local) -> LocalResult:
        """Train `local.learned` in place. May raise what the party's own code raises, as TaskCodeError."""

    def check(self, plan: TrainPlan) -> None:
        """Refuse plans that the algorithm cannot follow. Raises ConfigError."""
        known = ", ".join(self.parameters) or "none"
        for name, value in plan.parameters:
            if name not in self.parameters:
                raise ConfigError(f"{self.name} has no parameter {name!r}; it has {known}")
            _, least, largest = self.parameters[name]
            if not least <= value <= largest:
                raise ConfigError(f"{self.name}: {name} {value} must be {least} to {largest}")
        if missing := self.parameters.keys() - dict(plan.parameters).keys():
            raise ConfigError(f"{self.name} needs {', '.join(sorted(missing))}")


def descend(local: Local, adjust: Adjust | None = None) -> LocalResult:
    """Go down the loss: the plan's optimizer, clipping and rate, over the round's batches."""
    optimizer = make_optimizer(local.plan, fused=_on_cuda(local))
    losses, weights = Losses(), list(local.learned.values())
    for batch in local.steps():
        for weight in weights:
            weight.grad = None
        loss = local.loss(batch)
        with own_code(local.task, "training_step", batch.inputs, batch.targets):  # its graph is the party's, too
            loss.backward()  # type: ignore[no-untyped-call]
        moved = [weight for weight in weights if weight.grad is not None]
        with torch.no_grad():
            gradients = [_dense(weight) for weight in moved]
            if adjust is not None:
                adjust(moved, gradients)
            if local.plan.clip_norm:
                clip_grad_norm_(moved, local.plan.clip_norm)
            optimizer.step(moved, gradients, local.rate)
        losses.add(loss)
    return LocalResult(losses.steps, losses)


def _dense(weight: nn.Parameter) -> torch.Tensor:
    """Return a weight's gradient; a sparse one (of an embedding) is made dense, for clipping and Adam take no other."""
    assert weight.grad is not None
    if weight.grad.is_sparse:
        weight.grad = weight.grad.to_dense()
    return weight.grad


def _on_cuda(local: Local) -> bool:
    return all(weight.is_cuda for weight in local.learned.values())


def _mean(values: Sequence[torch.Tensor] | deque[torch.Tensor]) -> float:
    return float(torch.stack(list(values)).double().mean()) if values else float("nan")
