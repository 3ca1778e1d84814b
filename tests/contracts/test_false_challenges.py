"""No challenge of an honest tape succeeds, well formed or not; `benchmark.py lies` sends ten thousand."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from fl_platform.rules.compose import Rule
from scripts.bench.lies import sealed_round
from tests.support.evm import Reverted
from tests.support.false_challenges import Challenger
from tests.support.integer_rows import IntegerRows
from tests.support.referee import Court


def test_no_challenge_of_an_honest_tape_succeeds() -> None:
    court = Court()
    known, honest = sealed_round(Rule(), seed=3, sizes=(120, 90, 20))
    assert isinstance(known.rows, IntegerRows)
    challenger, target = Challenger(known, honest, random.Random(3)), court.register(honest, known.rows)
    why = Counter[str]()
    for _ in range(150):
        with pytest.raises(Reverted) as error:
            court.send(target, challenger.draw())
        why["decided" if "NotRefuted" in str(error.value) else "malformed"] += 1
    assert min(why["decided"], why["malformed"]) > 20
    assert not court.fallen(target)
