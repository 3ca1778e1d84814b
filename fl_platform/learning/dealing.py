"""One party's own rows dealt to several, to see what a federation would do with them before there is one.

Tests: tests/unit/round/test_rehearsing.py
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from fl_platform.errors import ConfigError
from fl_platform.learning import partitions
from fl_platform.learning.datasets import Labelled
from fl_platform.learning.machine import CPU
from fl_platform.learning.own_code import named, own_code
from fl_platform.learning.rows import host_array, leaves, mapped
from fl_platform.learning.task import HandTask, LearningTask, rows_in_memory
from fl_platform.learning.tasks import deal
from fl_platform.learning.train import Bench, build_module, open_rows

logger = logging.getLogger(__name__)

MOST_BYTES = 1 << 30  # of a data set's rows, which are all in memory while they are dealt and played
_BATCH = 128  # rows of a data set that are read together
LEAST_ROOT = 20  # rows that the owner keeps for its reference at least, where there are enough


@dataclass(frozen=True)
class Dealt:
    """A task's rows in hands. All validate on the task's own validation rows."""

    model_name: str  # as the rules call it
    owner: LearningTask  # the rows kept back: the first scale is measured on them, and the reference update
    parties: tuple[LearningTask, ...]
    root: Labelled  # the owner's rows


def deal_own(
    task: LearningTask, name: str, parties: int, *, partition: str = "iid", root_rows: int = 0, seed: int = 0
) -> Dealt:
    """Keep `root_rows` random rows for the owner (0: a tenth) and deal the rest: "iid", "2-shard", "dirichlet:ALPHA".

    Of a data set as many rows are read as 1 GiB holds, any of a map-style one and the first of a stream. Raises
    ConfigError: too few rows, or of several shapes; TaskCodeError.
    """
    rows = _at_hand(task, seed)
    kept = root_rows or max(min(LEAST_ROOT, len(rows) // 2), len(rows) // 10)
    if len(rows) - kept < parties:
        raise ConfigError(
            f"{len(rows)} rows, {kept} of them the owner's, cannot be dealt to {parties}; take fewer parties"
        )
    order = partitions.shuffled(len(rows), seed=seed)
    hands = deal(rows.take(order[kept:]), parties, partition=partition, seed=seed + 1)
    root = rows.take(order[:kept])
    return Dealt(name, HandTask(task, root), tuple(HandTask(task, hand) for hand in hands), root)


def _at_hand(task: LearningTask, seed: int) -> Labelled:
    """Return a task's rows, those of a data set read until `MOST_BYTES` are reached."""
    with own_code(task, "train_data"):
        given = task.train_data()
    if isinstance(given, Labelled | tuple):
        return rows_in_memory(task)
    rows = open_rows(task, "train_data", _BATCH, build_module(task), seed=seed, machine=CPU, bench=Bench())
    trees, size, count = list[tuple[Any, Any]](), 0, 0
    for batch in rows.epoch(0):
        if size >= MOST_BYTES:
            logger.warning("%s: %d rows are in memory, the rest is not played", named(task, "train_data"), count)
            break
        trees.append(mapped(host_array, (batch.inputs, batch.targets)))
        size, count = size + sum(leaf.nbytes for leaf, _ in leaves(trees[-1])), count + batch.rows
    try:
        each = ([leaf for leaf, _ in leaves(tree)] for tree in trees)
        columns = (np.concatenate(parts) for parts in zip(*each, strict=True))
        x, y = mapped(lambda *_: next(columns), trees[0])
    except ValueError as error:
        raise ConfigError(f"{named(task, 'train_data')}: rows of several shapes cannot be dealt; pad them") from error
    if not isinstance(y, np.ndarray):
        raise ConfigError(f"{named(task, 'train_data')}: only rows with one target each can be dealt")
    return Labelled(x, y)
