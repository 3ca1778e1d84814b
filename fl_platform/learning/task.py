"""What a data owner fills in: a model, its own rows to learn from, its own rows to validate on. For digits, all of it:

    class MyDigits(LearningTask):
        def model(self) -> nn.Module:
            return digits_mlp()

        def train_data(self) -> Labelled:
            return load_digits_split().train

        def validation_data(self) -> Labelled:
            return load_digits_split().test

The data never leave the owner's process; the platform sees the integer update and the number of rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from fl_platform.learning.datasets import Labelled
from fl_platform.learning.metrics import Accuracy, Metric


class LearningTask(ABC):
    """One party's side of a task."""

    @abstractmethod
    def model(self) -> nn.Module:
        """Build the architecture; its weights are replaced by the round's global model."""

    @abstractmethod
    def train_data(self) -> Labelled:
        """Return this party's rows to learn from; may return other rows every round."""

    @abstractmethod
    def validation_data(self) -> Labelled:
        """Return rows that this party does not learn from."""

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean loss of a batch; cross-entropy over classes unless overridden."""
        return nn.functional.cross_entropy(outputs, targets)


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
class TransformedTask(LearningTask):
    """Another task whose training rows pass through a function first: augmentation, cleaning, or an attacker's flip."""

    inner: LearningTask
    transform: Callable[[Labelled], Labelled]

    def model(self) -> nn.Module:
        return self.inner.model()

    def train_data(self) -> Labelled:
        return self.transform(self.inner.train_data())

    def validation_data(self) -> Labelled:
        return self.inner.validation_data()

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return self.inner.loss(outputs, targets)
