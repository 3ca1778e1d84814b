"""Standard federations: a public data set dealt to parties, one task each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import nn

from fl_platform.errors import ConfigError
from fl_platform.learning import partitions
from fl_platform.learning.datasets import Labelled, Split, load_digits_split, load_mnist_split
from fl_platform.learning.models import build_model
from fl_platform.learning.task import DataTask

DEFAULT_MODEL = {"digits": "digits-mlp", "mnist": "mnist-cnn"}


@dataclass(frozen=True)
class Federation:
    """One task per party, the owner's small root set and the test rows nobody learns from."""

    model_name: str
    factory: Callable[[], nn.Module]
    parties: tuple[DataTask, ...]
    root: Labelled  # the owner's rows: row 0 of the Gram matrix and the initial scale come from them
    test: Labelled


def load_split(data: str, *, folder: Path | None = None, seed: int = 0) -> Split:
    """Load "digits" or "mnist". Raises ConfigError."""
    if data == "digits":
        return load_digits_split(seed)
    if data == "mnist":
        return load_mnist_split(folder)
    raise ConfigError(f"data set {data!r} is unknown; use digits or mnist")


def deal(labelled: Labelled, parties: int, *, partition: str, seed: int) -> list[Labelled]:
    """Deal rows to parties by "iid", "2-shard" or "dirichlet:ALPHA". Raises ConfigError."""
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
    else:
        raise ConfigError(f"partition {partition!r} is unknown; use iid, 2-shard or dirichlet:ALPHA")
    return [labelled.take(part) for part in rows]


def federate(
    split: Split, *, model: str, parties: int, partition: str = "iid", root_rows: int = 0, seed: int = 0
) -> Federation:
    """Take `root_rows` random rows for the owner, deal the rest to the parties; all validate on the test rows.

    Root rows are nobody else's, so that a reference update is no trainer's own.
    """
    if not 0 <= root_rows < len(split.train):
        raise ConfigError(f"{root_rows} root rows of {len(split.train)}; leave some for the parties")
    order = partitions.shuffled(len(split.train), seed=seed)
    factory = partial(build_model, model)
    hands = deal(split.train.take(order[root_rows:]), parties, partition=partition, seed=seed + 1)
    return Federation(
        model_name=model,
        factory=factory,
        parties=tuple(DataTask(factory, hand, split.test) for hand in hands),
        root=split.train.take(order[:root_rows]),
        test=split.test,
    )
