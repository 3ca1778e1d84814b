"""The settlement cell: every given number that decides what is paid is in it, and nothing else."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from fl_platform.protocol.arithmetic import Array
from fl_platform.protocol.building import Builder, Cells
from fl_platform.protocol.evaluation import evaluate, recompute
from fl_platform.protocol.held import is_given, listed, needed
from fl_platform.protocol.operations import HASHES, WIDEST, Op
from fl_platform.protocol.program import Output, Program
from fl_platform.protocol.sources import Axis, Kind, Source
from fl_platform.protocol.tape import Tape
from fl_platform.rules.compose import Rule, compose
from fl_platform.rules.settlement import is_settled, settle
from tests.support.random_programs import claimed_of
from tests.support.rule_rounds import Federation

RULES = {
    "anchored": Rule(), "multi-krum": Rule(selection="multi-krum"), "leave-one-out": Rule(worth="leave-one-out"),
    "equal": Rule(worth="equal", shares=False), "bare": Rule(screens=(), worth="equal", directions=0, shares=False),
    "two directions": Rule(directions=2),
}  # fmt: skip
PROGRAMS = {name: compose(rule) for name, rule in RULES.items()}
HELD = (Output.EARNED, Output.REPUTATION, Output.DIVISOR)


def given_columns(program: Program) -> list[int]:
    assert listed(program) == (*(program.outputs[one] for one in HELD), program.column("weight"))
    return [number for number in needed(program.columns, listed(program)) if is_given(program.columns, number)]


def settled(tape: Tape) -> int:
    return tape.cell(tape.program.outputs[Output.SETTLEMENT], ())


def a_round(program: Program, seed: int, directions: int, trainers: int = 3) -> tuple[Federation, Tape]:
    """Return the second round of a task, whose directions are not empty."""
    task = Federation(random.Random(seed), trainers=trainers, directions=directions)
    first = task.played(program, task.crowd(trainers))
    return task, task.played(program, task.crowd(trainers), first)


def with_cell(tape: Tape, number: int, cells: Array) -> Tape:
    """Return a tape in which one column is another; what follows from the columns alone follows from it."""
    taken = {n: tape.columns[n] for n, one in enumerate(tape.program.columns) if one.op not in HASHES}
    packed = {n for n, one in enumerate(tape.program.columns) if n > tape.program.column("exponent")}
    brought = {n: one for n, one in taken.items() if n not in packed} | {number: cells}
    return evaluate(tape.program, tape.lengths, replace(EMPTY, brought=brought))


EMPTY = Federation(random.Random(0)).given([], None)[1]


@pytest.mark.parametrize("name", RULES)
def test_every_given_cell_is_in_it(name: str) -> None:
    """Each cell of each given column, one by one: another value gives another hash."""
    program = PROGRAMS[name]
    _, tape = a_round(program, 3, RULES[name].directions)
    seen = {settled(tape)}
    assert settled(with_cell(tape, 0, tape.columns[0])) == settled(tape)
    changes = 0
    dice = random.Random(1)
    for number in given_columns(program):
        cells, column = tape.columns[number], program.columns[number]
        places = list(np.ndindex(*cells.shape))
        for place in dice.sample(places, min(2, len(places))):
            other = cells.astype(object)
            other[place] += 1 if other[place] < column.bounds[1] else -1
            seen.add(settled(with_cell(tape, number, other)))
            changes += 1
    assert len(seen) == 1 + changes


@pytest.mark.parametrize("name", RULES)
def test_what_is_given_is_numbers_and_decides_what_is_paid(name: str) -> None:
    program = PROGRAMS[name]
    columns = [program.columns[number] for number in given_columns(program)]
    assert all(one.kind is Kind.NUMBER for one in columns)
    sources = {Source(one.immediate & 0xFF) for one in columns if one.op is Op.SOURCE}
    assert {Source.POT, Source.SEAT_OF, Source.STAKE, Source.AGGREGATOR, Source.REFUSED} <= sources
    # of the model, the sums and the next steps alone
    assert not sources & {Source.BLOCK_STEP_BITS, Source.BLOCK_NONNEGATIVE, Source.FIRST_EXPONENT, Source.PARENT}
    assert not any(Axis.BLOCK in one.axes for one in columns)


def test_cells_are_packed_side_by_side() -> None:
    """Of the package's rule: three cells an entry, one an account, two a group of pairs."""
    program = PROGRAMS["anchored"]
    read = [program.columns[one.operands[0].column] for one in program.columns if one.op is Op.POSEIDON]
    packed = [one.axes for one in read if one.kind is Kind.NUMBER]
    assert sorted(packed) == sorted(
        [(Axis.ENTRY,)] * 3 + [(Axis.SEAT,)] + [(Axis.OTHER_8, Axis.ENTRY)] * 2
    )
    assert all(0 <= one.bounds[0] <= one.bounds[1] <= WIDEST for one in read if one.kind is Kind.NUMBER)


