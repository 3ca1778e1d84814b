"""One party's own rows dealt to several, to see what a federation would do with them before there is one."""

from __future__ import annotations

from dataclasses import dataclass

from fl_platform.errors import ConfigError
from fl_platform.learning import partitions
from fl_platform.learning.datasets import Labelled
from fl_platform.learning.task import HandTask, LearningTask, rows_in_memory
from fl_platform.learning.tasks import deal

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

    Raises ConfigError: too few rows, or rows that come from a data set and cannot be dealt; TaskCodeError.
    """
    rows = rows_in_memory(task)
    kept = root_rows or max(min(LEAST_ROOT, len(rows) // 2), len(rows) // 10)
    if len(rows) - kept < parties:
        raise ConfigError(
            f"{len(rows)} rows, {kept} of them the owner's, cannot be dealt to {parties}; take fewer parties"
        )
    order = partitions.shuffled(len(rows), seed=seed)
    hands = deal(rows.take(order[kept:]), parties, partition=partition, seed=seed + 1)
    root = rows.take(order[:kept])
    return Dealt(name, HandTask(task, root), tuple(HandTask(task, hand) for hand in hands), root)
