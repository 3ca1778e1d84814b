"""Tapes: whole columns give what single cells give, bounds hold, hints have one right value, one root fixes a cell."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.building import Builder
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.operations import Op
from fl_platform.protocol.program import Axis, Map, Program, Source, merkle_root
from fl_platform.protocol.tape import Lengths, Tape, column_root, depth_of, evaluate, leaf_of, recompute
from tests.support.random_programs import Author, round_of


def places(tape: Tape, column: int) -> list[tuple[int, ...]]:
    """Return every place of a column."""
    return list(itertools.product(*map(range, tape.columns[column].shape)))


@pytest.mark.parametrize("seed", range(40))
def test_whole_columns_give_what_single_cells_give(seed: int) -> None:
    """Two computations of each cell, from the same bytes: by arrays, and one by one from its instruction."""
    dice = random.Random(seed)
    program = Program.from_bytes(Author(dice).program(45).to_bytes())
    for _ in range(3):
        tape = evaluate(program, *round_of(dice))
        for number, column in enumerate(program.columns):
            for place in places(tape, number):
                cell = tape.cell(number, place)
                assert cell == recompute(tape, number, place), (column, place)
                assert column.bounds[0] <= cell <= column.bounds[1], (column, place)
        assert list(tape.broken()) == []


def test_random_programs_use_every_operation_and_map() -> None:
    columns = [one for seed in range(40) for one in Author(random.Random(seed)).program(45).columns]
    assert {column.op for column in columns} == set(Op)
    assert {operand.map for column in columns for operand in column.operands} == set(Map)


@pytest.mark.parametrize("seed", range(25))
def test_a_hint_has_one_right_value(seed: int) -> None:
    """Every other value that a sealer could bring fails a check, or an operand of one; the right one fails none."""
    dice = random.Random(seed)
    b = Builder()
    x, weight = b.source(Source.SEAT_OF), b.clamp(b.source(Source.STAKE), 0, 5)
    wanted = b.clamp(b.source(Source.POT), 0, 12)
    hint = b.least(b.clamp(x, 0, 30), weight, wanted, Axis.ENTRY, (3, 20))
    b.output("median", hint)
    program, number = b.program(), hint.operand.column
    lengths, sources = round_of(dice)
    right = int(evaluate(program, lengths, sources).columns[number])
    for value in range(-9, 40):
        tape = evaluate(program, lengths, sources, hints={number: np.array(value)})
        assert (list(tape.broken()) == []) == (value == right)


@pytest.mark.parametrize("seed", range(25))
def test_a_turned_round_column_has_one_right_value(seed: int) -> None:
    """No other place, none outside of the column, and none of a later entry will do."""
    dice = random.Random(seed)
    b = Builder()
    hint = b.inverse(b.source(Source.SEAT_OF), b.source(Source.EARNED), b.source(Source.COUNT))
    b.output("entry of seat", hint)
    program, number = b.program(), hint.operand.column
    lengths = Lengths(dice.choice((0, 1, 2, 4)), dice.choice((1, 3)))
    seats = np.array([dice.randrange(5) for _ in range(lengths.entries)], dtype=object)
    earned = np.zeros(lengths.seats, object)
    sources = {Source.SEAT_OF: seats, Source.EARNED: earned, Source.COUNT: lengths.entries}
    right = evaluate(program, lengths, sources).columns[number]
    slowly = [next((e for e, s in enumerate(seats) if s == k), lengths.entries) for k in range(lengths.seats)]
    assert right.tolist() == slowly
    for place, value in itertools.product(range(lengths.seats), range(-2, 8)):
        brought = right.copy()
        brought[place] = value
        tape = evaluate(program, lengths, sources, hints={number: brought})
        assert (list(tape.broken()) == []) == (value == right[place])


def test_one_path_leads_from_a_cell_to_the_root() -> None:
    cells = np.arange(1, 11, dtype=np.int64).reshape(2, 5)
    padded = [leaf_of(int(cells[i, j]) if j < 5 else 0) for i in range(2) for j in range(8)]
    wanted = keccak256(b"\2" + (7).to_bytes(2, "big") + bytes([4]) + merkle_root(padded))
    assert column_root(7, cells) == wanted
    single = keccak256(b"\2" + bytes(2) + b"\0" + leaf_of(-3))
    assert column_root(0, np.array(-3)) == single
    empty = keccak256(b"\2" + bytes(2) + b"\0" + leaf_of(0))
    assert column_root(0, np.zeros(0, object)) == empty
    assert [depth_of(n) for n in (0, 1, 2, 3, 4, 5, 64, 65)] == [0, 0, 1, 2, 2, 3, 6, 7]


@pytest.mark.parametrize("seed", range(10))
def test_another_cell_is_another_root(seed: int) -> None:
    dice = random.Random(seed)
    program = Author(dice).program(30)
    tape = evaluate(program, *round_of(dice))
    filled = [n for n in range(len(program.columns)) if tape.columns[n].size]
    number = dice.choice(filled)
    place = dice.choice(places(tape, number))
    changed = [cells.copy() for cells in tape.columns]
    changed[number][place] = changed[number][place] + 1
    assert Tape(program, tape.lengths, tuple(changed)).root != tape.root


@pytest.mark.parametrize(
    ("sources", "says"),
    [({}, "pot is not given"), ({Source.POT: [1]}, "shape"), ({Source.POT: -1}, "leaves its bounds"),
     ({Source.POT: 2**80}, "leaves its bounds")],
)  # fmt: skip
def test_sources_are_held_to_what_the_protocol_gives(sources: dict[Source, object], says: str) -> None:
    b = Builder()
    b.output("pot", b.source(Source.POT))
    with pytest.raises(DocumentInvalid, match=says):
        evaluate(b.program(), Lengths(0, 0), sources)  # type: ignore[arg-type]


def test_an_axis_longer_than_any_round_is_refused() -> None:
    with pytest.raises(DocumentInvalid, match="513 along entry; at most 512"):
        Lengths(513, 1).shape((Axis.ENTRY,))


def test_equal_shares_by_stake_with_dust() -> None:
    """A first rule: the refused get nothing, the others share the pot by stake, rounded down; the rest is dust."""
    b = Builder()
    weight = b.name("weight", b.select(b.source(Source.REFUSED), 0, b.source(Source.STAKE)))
    total = b.name("total", b.sum(weight, Axis.ENTRY))
    pay = b.name("pay", b.muldiv(weight, b.source(Source.POT), total))
    b.output("pay", pay)
    b.output("dust", b.source(Source.POT) - b.sum(pay, Axis.ENTRY))
    sources = {
        Source.REFUSED: np.array([0, 1, 0, 0]), Source.STAKE: np.array([5, 9, 1, 1]), Source.POT: 100,
    }  # fmt: skip
    tape = evaluate(b.program(), Lengths(4, 6), sources)  # type: ignore[arg-type]
    assert list(tape.output("pay")) == [71, 0, 14, 14]
    assert int(tape.output("dust")) == 1
