"""Data sets of any size: peak memory of training on ten times the free memory, and what a batch costs.

Memory: a model is trained by `train_locally` on rows made as they are read, ten times the machine's free memory in all;
`value` is by how much the process's peak grew after a training on 256 MiB of them, `reference_value` their size. Speed:
CPU time of an epoch of batches from the same rows in memory, by number and as a stream; `reference_value` is that of
torch's DataLoader on the same rows, and the bar is on the ratio of the speeds. Ours are checked for NaN and odd labels,
the loader's are not.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from fl_platform.learning.batches import Batch, Batches, Data, open_batches
from fl_platform.learning.datasets import Labelled
from fl_platform.learning.parameters import initial_state
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.task import LearningTask
from fl_platform.learning.train import train_locally
from scripts.bench.harness import Row, at_least, at_most, paired_cpu_time, peak_memory_bytes

NUMBERS = 1 << 18  # float32 of a large row: 1 MiB
POOL = 1 << 12  # numbers that the model takes the mean of
FEW = 256  # large rows of the training before
BATCH = 4  # large rows
TIMES = 10  # the machine's free memory
MOST_GROWTH = 64.0  # MB: batches of 4 MiB come and go between others that the allocator keeps
SMALL_ROWS, FEATURES, SMALL_BATCH = 20_000, 784, 64
# Speed against torch's loader. Reading these rows costs next to nothing, so the checks of a batch weigh the most.
BARS = {"memory": 1.0, "map-style": 0.6, "iterable": 0.6}


class LargeRows(Dataset[tuple[npt.NDArray[np.float32], int]]):
    """Rows of 1 MiB, each a window of one line of noise: no two are alike, and making one costs nothing."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._noise = np.random.default_rng(0).standard_normal(2 * NUMBERS, dtype=np.float32)

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, row: int) -> tuple[npt.NDArray[np.float32], int]:
        start = row * 7919 % NUMBERS
        return self._noise[start : start + NUMBERS], row % 2


class SmallRows(Dataset[tuple[torch.Tensor, int]]):
    """The same rows as a pair of arrays, by number."""

    def __init__(self, x: torch.Tensor, y: list[int]) -> None:
        self._x, self._y = x, y

    def __len__(self) -> int:
        return len(self._y)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        return self._x[row], self._y[row]


class Stream(IterableDataset[Any]):
    """A map-style data set from its first row to its last."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[Any]:
        return (self._rows[row] for row in range(len(self._rows)))


@dataclass(frozen=True)
class LargeTask(LearningTask):
    """A model that reads every number of a large row."""

    data: Data

    def model(self) -> nn.Module:
        return nn.Sequential(nn.AvgPool1d(POOL), nn.Linear(NUMBERS // POOL, 2))

    def train_data(self) -> Data:
        return self.data

    def validation_data(self) -> Data:
        return self.data


def run(args: argparse.Namespace) -> Iterator[Row]:
    """Measure memory in a process of its own for each style, then speed."""
    size = 2 << 30 if args.quick else TIMES * free_memory_bytes()
    for style in ("map-style", "iterable"):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
            growth = process.submit(memory_growth, style, size // (4 * NUMBERS)).result()
        yield at_most(
            f"peak memory growth, {style}",
            growth / 1e6,
            MOST_GROWTH,
            unit="MB",
            reference="size of the data set",
            reference_value=size / 1e6,
        )
    yield from speeds(repeats=3 if args.quick else 9)


def free_memory_bytes() -> int:
    """Return what Linux says is available without swapping."""
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))


def memory_growth(style: str, rows: int) -> int:
    """Return by how many bytes the peak of a training on `rows` large rows is over that of one on a few."""
    peaks = []
    for count in (FEW, rows):
        large = LargeRows(count)
        task = LargeTask(Stream(large) if style == "iterable" else large)
        parent = initial_state(task.model, seed=1)
        update = train_locally(task, parent, plan=TrainPlan(epochs=1, batch_size=BATCH, learning_rate=0.1), seed=1)
        assert update.samples == count, update.samples
        peaks.append(peak_memory_bytes())
    return peaks[1] - peaks[0]


def speeds(repeats: int) -> Iterator[Row]:
    """Time an epoch of small rows in each form, ours and torch's in turn."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((SMALL_ROWS, FEATURES), dtype=np.float32), rng.integers(0, 10, SMALL_ROWS)
    by_number = SmallRows(torch.from_numpy(x), y.tolist())
    forms: dict[str, tuple[Any, Any]] = {
        "memory": (Labelled(x, y), TensorDataset(torch.from_numpy(x), torch.from_numpy(y))),
        "map-style": (by_number, by_number),
        "iterable": (Stream(by_number), Stream(by_number)),
    }
    for form, (ours, theirs) in forms.items():
        batches = open_batches(ours, batch_size=SMALL_BATCH, seed=1, device=torch.device("cpu"))
        loader = DataLoader(theirs, batch_size=SMALL_BATCH, shuffle=None if form == "iterable" else True)
        times = paired_cpu_time(partial(drain, Epoch(batches)), partial(drain, loader), repeats=repeats)
        yield at_least(
            f"batches from {form}",
            SMALL_ROWS / times.value,
            BARS[form],
            unit="rows/CPU-s",
            reference="torch.utils.data.DataLoader",
            reference_value=SMALL_ROWS / times.reference,
            ratio=times.speed_ratio,
        )


@dataclass(frozen=True)
class Epoch:
    """The first epoch of batches, each time anew."""

    batches: Batches

    def __iter__(self) -> Iterator[Batch]:
        return self.batches.epoch(0)


def drain(batches: Iterable[Any]) -> None:
    """Read all batches and keep none."""
    for _ in batches:
        pass
