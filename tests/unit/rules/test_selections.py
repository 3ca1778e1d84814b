"""Multi-Krum by thresholds: exact sums of the nearest, ties by order, and what it does when too few are left."""

from __future__ import annotations

import random

import numpy as np
import pytest

from fl_platform.protocol.tape import Tape
from fl_platform.rules.compose import Rule, compose
from fl_platform.rules.verdicts import Verdict
from tests.support.rule_rounds import FIRST_TRAINER, PARENT, Entry, Federation

KRUM = compose(Rule(screens=(), selection="multi-krum", worth="equal", directions=0))


def played(rows: list[list[int]], byzantine: int, refused: tuple[int, ...] = ()) -> Tape:
    """Return a round of these updates."""
    task = Federation(random.Random(0), trainers=max(1, len(rows)), sizes=(3,), counting=1, directions=0,
                      words={"byzantine": byzantine})  # fmt: skip
    entries = [
        Entry(FIRST_TRAINER + i, 10**18, task.rows.add(np.array(row)), PARENT + (i in refused))
        for i, row in enumerate(rows)
    ]
    return task.played(KRUM, entries)


def nearest(rows: list[list[int]], i: int, count: int) -> int:
    others = sorted(
        sum((a - b) ** 2 for a, b in zip(rows[i], row, strict=True)) for j, row in enumerate(rows) if j != i
    )
    return sum(others[:count])


@pytest.mark.parametrize("seed", range(30))
def test_scores_are_sums_of_the_nearest_and_the_least_are_selected(seed: int) -> None:
    dice = random.Random(seed)
    byzantine = dice.randrange(3)
    high = dice.choice((0, 1, 100))  # many equal distances, or few
    rows = [[dice.randint(-high, high) for _ in range(3)] for _ in range(2 * byzantine + 3 + dice.randrange(4))]
    tape = played(rows, byzantine)
    scores = [nearest(rows, i, len(rows) - byzantine - 2) for i in range(len(rows))]
    kept = sorted(range(len(rows)), key=lambda i: (scores[i], i))[: len(rows) - byzantine]
    assert tape.named("distance").tolist() == scores
    assert [i for i, verdict in enumerate(tape.named("verdict")) if verdict == Verdict.ADMITTED] == sorted(kept)
    assert list(tape.broken()) == []


@pytest.mark.parametrize(("count", "byzantine", "refused", "verdict"), [
    (5, 1, (), Verdict.ADMITTED), (4, 1, (), Verdict.TOO_FEW), (4, 1, (3,), Verdict.ADMITTED),
    (7, 2, (0, 1, 2), Verdict.ADMITTED), (6, 2, (0,), Verdict.ADMITTED), (5, 2, (0,), Verdict.TOO_FEW),
    (1, 0, (), Verdict.ADMITTED), (1, 3, (), Verdict.TOO_FEW), (3, 9, (0, 1), Verdict.TOO_FEW),
])  # fmt: skip
def test_too_few_for_the_promise_means_nobody(
    count: int, byzantine: int, refused: tuple[int, ...], verdict: Verdict
) -> None:
    """What was refused counts against f; the round can be sealed all the same, and nobody's reputation moves."""
    rows = [[i, 2 * i, 1] for i in range(count)]
    tape = played(rows, byzantine, refused)
    left = [i for i in range(count) if i not in refused]
    found = {Verdict(int(tape.named("verdict")[i])) for i in left}
    assert verdict in found
    assert found <= {verdict, Verdict.NOT_SELECTED}
    assert list(tape.broken()) == []
    if verdict is Verdict.TOO_FEW:
        assert not tape.named("passed").any()
        assert int(tape.named("divisor")) == 0
        assert not tape.named("new_reputation").any()
        assert int(tape.named("earned").sum()) == int(tape.named("pot"))
        assert len(set(tape.named("base")[FIRST_TRAINER:].tolist())) == 1, "by stake of all on the roster"


def test_nobody_at_all_can_be_sealed() -> None:
    tape = played([], 2)
    assert list(tape.broken()) == []
    assert int(tape.named("divisor")) == 0
