"""What a data owner fills in: a model, its own rows to learn from, its own rows to validate on. For digits, all of it:

    class MyDigits(LearningTask):
        def model(self) -> nn.Module:
            return digits_mlp()

        def train_data(self) -> Labelled:
            return load_digits_split().train

        def validation_data(self) -> Labelled:
            return load_digits_split().test

Another loss, metric or training step is one more method each. The data never leave the owner's process; the platform
sees the integer update and the number of rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from fl_platform.errors import ConfigError
from fl_platform.learning.batches import Batch, Data
from fl_platform.learning.datasets import Labelled
from fl_platform.learning.losses import cross_entropy
from fl_platform.learning.metrics import Accuracy, Metric
from fl_platform.learning.own_code import innermost, own_code
from fl_platform.learning.rows import host_array, mapped


class LearningTask(ABC):
    """One party's side of a task. Whatever its methods raise is reported with the method's name and what to do."""

    @abstractmethod
    def model(self) -> nn.Module:
        """Build the architecture. What `requires_grad` is learned, and replaced by the round's global model."""

    @abstractmethod
    def train_data(self) -> Data:
        """Return this party's rows to learn from (see `batches.Data`); may return other rows every round."""

    @abstractmethod
    def validation_data(self) -> Data:
        """Return rows that this party does not learn from."""

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of a batch; cross-entropy over classes unless overridden (see `losses`)."""
        return cross_entropy(outputs, targets)

    def metric(self) -> Metric:
        """Return a fresh count of how good a model is; accuracy unless overridden (see `metrics`)."""
        return Accuracy()

    def training_step(self, module: nn.Module, batch: Batch) -> torch.Tensor:
        """Return the loss of one batch, with its graph. Override it for models that want more than their inputs."""
        return self.loss(module(batch.inputs), batch.targets)


class _Inner(LearningTask):
    """Hands everything on to another task."""

    hands_on: ClassVar = True
    inner: LearningTask

    def model(self) -> nn.Module:
        return self.inner.model()

    def train_data(self) -> Data:
        return self.inner.train_data()

    def validation_data(self) -> Data:
        return self.inner.validation_data()

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return self.inner.loss(outputs, targets)

    def metric(self) -> Metric:
        return self.inner.metric()

    def training_step(self, module: nn.Module, batch: Batch) -> torch.Tensor:
        return self.inner.training_step(module, batch)


@dataclass(frozen=True)
class DataTask(LearningTask):
    """A task over rows that are already in memory (partitions of a public data set, tests, demos)."""

    factory: Callable[[], nn.Module]
    train: Labelled
    validation: Labelled
    new_metric: Callable[[], Metric] = Accuracy

    def model(self) -> nn.Module:
        return self.factory()

    def metric(self) -> Metric:
        return self.new_metric()

    def train_data(self) -> Labelled:
        return self.train

    def validation_data(self) -> Labelled:
        return self.validation


@dataclass(frozen=True)
class TransformedTask(_Inner):
    """Another task whose training rows pass through a function first: augmentation, cleaning, or an attacker's flip."""

    inner: LearningTask
    transform: Callable[[Labelled], Labelled]

    def train_data(self) -> Labelled:
        return self.transform(rows_in_memory(self.inner))


@dataclass(frozen=True)
class HandTask(_Inner):
    """Another task with rows of its own to learn from: one hand of those that were dealt."""

    inner: LearningTask
    train: Labelled

    def train_data(self) -> Labelled:
        return self.train


def rows_in_memory(task: LearningTask) -> Labelled:
    """Return a task's training rows where each must be at hand: to be committed, transformed or shown.

    Raises ConfigError for rows that come from a data set, TaskCodeError.
    """
    with own_code(task, "train_data"):
        rows = task.train_data()
        if isinstance(rows, tuple) and len(rows) == 2:
            rows = Labelled(mapped(host_array, rows[0], "inputs"), host_array(rows[1], "targets"))
    if not isinstance(rows, Labelled):
        raise ConfigError(
            f"{type(innermost(task)).__name__}.train_data returns a {type(rows).__name__}; here each row must be at "
            "hand: return Labelled(x, y)"
        )
    return rows
