"""The tape of a round: every cell of its program, evaluated from its sources, and the tree that fixes them all.

    leaf   keccak(0x00, cell int256, blind bytes32)      blind is 0: room for cells that are hidden
    node   keccak(0x01, left, right)
    column keccak(0x02, column u16, depth u8, root)      axes padded to powers of two with cells 0, the first outermost
    tape   the Merkle root over its columns, padded with zero leaves

One cell is decided by `recompute` from its instruction and at most three others, or, where it sums, from the cells that
it sums. Nothing here knows a rule. Not in use yet, as programs are not.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.operations import PLAIN, Array, Op, apply, bounds_of, give, wrap
from fl_platform.protocol.program import LONGEST, Axis, Column, Map, Operand, Program, Source, merkle_root, summed

Place = tuple[int, ...]
HINTS = (Op.LEAST, Op.INVERSE)  # brought by who seals; checks hold each to its one right value
_FAST = 1 << 62  # what stays inside this is reckoned in int64
_BLIND = bytes(32)
_SWAP = {Axis.ENTRY: Axis.OTHER, Axis.OTHER: Axis.ENTRY}


@dataclass(frozen=True)
class Lengths:
    """How long each axis is in a round."""

    entries: int
    seats: int
    directions: int = 0
    blocks: int = 0

    def of(self, axis: Axis) -> int:
        """Return an axis's length."""
        found = {
            Axis.ENTRY: self.entries, Axis.OTHER: self.entries, Axis.SEAT: self.seats, Axis.DIRECTION: self.directions,
            Axis.BLOCK: self.blocks,
        }  # fmt: skip
        return found[axis]

    def shape(self, axes: tuple[Axis, ...]) -> Place:
        """Return the shape of a column. Raises DocumentInvalid: longer than any round can be."""
        for axis in axes:
            if not 0 <= self.of(axis) <= LONGEST[axis]:
                raise DocumentInvalid(f"{self.of(axis)} along {axis.name.lower()}; at most {LONGEST[axis]}")
        return tuple(self.of(axis) for axis in axes)


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

    def output(self, name: str) -> Array:
        """Return the cells of an output. Raises KeyError."""
        return self.columns[self.program.outputs[name]]

    @cached_property
    def roots(self) -> tuple[bytes, ...]:
        """The root of each column."""
        return tuple(column_root(number, cells) for number, cells in enumerate(self.columns))

    @property
    def root(self) -> bytes:
        """The root of all cells, 32 bytes: what a seal fixes."""
        return merkle_root(self.roots)

    def broken(self) -> Iterator[tuple[int, Place]]:
        """Yield where a check of a hint is 0: column and place, in order."""
        for number, column in enumerate(self.program.columns):
            if column.op is Op.MUST:
                for place in np.argwhere(self.columns[number] == 0):
                    yield number, tuple(int(at) for at in place)


def evaluate(
    program: Program, lengths: Lengths, sources: Mapping[Source, Array | int],
    hints: Mapping[int, Array] | None = None,
) -> Tape:  # fmt: skip
    """Return the tape of a checked program. `hints`: cells of hint columns that somebody brings, taken as they are.

    Raises DocumentInvalid where a source has another shape than the round, or leaves its bounds.
    """
    found: list[Array] = []
    for number, column in enumerate(program.columns):
        brought = (hints or {}).get(number)
        found.append(_column(program, column, number, found, lengths, sources) if brought is None else brought)
    return Tape(program, lengths, tuple(found))


def recompute(tape: Tape, number: int, place: Place) -> int:
    """Return what one cell must be by its instruction and the tape's other cells; hints and sources as they are."""
    column = tape.program.columns[number]
    if column.op is Op.CONST:
        return column.immediate
    if column.op in (Op.SOURCE, *HINTS):
        return tape.cell(number, place)
    if column.op is Op.INNER:
        axis = summed(column)
        assert axis is not None
        steps = [(*place, step) for step in range(tape.lengths.of(axis))]
        first, second = column.operands
        return wrap(sum(_read(tape, column, first, at) * _read(tape, column, second, at) for at in steps))
    if column.op is Op.GATHER:
        source, index = column.operands
        inner = place_of(source, column, place, source.axes[:-1], tape.lengths)
        return 0 if inner is None else tape.cell(source.column, (*inner, _read(tape, column, index, place)))
    cells = [_read(tape, column, operand, place) for operand in column.operands]
    return cells[0] if column.op is Op.MUST else apply(column.op, *cells)


