"""What of a round program a circuit has: which columns, which of their cells, and which of these are given.

Only what the wanted columns depend on is compiled, cell by cell. What no circuit can follow is *given*, as the round's
tape has it (`protocol.held.is_given`).

Tests: tests/zk/test_compile_program.py
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fl_platform.protocol.held import is_given, needed
from fl_platform.protocol.operations import PLAIN, Op
from fl_platform.protocol.program import Column, Operand, Program
from fl_platform.protocol.seats import FIRST_SEAT, REFERENCE_SEAT
from fl_platform.protocol.sources import GROUPED, TWINS, Axis, Map
from fl_platform.protocol.tape import Lengths, Place, place_of

# Axes of which a round may have less than a circuit.
VARIABLE = frozenset({Axis.ENTRY, Axis.OTHER, Axis.SEAT, *GROUPED})
_WHOLE = frozenset({Op.LEAST, Op.INVERSE, Op.POSEIDON})  # read all cells of their operands
_FOLLOWED = PLAIN | {Op.GATHER, Op.POSEIDON3}


@dataclass(frozen=True)
class Shape:
    """What a circuit has room for."""

    trainers: int
    directions: int  # of the task's rules, exactly
    aggregators: int = 2  # of the list, that may seal; the seats of more hold nothing

    @property
    def lengths(self) -> Lengths:
        """How long each axis is: the reference's entry comes in addition to the trainers'."""
        return Lengths(self.trainers + 1, FIRST_SEAT + self.trainers, 0, self.directions)

    @property
    def seats(self) -> tuple[int, ...]:
        """The seats that may hold something."""
        return (*range(self.aggregators), *range(REFERENCE_SEAT, self.lengths.seats))


@dataclass(frozen=True)
class Plan:
    """A circuit's columns and cells; `wanted`: the columns that it is about."""

    program: Program
    shape: Shape
    wanted: tuple[int, ...]

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """The columns that the wanted ones depend on, in order; of a given one nothing more is asked."""
        return needed(self.program.columns, self.wanted)

    def is_given(self, number: int) -> bool:
        """Whether the circuit takes a column as the tape has it."""
        return is_given(self.program.columns, number)

    def operands(self, number: int) -> tuple[Operand, ...]:
        """Return what a column is computed from; nothing where it is given."""
        return () if self.is_given(number) else self.program.columns[number].operands

    def runs(self, number: int) -> bool:
        """Whether a column reads itself, one place before."""
        return any(operand.column == number for operand in self.program.columns[number].operands)

    def is_symmetric(self, number: int) -> bool:
        """Whether a column is a product of rows that is the same with its pair exchanged."""
        column = self.program.columns[number]
        if column.op not in (Op.DOT, Op.DOT_SHIFTED) or not _swapped(*column.operands[:2]):
            return False
        if len(column.axes) < 2 or TWINS.get(column.axes[-2]) is not column.axes[-1]:
            return False
        if column.op is Op.DOT:
            return True
        shifts = self.program.columns[column.operands[2].column]
        return shifts.op is Op.ADD and _swapped(*shifts.operands)

    @cached_property
    def held(self) -> frozenset[int]:
        """Columns of which something reads the last cell: what runs there stays as it is behind the last place."""
        read = (operand for number in self.numbers for operand in self.operands(number))
        return frozenset(operand.column for operand in read if operand.map is Map.LAST)

    @cached_property
    def cut(self) -> dict[int, int]:
        """The CLAMPs that alone read a quotient -> the quotient's column.

        Such a clamp says how large a quotient can be, and so how many bits it needs; where it would cut, the round has
        no proof.
        """
        readers: dict[int, set[int]] = {}
        for number in self.numbers:
            for operand in self.operands(number):
                readers.setdefault(operand.column, set()).add(number)
        found = {}
        for number in self.numbers:
            column = self.program.columns[number]
            if column.op is not Op.CLAMP or self.runs(number):
                continue
            inner = column.operands[0]
            source = self.program.columns[inner.column]
            alone = readers[inner.column] == {number} and inner.column not in self.wanted
            if alone and source.op in (Op.DIV, Op.MULDIV) and inner.map is Map.OWN and source.axes == column.axes:
                found[number] = inner.column
        return found

    def sums(self, whole: Operand, part: Operand) -> bool:
        """Whether a column is the sum of another, as `Builder.sum` writes it, and no part of it can be below 0."""
        columns = self.program.columns
        alike = whole.map is Map.OWN and part.map in (Map.OWN, Map.SWAPPED, Map.DIAGONAL)
        if not alike or columns[part.column].bounds[0] < 0:
            return False
        added = columns[whole.column]
        if added.op is not Op.ADD or added.operands[0].map is not Map.LAST:
            return False
        scanned, rest = added.operands[0].column, columns[added.operands[1].column]
        running = columns[scanned]
        return (
            running.op is Op.ADD and self.runs(scanned) and running.operands[0] == part
            and (rest.op, rest.immediate) == (Op.CONST, 0)
        )  # fmt: skip

    @cached_property
    def cells(self) -> dict[int, npt.NDArray[np.bool_]]:
        """By column, which cells something depends on."""
        columns, lengths = self.program.columns, self.shape.lengths
        marks = {n: np.full(lengths.shape(columns[n].axes), n in self.wanted) for n in self.numbers}
        for number in reversed(self.numbers):
            own = marks[number]
            if self.is_given(number):
                if self.is_symmetric(number):
                    own |= np.swapaxes(own, -2, -1)
            elif columns[number].op in _WHOLE and own.any():
                for operand in columns[number].operands:
                    marks[operand.column][...] = True
            elif columns[number].op in _FOLLOWED:
                for place in reversed(list(np.ndindex(*own.shape))):
                    if own[place]:
                        self._mark(columns[number], place, marks)
        return marks

    def _mark(self, column: Column, place: Place, marks: dict[int, npt.NDArray[np.bool_]]) -> None:
        """Mark what one cell reads."""
        for number, operand in enumerate(column.operands):
            gathered = column.op is Op.GATHER and number == 0
            axes = operand.axes[:-1] if gathered else operand.axes
            at = place_of(operand, column, place, axes, self.shape.lengths)
            if at is None:
                continue
            if gathered:
                index = self.program.columns[column.operands[1].column]
                if index.op is not Op.CONST:
                    marks[operand.column][at] = True
                elif 0 <= index.immediate < self.shape.lengths.of(operand.axes[-1]):
                    marks[operand.column][(*at, index.immediate)] = True
            elif operand.map is Map.LAST and operand.axes[-1] in VARIABLE and not self.runs(operand.column):
                marks[operand.column][at[:-1]] = True
            else:
                marks[operand.column][at] = True


def _swapped(one: Operand, other: Operand) -> bool:
    """Whether both read one column, one of them with its pair exchanged."""
    return one.column == other.column and {one.map, other.map} == {Map.OWN, Map.SWAPPED}
