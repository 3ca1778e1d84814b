"""Measuring a model: in its task's own loss and metric, and in whole counts of right rows, which scores are made of.

Tests: tests/unit/learning/test_train.py
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fl_platform.learning.batches import Batch, Batches
from fl_platform.learning.datasets import Labelled
from fl_platform.learning.machine import CPU, Machine, deterministic, seeded
from fl_platform.learning.metrics import Metric
from fl_platform.learning.own_code import own_code
from fl_platform.learning.parameters import State
from fl_platform.learning.statistics import has_batch_statistics, reestimate_statistics
from fl_platform.learning.task import LearningTask
from fl_platform.learning.train import Bench, labels_checked, open_rows, placed

STATISTICS_BATCHES = 100  # of BATCH rows each: means and variances to half a percent, however large the data set
BATCH = 500  # rows: tens of MiB of activations for the largest standard model


@dataclass(frozen=True)
class Measured:
    """What a model is worth to its task, for display; scores use counts."""

    loss: float  # mean over the rows
    metric: str  # its name
    value: float
    rows: int


@dataclass(frozen=True)
class Evaluation:
    """How many rows a model classified rightly."""

    correct: int
    total: int

    @property
    def accuracy(self) -> float:
        """Share of right rows, 0 to 1, for display; sums and scores use the counts."""
        return self.correct / self.total if self.total else 0.0


def measure(
    task: LearningTask,
    state: State,
    *,
    machine: Machine = CPU,
    bench: Bench | None = None,
    base: bytes | None = None,
) -> Measured:
    """Measure a model on a task's validation rows by its own loss and metric.

    BatchNorm's statistics, which no model file carries, are estimated anew from the task's training rows, 50,000 at
    most. Raises TaskCodeError when the party's own code fails, ConfigError without rows.
    """
    bench = bench or Bench()
    with seeded(0, machine):
        module = placed(bench.module(task, machine, base), state, machine.device)
        if has_batch_statistics(module):
            rows = open_rows(task, "train_data", BATCH, module, seed=0, machine=machine, bench=bench, shuffle=True)
            given = list[Any]()
            with own_code(task, "model", given):
                reestimate_statistics(module, _told(islice(rows.epoch(0), STATISTICS_BATCHES), given))
        held = open_rows(task, "validation_data", BATCH, module, seed=0, machine=machine, bench=bench, shuffle=False)
        module.eval()
        with labels_checked(task, module, held):
            return _measured(task, module, held)


def _told(batches: Iterable[Batch], given: list[Any]) -> Iterator[Batch]:
    for batch in batches:
        given[:] = [batch.inputs]
        yield batch


def _measured(task: LearningTask, module: nn.Module, held: Batches) -> Measured:
    with own_code(task, "metric"):
        metric = task.metric()
        if not isinstance(metric, Metric):
            raise TypeError(f"this is a {type(metric).__name__}: return a metrics.Metric, as in metrics.Accuracy()")
    total, rows = 0.0, 0
    # Not inference mode: what a model keeps for the next batch (a table of angles, a mask) could not be trained with.
    with torch.no_grad():
        for batch in held.epoch(0):
            with own_code(task, "model", batch.inputs):
                outputs = module(batch.inputs)
            with own_code(task, "loss", outputs, batch.targets):
                total += float(task.loss(outputs, batch.targets)) * batch.rows
            with own_code(task, "metric", outputs, batch.targets):
                metric.add(outputs, batch.targets)
            rows += batch.rows
        with own_code(task, "metric"):
            return Measured(total / rows, metric.name, float(metric.value()), rows)


def evaluate(module: nn.Module, state: State, data: Labelled, *, device: torch.device | None = None) -> Evaluation:
    """Count the rows that a model classifies rightly, in float32.

    `module` gives the architecture, what is frozen and batch statistics (`measure` estimates them); it is not changed.
    """
    right = _right_rows(module, state, data, torch.float32, device or torch.device("cpu"))
    return Evaluation(correct=int(right.sum()), total=len(data))


def correct_rows(module: nn.Module, state: State, data: Labelled) -> npt.NDArray[np.bool_]:
    """Return which rows a model classifies rightly, shape (n,), computed in float64 on the CPU.

    For scores on committed validation rows: in float64 two machines disagree on a row only when its two best logits
    agree to about 13 digits. Ties go to the lowest class.
    """
    return _right_rows(module, state, data, torch.float64, torch.device("cpu"))


def _right_rows(
    module: nn.Module, state: State, data: Labelled, dtype: torch.dtype, device: torch.device
) -> npt.NDArray[np.bool_]:
    right = np.zeros(len(data), dtype=np.bool_)
    judged = placed(copy.deepcopy(module), state, device).to(dtype).eval()
    with deterministic(device), torch.inference_mode():
        for start in range(0, len(data), BATCH):
            block = slice(start, start + BATCH)
            rows = torch.tensor(data.x[block], device=device)
            logits = judged(rows.to(dtype) if rows.is_floating_point() else rows).cpu().numpy()
            right[block] = np.argmax(logits, axis=1) == data.y[block]
    return right