def place_of(operand: Operand, column: Column, place: Place, read: tuple[Axis, ...], lengths: Lengths) -> Place | None:
    """Return where a cell at `place` reads an operand with the axes `read`; None: outside of it, which is 0.

    place: of the column's axes, and the step along the axis that it sums over, if any.
    """
    axis = summed(column)
    own = dict(zip((*column.axes, *(() if axis is None else (axis,))), place, strict=True))
    if operand.map is Map.BEFORE:
        last = column.axes[-1]
        if own[last] == 0:
            return None
        own[last] -= 1
    if operand.map is Map.SWAPPED:
        own = {_SWAP.get(each, each): at for each, at in own.items()}
    if operand.map is Map.DIAGONAL:
        own[Axis.OTHER] = own[Axis.ENTRY]
    if operand.map is Map.LAST:
        if lengths.of(read[-1]) == 0:
            return None
        own[read[-1]] = lengths.of(read[-1]) - 1
    return tuple(own[each] for each in read)


def _read(tape: Tape, column: Column, operand: Operand, place: Place) -> int:
    found = place_of(operand, column, place, operand.axes, tape.lengths)
    return 0 if found is None else tape.cell(operand.column, found)


# --- whole columns ----------------------------------------------------------------------------------------------------


def _column(
    program: Program, column: Column, number: int, before: list[Array], lengths: Lengths,
    sources: Mapping[Source, Array | int],
) -> Array:  # fmt: skip
    shape = lengths.shape(column.axes)
    if column.op is Op.CONST:
        return np.array(column.immediate, dtype=_kind(column.bounds))
    if column.op is Op.SOURCE:
        return _source(column, shape, sources, lengths.entries)
    if any(operand.column == number for operand in column.operands):
        return _scan(program, column, number, before, lengths, shape)
    if column.op is Op.INVERSE:
        return _inverse(before[column.operands[0].column], shape[0])
    fast = _is_fast(program, column)
    x = [_aligned(column, i, before, lengths, fast) for i in range(len(column.operands))]
    if column.op in PLAIN:
        # numpy makes bare numbers of arrays without axes, and int64 of those: none are given to it
        found = np.asarray(give(column.op, *map(np.atleast_1d, x)))
        return np.broadcast_to(found if shape else found.reshape(()), shape).astype(_kind(column.bounds))
    if column.op is Op.INNER:
        return np.asarray((x[0] * x[1]).sum(axis=-1, initial=0)).reshape(shape).astype(_kind(column.bounds))
    if column.op is Op.MUST:
        return x[0]
    return _gather(column, x, shape) if column.op is Op.GATHER else _least(column, x, shape)


def _source(column: Column, shape: Place, sources: Mapping[Source, Array | int], entries: int) -> Array:
    source = Source(column.immediate)
    if source not in sources:
        raise DocumentInvalid(f"the round's {source.name.lower()} is not given")
    given = np.asarray(sources[source], dtype=object)
    if source is Source.COUNT and given.shape == () and given != entries:
        raise DocumentInvalid(f"the round counts {given} entries and has {entries}")
    if given.shape != shape:
        raise DocumentInvalid(f"the round's {source.name.lower()} has the shape {given.shape}, wanted {shape}")
    low, high = column.bounds
    if given.size and not (low <= given.min() and given.max() <= high):
        raise DocumentInvalid(f"the round's {source.name.lower()} leaves its bounds of {low} to {high}")
    return given.astype(_kind(column.bounds))


def _aligned(column: Column, index: int, before: list[Array], lengths: Lengths, fast: bool) -> Array:
    """Return an operand as the column reads it: along the column's axes, behind them the one that is summed over."""
    operand = column.operands[index]
    read, cells = list(operand.axes), before[operand.column]
    behind: list[Axis] = []
    if column.op is Op.GATHER and index == 0:
        behind = [read.pop()]
    if operand.map is Map.LAST:
        dropped = read.pop()
        cells = cells[..., -1] if lengths.of(dropped) else np.zeros(cells.shape[:-1], dtype=cells.dtype)
    if operand.map is Map.DIAGONAL and Axis.OTHER in read:
        first, second = read.index(Axis.ENTRY), read.index(Axis.OTHER)
        cells = np.moveaxis(np.diagonal(cells, axis1=first, axis2=second), -1, first)
        read.remove(Axis.OTHER)
    if operand.map is Map.SWAPPED:
        read = [_SWAP.get(axis, axis) for axis in read]
    axis = None if column.op is Op.LEAST and index == 2 else summed(column)
    own = [*column.axes, *([] if axis is None else [axis])]
    order = sorted(range(len(read)), key=lambda i: own.index(read[i]))
    cells = cells.transpose((*order, *range(len(read), cells.ndim)))
    shape = [lengths.of(each) if each in read else 1 for each in own]
    cells = cells.reshape((*shape, *(lengths.of(each) for each in behind)))
    if operand.map is Map.BEFORE:
        last = len(column.axes) - 1
        cells = np.repeat(cells, 1 if shape[last] > 1 else lengths.of(own[last]), axis=last)
        cells = np.roll(cells, 1, axis=last)
        if lengths.of(column.axes[-1]):
            cells[(slice(None),) * last + (0,)] = 0
    if axis is not None:  # sums see every step, also of what does not change along it
        cells = np.broadcast_to(cells, (*cells.shape[:-1], lengths.of(axis)))
    return cells if fast else cells.astype(object)


