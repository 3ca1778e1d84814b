"""A09: flipped labels cost little accuracy and earn less than honest work, for rules, partitions and seeds."""

from __future__ import annotations

from functools import cache

import pytest

from fl_platform.attacks import parse_attacks
from tests.support.federations import play_task

ROUNDS = 4
TOLERANCE = 0.04  # of accuracy


@cache
def clean(seed: int, partition: str) -> float:
    """Accuracy of the same six honest trainers beside two that send nothing."""
    return play_task(6, parse_attacks(["free-rider=2"]), rounds=ROUNDS, seed=seed, partition=partition).accuracy[-1]


@pytest.mark.parametrize("rule", ["mean", "multi-krum"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_accuracy_holds_and_flippers_earn_nothing(rule: str, seed: int) -> None:
    flips = play_task(6, parse_attacks(["label-flip=2"]), rounds=ROUNDS, seed=seed, selection=rule, byzantine=2)
    assert flips.accuracy[-1] >= clean(seed, "iid") - TOLERANCE
    assert flips.hostile_pay() == [0, 0]
    assert sum(flips.honest_pay()) > 0


def test_with_skewed_data_they_earn_less_than_the_honest_median() -> None:
    task = play_task(6, parse_attacks(["label-flip=2"]), rounds=ROUNDS, partition="dirichlet:0.3")
    honest = sorted(task.honest_pay())
    assert max(task.hostile_pay()) < honest[len(honest) // 2]
    # Two of eight hold rare digits that nobody else has: their refusal costs those digits, flipped or not.
    assert task.accuracy[-1] >= clean(1, "dirichlet:0.3") - 0.05
