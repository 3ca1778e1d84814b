"""What decides one cell on chain: its instruction and at most three other cells, each with its path.

Twin of contracts/libraries/Refutation.sol, which needs no more of a round than the roots of program and tape, and how
long its axes are.

Tests: tests/contracts/test_refutation.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fl_platform.protocol.operations import GROUP, HINTS, ROWS, Op
from fl_platform.protocol.program import Program
from fl_platform.protocol.rows import path_of
from fl_platform.protocol.tape import Place, Tape, place_of
from fl_platform.protocol.tree import column_levels, depth_of

OTHER_KINDS = frozenset({Op.SOURCE, Op.PREV, Op.CLAIMED, *HINTS, *ROWS})  # not decided by cells at named places


@dataclass(frozen=True)
class Opened:
    """A cell of a tape with its path: of the column first, then of the columns."""

    value: int
    siblings: tuple[bytes, ...]


@dataclass(frozen=True)
class Refutation:
    """A claim that a cell is not what follows from others, with all that it takes to decide it."""

    column: int
    place: Place  # of the cell, as many numbers as its column has axes
    words: bytes  # the instruction, 5 * 32
    path: tuple[bytes, ...]  # of the instruction, to the program's root
    claimed: Opened
    operands: tuple[Opened | None, ...]  # None: outside of its column, and so 0


def refutation_of(tape: Tape, column: int, place: Place) -> Refutation:
    """Return what decides a cell that reads cells alone, from a whole tape."""
    assert tape.program.columns[column].op not in OTHER_KINDS, "not decided by cells at named places"
    reads = reads_of(tape, column, place)
    operands = [None if at is None else opened(tape, number, at) for number, at in reads]
    return refuting(tape, column, place, opened(tape, column, place), operands)


def refuting(
    tape: Tape, column: int, place: Place, claimed: Opened, operands: Sequence[Opened | None]
) -> Refutation:
    """Return what decides a cell of which `reads_of` says what it reads. Eight cells of a hash have one path."""
    program, found = tape.program, tape.program.columns[column]
    if found.op is Op.POSEIDON and operands:
        level = len(operands).bit_length() - 1
        cells = [replace(one, siblings=()) for one in operands if one is not None]
        assert operands[0] is not None, "a hash reads all of its group"
        operands = [replace(cells[0], siblings=operands[0].siblings[level:]), *cells[1:]]
    return Refutation(column, place, found.words(), instruction_path(program, column), claimed, tuple(operands))


def reads_of(tape: Tape, column: int, place: Place) -> list[tuple[int, Place | None]]:
    """Return the cells that a cell reads, column and place; None: outside, which is 0.

    Of a hash all of its group, which is a node of the column's tree: what fills that is no part of the column.
    """
    found = tape.program.columns[column]
    if found.op is Op.POSEIDON:
        of = found.operands[0]
        *inner, group = place if len(found.axes) == len(of.axes) else (*place, 0)
        count = min(GROUP, 1 << depth_of(tape.lengths.of(of.axes[-1])))
        return [(of.column, (*inner, GROUP * group + at)) for at in range(count)]
    places = _operand_places(tape, column, place)
    return [(operand.column, at) for operand, at in zip(found.operands, places, strict=True)]


def _operand_places(tape: Tape, column: int, place: Place) -> list[Place | None]:
    found = tape.program.columns[column]
    if found.op is not Op.GATHER:
        return [place_of(operand, found, place, operand.axes, tape.lengths) for operand in found.operands]
    source, index = found.operands
    at = place_of(index, found, place, index.axes, tape.lengths)
    inner = place_of(source, found, place, source.axes[:-1], tape.lengths)
    named = 0 if at is None else tape.cell(index.column, at)
    inside = inner is not None and 0 <= named < tape.lengths.of(source.axes[-1])
    return [(*inner, named) if inside and inner is not None else None, at]


def opened(tape: Tape, column: int, place: Place) -> Opened:
    """Return a cell with its path to the tape's root."""
    cells = tape.columns[column]
    number, inside = flat(place, cells.shape), []
    for level in column_levels(cells)[:-1]:
        inside.append(level[number ^ 1].tobytes())
        number //= 2
    return Opened(tape.cell(column, place), (*inside, *path_of(tape.levels, column)))


def instruction_path(program: Program, column: int) -> tuple[bytes, ...]:
    """Return the path of a column's instruction to the program's root."""
    return path_of(program.levels, column + 1)


def flat(place: Place, shape: Place) -> int:
    """Return a place's number among the leaves of its column: each axis as wide as a power of two, first outermost."""
    number = 0
    for at, length in zip(place, shape, strict=True):
        number = number << depth_of(length) | at
    return number
