"""The public data sets, in one table that the command line, the demo, the trainers' lessons and their errors read.

Imports neither numpy nor torch: whoever prints help or reads a task needs the names alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fl_platform.errors import ConfigError
from fl_platform.learning.plan import TrainPlan

if TYPE_CHECKING:
    from fl_platform.learning.datasets import Split
    from fl_platform.learning.metrics import Metric

TRAINERS = 8  # unless somebody says otherwise, or the data come in parts
NATURAL = "natural"
PARTITIONS = f"iid, 2-shard, dirichlet:ALPHA, or {NATURAL} where the data come in parts"


@dataclass(frozen=True)
class PublicData:
    """A data set that anybody can load, and what suits it. Names of its models begin with its own and a dash."""

    name: str
    load: Callable[[int, Path | None], Split]  # seed of the held-out rows; folder of the files, for who needs one
    model: str  # its usual one
    plan: TrainPlan
    root_rows: int  # rows, at least, that a task owner keeps for its reference update
    metric: Callable[[], Metric]  # makes a fresh one
    classes: int
    rows: str  # what a test row is, in the plural
    parts: tuple[str, ...] = ()  # the parties that held the rows, where the data come in parts

    @property
    def trainers(self) -> int:
        """How many train on it unless somebody says otherwise."""
        return len(self.parts) or TRAINERS

    @property
    def partition(self) -> str:
        """How it is dealt unless somebody says otherwise."""
        return NATURAL if self.parts else "iid"


def public_data(name: str) -> PublicData:
    """Return a data set by name. Raises ConfigError."""
    if name not in PUBLIC:
        raise ConfigError(f"data set {name!r} is unknown; use {' or '.join(PUBLIC)}")
    return PUBLIC[name]


def _digits(seed: int, folder: Path | None) -> Split:
    from fl_platform.learning.datasets import load_digits_split

    return load_digits_split(seed)


def _mnist(seed: int, folder: Path | None) -> Split:
    from fl_platform.learning.datasets import load_mnist_split

    return load_mnist_split(folder)


def _randhie(seed: int, folder: Path | None) -> Split:
    from fl_platform.learning.randhie import load_randhie_split

    return load_randhie_split(seed)


def _accuracy() -> Metric:
    from fl_platform.learning.metrics import Accuracy

    return Accuracy()


def _area() -> Metric:
    from fl_platform.learning.metrics import AreaUnderCurve

    return AreaUnderCurve()


# Plans of digits and mnist: benchmark `worth`; of randhie: benchmark `randhie`.
PUBLIC = {
    data.name: data
    for data in (
        PublicData("digits", _digits, "digits-mlp", TrainPlan(10, 16, 0.2), 150, _accuracy, 10, "images"),
        PublicData("mnist", _mnist, "mnist-cnn", TrainPlan(1, 32, 0.05), 1_000, _accuracy, 10, "images"),
        PublicData(
            "randhie", _randhie, "randhie-logistic", TrainPlan(1, 64, 0.1), 3_200, _area, 2, "person-years",
            tuple(f"site {number}" for number in range(1, 7)),
        ),
    )
}  # fmt: skip
