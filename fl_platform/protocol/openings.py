"""What decides one cell on chain: its instruction and at most three other cells, each with its path.

Twin of contracts/libraries/Refutation.sol, which needs no more of a round than the roots of program and tape, and how
long its axes are.

Tests: tests/contracts/test_refutation.py
"""

from __future__ import annotations

from dataclasses import dataclass

from fl_platform.protocol.operations import HINTS, ROWS, Op
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
    program = tape.program
    found = program.columns[column]
    assert found.op not in OTHER_KINDS, "not decided by cells at named places"
    places = operand_places(tape, column, place)
    operands = tuple(
        None if at is None else opened(tape, operand.column, at)
        for operand, at in zip(found.operands, places, strict=True)
    )
    return Refutation(
        column, place, found.words(), instruction_path(program, column), opened(tape, column, place), operands
    )


def operand_places(tape: Tape, column: int, place: Place) -> list[Place | None]:
    """Return where a cell reads its operands; None: outside, which is 0."""
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
