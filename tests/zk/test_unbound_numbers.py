"""What a red team found: numbers that a circuit took as given and nothing held. Each case was a forged witness once."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from fl_platform.errors import NoCircuit
from fl_platform.protocol.building import Builder, Cells
from fl_platform.protocol.evaluation import evaluate
from fl_platform.protocol.operations import Op
from fl_platform.protocol.program import Operand, Program
from fl_platform.protocol.sources import INDEX_OF, Axis, Map, Source
from fl_platform.protocol.tape import Given, Lengths, Tape
from tests.support.circuits import Lying
from tests.support.rule_rounds import Federation
from tests.zk.test_settlement_circuit import circuit, rounds
from zk.circuits.plan import Plan, Shape
from zk.circuits.system import System
from zk.compile_program import Compiler


def a_round(**changes: int) -> Tape:
    """Return a round of the default rule with other numbers given."""
    task = Federation(random.Random(3), trainers=3)
    lengths, given = task.given(task.crowd(3), None)
    sources = {**given.sources, **{Source[name]: value for name, value in changes.items()}}
    return evaluate(circuit("anchored").program, lengths, replace(given, sources=sources))


@pytest.mark.parametrize("name", ["anchored", "bare"])
def test_a_part_of_a_packed_cell_cannot_be_moved_into_its_neighbour(name: str) -> None:
    """One number less by 1, its neighbour more by 2^k: the settlement cell alone would not see it."""
    made, tape = circuit(name), rounds(name, 5, 2)[1]
    honest = Lying(concrete=True)
    Compiler(made.plan, honest, tape).compile()
    about = random.Random(1).sample(range(honest.hints), 80)
    for hint in about:
        for lie in (lambda v: v + (1 << 251), lambda v: v - (1 << 251), lambda v: v - (1 << 90)):
            lying = Lying(concrete=True, about=(hint,), lie=lie)
            try:
                compiler = Compiler(made.plan, lying, tape)
                compiler.compile()
            except (NoCircuit, OverflowError, ValueError):
                continue
            wanted = made.plan.wanted
            right = Compiler(made.plan, System(concrete=True), tape)
            right.compile()
            for number in wanted:  # the inverse of zero may be anything
                told = [cell.number for cell in compiler.cells[number].reshape(-1)]
                assert told == [cell.number for cell in right.cells[number].reshape(-1)]


def test_every_given_number_has_its_bits_and_no_more() -> None:
    made, tape = circuit("anchored"), rounds("anchored", 5, 2)[1]
    held = 0
    for number in made.plan.numbers:
        column = made.program.columns[number]
        if not made.plan.is_given(number) or column.name == "count":
            continue
        for value in (column.bounds[1] + 1, -(1 << 200), 1 << 200):
            columns = list(tape.columns)
            cells = np.array(columns[number], dtype=object)
            if not cells.size:
                continue
            cells[(0,) * cells.ndim] = value
            columns[number] = cells
            with pytest.raises(NoCircuit):
                made.settle(replace(tape, columns=tuple(columns)))
            held += 1
    assert held > 60


@pytest.mark.parametrize("pot", [2**76 - 1, 2**76, 2**79 + 7])
def test_the_end_to_which_larger_numbers_are_cut_has_no_proof(pot: int) -> None:
    """Such rounds have one settlement cell: a proof of one would be a proof of all."""
    with pytest.raises(NoCircuit, match="pot"):
        circuit("anchored").settle(a_round(POT=pot))
    edge = a_round(POT=2**76 - 1)
    number = edge.program.column("settlement")
    assert a_round(POT=pot).cell(number, ()) == edge.cell(number, ())
    assert circuit("anchored").settle(a_round(POT=2**76 - 2)).values


def alone(cells: Cells) -> Program:
    cells.builder.name("found", cells)
    return cells.builder.program()


def compiled(program: Program, tape: Tape) -> Compiler:
    plan = Plan(program, Shape(1, 0), (program.column("found"),))
    made = Compiler(plan, System(concrete=True), tape)
    made.compile()
    return made


def played(program: Program, stake: int, pot: int = 64) -> Tape:
    sources = {
        Source.STAKE: np.array([stake, stake], dtype=object), Source.POT: pot, Source.COUNT: 2, Source.ROUND: 1,
    }  # fmt: skip
    return evaluate(program, Lengths(2, 9), Given(sources, {INDEX_OF["spread"]: 1}))


@pytest.mark.parametrize("divisor", [1, 3])
@pytest.mark.parametrize(("low", "high"), [(0, 4), (-4, 4), (3, 5), (0, 6), (5, 3)])
@pytest.mark.parametrize("stake", [0, 3, 12, 15, 20, 24, 60])
def test_a_quotient_is_cut_or_has_no_witness(divisor: int, low: int, high: int, stake: int) -> None:
    b = Builder()
    program = alone(b.clamp(b.source(Source.STAKE) // divisor, low, high))
    tape = played(program, stake)
    try:
        found = compiled(program, tape).cells[program.column("found")]
    except NoCircuit:
        assert not low <= stake // divisor <= high
        return
    assert [cell.number for cell in found] == tape.named("found").tolist()


def test_a_clamp_that_goes_on_from_the_place_before_is_no_cut() -> None:
    b = Builder()
    quotient = b.source(Source.STAKE) // 3
    program = alone(b.plain(Op.CLAMP, quotient, 2, 9))
    column = program.columns[-1]
    itself = Operand(len(program.columns) - 1, Map.BEFORE, column.axes)
    scanned = replace(column, operands=(*column.operands[:2], itself), bounds=(0, 2))  # no more than the one before
    program = replace(program, columns=(*program.columns[:-1], scanned))
    tape = played(program, 9)
    found = compiled(program, tape).cells[program.column("found")]
    assert [cell.number for cell in found] == tape.named("found").tolist()


def test_a_share_is_one_of_the_whole_that_was_summed() -> None:
    """Another map of the sum, or parts below nothing: no share, and nothing is known of the quotient."""
    b = Builder()
    pair = b.source(Source.STAKE) + b.source(Source.STAKE).swapped() * 3
    total = b.sum(pair, Axis.OTHER)
    spread = b.word("spread")
    program = alone(b.clamp(b.muldiv(b.source(Source.POT), pair, (total + spread).swapped()), 0, b.source(Source.POT)))
    tape = played(program, 7)
    found = compiled(program, tape).cells[program.column("found")]
    assert [cell.number for cell in found.reshape(-1)] == tape.named("found").reshape(-1).tolist()
    b = Builder()
    part = b.source(Source.STAKE) - 5
    program = alone(b.clamp(b.muldiv(b.source(Source.POT), part, b.sum(part, Axis.ENTRY)), 0, b.source(Source.POT)))
    for stake in (6, 9, 2):
        tape = played(program, stake)
        try:
            found = compiled(program, tape).cells[program.column("found")]
        except NoCircuit:
            continue
        assert [cell.number for cell in found] == tape.named("found").tolist()
