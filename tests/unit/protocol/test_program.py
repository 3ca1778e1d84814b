"""Programs: one spelling, checked again by whoever reads them, and refused in words."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.building import Builder
from fl_platform.protocol.operations import Op
from fl_platform.protocol.program import Axis, Column, Map, Operand, Program, Source, check
from tests.support.random_programs import Author

E = (Axis.ENTRY,)
READ = Operand(0, axes=E)
STAKE = Column("stake", Op.SOURCE, (Axis.ENTRY,), (), int(Source.STAKE), (0, 2**80 - 1))


def small() -> Program:
    """Return a program of a few columns."""
    b = Builder()
    b.output("total", b.name("total", b.sum(b.source(Source.STAKE), Axis.ENTRY)))
    return b.program()


@pytest.mark.parametrize("seed", range(20))
def test_it_is_read_as_it_was_written(seed: int) -> None:
    program = Author(random.Random(seed)).program(40)
    again = Program.from_bytes(program.to_bytes())
    assert (again, again.root) == (program, program.root)


@pytest.mark.parametrize("seed", range(60))
def test_any_other_byte_is_refused_or_is_another_program(seed: int) -> None:
    dice = random.Random(seed)
    data = bytearray(Author(dice).program(25).to_bytes())
    root = Program.from_bytes(bytes(data)).root
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    try:
        found = Program.from_bytes(bytes(data))
    except DocumentInvalid:
        return
    assert found.root != root
    assert found.to_bytes() == bytes(data)


@pytest.mark.parametrize(
    "data", [b"", b"flp1", b"flp2" + bytes(200), b"flp1\0\1\0\0", b"flp1\xff\xff\0\0" + bytes(160)]
)
def test_what_is_no_program_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentInvalid, match="round program"):
        Program.from_bytes(data)


def column(op: Op, operands: tuple[Operand, ...], axes: tuple[Axis, ...] = (Axis.ENTRY,), immediate: int = 0) -> Column:
    """Return a second column."""
    return Column("x", op, axes, operands, immediate, (0, 0))


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (column(Op.ADD, (Operand(0, axes=E),)), "1 operands, ADD takes 2"),
        (column(Op.ADD, (Operand(0, axes=E), Operand(2, axes=E))), "comes later"),
        (column(Op.ADD, (Operand(0), Operand(0, axes=E))), "says that operand 0 has the axes"),
        (column(Op.ADD, (Operand(0, axes=E), Operand(1, axes=E))), "reads itself at another place"),
        (column(Op.ADD, (Operand(0, axes=E), Operand(0, axes=E)), axes=()), "along an axis that it has not"),
        (column(Op.ADD, (Operand(0, axes=E), Operand(0, axes=E)), axes=(Axis.OTHER,)), "has the axes"),
        (column(Op.ADD, (Operand(0, axes=E), Operand(0, axes=E)), axes=(Axis.ENTRY, Axis.ENTRY)), "has the axes"),
        (column(Op.ADD, (Operand(0, Map.LAST, E), READ)), "the last cell of 'stake' along an axis of its own"),
        (column(Op.ADD, (Operand(0, Map.LAST, E), READ), axes=(Axis.ENTRY, Axis.BLOCK)), "along an axis of its own"),
        (column(Op.GATHER, (Operand(0, Map.SWAPPED, E), READ)), "must have an axis and no map"),
        (column(Op.INNER, (Operand(0, Map.BEFORE, E), READ), axes=(Axis.OTHER,)), "has the axes"),
        (column(Op.INNER, (Operand(0, Map.BEFORE, E), READ), axes=(Axis.SEAT,), immediate=1), "which INNER cannot"),
        (column(Op.ADD, (Operand(0, Map.BEFORE, E), Operand(0, axes=E)), axes=()), "no axis along which"),
        (column(Op.SOURCE, (), immediate=99), "no source of the protocol"),
        (column(Op.SOURCE, (), immediate=int(Source.POT)), "no source of the protocol"),
        (column(Op.INNER, (READ, READ), immediate=int(Axis.ENTRY)), "no axis beside its own"),
        (column(Op.INNER, (READ, READ), immediate=9), "which is no axis"),
        (column(Op.LEAST, (READ, Operand(2, axes=E), READ), axes=(), immediate=int(Axis.ENTRY)), "later"),
    ],
)
def test_what_does_not_follow_is_refused(second: Column, says: str) -> None:
    with pytest.raises(DocumentInvalid, match=says):
        check(Program((STAKE, second), {}))


def test_bounds_that_are_declared_too_narrow_or_too_wide_are_refused() -> None:
    program = small()
    for low, high in ((0, 1), (0, 2**200), (-1, program.columns[-1].bounds[1])):
        columns = (*program.columns[:-1], replace(program.columns[-1], bounds=(low, high)))
        with pytest.raises(DocumentInvalid, match="'total' declares"):
            check(Program(columns, program.outputs))


def test_cells_that_could_leave_250_bits_are_refused_when_a_rule_is_written() -> None:
    b = Builder()
    wide = b.source(Source.STAKE)
    with pytest.raises(DocumentInvalid, match="320 bits; 250 is the limit"):
        wide = (wide * wide) * (wide * wide)
    b.output("square", b.source(Source.STAKE) * b.source(Source.STAKE))
    assert b.program().columns[-1].bounds == (0, (2**80 - 1) ** 2)


def test_a_hint_whose_weights_could_be_negative_is_refused() -> None:
    b = Builder()
    stake = b.source(Source.STAKE)
    with pytest.raises(DocumentInvalid, match="more than one value could be right"):
        b.least(stake, stake - 5, b.source(Source.POT), Axis.ENTRY, (0, 10))


def test_equal_instructions_are_one_column() -> None:
    b = Builder()
    first = b.source(Source.STAKE) + 5
    assert (b.source(Source.STAKE) + 5).operand == first.operand


def test_a_rule_cannot_ask_what_a_cell_is() -> None:
    b = Builder()
    with pytest.raises(TypeError, match=r"Builder\.select"):
        bool(b.source(Source.POT) < 5)
