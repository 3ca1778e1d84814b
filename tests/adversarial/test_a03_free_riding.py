"""A03: no work, no pay: zeros, the global model, replays, noise, hashes of nothing; and no reputation either."""

from __future__ import annotations

import pytest

from fl_platform.attacks import parse_attacks
from fl_platform.rules.carried import REPUTATION_ONE
from tests.support.federations import play_task

CASES = [
    ("free-rider", {"NoWork"}),
    ("zero", {"NoWork"}),
    ("noise", {"OffReference"}),
    ("replay-last", {"NoWork", "Replay"}),
    ("replay-scaled", {"NoWork", "Replay"}),
    ("replay-mix", {"NoWork", "Replay"}),
    ("random-hashes", {"Missing"}),
    ("nan", {"TooLong"}),
]


@pytest.mark.parametrize(("name", "codes"), CASES, ids=[name for name, _ in CASES])
def test_free_riders_are_refused_and_earn_nothing(name: str, codes: set[str]) -> None:
    task = play_task(4, parse_attacks([name]), rounds=3)
    assert set(task.codes(5)) == codes
    assert task.hostile_pay() == [0]
    assert task.reputation(5) == 0
    assert min(task.honest_pay()) > 0
    assert task.reputation(1) > REPUTATION_ONE // 4


def test_a_replay_hidden_in_noise_passes_the_screen_and_earns_nothing_by_score() -> None:
    task = play_task(4, parse_attacks(["replay-noise"]), rounds=5)
    assert "admitted" in task.codes(5)
    assert task.hostile_pay()[0] <= sum(task.honest_pay()) // 4 // 10
