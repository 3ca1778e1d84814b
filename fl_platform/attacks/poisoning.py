"""Attackers that want a worse model.

Tests: tests/unit/attacks/test_attacks.py
"""

from __future__ import annotations

from statistics import NormalDist
from typing import ClassVar

import numpy as np

from fl_platform.attacks.base import Attack, Delta, Labels, View, combine, noise_like


class LabelFlip(Attack):
    """Learns y -> classes - 1 - y (Fung 2018 and others); expected: no pay by score (A09)."""

    name: ClassVar[str] = "label-flip"
    attacker: ClassVar[str] = "a trainer that teaches wrong labels"
    expected: ClassVar[str] = "no pay by score: its update goes against the reference"

    def poison(self, labels: Labels, *, classes: int) -> Labels:
        return (classes - 1) - labels


class SignFlip(Attack):
    """Sends minus its honest delta; expected: score 0, its weight bounded by its stake (A10)."""

    name: ClassVar[str] = "sign-flip"
    attacker: ClassVar[str] = "a trainer that climbs the loss"
    expected: ClassVar[str] = "no pay by score: its update goes against the reference"

    def forge(self, view: View) -> Delta:
        return combine([(-1.0, view.honest)])


class Scale(Attack):
    """Sends `factor` times its honest delta; expected: clipped, pay changes by at most 1 % (A10)."""

    name: ClassVar[str] = "scale"
    attacker: ClassVar[str] = "a trainer that shouts"
    expected: ClassVar[str] = "the pay of an honest trainer, clipped in the sum"

    def __init__(self, factor: float = 5.0) -> None:
        self.factor = factor

    def forge(self, view: View) -> Delta:
        return combine([(self.factor, view.honest)])


class Noise(Attack):
    """Sends Gaussian noise as long as an honest delta; expected: score 0."""

    name: ClassVar[str] = "noise"
    attacker: ClassVar[str] = "a trainer that makes up its update"
    expected: ClassVar[str] = "no pay by score: noise does not go the reference's way"

    def forge(self, view: View) -> Delta:
        return noise_like(view.honest, view.rng)


class InnerProduct(Attack):
    """Sends -epsilon times the honest mean (Xie 2019, "Fall of Empires"); expected: score 0, the aggregate keeps a
    positive inner product with the honest mean while the hostile hold less than 1 / (1 + epsilon) of the stake (A13).
    """

    name: ClassVar[str] = "ipm"
    attacker: ClassVar[str] = "trainers that know the others' updates"
    expected: ClassVar[str] = "no pay by score: its update goes against the reference"

    def __init__(self, epsilon: float = 0.5) -> None:
        self.epsilon = epsilon

    def forge(self, view: View) -> Delta:
        honest = view.others or (view.honest,)
        return combine([(-self.epsilon / len(honest), delta) for delta in honest])


class LittleIsEnough(Attack):
    """Sends mean - z * deviation of the honest updates, z just inside the crowd (Baruch 2019, "ALIE"); expected: a
    degradation below the stated limit, and all its copies share one score (A12).
    """

    name: ClassVar[str] = "alie"
    attacker: ClassVar[str] = "trainers that know the others' updates and hide in their spread"
    expected: ClassVar[str] = "one share for all copies together"

    def forge(self, view: View) -> Delta:
        honest = view.others or (view.honest,)
        z = alie_factor(len(honest) + view.hostile, view.hostile)
        forged = {}
        for name in honest[0]:
            stacked = np.stack([delta[name] for delta in honest]).astype(np.float64)
            forged[name] = (stacked.mean(axis=0) - z * stacked.std(axis=0)).astype(np.float32)
        return forged


def alie_factor(n: int, hostile: int) -> float:
    """Return z_max of Baruch 2019: how far from the mean the supporters needed for a majority still stand."""
    supporters = n // 2 + 1 - hostile
    share = (n - hostile - supporters) / max(1, n - hostile)
    return NormalDist().inv_cdf(min(max(share, 1e-3), 1 - 1e-3))