@pytest.mark.parametrize("trainers", [0, 1, 7, 12])
def test_whole_columns_give_what_single_cells_give(trainers: int) -> None:
    program = PROGRAMS["anchored"]
    _, tape = a_round(program, 5, 4, trainers)
    for number, column in enumerate(program.columns):
        if column.op in HASHES:
            for place in np.ndindex(*tape.columns[number].shape):
                assert recompute(tape, number, place) == tape.cell(number, place)


def test_how_many_entries_there_are_counts() -> None:
    """An entry of zeros behind the last one is another round."""
    program = compose(Rule(screens=(), worth="equal", directions=0, shares=False))
    task = Federation(random.Random(1), directions=0)
    lengths, given = task.given(task.crowd(3), None)
    tape = evaluate(program, lengths, given)
    seats = replace(lengths, seats=lengths.seats + 1)
    assert settled(tape) != settled(evaluate(program, seats, given))


def test_claimed_cells_are_in_it() -> None:
    program = PROGRAMS["leave-one-out"]
    task = Federation(random.Random(2))
    lengths, given = task.given(task.crowd(3), None)
    claims = [claimed_of(program, lengths, random.Random(seed)) for seed in range(4)]
    assert len({settled(evaluate(program, lengths, replace(given, brought=one))) for one in claims}) == len(claims)


@pytest.mark.parametrize("name", RULES)
def test_a_composed_program_is_settled_and_reads_back_so(name: str) -> None:
    program, directions = PROGRAMS[name], RULES[name].directions
    assert is_settled(Program.from_bytes(program.to_bytes()), directions)
    outputs = {each: number for each, number in program.outputs.items() if each is not Output.SETTLEMENT}
    assert not is_settled(replace(program, outputs=outputs), directions)
    assert not directions or not is_settled(program, directions - 1)


@pytest.mark.parametrize("left_out", [Output.EARNED, Output.REPUTATION, Output.DIVISOR, None])
def test_a_cell_that_leaves_something_out_is_no_settlement(left_out: Output | None) -> None:
    """An owner's own program may say any hash: a proof of it would say nothing, so it has no circuit."""
    b = Builder()
    paid, stake = b.carried("paid", (Axis.SEAT,), (0, 2**76)), b.source(Source.STAKE)
    weight = b.select(b.source(Source.REFUSED), 0, 1)
    earned = b.name("earned", b.carry(paid, paid + b.source(Source.POT)))
    standing = b.name("standing", b.select(b.numbers(paid), b.source(Source.ROUND), 0))
    divisor = b.name("divisor", b.sum(stake, Axis.ENTRY))
    outputs: dict[Output, Cells] = {Output.EARNED: earned, Output.REPUTATION: standing, Output.DIVISOR: divisor}
    for output, cells in outputs.items():
        b.output(output, cells)
    b.output(Output.SUMS, b.combine(b.source(Source.CONTENT), weight))
    settle(b, [cells for output, cells in outputs.items() if output is not left_out] + [weight], 0)
    assert is_settled(b.program(), 0) == (left_out is None)
