"""How good a model is, in the numbers of its field, added up batch by batch: what `LearningTask.metric` returns.

Many batches give what one batch of all rows gives. Counts and sums stay on the device of the outputs until `value` is
asked for. A metric of nothing is NaN: no rows, or an area under the curve of one class only.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from fl_platform.errors import ConfigError
from fl_platform.learning.losses import IGNORED, aligned
from fl_platform.learning.own_code import described


class Metric(ABC):
    """One accumulator, for one evaluation."""

    name: ClassVar[str]
    larger_is_better: ClassVar[bool] = True

    @abstractmethod
    def add(self, outputs: torch.Tensor, targets: torch.Tensor) -> None:
        """Count one batch: what the model returned and what it should have. Raises ConfigError: shapes, labels."""

    @abstractmethod
    def value(self) -> float:
        """Return the metric over everything added so far; NaN where it is not defined."""


class _Share(Metric):
    """Right ones among the counted."""

    def __init__(self) -> None:
        self._right: torch.Tensor | int = 0
        self._counted: torch.Tensor | int = 0

    def value(self) -> float:
        return int(self._right) / int(self._counted) if int(self._counted) else math.nan


class Accuracy(_Share):
    """Share of rows whose largest logit is the target's; of pixels for outputs (n, c, d1, ...), targets (n, d1, ...).

    Ties go to the lowest class. Targets of -100 are not counted.
    """

    name = "accuracy"

    def add(self, outputs: torch.Tensor, targets: torch.Tensor) -> None:
        _require_scores(self, outputs, targets, axis=1)
        counted = targets != IGNORED
        self._right = self._right + ((outputs.argmax(dim=1) == targets) & counted).sum()
        self._counted = self._counted + counted.sum()


class TokenAccuracy(_Share):
    """Share of tokens (n, t) whose largest logit of (n, t, c) is the target's; targets of `ignore` are not counted."""

    name = "token accuracy"

    def __init__(self, ignore: int = IGNORED) -> None:
        super().__init__()
        self._ignore = ignore

    def add(self, outputs: torch.Tensor, targets: torch.Tensor) -> None:
        _require_scores(self, outputs, targets, axis=-1)
        counted = targets != self._ignore
        self._right = self._right + ((outputs.argmax(dim=-1) == targets) & counted).sum()
        self._counted = self._counted + counted.sum()


class AreaUnderCurve(Metric):
    """Area under the receiver operating characteristic of two classes: how often a row of class 1 outranks one of 0.

    Outputs: two logits (n, 2), or one score (n) or (n, 1); targets (n) are 0 or 1. Equal scores count one half. Keeps
    every score, because the exact area needs all ranks. A NaN score makes it NaN.
    """

    name = "AUC"

    def __init__(self) -> None:
        self._scores: list[torch.Tensor] = []
        self._targets: list[torch.Tensor] = []

    def add(self, outputs: torch.Tensor, targets: torch.Tensor) -> None:
        logits = outputs.detach()
        if logits.shape == (*targets.shape, 2):
            logits = logits.double()
            logits = logits[..., 1] - logits[..., 0]
        scores, wanted = aligned(logits, targets)
        self._scores.append(scores.reshape(-1))
        self._targets.append(wanted.reshape(-1))

    def value(self) -> float:
        if not self._scores:
            return math.nan
        scores = torch.cat(self._scores).double().cpu().numpy()
        targets = torch.cat(self._targets).cpu().numpy()
        if not np.isin(targets, (0, 1)).all():
            raise ConfigError(
                f"an area under the curve of targets from {targets.min()} to {targets.max()}: it needs 0 and 1; use "
                "another metric"
            )
        return area_under_curve(scores, targets == 1)


class MeanSquaredError(Metric):
    """Mean of the squared differences over all numbers; smaller is better."""

    name = "mean squared error"
    larger_is_better = False

    def __init__(self) -> None:
        self._total: torch.Tensor | float = 0.0
        self._numbers = 0

    def add(self, outputs: torch.Tensor, targets: torch.Tensor) -> None:
        predicted, wanted = aligned(outputs.detach(), targets)
        self._total = self._total + (predicted.double() - wanted.double()).square().sum()
        self._numbers += wanted.numel()

    def value(self) -> float:
        return float(self._total) / self._numbers if self._numbers else math.nan


class IntersectionOverUnion(Metric):
    """Mean over the classes of |predicted and true| / |predicted or true|, counted over the pixels of all rows.

    Outputs (n, classes, d1, ...), targets (n, d1, ...). Classes that are neither predicted nor there have no part in
    the mean; targets of -100 are not counted.
    """

    name = "IoU"

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._table: torch.Tensor | None = None  # int64 (classes * classes): true class * classes + predicted one

    def add(self, outputs: torch.Tensor, targets: torch.Tensor) -> None:
        _require_scores(self, outputs, targets, axis=1)
        counted = targets != IGNORED
        true, predicted = targets[counted].long(), outputs.argmax(dim=1)[counted]
        highest = max((int(labels.max()) for labels in (true, predicted) if labels.numel()), default=0)
        if highest >= self._classes or (true < 0).any():
            raise ConfigError(f"a mask holds classes that are not 0 to {self._classes - 1}; -100 marks what has none")
        found = torch.bincount(true * self._classes + predicted, minlength=self._classes**2)
        self._table = found if self._table is None else self._table + found

    def value(self) -> float:
        if self._table is None:
            return math.nan
        table = self._table.reshape(self._classes, self._classes).double()
        both = table.diagonal()
        either = table.sum(dim=0) + table.sum(dim=1) - both
        return float((both[either > 0] / either[either > 0]).mean())


def _require_scores(metric: Metric, outputs: torch.Tensor, targets: torch.Tensor, *, axis: int) -> None:
    """Refuse what is no score of two classes or more: one output is always the largest, whatever it is."""
    tensors = isinstance(outputs, torch.Tensor) and isinstance(targets, torch.Tensor)
    if tensors and outputs.dim() > 1 and outputs.shape[axis] > 1 and outputs.select(axis, 0).shape == targets.shape:
        return
    raise ConfigError(
        f"{metric.name} of outputs {described(outputs)} and targets {described(targets)}: it counts how often the "
        "largest of several class scores is the target's; override `metric` (see `metrics`)"
    )


def area_under_curve(scores: npt.NDArray[np.float64], positive: npt.NDArray[np.bool_]) -> float:
    """Return the area under the curve of scores (n): the Mann-Whitney statistic from ranks, ties at their mean rank.

    NaN where one class has no row or a score is NaN.
    """
    ones, zeros = int(positive.sum()), int((~positive).sum())
    if not ones or not zeros or np.isnan(scores).any():
        return math.nan
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    doubled_ranks = 2 * np.cumsum(sizes) - sizes + 1  # twice the mean rank of a group of ties: whole numbers, exact
    doubled = int(doubled_ranks[group][positive].sum()) - ones * (ones + 1)
    return doubled / (2 * ones * zeros)
