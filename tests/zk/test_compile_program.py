"""Random programs become circuits that give the tape's cells, whatever their operations, maps, and lengths."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from fl_platform.errors import NoCircuit
from fl_platform.protocol.evaluation import evaluate
from fl_platform.protocol.operations import PLAIN, Op
from fl_platform.protocol.program import Program
from fl_platform.protocol.sources import Axis, Kind, Source
from fl_platform.protocol.tape import Lengths, Tape
from tests.support.circuits import unsatisfied
from tests.support.random_programs import Author, claiming, round_of
from zk.circuits.plan import Plan, Shape
from zk.circuits.system import Cell, System, linear
from zk.compile_program import Compiler
from zk.curve.bn254 import ORDER

TRAINERS = 3


def held_round(dice: random.Random, program: Program, directions: int) -> Tape:
    """Return a round that a circuit holds: seats are of parties, and no number is larger than any real one."""
    lengths, given = round_of(dice)
    while lengths.entries > TRAINERS + 1:
        lengths, given = round_of(dice)
    lengths = replace(lengths, directions=directions, seats=dice.choice((9, 11, 12)))
    shape, sources = Shape(TRAINERS, directions), dict(given.sources)
    seats = [seat for seat in shape.seats if seat < lengths.seats]
    sources[Source.SEAT_OF] = np.array([dice.choice(seats) for _ in range(lengths.entries)], dtype=object)
    sources[Source.AGGREGATOR] = dice.randrange(2)
    sources[Source.POT] = min(int(sources[Source.POT]), 2**76)
    sources[Source.STAKE] = np.minimum(sources[Source.STAKE], 2**76)
    whole = claiming(program, lengths, replace(given, sources=sources), dice)
    return evaluate(program, lengths, whole)


def compiled(program: Program, wanted: tuple[int, ...], directions: int, tape: Tape | None) -> Compiler:
    plan = Plan(program, Shape(TRAINERS, directions), wanted)
    made = Compiler(plan, System(concrete=tape is not None), tape)
    made.compile()
    return made


def with_circuit(program: Program, directions: int) -> tuple[int, ...]:
    """Return the columns that have a circuit."""
    can = [n for n, column in enumerate(program.columns) if column.op is not Op.MUST]
    while True:
        try:
            compiled(program, tuple(can), directions, None)
        except NoCircuit as error:
            bad = program.column(str(error).split("'")[1])
            can = [n for n in can if bad not in Plan(program, Shape(TRAINERS, directions), (n,)).numbers]
        else:
            return tuple(can)


def check(symbolic: Compiler, concrete: Compiler, tape: Tape, number: int) -> None:
    """Hold every cell that the round has to the tape's, and the constraints to the witness."""
    values = concrete.system.values
    assert unsatisfied(symbolic.system, values) is None
    for place in np.ndindex(*tape.columns[number].shape):
        found, drawn = concrete.cells[number][place], symbolic.cells[number][place]
        assert found.number == tape.cell(number, place), (tape.program.columns[number], place)
        terms = linear(drawn.value).terms.items()
        assert (sum(f * values[s] for s, f in terms) - found.number) % ORDER == 0
        assert drawn.low <= found.number <= drawn.high


@pytest.mark.parametrize("seed", range(6))
def test_every_column_with_a_circuit_has_the_tapes_cells(seed: int) -> None:
    dice = random.Random(seed)
    program, directions = Author(dice).program(45), dice.choice((0, 2, 3))
    can = with_circuit(program, directions)
    assert len(can) > len(program.columns) // 4
    symbolic, held = compiled(program, can, directions, None), 0
    for _ in range(5):
        tape = held_round(dice, program, directions)
        try:
            concrete = compiled(program, can, directions, tape)
        except NoCircuit:  # a clamp that would cut a quotient
            continue
        held += 1
        for number in can:
            check(symbolic, concrete, tape, number)
    assert held


def test_all_operations_are_drawn() -> None:
    seen: Counter[Op] = Counter()
    for seed in range(16):
        dice = random.Random(seed)
        program, directions = Author(dice).program(45), dice.choice((0, 2, 3))
        seen.update(program.columns[number].op for number in with_circuit(program, directions))
    assert PLAIN | {Op.GATHER, Op.LEAST, Op.INVERSE, Op.SOURCE, Op.PREV, Op.CLAIMED, Op.DOT, Op.CONST} <= set(seen)


def test_what_no_circuit_follows_is_said() -> None:
    program = Author(random.Random(1)).program(40)
    by_block = next(n for n, c in enumerate(program.columns) if Axis.BLOCK in c.axes)
    root = next(n for n, c in enumerate(program.columns) if c.kind is Kind.MODEL)
    with pytest.raises(NoCircuit, match="depends on blocks of parameters"):
        compiled(program, (by_block,), 2, None)
    with pytest.raises(NoCircuit, match="depends on a root itself"):
        compiled(program, (root,), 2, None)


@pytest.mark.parametrize(("entries", "seats"), [(TRAINERS + 2, 9), (1, 10 + TRAINERS)])
def test_a_round_without_room_has_no_proof(entries: int, seats: int) -> None:
    program = Author(random.Random(1)).program(40)
    tape = Tape(program, Lengths(entries, seats, 1, 2), ())
    with pytest.raises(NoCircuit, match=f"{entries} entries and {seats} seats: the circuit has room for 4 and 12"):
        Compiler(Plan(program, Shape(TRAINERS, 2), (0,)), System(concrete=True), tape)


def test_a_given_number_that_circuits_do_not_hold_is_named() -> None:
    dice = random.Random(1)
    program = Author(dice).program(40)
    tape = held_round(dice, program, 2)
    number = next(n for n, c in enumerate(program.columns) if c.name == "pot")
    columns = list(tape.columns)
    columns[number] = np.array(2**79, dtype=object)
    with pytest.raises(NoCircuit, match=f"column 'pot': the round has {2**79} at "):
        compiled(program, (number,), 2, replace(tape, columns=tuple(columns)))


def test_only_what_something_reads_is_compiled() -> None:
    """Nothing of a hint's checks, of other outputs, or of an axis of which one place is gathered."""
    dice = random.Random(7)
    program = Author(dice).program(40)
    numbers = with_circuit(program, 2)
    plan = Plan(program, Shape(TRAINERS, 2), (numbers[-1],))
    assert set(plan.numbers) < set(range(len(program.columns)))
    assert all(plan.cells[number].any() for number in plan.numbers)
    assert isinstance(compiled(program, (numbers[-1],), 2, None).cells[numbers[-1]].reshape(-1)[0], Cell)


def test_given_is_all_that_is_asked_of_a_round() -> None:
    """Two rounds with the same given numbers have the same witness."""
    dice = random.Random(3)
    program = Author(dice).program(40)
    number = with_circuit(program, 2)[-1]
    tape = held_round(dice, program, 2)
    plan = Plan(program, Shape(TRAINERS, 2), (number,))
    spoiled = tuple(
        cells if plan.is_given(n) else np.zeros_like(cells) for n, cells in enumerate(tape.columns)
    )
    first, second = (Compiler(plan, System(concrete=True), one) for one in (tape, replace(tape, columns=spoiled)))
    first.compile()
    second.compile()
    assert first.system.values == second.system.values
