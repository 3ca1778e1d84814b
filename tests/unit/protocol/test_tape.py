"""Tapes: whole columns give what single cells give, bounds hold, hints have one right value, one root fixes a cell."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.arithmetic import Array
from fl_platform.protocol.building import Builder
from fl_platform.protocol.evaluation import evaluate, recompute
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.operations import Op
from fl_platform.protocol.program import Output, Program, merkle_root
from fl_platform.protocol.sources import INDEX_OF, Axis, Kind, Map, Source
from fl_platform.protocol.tape import Given, Lengths, Tape, first_unlike
from fl_platform.protocol.tree import column_root, depth_of, leaf_of, zero_node
from tests.support.integer_rows import IntegerRows
from tests.support.random_programs import Author, claimed_of, round_of


def places(tape: Tape, column: int) -> list[tuple[int, ...]]:
    """Return every place of a column."""
    return list(itertools.product(*map(range, tape.columns[column].shape)))


def some_tape(program: Program, dice: random.Random, previous: tuple[Array, ...] | None = None) -> Tape:
    """Return the tape of a random round; rows of the round before are unknown here, so nothing of it is a row."""
    lengths, given = round_of(dice)
    return evaluate(program, lengths, replace(given, brought=claimed_of(program, lengths, dice), previous=previous))


@pytest.mark.parametrize("seed", range(40))
def test_whole_columns_give_what_single_cells_give(seed: int) -> None:
    """Two computations of each cell, from the same bytes: by arrays, and one by one from its instruction."""
    dice = random.Random(seed)
    program = Program.from_bytes(Author(dice).program(60).to_bytes())
    for _ in range(3):
        tape = some_tape(program, dice)
        for number, column in enumerate(program.columns):
            for place in places(tape, number):
                cell = tape.cell(number, place)
                assert cell == recompute(tape, number, place), (column, place)
                assert column.bounds[0] <= cell <= column.bounds[1], (column, place)
        assert list(tape.broken()) == []


def test_random_programs_use_every_operation_and_map() -> None:
    columns = [one for seed in range(40) for one in Author(random.Random(seed)).program(60).columns]
    assert {column.op for column in columns} == set(Op)
    assert {operand.map for column in columns for operand in column.operands} == set(Map)
    assert {axis for column in columns for axis in column.axes} == set(Axis)


@pytest.mark.parametrize("seed", range(25))
def test_a_hint_has_one_right_value(seed: int) -> None:
    """Every other value that a sealer could bring fails a check, or an operand of one; the right one fails none."""
    dice = random.Random(seed)
    b = Builder()
    x, weight = b.source(Source.SEAT_OF), b.clamp(b.source(Source.STAKE), 0, 5)
    wanted = b.clamp(b.source(Source.POT), 0, 12)
    hint = b.least(b.clamp(x, 0, 30), weight, wanted, Axis.ENTRY, (3, 20))
    program, number = b.program(), hint.operand.column
    lengths, given = round_of(dice)
    right = int(evaluate(program, lengths, given).columns[number])
    for value in range(-9, 40):
        tape = evaluate(program, lengths, replace(given, brought={number: np.array(value)}))
        assert (list(tape.broken()) == []) == (value == right)


@pytest.mark.parametrize("seed", range(25))
def test_a_turned_round_column_has_one_right_value(seed: int) -> None:
    """No other place, none outside of the column, and none of a later entry will do."""
    dice = random.Random(seed)
    b = Builder()
    earned = b.carried("earned", (Axis.SEAT,), (0, 9))
    hint = b.inverse(b.source(Source.SEAT_OF), earned)
    b.carry(earned, earned + 0)
    program, number = b.program(), hint.operand.column
    lengths = Lengths(dice.choice((0, 1, 2, 4)), dice.choice((1, 3)))
    seats = np.array([dice.randrange(5) for _ in range(lengths.entries)], dtype=object)
    given = Given({Source.SEAT_OF: seats, Source.COUNT: lengths.entries})
    right = evaluate(program, lengths, given).columns[number]
    slowly = [next((e for e, s in enumerate(seats) if s == k), lengths.entries) for k in range(lengths.seats)]
    assert right.tolist() == slowly
    for place, value in itertools.product(range(lengths.seats), range(-2, 8)):
        brought = right.copy()
        brought[place] = value
        tape = evaluate(program, lengths, replace(given, brought={number: brought}))
        assert (list(tape.broken()) == []) == (value == right[place])


@pytest.mark.parametrize("seed", range(15))
def test_products_of_rows_are_those_of_their_integers(seed: int) -> None:
    """By blocks, over those that count, with shifts; what has no row gives 0, and a sum is of those that are there."""
    dice = random.Random(seed)
    rows = IntegerRows.draw(dice, 3)
    b = Builder()
    content, past = b.source(Source.CONTENT), b.carried("past", (Axis.DIRECTION,), kind=Kind.SUMS)
    shifts = b.select(past == 0, b.source(Source.BLOCK_SIZE), b.source(Source.BLOCK_SIZE) + 1)
    shifts = b.clamp(shifts, 0, 63)
    pairs, blocks = b.dot(content, content.swapped()), b.dot(content, content, by_block=True)
    shifted = b.dot(content, past, shifts=shifts)
    total = b.combine(content, b.source(Source.REFUSED))
    b.carry(past, b.select(b.numbers(past == 0) == 0, total, past.before()))
    program = b.program()
    entries = [dice.choice([0, *rows.rows]) for _ in range(4)]
    weights = [dice.randrange(4) for _ in entries]
    sums = [rows.combine(entries, [dice.randrange(9) for _ in entries]) for _ in range(2)]
    directions = [dice.choice([0, *sums]) for _ in range(2)]
    previous: list[Array] = [np.zeros(0, object)] * len(program.columns)
    previous[program.columns[past.operand.column].operands[0].column] = np.array(directions, object)
    given = Given(
        {Source.CONTENT: np.array(entries, object), Source.REFUSED: np.array(weights, object),
         Source.BLOCK_SIZE: np.array([3, 0, 2], object)},
        previous=previous, rows=rows,
    )  # fmt: skip
    tape = evaluate(program, Lengths(4, 1, 3, 2), given)
    assert tape.columns[past.operand.column].tolist() == directions

    def dot(x: int, y: int, block: int | None = None) -> int:
        return int(rows.dots([x], [y], block)[0, 0]) if x and y else 0

    assert tape.columns[pairs.operand.column].tolist() == [[dot(x, y) for y in entries] for x in entries]
    assert tape.columns[blocks.operand.column].tolist() == [[dot(x, x, k) for k in range(3)] for x in entries]
    for (i, x), (k, y) in itertools.product(enumerate(entries), enumerate(directions)):
        wanted = sum(dot(x, y, block) << ([3, 0, 2][block] + (y != 0)) for block in range(rows.counting))
        assert int(tape.columns[shifted.operand.column][i, k]) == wanted
    added = sum(w * rows.integers(x) for x, w in zip(entries, weights, strict=True) if x) + 0 * rows.integers(sums[0])
    assert (rows.integers(int(tape.columns[total.operand.column])) == added).all()


def test_a_round_hands_on_what_the_next_one_reads() -> None:
    """The first value in the first round and where a column has grown; what was carried elsewhere."""
    b = Builder()
    earned = b.carried("earned", (Axis.SEAT,), (0, 1_000), start=7)
    rounds = b.carried("rounds", (), (0, 50))
    b.carry(earned, earned + b.source(Source.POT))
    b.carry(rounds, rounds + 1)
    program = b.program()
    first = evaluate(program, Lengths(0, 2), Given({Source.POT: 100}))
    second = evaluate(program, Lengths(0, 3), Given({Source.POT: 50}, previous=first.columns))
    assert first.named("earned").tolist() == [7, 7]
    assert second.named("earned").tolist() == [107, 107, 7]
    assert int(second.named("rounds")) == 1


def test_the_greatest_along_an_axis_is_no_less_than_0() -> None:
    b = Builder()
    cells = b.source(Source.STAKE) - 10
    b.name("greatest", b.largest(cells, Axis.ENTRY))
    b.name("of_pairs", b.largest(cells.swapped() - b.source(Source.STAKE), Axis.OTHER))
    program = b.program()
    for stakes, greatest in (([], 0), ([3, 2], 0), ([3, 90, 11], 80), ([10], 0)):
        tape = evaluate(program, Lengths(len(stakes), 1), Given({Source.STAKE: np.array(stakes, dtype=object)}))
        assert int(tape.named("greatest")) == greatest
        assert tape.named("of_pairs").tolist() == [max([0, *(other - 10 - one for other in stakes)]) for one in stakes]


def test_one_path_leads_from_a_cell_to_the_root() -> None:
    cells = np.arange(1, 11, dtype=np.int64).reshape(2, 5)
    padded = [leaf_of(int(cells[i, j]) if j < 5 else 0) for i in range(2) for j in range(8)]
    wanted = keccak256(b"\2" + (7).to_bytes(2, "big") + bytes([4]) + merkle_root(padded))
    assert column_root(7, cells) == wanted
    single = keccak256(b"\2" + bytes(2) + b"\0" + leaf_of(-3))
    assert column_root(0, np.array(-3)) == single
    empty = keccak256(b"\2" + bytes(2) + b"\0" + leaf_of(0))
    assert column_root(0, np.zeros(0, object)) == empty
    assert column_root(0, np.zeros((3, 2), object))[-4:] == keccak256(b"\2" + bytes(2) + b"\3" + zero_node(3))[-4:]
    assert [depth_of(n) for n in (0, 1, 2, 3, 4, 5, 64, 65)] == [0, 0, 1, 2, 2, 3, 6, 7]


@pytest.mark.parametrize("seed", range(10))
def test_another_cell_is_another_root(seed: int) -> None:
    dice = random.Random(seed)
    program = Author(dice).program(45)
    tape = some_tape(program, dice)
    filled = [n for n in range(len(program.columns)) if tape.columns[n].size]
    number = dice.choice(filled)
    place = dice.choice(places(tape, number))
    changed = [cells.copy() for cells in tape.columns]
    changed[number][place] = changed[number][place] + (1 if changed[number][place] < 0 else -1)
    assert Tape(program, tape.lengths, tuple(changed)).root != tape.root


def test_many_cells_are_hashed_as_few_are() -> None:
    """Long columns go to a compiled hash, many at once; their root is the one of the definition."""
    cells = np.array([(i * i - 700) << 150 for i in range(900)], dtype=object)
    slow = merkle_root([leaf_of(int(cells[i]) if i < 900 else 0) for i in range(1024)])
    assert column_root(3, cells) == keccak256(b"\2" + (3).to_bytes(2, "big") + bytes([10]) + slow)


@pytest.mark.parametrize(
    ("given", "says"),
    [(Given(), "pot is not given"), (Given({Source.POT: [1]}), "shape"), (Given({Source.POT: -1}), "leaves its bounds"),  # type: ignore[dict-item]
     (Given({Source.POT: 2**80}), "leaves its bounds")],
)  # fmt: skip
def test_sources_are_held_to_what_the_protocol_gives(given: Given, says: str) -> None:
    b = Builder()
    b.output(Output.TOTAL, b.source(Source.POT))
    with pytest.raises(DocumentInvalid, match=says):
        evaluate(b.program(), Lengths(0, 0), given)


def test_the_rules_words_are_held_to_their_bounds() -> None:
    b = Builder()
    b.name("x", b.word("clip_bps") + b.own_word(50))
    program, index = b.program(), INDEX_OF["clip_bps"]
    tape = evaluate(program, Lengths(0, 0), Given(words={index: 20_000, 50: -3}))
    assert int(tape.named("x")) == 19_997
    for words, says in (({50: 1}, "not given"), ({index: -1, 50: 1}, "leaves its bounds")):
        with pytest.raises(DocumentInvalid, match=says):
            evaluate(program, Lengths(0, 0), Given(words=words))


def test_what_somebody_must_bring_is_asked_for() -> None:
    b = Builder()
    b.claimed("score", (Axis.ENTRY,), (0, 9))
    program = b.program()
    with pytest.raises(DocumentInvalid, match="'score' is not given"):
        evaluate(program, Lengths(2, 0), Given())
    with pytest.raises(DocumentInvalid, match=r"shape \(3,\), wanted \(2,\)"):
        evaluate(program, Lengths(2, 0), Given(brought={0: np.zeros(3, object)}))
    assert list(evaluate(program, Lengths(2, 0), Given(brought={0: np.array([3, 9])})).broken()) == []
    assert list(evaluate(program, Lengths(2, 0), Given(brought={0: np.array([3, 10])})).broken()) != []


def test_an_axis_longer_than_any_round_is_refused() -> None:
    with pytest.raises(DocumentInvalid, match="513 along entry; at most 512"):
        Lengths(513, 1).shape((Axis.ENTRY,))


def test_equal_shares_by_stake_with_dust() -> None:
    """A first rule: the refused get nothing, the others share the pot by stake, rounded down; the rest is dust."""
    b = Builder()
    weight = b.name("weight", b.select(b.source(Source.REFUSED), 0, b.source(Source.STAKE)))
    total = b.name("total", b.sum(weight, Axis.ENTRY))
    pay = b.name("pay", b.muldiv(weight, b.source(Source.POT), total))
    b.name("dust", b.source(Source.POT) - b.sum(pay, Axis.ENTRY))
    sources = {
        Source.REFUSED: np.array([0, 1, 0, 0]), Source.STAKE: np.array([5, 9, 1, 1]), Source.POT: 100,
    }  # fmt: skip
    tape = evaluate(b.program(), Lengths(4, 6), Given(sources))  # type: ignore[arg-type]
    assert list(tape.named("pay")) == [71, 0, 14, 14]
    assert int(tape.named("dust")) == 1


def test_the_first_place_that_differs() -> None:
    wide = np.array([[1, 2**200], [3, 4]], object)
    assert first_unlike(wide, wide.copy()) is None
    assert first_unlike(wide, np.array([[1, 2**200 + 1], [3, 5]], object)) == (0, 1)
    assert first_unlike(np.array([1, 2]), np.array([1, 3], object)) == (1,)
    assert first_unlike(np.array(5), np.array(6, object)) == ()
    assert first_unlike(np.array(5), np.array(5, object)) is None
    assert first_unlike(np.zeros(0), np.zeros(0)) is None
