"""A02: an update that another hands in as well is paid once, whoever copied; nobody is named the copier.

What a standard round leaves open (SECURITY.md): a copier that gets the update before the roster takes half of its
victim's score. A strict round closes it, as keys are revealed after the roster.
"""

from __future__ import annotations

import numpy as np

from fl_platform.attacks import parse_attacks
from tests.support.federations import play_task


def test_a_copy_shares_its_victims_score_and_adds_nothing_to_the_pair() -> None:
    alone = play_task(4, parse_attacks(["free-rider"]), rounds=3)
    copied = play_task(4, parse_attacks(["mimic"]), rounds=3)
    victim, mimic = copied.earned(1), copied.earned(5)
    assert abs(victim - mimic) <= 10  # dust
    assert victim + mimic <= alone.earned(1) * 101 // 100
    others = (2, 3, 4)  # together they lose nothing; one by one their pay moves with another course of training
    assert sum(map(copied.earned, others)) >= sum(map(alone.earned, others)) * 99 // 100
    assert all(copied.earned(n) >= alone.earned(n) * 97 // 100 for n in others)
    last = copied.judged[-1]
    admitted = [i for i, verdict in enumerate(last.verdicts) if verdict.code == "admitted"]
    near = last.tape.named("near")[np.ix_(admitted, admitted)]
    assert len(np.unique(near, axis=0)) == len(admitted) - 1 == 4  # five updates, four pieces of work
