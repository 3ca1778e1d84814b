"""Programs: one spelling, checked again by whoever reads them, and refused in words."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.building import Builder
from fl_platform.protocol.checker import check, checked
from fl_platform.protocol.evaluation import evaluate, recompute
from fl_platform.protocol.openings import refutation_of
from fl_platform.protocol.operations import Op
from fl_platform.protocol.program import MAX_COLUMNS, Column, Operand, Output, Program
from fl_platform.protocol.sources import RAW, SOURCES, WORDS, Axis, Kind, Map, Source, immediate_of
from fl_platform.protocol.tape import Given, Lengths
from tests.support.integer_rows import IntegerRows
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
        (column(Op.LEAST, (READ, READ, READ), immediate=16), "which is no axis"),
        (column(Op.LEAST, (READ, Operand(2, axes=E), READ), axes=(), immediate=int(Axis.ENTRY)), "later"),
        (column(Op.DOT, (READ, READ)), "reads NUMBER, NUMBER, which DOT cannot"),
        (column(Op.COMBINE, (READ, READ), axes=()), "which COMBINE cannot"),
        (column(Op.COMBINE, (Operand(0), Operand(0)), axes=()), "says that operand 0"),
        (column(Op.INVERSE, (READ,), axes=()), "which must be of entries"),
        (column(Op.PREV, (Operand(7, axes=E),)), "carries column 7 of 2"),
        (column(Op.PREV, (Operand(1, axes=E),)), "carries entries"),
        (column(Op.CLAIMED, (READ,)), "1 operands, CLAIMED takes 0"),
        (column(Op.POSEIDON, (READ,)), "hashes 'stake' by eight, which must have groups"),
        (column(Op.POSEIDON, (READ,), axes=()), "by eight"),
        (column(Op.POSEIDON, (READ,), axes=(Axis.ENTRY_64,)), "by eight"),
        (column(Op.POSEIDON, (Operand(0, Map.LAST, E),), axes=()), "by eight"),
        (column(Op.POSEIDON3, (READ, READ)), "2 operands, POSEIDON3 takes 3"),
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
    assert {given.kind for given in SOURCES.values()} == {Kind.NUMBER, Kind.MODEL, Kind.UPDATE}
    assert MAX_COLUMNS < 0xFFFE  # what stands for a column that is said later, and for none


def hinted() -> tuple[Builder, Program]:
    """Return a program with a hint of each kind and a claimed column."""
    b = Builder()
    seat, claimed = b.source(Source.SEAT_OF), b.claimed("claimed", (Axis.ENTRY,), (0, 5))
    b.least(seat, claimed, b.source(Source.POT), Axis.ENTRY, (0, 9))
    b.inverse(seat, seat)
    return b, b.program()


def test_a_program_without_one_of_its_checks_is_refused() -> None:
    """Else its sealer could bring what it likes, and every reader of the bytes would call it checked."""
    _, program = hinted()
    assert Program.from_bytes(program.to_bytes()) == program
    for number, one in enumerate(program.columns):
        if one.op is Op.MUST:
            columns = list(program.columns)
            columns[number] = replace(
                one, op=Op.ROOT, operands=(Operand(0, axes=columns[0].axes),), axes=columns[0].axes
            )
            kind, bounds = checked(columns[number], number, columns[:number])
            columns[number] = replace(columns[number], kind=kind, bounds=bounds)
            with pytest.raises(DocumentInvalid, match="lacks a MUST"):
                Program.from_bytes(replace(program, columns=tuple(columns)).to_bytes())


def test_a_check_that_no_hint_needs_is_refused() -> None:
    """It could fail by what a source says, and then nobody could seal."""
    b, program = hinted()
    b._must(b.source(Source.STAKE))
    assert b.program() != program
    with pytest.raises(DocumentInvalid, match="no hint needs"):
        Program.from_bytes(b.program().to_bytes())


def test_a_hint_whose_checks_cannot_be_written_is_not_there() -> None:
    b = Builder()
    pairs = b.source(Source.SEAT_OF) - b.source(Source.SEAT_OF).swapped()
    directions = b.carried("d", (Axis.DIRECTION, Axis.OTHER_DIRECTION), (0, 1))
    before = len(b._columns)
    with pytest.raises(DocumentInvalid):
        b.least(pairs, 1, directions, Axis.OTHER, (0, 9))
    assert Op.LEAST not in {one.op for one in b._columns[before:]}


def test_a_name_that_fits_no_instruction_is_refused() -> None:
    """The contract would find none of the column's instructions in the program."""
    b = Builder()
    b.name("n" * 33, b.source(Source.POT) + 1)
    with pytest.raises(DocumentInvalid, match="1 to 32"):
        b.program()


def test_a_row_that_nobody_has_is_carried_by_no_program() -> None:
    b = Builder()
    past = b.carried("past", (Axis.DIRECTION,), kind=Kind.SUMS, start=5)
    b.carry(past, past)
    with pytest.raises(DocumentInvalid, match="begin with 0"):
        b.program()


def test_a_place_that_is_named_by_nothing_is_the_first_one() -> None:
    """The last of no entries is 0: who decides a gathered cell finds it so."""
    b = Builder()
    kept = b.carried("by_seat", (Axis.SEAT,), (3, 3), start=3)
    column = b.gather(kept, b.source(Source.SEAT_OF).last()).operand.column
    b.carry(kept, kept + 0)
    tape = evaluate(b.program(), Lengths(0, 2), Given({Source.SEAT_OF: np.zeros(0, object)}))
    assert int(tape.columns[column]) == recompute(tape, column, ()) == 3
    assert refutation_of(tape, column, ()).operands[1] is None


def test_one_row_can_be_added_up_for_many_places() -> None:
    b = Builder()
    content, two = b.source(Source.CONTENT).operand, b.const(2).operand
    sums = Column("sums", Op.COMBINE, (Axis.SEAT,), (content, two), 0, RAW, Kind.SUMS)
    program = Program((*b._columns, sums), {})
    check(program)
    rows = IntegerRows((128,), 1)
    root = rows.add(np.full(128, 3))
    tape = evaluate(program, Lengths(1, 2), Given({Source.CONTENT: np.array([root], object)}, rows=rows))
    assert [int(rows.rows[int(cell)][0]) for cell in tape.columns[2]] == [6, 6]
