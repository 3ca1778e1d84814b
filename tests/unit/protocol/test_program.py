"""Programs: one spelling, checked again by whoever reads them, and refused in words."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.building import Builder
from fl_platform.protocol.checker import check
from fl_platform.protocol.operations import Op
from fl_platform.protocol.program import MAX_COLUMNS, Column, Operand, Output, Program
from fl_platform.protocol.sources import SOURCES, WORDS, Axis, Kind, Map, Source, immediate_of
from tests.support.random_programs import Author

E = (Axis.ENTRY,)
READ = Operand(0, axes=E)
STAKE = Column("stake", Op.SOURCE, (Axis.ENTRY,), (), int(Source.STAKE), (0, 2**80 - 1))


def small() -> Program:
    """Return a program of a few columns."""
    b = Builder()
    b.output(Output.TOTAL, b.name("total", b.sum(b.source(Source.STAKE), Axis.ENTRY)))
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
    "data", [b"", b"flp1", b"flp2" + bytes(200), b"flp1\0\1" + bytes(12), b"flp1\xff\xff" + bytes(172)]
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
        (column(Op.ADD, (READ, READ), axes=(Axis.ENTRY, Axis.OTHER_DIRECTION)), "has the axes"),
        (column(Op.ADD, (Operand(0, axes=E), Operand(0, axes=E)), axes=(Axis.ENTRY, Axis.ENTRY)), "has the axes"),
        (column(Op.ADD, (Operand(0, Map.LAST, E), READ)), "the last cell of 'stake' along an axis of its own"),
        (column(Op.ADD, (Operand(0, Map.LAST, E), READ), axes=(Axis.ENTRY, Axis.BLOCK)), "along an axis of its own"),
        (column(Op.GATHER, (Operand(0, Map.SWAPPED, E), READ)), "must have an axis and no map"),
        (column(Op.LEAST, (Operand(0, Map.BEFORE, E), READ, READ), axes=(), immediate=1), "which LEAST here cannot"),
        (column(Op.ADD, (Operand(0, Map.BEFORE, E), Operand(0, axes=E)), axes=()), "which ADD here cannot"),
        (column(Op.SOURCE, (), immediate=99), "no source of the protocol"),
        (column(Op.SOURCE, (), immediate=int(Source.POT)), "no source of the protocol"),
        (column(Op.SOURCE, (), axes=(), immediate=immediate_of(Source.WORD, 47)), "no source of the protocol"),
        (column(Op.SOURCE, (), immediate=immediate_of(Source.STAKE, 1)), "no source of the protocol"),
        (column(Op.LEAST, (READ, READ, READ), immediate=int(Axis.ENTRY)), "counts over ENTRY, which is its own"),
        (column(Op.LEAST, (READ, READ, READ), immediate=9), "which is no axis"),
        (column(Op.LEAST, (READ, Operand(2, axes=E), READ), axes=(), immediate=int(Axis.ENTRY)), "later"),
        (column(Op.DOT, (READ, READ)), "reads NUMBER, NUMBER, which DOT cannot"),
        (column(Op.COMBINE, (READ, READ), axes=()), "which COMBINE cannot"),
        (column(Op.COMBINE, (Operand(0), Operand(0)), axes=()), "says that operand 0"),
        (column(Op.INVERSE, (READ,), axes=()), "both must have one axis"),
        (column(Op.PREV, (Operand(7, axes=E),)), "carries column 7 of 2"),
        (column(Op.PREV, (Operand(1, axes=E),)), "carries entries"),
        (column(Op.CLAIMED, (READ,)), "1 operands, CLAIMED takes 0"),
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
    b.name("square", b.source(Source.STAKE) * b.source(Source.STAKE))
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


def test_outputs_have_the_shape_that_a_seal_wants() -> None:
    b = Builder()
    b.output(Output.TOTAL, b.source(Source.STAKE))
    with pytest.raises(DocumentInvalid, match="output TOTAL is column 'stake', which has another shape or kind"):
        b.program()


def test_roots_are_no_numbers() -> None:
    b = Builder()
    content, parent = b.source(Source.CONTENT), b.source(Source.ENTRY_PARENT)
    assert b.program().columns[0].kind is Kind.UPDATE
    wrongs = (
        lambda: content + 1, lambda: b.select(content, 1, 2), lambda: content == parent,
        lambda: b.gather(b.source(Source.STAKE), content), lambda: b.select(b.const(1), content, 5),
    )  # fmt: skip
    for wrong in wrongs:
        with pytest.raises(DocumentInvalid, match="cannot"):
            wrong()
    kept = b.select(b.source(Source.REFUSED), 0, content)
    assert b.program().columns[kept.operand.column].kind is Kind.UPDATE


def test_products_of_rows_stay_far_inside_250_bits() -> None:
    b = Builder()
    content = b.source(Source.CONTENT)
    past = b.carried("past", (Axis.DIRECTION,), kind=Kind.SUMS)
    b.carry(past, b.select(b.numbers(past == 0) == 0, b.combine(content, b.const(1)), past.before()))
    with pytest.raises(DocumentInvalid, match="shifts by"):
        b.dot(content, past, shifts=b.source(Source.BLOCK_SIZE))
    widest = b.dot(past, past.swapped(), shifts=b.clamp(b.source(Source.BLOCK_SIZE), 0, 63))
    assert max(b.program().columns[widest.operand.column].bounds).bit_length() < 160


def test_what_is_carried_is_held_to_its_range() -> None:
    b = Builder()
    earned = b.carried("earned", (Axis.SEAT,), (0, 100))
    b.carry(earned, earned + 60)
    program = b.program()
    assert program.columns[0].op is Op.PREV
    assert program.columns[-1].bounds == (60, 100)
    wider = replace(program.columns[0], operands=(Operand(2, axes=(Axis.SEAT,)),))  # before it is clamped
    with pytest.raises(DocumentInvalid, match=r"declares \(0, 100\), 'c2' may be \(60, 160\), at first 0"):
        check(Program((wider, *program.columns[1:]), {}))


def test_names_of_words_are_their_places() -> None:
    assert len({word.name for word in WORDS}) == len(WORDS) < 48
    assert all(low <= high for low, high in (word.bounds for word in WORDS))
    assert {given.kind for given in SOURCES.values()} == {Kind.NUMBER, Kind.WORD, Kind.UPDATE}
    assert MAX_COLUMNS < 0xFFFE  # what stands for a column that is said later, and for none
