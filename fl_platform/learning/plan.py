"""How a party trains, in floats, and the one place where a person's floats become the integers of a `TrainingRule`.

Imports no torch: who opens or shows a task reads plans, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, isfinite, pi

from fl_platform.errors import ConfigError
from fl_platform.protocol.spec import TrainingRule

PPM = 1_000_000
FEDAVG = "fedavg"


@dataclass(frozen=True)
class TrainPlan:
    """What everybody does with its own rows in one round."""

    epochs: int
    batch_size: int  # rows
    learning_rate: float
    momentum: float = 0.0  # of sgd
    weight_decay: float = 0.0
    optimizer: str = "sgd"  # or "adam", "adamw"
    schedule: str = "constant"  # of the learning rate over the task's rounds; or "linear", "cosine"
    clip_norm: float = 0.0  # longest gradient, L2; 0: as it comes
    max_steps: int = 0  # at most so many steps a round; 0: whole epochs
    precision: str = "float32"  # or "bf16"
    algorithm: str = FEDAVG
    parameters: tuple[tuple[str, int], ...] = ()  # the algorithm's own, by name, ascending

    @classmethod
    def of(cls, rule: TrainingRule) -> TrainPlan:
        """Read a task's frozen rule."""
        return cls(
            epochs=rule.epochs,
            batch_size=rule.batch_size,
            learning_rate=rule.learning_rate_ppm / PPM,
            momentum=rule.momentum_ppm / PPM,
            weight_decay=rule.weight_decay_ppm / PPM,
            optimizer=rule.optimizer,
            schedule=rule.schedule,
            clip_norm=rule.clip_norm_ppm / PPM,
            max_steps=rule.max_steps,
            precision=rule.precision,
            algorithm=rule.algorithm,
            parameters=rule.parameters,
        )

    def rule_nearest(self) -> TrainingRule:
        """Return the plan in integers, each number rounded to the nearest millionth. Raises ConfigError."""
        return TrainingRule(
            algorithm=self.algorithm,
            parameters=self.parameters,
            optimizer=self.optimizer,
            epochs=self.epochs,
            max_steps=self.max_steps,
            batch_size=self.batch_size,
            learning_rate_ppm=_ppm_nearest("learning rate", self.learning_rate),
            schedule=self.schedule,
            momentum_ppm=_ppm_nearest("momentum", self.momentum),
            weight_decay_ppm=_ppm_nearest("weight decay", self.weight_decay),
            clip_norm_ppm=_ppm_nearest("gradient clip", self.clip_norm),
            precision=self.precision,
        )

    def rate(self, round_number: int, rounds: int) -> float:
        """Return the learning rate of a round (from 0) of a task of so many; it is the same for all steps of a round.

        linear: r (1 - t), cosine: r (1 + cos pi t) / 2, with t = round / rounds, so that the last round still learns.
        """
        done = round_number / max(1, rounds)
        share = {"constant": 1.0, "linear": 1.0 - done, "cosine": (1.0 + cos(pi * done)) / 2}[self.schedule]
        return self.learning_rate * share


def _ppm_nearest(name: str, value: float) -> int:
    if not isfinite(value):
        raise ConfigError(f"{name} {value:g} is no number; give one")
    whole = round(value * PPM)
    if value and not whole:
        raise ConfigError(f"{name} {value:g} is under a millionth, the least that rules can say; make it larger")
    return whole
