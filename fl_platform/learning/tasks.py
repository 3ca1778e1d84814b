"""Standard federations: a public data set dealt to parties, one task each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from torch import nn

from fl_platform.errors import ConfigError
from fl_platform.learning import partitions
from fl_platform.learning.datasets import Labelled, Origin, Split
from fl_platform.learning.metrics import Accuracy, Metric
from fl_platform.learning.models import MODELS, build_model
from fl_platform.learning.public import NATURAL, PARTITIONS, PublicData, public_data
from fl_platform.learning.task import DataTask

Rows = partitions.Rows


@dataclass(frozen=True)
class Federation:
    """One task per party, the owner's small root set and the test rows nobody learns from."""

    model_name: str
    factory: Callable[[], nn.Module]
    parties: tuple[DataTask, ...]
    root: Labelled  # the owner's rows: the reference (row 0) and the initial scale come from them
    test: Labelled
    metric: Callable[[], Metric] = Accuracy

    @property
    def owner(self) -> DataTask:
        """The task owner's side: it learns from the root set."""
        return DataTask(self.factory, self.root, self.test, self.metric)


def load_split(data: str, *, folder: Path | None = None, seed: int = 0) -> Split:
    """Load a public data set by name. Raises ConfigError, DocumentInvalid."""
    return public_data(data).load(seed, folder)


def deal(
    labelled: Labelled, parties: int, *, partition: str, seed: int, origin: Origin | None = None
) -> list[Labelled]:
    """Deal rows to parties by "iid", "2-shard", "dirichlet:ALPHA", or "natural": as they come by `origin`.

    Raises ConfigError.
    """
    name, _, argument = partition.partition(":")
    if name == "iid":
        rows = partitions.iid(labelled.y, parties, seed=seed)
    elif name == "2-shard":
        rows = partitions.shards(labelled.y, parties, seed=seed)
    elif name == "dirichlet":
        try:
            alpha = float(argument)
        except ValueError as error:
            raise ConfigError(f"partition {partition!r}: give alpha as a number, as in dirichlet:0.3") from error
        rows = partitions.dirichlet(labelled.y, parties, alpha=alpha, seed=seed)
    elif name == NATURAL and origin is not None:
        rows = partitions.natural(origin.part, parties)
    elif name == NATURAL:
        raise ConfigError(f"these rows come in no parts of their own; deal them by another partition: {PARTITIONS}")
    else:
        raise ConfigError(f"partition {partition!r} is unknown; use {PARTITIONS}")
    return [labelled.take(part) for part in rows]


def set_aside(split: Split, root_rows: int, *, seed: int) -> tuple[Rows, Rows]:
    """Return row numbers of the owner's root set, drawn at random, and of all others.

    Where rows are of units (people), whole units are drawn until there are `root_rows`. Root rows are nobody else's, so
    that a reference update is no trainer's own. Raises ConfigError when nobody else would have any.
    """
    count = len(split.train)
    if not 0 <= root_rows < count:
        raise ConfigError(f"{root_rows} root rows of {count}; leave some for the parties")
    if split.origin is None:
        order = partitions.shuffled(count, seed=seed)
        return order[:root_rows], order[root_rows:]
    units, owner = np.unique(split.origin.unit, return_inverse=True)
    order = partitions.shuffled(len(units), seed=seed)
    sizes = np.cumsum(np.bincount(owner)[order])
    drawn = np.isin(owner, order[: int(np.searchsorted(sizes, root_rows)) + 1] if root_rows else order[:0])
    if drawn.all():
        raise ConfigError(f"{root_rows} root rows of {count} are everybody; leave some for the parties")
    return np.flatnonzero(drawn), np.flatnonzero(~drawn)


def federate(
    split: Split, *, model: str, parties: int, partition: str = "iid", root_rows: int = 0, seed: int = 0,
    metric: Callable[[], Metric] = Accuracy,
) -> Federation:  # fmt: skip
    """Set `root_rows` aside for the owner, deal the rest to the parties; all validate on the test rows."""
    root, rest = set_aside(split, root_rows, seed=seed)
    factory = partial(build_model, model)
    origin = split.origin and Origin(split.origin.part[rest], split.origin.unit[rest])
    hands = deal(split.train.take(rest), parties, partition=partition, seed=seed + 1, origin=origin)
    return Federation(
        model_name=model,
        factory=factory,
        parties=tuple(DataTask(factory, hand, split.test, metric) for hand in hands),
        root=split.train.take(root),
        test=split.test,
        metric=metric,
    )


def federate_public(
    data: PublicData, *, parties: int, model: str = "", partition: str = "", seed: int = 0, folder: Path | None = None
) -> Federation:
    """Load a public data set and deal it as its table says, or by another model or partition.

    Raises ConfigError, DocumentInvalid.
    """
    if model in MODELS and not model.startswith(f"{data.name}-"):
        raise ConfigError(f"model {model!r} is not for {data.name}, whose usual one is {data.model}")
    return federate(
        data.load(seed, folder),
        model=model or data.model,
        parties=parties,
        partition=partition or data.partition,
        root_rows=data.root_rows,
        seed=seed,
        metric=data.metric,
    )
