"""Honest rounds of random rules: every cell again from its instruction, every product from its rows; what they cost.

A tape is evaluated by whole columns. Here each of its cells is recomputed alone, as a contract decides it, from the
bytes of its program, and each product, sum and step of rows from the integers: no cell may differ, no check may fail.
Rules, words, widths and rounds are drawn by seed. The figures of cost are of the package's compositions, rows of 512.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from fl_platform.protocol.evaluation import evaluate, recompute
from fl_platform.protocol.operations import ROWS, Op
from fl_platform.protocol.program import Column, Operand, Program
from fl_platform.protocol.rows import LARGEST_WEIGHT, STEP_POINT, SUM_BITS
from fl_platform.protocol.sources import Axis, Kind
from fl_platform.protocol.tape import Lengths, Place, Tape, place_of
from fl_platform.protocol.tree import column_root, tape_root
from fl_platform.rules.compose import Rule, compose
from fl_platform.rules.verdicts import Verdict
from scripts.bench.harness import Row, at_most, cpu_seconds, cpu_time
from tests.support.integer_rows import IntegerRows
from tests.support.random_programs import claiming
from tests.support.rule_rounds import Federation

SPREADS = {4: 16, 8: 32, 16: 256}
SIZES = ((24,), (40, 16, 8), (130, 20), (9, 9, 9, 9, 9))
COMPOSITIONS = {
    "mean, anchored": Rule(), "multi-krum, anchored": Rule(selection="multi-krum"), "mean, equal": Rule(worth="equal"),
    "mean, leave-one-out": Rule(worth="leave-one-out"), "mean, anchored, no pairs": Rule(shares=False),
}  # fmt: skip


@dataclass
class Found:
    """What was looked at, and what was wrong."""

    rounds: int = 0
    cells: int = 0
    products: int = 0
    differ: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    entries: Counter[int] = field(default_factory=Counter)


def run(args: argparse.Namespace) -> Iterator[Row]:
    """Play and recompute, then time; --quick plays 12 tasks of up to 4 rounds instead of 150."""
    found = Found()
    seconds = cpu_seconds(lambda: _tasks(12 if args.quick else 150, found))
    yield Row("rounds of random rules", found.rounds, "rounds")
    yield at_most("cells that their instruction gives otherwise", len(found.differ), 0, unit="cells")
    yield at_most("checks that fail", len(found.broken), 0, unit="cells")
    yield Row("cells recomputed one by one", found.cells, "cells")
    yield Row("of these products, sums and steps of rows, from the integers", found.products, "cells")
    yield Row("drawing, evaluating and recomputing a cell", round(seconds / max(1, found.cells) * 1e6, 2), "CPU-us")
    for verdict in Verdict:
        yield Row(f"entries judged {verdict.name.lower().replace('_', ' ')}", found.verdicts[verdict], "entries")
    yield Row("rounds with fewer than three entries", sum(found.entries[k] for k in range(3)), "rounds")
    for line in (*found.differ[:5], *found.broken[:5]):
        print(line)
    for name, rule in COMPOSITIONS.items():
        yield from _cost(name, compose(rule), (8, 64) if args.quick else (8, 64, 256))


# --- every cell once more ---------------------------------------------------------------------------------------------


def random_rule(dice: random.Random) -> Rule:
    """Return some composition of the package's parts."""
    directions = dice.choice((0, 1, 2, 4, 4, 7))
    names = [
        name for name in ("length", "replay", "direction") if dice.random() < 0.8 and (directions or name[0] != "r")
    ]
    return Rule(
        screens=tuple(names), selection=dice.choice(("mean", "multi-krum")), directions=directions,
        worth=dice.choice(("anchored", "anchored", "equal", "leave-one-out")), shares=dice.random() < 0.8,
    )  # fmt: skip


def random_task(dice: random.Random, directions: int) -> Federation:
    """Return a task with random trainers, widths and words."""
    bits, sizes = dice.choice((4, 8, 16)), dice.choice(SIZES)
    words = {
        "bits": bits, "spread": SPREADS[bits], "stochastic": dice.randrange(2), "byzantine": dice.randrange(3),
        "stake_cap_bps": dice.choice((1, 2_000, 5_000, 10_000)), "clip_bps": dice.choice((5_000, 15_000)),
        "floor_bps": dice.choice((0, 1_000, 5_000)), "reject_bps": dice.choice((20_000, 200_000)),
        "duplicate_bps": dice.choice((0, 9_800, 10_000)), "reference_bps": dice.choice((0, 3_000, 10_000)),
        "alpha_num": dice.randrange(4), "alpha_den": dice.randrange(1, 4), "fee_bps": dice.choice((0, 300, 10_000)),
        "base_bps": dice.choice((0, 1_000, 10_000)), "memory": dice.choice((1, 8)),
    }  # fmt: skip
    return Federation(
        dice, trainers=dice.randint(1, 13), directions=directions, sizes=sizes,
        counting=dice.randint(1, len(sizes)), words=words,
    )  # fmt: skip


def _tasks(count: int, found: Found) -> None:
    for seed in range(count):
        _task(seed, found)


