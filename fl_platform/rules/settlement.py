"""The settlement cell: one hash of all that was given and decides what is paid, for a proof to be about.

Given is what no other cell decides (protocol/held.py), and how many entries and seats there are. A circuit takes these,
and computes the rest as the program says. What only the model, the sums or the next steps need is left out.

    numbers are cut to what circuits hold
    numbers of the same axes are packed side by side, the widest first, into cells of 250 bits; what may be below 0
    is taken from its least value on. Of pairs, eight neighbours are packed.
    each packed column is hashed by eight along its last axis until no axis is left
    cells without axes, then these hashes by their axes, are hashed into one, three at first and then two more at a time

What is packed how follows from the program alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.building import Builder, Cells
from fl_platform.protocol.held import held_bounds, is_given, listed, needed, slot
from fl_platform.protocol.operations import GROUP, Op
from fl_platform.protocol.program import Operand, Output, Program
from fl_platform.protocol.sources import Axis, Source, grouped

_ROOM = 250  # bits of a cell
_DIRECTIONS = frozenset({Axis.DIRECTION, Axis.OTHER_DIRECTION})
Axes = tuple[Axis, ...]


def settle(b: Builder, outputs: Iterable[Cells], directions: int) -> None:
    """Write down the settlement cell of what these columns are decided by. `directions`: that the rule looks at."""
    parts: dict[Axes, list[Cells]] = {(): [b.source(Source.COUNT), b.sum(b.ones(Axis.SEAT), Axis.SEAT)]}
    for number in needed(b.columns, [one.operand.column for one in outputs]):
        if not is_given(b.columns, number):
            continue
        column = b.columns[number]
        cells, held = Cells(b, Operand(number, axes=column.axes)), held_bounds(column)
        for one in _spread(b, cells if held == column.bounds else b.clamp(cells, *held), directions):
            parts.setdefault(one.axes, []).append(one)
    found: list[Cells] = []
    for axes in sorted(parts):
        distinct = {one.operand.column: one for one in parts[axes]}
        found += _hashed(b, _packed(b, list(distinct.values())))
    whole = b.plain(Op.POSEIDON3, *_three(found[:3]))
    for start in range(3, len(found), 2):
        whole = b.plain(Op.POSEIDON3, *_three([whole, *found[start : start + 2]]))
    b.output(Output.SETTLEMENT, b.name("settlement", whole))


def is_settled(program: Program, directions: int) -> bool:
    """Whether a program's settlement cell is the one that `settle` writes: of another a proof would say nothing."""
    said_by = {Output.EARNED, Output.REPUTATION, Output.DIVISOR, Output.SUMS, Output.SETTLEMENT}
    if not said_by <= set(program.outputs) or program.columns[program.outputs[Output.SUMS]].op is not Op.COMBINE:
        return False
    b = Builder.of(program)
    said = [Cells(b, Operand(number, axes=program.columns[number].axes)) for number in listed(program)]
    try:
        settle(b, said, directions)
    except DocumentInvalid:  # something of it is not there
        return False
    return b.outputs[Output.SETTLEMENT] == program.outputs[Output.SETTLEMENT]


def _spread(b: Builder, cells: Cells, directions: int) -> Iterator[Cells]:
    """Yield a column by such that can be packed side by side: one a direction, of pairs one a neighbour of eight."""
    axes = cells.axes
    if len(axes) > 1 and axes[-1] in _DIRECTIONS:
        for at in range(directions):
            yield from _spread(b, b.gather(cells, at), directions)
    elif axes[-1:] == (Axis.OTHER,):
        first = b.numbers(b.ones(Axis.OTHER_8)) * GROUP
        for at in range(GROUP):
            yield b.gather(cells, first + at, axes=(Axis.OTHER_8, *axes[:-1]))
    else:
        yield cells


def _packed(b: Builder, cells: list[Cells]) -> list[Cells]:
    """Return as few cells as hold all of these."""
    slots = {one.operand.column: slot(b.columns[one.operand.column].bounds) for one in cells}
    found: list[tuple[Cells, int]] = []
    for one in sorted(cells, key=lambda one: (-slots[one.operand.column][1], one.operand.column)):
        start, bits = slots[one.operand.column]
        counted = one - start if start else one
        place = next((i for i, (_, used) in enumerate(found) if used + bits <= _ROOM), None)
        if place is None:
            found.append((counted, bits))
        else:
            packed, used = found[place]
            found[place] = b.plain(Op.MULADD, packed, 1 << bits, counted), used + bits
    return [packed for packed, _ in found]


def _hashed(b: Builder, cells: list[Cells]) -> Iterator[Cells]:
    """Yield a cell without axes of each of these; two at a time where an axis has no groups."""
    while cells:
        one, *cells = cells
        while one.axes and grouped(one.axes) is not None:
            one = b.hash(one)
        if one.axes:
            other = cells.pop(0) if cells and one.axes == cells[0].axes else 0
            chained = b.hash_along(one, other)
            one, = _hashed(b, [b.plain(Op.POSEIDON3, chained, 0, 0)]) if chained.axes else [chained]
        yield one


def _three(cells: list[Cells]) -> list[Cells | int]:
    return [*cells, *[0] * (3 - len(cells))]
