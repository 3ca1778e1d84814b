"""Client algorithms by name: one file each, with its source and formula. A new one is a file and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fl_platform.errors import ConfigError
from fl_platform.learning.algorithms.fedavg import FedAvg
from fl_platform.learning.algorithms.fedprox import FedProx
from fl_platform.learning.algorithms.scaffold import Scaffold

if TYPE_CHECKING:
    from fl_platform.learning.algorithms.seam import Algorithm
    from fl_platform.learning.plan import TrainPlan

ALGORITHMS: Mapping[str, type[Algorithm]] = {kind.name: kind for kind in (FedAvg, FedProx, Scaffold)}


def algorithm_of(plan: TrainPlan) -> Algorithm:
    """Return the plan's algorithm, its parameters checked. Raises ConfigError."""
    if plan.algorithm not in ALGORITHMS:
        raise ConfigError(f"algorithm {plan.algorithm!r} is unknown; this release has {', '.join(ALGORITHMS)}")
    algorithm = ALGORITHMS[plan.algorithm]()
    algorithm.check(plan)
    return algorithm


def parameters_of(text: str) -> tuple[str, tuple[tuple[str, int], ...]]:
    """Read "fedprox" or "fedprox:mu_ppm=1000" into a name and all its parameters. Raises ConfigError."""
    name, _, rest = text.partition(":")
    if name not in ALGORITHMS:
        raise ConfigError(f"algorithm {name!r} is unknown; this release has {', '.join(ALGORITHMS)}")
    values = {key: default for key, (default, _, _) in ALGORITHMS[name].parameters.items()}
    for pair in rest.split(",") if rest else ():
        key, _, value = pair.partition("=")
        try:
            values[key.strip()] = int(value)
        except ValueError as error:
            raise ConfigError(f"{pair!r}: write {name}:PARAMETER=INTEGER,... as in fedprox:mu_ppm=1000") from error
    return name, tuple(sorted(values.items()))