def _task(seed: int, found: Found) -> None:
    dice = random.Random(seed)
    rule = random_rule(dice)
    program = Program.from_bytes(compose(rule).to_bytes())
    task = random_task(dice, dice.choice((rule.directions, rule.directions + 1, max(0, rule.directions - 1))))
    for number, tape in enumerate(task.play(program, dice.randint(1, 4))):
        found.rounds += 1
        found.entries[tape.lengths.entries] += 1
        found.verdicts.update(Verdict(int(verdict)) for verdict in tape.named("verdict"))
        where = f"seed {seed} round {number}"
        found.broken += [f"{where}: {program.columns[column].name} {place}" for column, place in tape.broken()]
        _recompute(tape, task.rows, where, found)


def _recompute(tape: Tape, rows: IntegerRows, where: str, found: Found) -> None:
    for number, column in enumerate(tape.program.columns):
        for place in itertools.product(*map(range, tape.columns[number].shape)):
            found.cells += 1
            if column.op in ROWS:
                found.products += 1
                right = of_rows(tape, column, place, rows)
            else:
                right = recompute(tape, number, place)
            if right != tape.cell(number, place):
                found.differ.append(f"{where}: {column.name} {place} is {tape.cell(number, place)}, not {right}")


def of_rows(tape: Tape, column: Column, place: Place, rows: IntegerRows) -> int:
    """Return what a product, sum or step of rows is, from the integers, in Python's."""
    if column.op is Op.STEP:
        return _stepped(tape, column, place, rows)
    if column.op is Op.COMBINE:
        total = [0] * sum(rows.sizes)
        for entry in range(tape.lengths.of(column.operands[0].axes[-1])):
            root, weight = (_cell(tape, column, operand, (*place, entry)) for operand in column.operands)
            if root:
                total = [t + weight * int(q) for t, q in zip(total, rows.rows[root], strict=True)]
        return rows.add(np.array(total), bits=SUM_BITS)
    left, right = (_cell(tape, column, operand, place) for operand in column.operands[:2])
    if not left or not right:
        return 0
    by_block = Axis.BLOCK in column.axes
    blocks = [place[column.axes.index(Axis.BLOCK)]] if by_block else range(rows.counting)
    found = 0
    for block in blocks:
        at = rows.place(block)
        product = sum(int(a) * int(b) for a, b in zip(rows.rows[left][at], rows.rows[right][at], strict=True))
        shifted = column.op is Op.DOT_SHIFTED
        found += product << (_cell(tape, column, column.operands[2], (*place, block)) if shifted else 0)
    return found


def _stepped(tape: Tape, column: Column, place: Place, rows: IntegerRows) -> int:
    """Each w' = w + floor(f s / 2^40 + 1/2), in the exact fractions of `rules/model.py`."""
    model, sums = (_cell(tape, column, operand, place) for operand in column.operands[:2])
    if not model or not sums:
        return 0
    moved: list[int] = []
    for block in range(len(rows.sizes)):
        packed = _cell(tape, column, column.operands[2], (*place, block))
        factor, least = Fraction(packed >> 1, 2**STEP_POINT), 0 if packed & 1 else -LARGEST_WEIGHT
        at = rows.place(block)
        for weight, total in zip(rows.rows[model][at], rows.rows[sums][at], strict=True):
            to = int(weight) + math.floor(factor * int(total) + Fraction(1, 2))
            moved.append(min(max(to, least), LARGEST_WEIGHT))
    return rows.add(np.array(moved), bits=SUM_BITS)


def _cell(tape: Tape, column: Column, operand: Operand, place: Place) -> int:
    at = place_of(operand, column, place, operand.axes, tape.lengths)
    return 0 if at is None else tape.cell(operand.column, at)


# --- what it costs ----------------------------------------------------------------------------------------------------


def _cost(name: str, program: Program, sizes: tuple[int, ...]) -> Iterator[Row]:
    numbers = [column.bounds for column in program.columns if column.kind is Kind.NUMBER]
    yield Row(f"{name}: columns", len(program.columns), "columns")
    yield Row(f"{name}: of pairs", sum(Axis.OTHER in column.axes for column in program.columns), "columns")
    yield Row(f"{name}: hints", sum(column.op in (Op.LEAST, Op.INVERSE) for column in program.columns), "columns")
    yield Row(f"{name}: program", len(program.to_bytes()), "bytes")
    yield Row(f"{name}: widest cell that bounds allow", max(max(-a, b).bit_length() for a, b in numbers), "bits")
    for n in sizes:
        task = Federation(random.Random(n), trainers=n, sizes=(400, 112), counting=2)
        first = task.played(program, task.crowd(n))
        lengths, given = task.given(task.crowd(n), first)
        ready = claiming(program, lengths, given, task.dice)
        tape = evaluate(program, lengths, ready)
        repeats = 1 if n > 64 else 3
        yield Row(f"{name}, n={n}: cells", _cells(program, lengths), "cells")
        evaluated = cpu_time(lambda p=program, at=lengths, g=ready: evaluate(p, at, g), repeats=repeats)  # type: ignore[misc]
        rooted = cpu_time(lambda t=tape: _root(t), repeats=repeats)  # type: ignore[misc]
        yield Row(f"{name}, n={n}: evaluate", round(evaluated, 3), "CPU-s")
        yield Row(f"{name}, n={n}: root of the tape", round(rooted, 3), "CPU-s")


def _cells(program: Program, lengths: Lengths) -> int:
    return sum(int(np.prod(lengths.shape(column.axes))) for column in program.columns)


def _root(tape: Tape) -> bytes:
    """The tape's root, which a tape itself reckons once only."""
    return tape_root([column_root(number, cells) for number, cells in enumerate(tape.columns)])
