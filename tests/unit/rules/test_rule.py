"""Whole rounds of today's rule: the program decides what its formulas decide, reckoned slowly and apart from it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest

from fl_platform.protocol.operations import Op
from fl_platform.protocol.program import Program
from fl_platform.protocol.tape import Tape
from fl_platform.rules.anchored import SCORE_BITS
from fl_platform.rules.compose import Rule, compose
from fl_platform.rules.verdicts import Verdict
from tests.support.rule_rounds import SHAPES, Federation, past_after
from tests.support.slow_rule import Slow

RULES = {"mean": Rule(), "multi-krum": Rule(selection="multi-krum")}


@cache
def program(name: str) -> Program:
    """Return a composition by name."""
    return compose(RULES[name])


def rounds(name: str, seed: int, count: int = 4) -> Iterator[tuple[Tape, Slow]]:
    """Yield random rounds with their slow twins."""
    dice = random.Random(seed)
    bits, spread = dice.choice(((4, 16), (8, 32), (8, 32), (16, 256)))
    words = {
        "bits": bits,
        "spread": spread,
        "stochastic": dice.randrange(2),
        "alpha_num": dice.choice((0, 1, 3)),
        "alpha_den": dice.choice((1, 2)),
    }
    task = Federation(dice, trainers=dice.choice((3, 9, 12)), words=words)
    previous: Tape | None = None
    for _ in range(count):
        entries = task.entries(dice.choice(SHAPES), past_after(previous) if previous else [])
        previous = task.played(program(name), entries, previous)
        yield previous, Slow(task, entries, previous, multi_krum=name == "multi-krum")


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("seed", range(12))
def test_it_decides_what_the_formulas_decide(name: str, seed: int) -> None:
    for tape, slow in rounds(name, seed):
        assert list(tape.broken()) == []
        scores = slow.scores()
        if slow.edges:  # a threshold is met to within rounding: both answers are right
            continue
        assert tape.named("verdict").tolist() == slow.verdicts
        assert tape.named("passed").tolist() == slow.passed
        assert tape.named("weight").tolist() == slow.weights
        assert int(tape.named("divisor")) == sum(slow.full)
        moved = slow.exponents(tape.named("moved").tolist())
        assert tape.named("exponent").tolist() == [a + b for a, b in zip(slow.task.first, moved, strict=True)]
        np.testing.assert_allclose(tape.named("score").astype(float) / 2**SCORE_BITS, scores, atol=5e-6)


def test_few_rounds_meet_a_threshold_to_within_rounding() -> None:
    edges = [bool(slow.scores() and slow.edges) for seed in range(20) for _, slow in rounds("mean", seed)]
    assert sum(edges) <= len(edges) // 20


def test_each_verdict_is_drawn() -> None:
    """Beside the fixed set of verdicts: near-duplicates, clipped weights, several directions, dependent ones."""
    seen: Counter[Verdict] = Counter()
    things: set[str] = set()
    for name in RULES:
        for seed in range(30):
            for tape, slow in rounds(name, seed):
                seen.update(Verdict(int(v)) for v in tape.named("verdict"))
                shares = any(len(slow.near(i)) > 1 for i, p in enumerate(slow.passed) if p)
                known = sum(bool(root) for root in tape.named("past"))
                things |= {"shared"} if shares else set()
                things |= {"clipped"} if tape.named("clipped").any() else set()
                things |= {f"{known} known, {len(slow.basis())} independent"}
                things |= {"steps moved"} if tape.named("moved").any() else set()
    assert set(seen) == set(Verdict)
    assert {"shared", "clipped", "steps moved", "0 known, 0 independent", "3 known, 3 independent"} <= things


@pytest.mark.parametrize("name", RULES)
def test_cells_keep_to_their_bounds(name: str) -> None:
    for seed in range(6):
        for tape, _ in rounds(name, seed):
            for column, cells in zip(tape.program.columns, tape.columns, strict=True):
                if cells.size and column.op is not Op.PREV and not column.kind:
                    assert column.bounds[0] <= cells.min() <= cells.max() <= column.bounds[1], column


def test_the_sum_is_that_of_rows_times_weights() -> None:
    for tape, slow in rounds("mean", 3):
        total = sum(
            w * slow.task.rows.rows[one.content] for w, one in zip(tape.named("weight"), slow.entries, strict=True) if w
        )
        found = slow.task.rows.rows[int(tape.named("sums"))]
        assert np.array_equal(found, total if len(np.shape(total)) else np.zeros_like(found))
        assert int(tape.named("weight").sum()) <= int(tape.named("divisor")) <= 2**16
