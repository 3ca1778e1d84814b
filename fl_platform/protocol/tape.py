"""The tape of a round: every cell of its program, and what they are evaluated from (`evaluation`).

`tree` has the root that fixes them all. Nothing here knows a rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.arithmetic import Array
from fl_platform.protocol.checker import counted
from fl_platform.protocol.operations import Op
from fl_platform.protocol.program import Column, Operand, Output, Program, merkle_levels
from fl_platform.protocol.sources import GROUPED, LONGEST, TWINS, Axis, Map, Source
from fl_platform.protocol.tree import column_root

Place = tuple[int, ...]


@dataclass(frozen=True)
class Lengths:
    """How long each axis is in a round."""

    entries: int
    seats: int
    blocks: int = 0
    directions: int = 0

    def of(self, axis: Axis) -> int:
        """Return an axis's length."""
        of, places = GROUPED.get(axis, (axis, 1))
        found = {
            Axis.ENTRY: self.entries, Axis.OTHER: self.entries, Axis.SEAT: self.seats, Axis.BLOCK: self.blocks,
            Axis.DIRECTION: self.directions, Axis.OTHER_DIRECTION: self.directions,
        }  # fmt: skip
        return -(-found[of] // places)

    def shape(self, axes: tuple[Axis, ...]) -> Place:
        """Return the shape of a column. Raises DocumentInvalid: longer than any round can be."""
        for axis in axes:
            if not 0 <= self.of(axis) <= LONGEST[axis]:
                raise DocumentInvalid(f"{self.of(axis)} along {axis.name.lower()}; at most {LONGEST[axis]}")
        return tuple(self.of(axis) for axis in axes)


class RowSource(Protocol):
    """Vectors over the parameters by their content roots: what a key holder has. A root of 0 is no row."""

    @property
    def counting(self) -> int:
        """How many blocks count: the first ones."""

    def dots(self, left: Sequence[int], right: Sequence[int], block: int | None) -> Array:
        """Return the inner products, (left, right): over one block, or over all blocks that count. None is of 0."""

    def combine(self, rows: Sequence[int], weights: Sequence[int]) -> int:
        """Return the content root of the sum of rows times weights; those of 0 are left out."""


class ModelStepper(Protocol):
    """Models and sums by their content roots: what everybody has."""

    def step(self, model: int, sums: int, factors: Sequence[int]) -> int:
        """Return the content root of a model moved by sums; `factors`: packed, by block. Raises KeyError: no such row
        is there."""


@dataclass(frozen=True)
class Given:
    """What a round's cells are evaluated from.

    words: of the rules, by index. previous: the columns of the round before; None in the first. rows: None where
    nobody has the updates; their cells are then `brought`. stepper: None where nobody has the model or the sums; the
    new model is then `brought`. brought: cells taken as they are, by column: claimed ones, hints that somebody brings,
    products of rows that a bundle names.
    """

    sources: Mapping[Source, Array | int] = field(default_factory=dict)
    words: Mapping[int, int] = field(default_factory=dict)
    previous: Sequence[Array] | None = None
    rows: RowSource | None = None
    stepper: ModelStepper | None = None
    brought: Mapping[int, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Tape:
    """All cells of a round."""

    program: Program
    lengths: Lengths
    columns: tuple[Array, ...]

    def cell(self, column: int, place: Place) -> int:
        """Return one cell; 0 outside of the column."""
        cells = self.columns[column]
        inside = all(0 <= at < length for at, length in zip(place, cells.shape, strict=True))
        return int(cells[place]) if inside else 0

    def output(self, output: Output) -> Array:
        """Return the cells of an output. Raises KeyError."""
        return self.columns[self.program.outputs[output]]

    def named(self, name: str) -> Array:
        """Return the cells of a column by its name. Raises KeyError."""
        return self.columns[self.program.column(name)]

    @cached_property
    def roots(self) -> tuple[bytes, ...]:
        """The root of each column."""
        return tuple(column_root(number, cells) for number, cells in enumerate(self.columns))

    @cached_property
    def root(self) -> bytes:
        """The root of all cells, 32 bytes: what a seal fixes."""
        return self.levels[-1][0]

    @cached_property
    def levels(self) -> list[list[bytes]]:
        """The tree over the columns' roots, level by level from its padded leaves."""
        return merkle_levels(self.roots)

    def broken(self) -> Iterator[tuple[int, Place]]:
        """Yield where a check is 0: column and place, in order."""
        for number, column in enumerate(self.program.columns):
            if column.op is Op.MUST:
                for place in np.argwhere(self.columns[number] == 0):
                    yield number, tuple(int(at) for at in place)


def first_unlike(one: Array, other: Array) -> Place | None:
    """Return the first place where two columns of one shape differ; None: nowhere."""
    return next(all_unlike(one, other), None)


def all_unlike(one: Array, other: Array) -> Iterator[Place]:
    """Yield the places where two columns of one shape differ, in order."""
    for place in np.argwhere(np.asarray(one != other)):
        yield tuple(int(at) for at in place)


def place_of(operand: Operand, column: Column, place: Place, read: tuple[Axis, ...], lengths: Lengths) -> Place | None:
    """Return where a cell at `place` reads an operand with the axes `read`; None: outside of it, which is 0.

    place: of the column's axes; behind them one along the axis that operands have beside these, where it is wanted.
    """
    axis = counted(column)
    own = dict(zip((*column.axes, *(() if axis is None else (axis,))), place, strict=False))
    if operand.map is Map.BEFORE:
        last = column.axes[-1]
        if own[last] == 0:
            return None
        own[last] -= 1
    if operand.map is Map.SWAPPED:
        own = {TWINS.get(each, each): at for each, at in own.items()}
    if operand.map is Map.DIAGONAL:
        own |= {Axis.OTHER: own.get(Axis.ENTRY, 0), Axis.OTHER_DIRECTION: own.get(Axis.DIRECTION, 0)}
    if operand.map is Map.LAST:
        if lengths.of(read[-1]) == 0:
            return None
        own[read[-1]] = lengths.of(read[-1]) - 1
    return tuple(own[each] for each in read)
