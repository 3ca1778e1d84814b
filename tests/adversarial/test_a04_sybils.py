"""A04: one person as several identities earns what one identity with the same stake earns, or less."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fl_platform.attacks import Attack, View, parse_attacks
from fl_platform.attacks.base import Delta
from tests.support.federations import play_task
from tests.support.rounds import STAKE


class Honest(Attack):
    """Works once, and sends that under every identity it has."""

    def __init__(self) -> None:
        self.sent: dict[int, Delta] = {}

    def forge(self, view: View) -> Delta:
        return self.sent.setdefault(view.round, view.honest)


def clones(count: int) -> Sequence[Attack]:
    return [Honest()] * count


def test_four_sybils_with_one_made_up_vector_earn_nothing_together() -> None:
    task = play_task(4, parse_attacks(["sybil-clones=4"]), rounds=3)
    assert sum(task.hostile_pay()) == 0


def test_splitting_a_stake_over_honest_clones_never_pays() -> None:
    """The same data set dealt to as many people; the last four are one person, with a whole stake or four quarters."""
    whole = play_task(4, clones(4), rounds=3, stakes=[STAKE] * 4 + [STAKE, 1, 1, 1])
    split = play_task(4, clones(4), rounds=3, stakes=[STAKE] * 4 + [STAKE // 4] * 4)
    assert 0 < sum(split.hostile_pay()) <= sum(whole.hostile_pay())
    assert sum(split.hostile_pay()) * 2 < sum(whole.hostile_pay())  # it is even dear: one score at one quarter's weight


def test_weight_in_the_sum_is_bought_by_stake_alone() -> None:
    split = play_task(4, clones(4), rounds=1, stakes=[STAKE] * 4 + [STAKE // 4] * 4)
    weights = [v.weight for v in split.judged[0].verdicts if v.code == "admitted"]
    assert sum(sorted(weights)[:4]) <= max(weights) + 4
    assert np.isclose(sum(weights), 65_536, atol=8)