def _scan(
    program: Program, column: Column, number: int, before: list[Array], lengths: Lengths, shape: Place
) -> Array:
    fast = _is_fast(program, column)
    running: Array = np.zeros(shape[:-1], dtype=np.int64 if fast else object)
    found: Array = np.zeros(shape, dtype=_kind(column.bounds))
    others = {
        i: np.broadcast_to(_aligned(column, i, before, lengths, fast), shape)
        for i, operand in enumerate(column.operands)
        if operand.column != number
    }
    for step in range(shape[-1]):
        x = [others[i][..., step] if i in others else running for i in range(len(column.operands))]
        running = np.asarray(give(column.op, *(np.atleast_1d(one) for one in x))).reshape(shape[:-1])
        found[..., step] = running
    return found


def _gather(column: Column, x: list[Array], shape: Place) -> Array:
    cells, at = np.broadcast_to(x[0], (*shape, x[0].shape[-1])), np.broadcast_to(x[1], shape)
    length = cells.shape[-1]
    inside = (at >= 0) & (at < length)
    if not length:
        return np.zeros(shape, dtype=_kind(column.bounds))
    safe = np.where(inside, at, 0).astype(np.int64)
    found = np.take_along_axis(cells, safe[..., None], axis=-1)[..., 0]
    return np.where(inside, found, 0).astype(_kind(column.bounds))


def _least(column: Column, x: list[Array], shape: Place) -> Array:
    """Find a hint's one right value: among the declared range's lower end and the cells of x."""
    low, high = column.bounds
    found = np.zeros(shape, dtype=object)
    values, weights = (np.broadcast_to(each, (*shape, each.shape[-1])) for each in x[:2])
    wanted = np.broadcast_to(x[2], shape)
    for place in itertools.product(*map(range, shape)):
        pairs = sorted((max(low, int(v)), int(w)) for v, w in zip(values[place], weights[place], strict=True))
        found[place] = _least_of(pairs, int(wanted[place]), low, high)
    return found.astype(_kind(column.bounds))


def _inverse(x: Array, length: int) -> Array:
    found = np.full(length, len(x), dtype=np.int64)
    for place in reversed(range(len(x))):
        if 0 <= x[place] < length:
            found[int(x[place])] = place
    return found


def _least_of(pairs: list[tuple[int, int]], wanted: int, low: int, high: int) -> int:
    if wanted <= 0:
        return low
    total = 0
    for value, weight in pairs:
        total += weight
        if total >= wanted:
            return min(value, high)
    return high


def _kind(bounds: tuple[int, int]) -> npt.DTypeLike:
    return np.int64 if max(-bounds[0], bounds[1]) < _FAST else object


def _is_fast(program: Program, column: Column) -> bool:
    """Whether operands, result and what lies between stay inside int64."""
    if column.op in (Op.SHIFT, Op.LEAST):
        return False
    between = [program.columns[operand.column].bounds for operand in column.operands]
    if column.op is Op.MULDIV:
        between.append(bounds_of(Op.MUL, *between[:2]))
    return all(_kind(each) is np.int64 for each in (*between, column.bounds))


# --- the tree ---------------------------------------------------------------------------------------------------------


def leaf_of(value: int) -> bytes:
    """Return the leaf of a cell."""
    return keccak256(b"\0" + value.to_bytes(32, "big", signed=True) + _BLIND)


@cache
def _padding(height: int) -> bytes:
    """Return the node over 2^height cells that are 0."""
    return leaf_of(0) if height == 0 else keccak256(b"\1" + _padding(height - 1) * 2)


def depth_of(length: int) -> int:
    """Return how many levels an axis of this length has."""
    return max(0, length - 1).bit_length()


def column_root(number: int, cells: Array) -> bytes:
    """Return a column's root: with its number and depth, so that no inner node passes for a leaf."""
    depth = sum(depth_of(length) for length in cells.shape)
    return keccak256(b"\2" + number.to_bytes(2, "big") + bytes([depth]) + _node(cells))


def _node(cells: Array) -> bytes:
    """Return the node over a column's cells, an axis after the other."""
    if not cells.ndim:
        return leaf_of(int(cells))
    below = sum(depth_of(length) for length in cells.shape[1:])
    level = [_node(inner) for inner in cells] if cells.ndim > 1 else [leaf_of(value) for value in cells.tolist()]
    for height in range(below, below + depth_of(cells.shape[0])):
        if len(level) % 2:
            level.append(_padding(height))
        level = [keccak256(b"\1" + left + right) for left, right in zip(level[::2], level[1::2], strict=True)]
    return level[0] if level else _padding(below)
