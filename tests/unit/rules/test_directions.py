"""Cosines with the span of earlier sums: what least squares on the vectors say, for any number of them."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from fl_platform.protocol.evaluation import evaluate
from fl_platform.protocol.program import Program
from fl_platform.protocol.rows import SUM_BITS
from fl_platform.protocol.tape import Tape
from fl_platform.rules.compose import Rule, compose
from fl_platform.rules.cosines import ONE
from fl_platform.rules.directions import LEAST
from tests.support.rule_rounds import FIRST_TRAINER, Entry, Federation, past_after
from tests.support.slow_rule import Slow


def holding(program: Program, task: Federation, past: list[int], moved: list[int], before: list[list[int]]) -> Tape:
    """Return a round of three honest entries into which these sums and exponents (by block and sum) were carried."""
    entries = [Entry(FIRST_TRAINER + i, 10**18, task.row(1, 1)) for i in range(3)]
    lengths, given = task.given(entries, None)
    columns: list[npt.NDArray[np.object_]] = [np.zeros((), object)] * len(program.columns)
    for column in program.columns:
        if column.name in ("past", "past_moved", "moved"):
            cells = {"past": past, "past_moved": before, "moved": moved}[column.name]
            columns[column.operands[0].column] = np.array(cells, dtype=object)
        elif column.operands and column.op.name == "PREV":
            columns[column.operands[0].column] = np.zeros(lengths.shape(column.axes), object)
    return evaluate(program, lengths, replace(given, previous=columns))


def inside(tape: Tape, count: int) -> npt.NDArray[np.float64]:
    """Return by entry which part of it lies in the span."""
    parts = [(tape.named(f"component{k}").astype(float) / ONE) ** 2 for k in range(count)]
    return np.asarray(sum(parts))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("count", [1, 4, 16])
def test_components_are_those_of_an_orthonormal_basis(count: int, seed: int) -> None:
    """With zero rows, missing rows, equal rows, combinations of others, and exponents that moved since."""
    dice = random.Random(seed)
    program = compose(Rule(directions=count))
    task = Federation(dice, directions=count, words={"stochastic": 0})
    sums: list[int] = []
    for _ in range(dice.randint(0, count)):
        known = [task.rows.rows[root] for root in sums if root]
        fresh = task.rows.rows[task.row(1, 2)] * 9_000
        kind = dice.choice(("new", "new", "zero", "none", "mix"))
        mixed = sum((dice.randint(-3, 3) * row for row in known), np.zeros_like(fresh))
        row = {"zero": 0 * fresh, "mix": mixed}.get(kind, fresh)
        sums.append(0 if kind == "none" else task.rows.add(row, bits=SUM_BITS))
    sums += [0] * (count - len(sums))
    moved = [dice.randint(-3, 3) for _ in task.sizes]
    before = [[at if dice.random() < 0.5 else at + dice.randint(-1, 1) for _ in sums] for at in moved]
    tape = holding(program, task, sums, moved, before)
    slow = Slow(task, [Entry(int(s), 1, int(c)) for s, c in zip(*seats_and_rows(tape), strict=True)], tape)
    basis = slow.basis()
    wanted = [float(((basis @ u) ** 2).sum()) / (u @ u) for u in slow.vectors]
    np.testing.assert_allclose(inside(tape, count), wanted, atol=2e-5)
    assert list(tape.broken()) == []


def seats_and_rows(tape: Tape) -> tuple[list[int], list[int]]:
    return tape.named("seat_of").tolist(), tape.named("row").tolist()


@pytest.mark.parametrize("angle", [0.002, 0.02, 0.3])
def test_a_direction_that_adds_next_to_nothing_is_left_out(angle: float) -> None:
    """Nearer than the threshold it would be rounding that decides; from there on what is new of it counts in full."""
    dice = random.Random(1)
    task = Federation(dice, sizes=(400,), counting=1, directions=2, words={"stochastic": 0})
    first, other = (task.rows.rows[task.row(1, 1)] * 40_000 for _ in range(2))
    other = other - np.rint(first * (other @ first) / (first @ first)).astype(np.int64)
    near = np.rint(first + angle * other * (first @ first) ** 0.5 / (other @ other) ** 0.5)
    program = compose(Rule(directions=2))
    tape = holding(program, task, [task.rows.add(row, bits=SUM_BITS) for row in (first, near)], [0], [[0, 0]])
    added = tape.named("component1").any()
    assert added == (angle**2 >= LEAST / ONE)
    u = task.rows.rows[int(tape.named("row")[0])]
    exact = float(u @ other) / float((u @ u) * (other @ other)) ** 0.5
    assert not added or abs(tape.named("component1")[0] / ONE - exact) < 1e-3


def test_the_newest_sums_are_handed_on_and_a_round_that_sums_nothing_hands_on_the_old_ones() -> None:
    program = compose(Rule(directions=3))
    task = Federation(random.Random(4), directions=3)
    honest = [Entry(FIRST_TRAINER + i, 10**18, task.row(1, 0.5)) for i in range(3)]
    first = task.played(program, honest)
    second = task.played(program, honest[:2], first)
    third = task.played(program, [], second)
    fourth = task.played(program, honest, third)
    sums = [int(tape.named("sums")) for tape in (first, second, fourth)]
    assert past_after(first) == [sums[0], 0, 0]
    assert past_after(second) == past_after(third) == [sums[1], sums[0], 0]
    assert past_after(fourth) == sums[::-1]
    assert third.named("past").tolist() == [sums[1], sums[0], 0]
    before = fourth.named("past_moved")
    assert before[:, 0].tolist() == second.named("moved").tolist()
    assert before[:, 1].tolist() == first.named("moved").tolist()


def test_fewer_sums_may_be_kept_than_a_program_looks_at() -> None:
    """A task's word says how many; places beyond it hold nothing."""
    program = compose(Rule(directions=4))
    task = Federation(random.Random(2), directions=2)
    tapes = task.play(program, 4)
    assert [tape.named("component2").any() for tape in tapes] == [False] * 4
    assert any(tape.named("component1").any() for tape in tapes)
