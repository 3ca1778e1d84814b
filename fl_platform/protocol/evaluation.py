"""Evaluating a round's program: its tape from its sources.

Whole columns at once, in int64 where their bounds allow it, else in Python integers; and any single cell from its
instruction (`recompute`), as a contract decides it. Nothing here knows a rule.

Tests: tests/unit/protocol/test_tape.py
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.arithmetic import Array, apply, give, hash_of_group
from fl_platform.protocol.checker import counted, read_axes, reads_beside
from fl_platform.protocol.openings import reads_of
from fl_platform.protocol.operations import CLOSED_ROWS, GROUP, HINTS, PLAIN, ROWS, Op, bounds_of, wrap
from fl_platform.protocol.program import Column, Operand, Program
from fl_platform.protocol.rows import shifted
from fl_platform.protocol.sources import Axis, Kind, Map, Source
from fl_platform.protocol.tape import Given, Lengths, ModelStepper, Place, RowSource, Tape, place_of

_FAST = 1 << 62  # what stays inside this is reckoned in int64


def evaluate(program: Program, lengths: Lengths, given: Given) -> Tape:
    """Return the tape of a checked program.

    Raises DocumentInvalid where a source has another shape than the round or leaves its bounds, or a column that
    somebody must bring is not there.
    """
    evaluator = _Evaluator(program, lengths, given)
    evaluator.wild = any(not _inside(cells, program.columns[n]) for n, cells in given.brought.items())
    for number, column in enumerate(program.columns):
        if number in given.brought:
            cells = _shaped(column, given.brought[number], lengths)
            evaluator.found.append(cells.astype(object if evaluator.wild else _kind(column)))
        else:
            evaluator.found.append(evaluator.column(number, column))
    return Tape(program, lengths, tuple(evaluator.found))


def evaluate_column(
    program: Program, lengths: Lengths, given: Given, before: Sequence[Array], number: int
) -> Array:  # fmt: skip
    """Return one column as it follows from those before it, whoever they come from. Raises as `evaluate`."""
    column = program.columns[number]
    reads = {operand.column for operand in column.operands} & set(range(number))
    wild = any(not _inside(before[read], program.columns[read]) for read in reads)
    return _Evaluator(program, lengths, given, list(before), wild).column(number, column)


def recompute(tape: Tape, number: int, place: Place) -> int:
    """Return what one cell must be by its instruction and the tape's other cells; what is given stays as it is."""
    column = tape.program.columns[number]
    if column.op is Op.CONST:
        return column.immediate
    if column.op in {Op.SOURCE, Op.PREV, Op.CLAIMED, *HINTS, *ROWS}:
        return tape.cell(number, place)
    if column.op is Op.GATHER:
        source, index = column.operands
        inner = place_of(source, column, place, source.axes[:-1], tape.lengths)
        return 0 if inner is None else tape.cell(source.column, (*inner, _read(tape, column, index, place)))
    if column.op is Op.POSEIDON:
        group = [tape.cell(read, at) for read, at in reads_of(tape, number, place) if at is not None]
        return hash_of_group(group, tape.lengths.of(column.operands[0].axes[-1]))
    cells = [_read(tape, column, operand, place) for operand in column.operands]
    return cells[0] if column.op is Op.MUST else apply(column.op, *cells)


def _read(tape: Tape, column: Column, operand: Operand, place: Place) -> int:
    found = place_of(operand, column, place, operand.axes, tape.lengths)
    return 0 if found is None else tape.cell(operand.column, found)


# --- whole columns ----------------------------------------------------------------------------------------------------


@dataclass
class _Evaluator:
    """Evaluates column after column; `found`: those before.

    wild: some cells are outside of their bounds, because whoever sealed brought them: then nothing fits into int64 for
    sure, and cells wrap as they do in a contract.
    """

    program: Program
    lengths: Lengths
    given: Given
    found: list[Array] = field(default_factory=list)
    wild: bool = False

    def column(self, number: int, column: Column) -> Array:
        """Return the cells of the next column."""
        cells = self._cells(number, column)
        if not self.wild:
            return cells.astype(_kind(column))
        return np.asarray(_wrapped(cells.astype(object)), dtype=object).reshape(cells.shape)

    def _cells(self, number: int, column: Column) -> Array:
        shape = self.lengths.shape(column.axes)
        op = column.op
        if op is Op.CONST:
            return np.array(column.immediate, dtype=object)
        if op is Op.SOURCE:
            return _source(column, shape, self.given, self.lengths.entries)
        if op is Op.PREV:
            return _previous(column, shape, self.given)
        if any(operand.column == number for operand in column.operands):
            return self._scan(number, column, shape)
        if op is Op.INVERSE:
            return _inverse(self.found[column.operands[0].column], shape[0])
        if op is Op.CLAIMED or self._lacks_rows(op):
            raise DocumentInvalid(f"column {column.name!r} is not given, and nothing here computes it")
        if op is Op.POSEIDON:
            return _hash_groups(self.found[column.operands[0].column], shape)
        fast = self._is_fast(column)
        x = [self._aligned(column, i, fast) for i in range(len(column.operands))]
        if op in PLAIN or op is Op.POSEIDON3:
            # numpy makes bare numbers of arrays without axes, and int64 of those: none are given to it
            cells = np.asarray(give(op, *map(np.atleast_1d, x)))
            return np.broadcast_to(cells if shape else cells.reshape(()), shape)
        if op is Op.STEP:
            assert self.given.stepper is not None
            return _stepped(x, shape, self.given.stepper)
        if op in ROWS:
            assert self.given.rows is not None
            return _rows(column, x, shape, self.lengths, self.given.rows)
        if op is Op.MUST:
            return x[0]
        return _gather(column, x, shape) if op is Op.GATHER else _least(column, x, shape)

    def _lacks_rows(self, op: Op) -> bool:
        return (op in CLOSED_ROWS and self.given.rows is None) or (op is Op.STEP and self.given.stepper is None)

    def _scan(self, number: int, column: Column, shape: Place) -> Array:
        fast = self._is_fast(column)
        running: Array = np.zeros(shape[:-1], dtype=np.int64 if fast else object)
        cells: Array = np.zeros(shape, dtype=np.int64 if fast else object)
        others = {
            i: np.broadcast_to(self._aligned(column, i, fast), shape)
            for i, operand in enumerate(column.operands)
            if operand.column != number
        }
        if column.op in (Op.ADD, Op.MULADD) and fast and set(others) == set(range(len(column.operands) - 1)):
            return np.cumsum(others[0] if column.op is Op.ADD else others[0] * others[1], axis=-1, dtype=np.int64)
        for step in range(shape[-1]):
            x = [others[i][..., step] if i in others else running for i in range(len(column.operands))]
            running = np.asarray(give(column.op, *(np.atleast_1d(one) for one in x))).reshape(shape[:-1])
            if self.wild:
                running = np.asarray(_wrapped(running), dtype=object).reshape(shape[:-1])
            cells[..., step] = running
        return cells

    def _aligned(self, column: Column, index: int, fast: bool) -> Array:
        """Return an operand as the column reads it: along the column's axes, behind them the one beside these."""
        operand, lengths = column.operands[index], self.lengths
        cells = self.found[operand.column]
        gathered = column.op is Op.GATHER and index == 0
        behind = operand.axes[-1:] if gathered else ()
        if operand.map is Map.LAST:
            cells = cells[..., -1] if cells.shape[-1] else np.zeros(cells.shape[:-1], dtype=cells.dtype)
        if operand.map is Map.DIAGONAL:
            cells = _diagonal(cells, operand.axes)
        read = read_axes(operand, gathered=gathered)
        axis = counted(column) if reads_beside(column, index) else None
        own = [*column.axes, *([] if axis is None else [axis])]
        order = sorted(range(len(read)), key=lambda i: own.index(read[i]))
        cells = cells.transpose((*order, *range(len(read), cells.ndim)))
        shape = [lengths.of(each) if each in read else 1 for each in own]
        cells = cells.reshape((*shape, *(lengths.of(each) for each in behind)))
        if operand.map is Map.BEFORE:
            cells = _before(cells, len(column.axes) - 1, lengths.of(column.axes[-1]))
        if axis is not None:  # who counts sees every step, also of what does not change along it
            cells = np.broadcast_to(cells, (*cells.shape[:-1], lengths.of(axis)))
        return cells if fast else cells.astype(object)

    def _is_fast(self, column: Column) -> bool:
        """Whether operands, result and what lies between stay inside int64."""
        if self.wild or column.op in {Op.SHIFT, Op.LEAST, *ROWS} or column.kind is not Kind.NUMBER:
            return False
        columns = [self.program.columns[operand.column] for operand in column.operands]
        if any(one.kind is not Kind.NUMBER for one in columns):
            return False
        between = [one.bounds for one in columns]
        if column.op in (Op.MULDIV, Op.MULADD):
            between.append(bounds_of(Op.MUL, *between[:2]))
        return all(_fits(each) for each in (*between, column.bounds))


def _shaped(column: Column, cells: Array, lengths: Lengths) -> Array:
    if cells.shape != lengths.shape(column.axes):
        raise DocumentInvalid(
            f"column {column.name!r} is given with the shape {cells.shape}, wanted {lengths.shape(column.axes)}"
        )
    return cells


def _source(column: Column, shape: Place, given: Given, entries: int) -> Array:
    source, index = Source(column.immediate & 0xFF), column.immediate >> 8
    if source is Source.WORD and index not in given.words:
        raise DocumentInvalid(f"the rules' word {index} ({column.name}) is not given")
    if source is not Source.WORD and source not in given.sources:
        raise DocumentInvalid(f"the round's {source.name.lower()} is not given")
    cells = np.asarray(given.words[index] if source is Source.WORD else given.sources[source], dtype=object)
    if source is Source.COUNT and cells.shape == () and cells != entries:
        raise DocumentInvalid(f"the round counts {cells} entries and has {entries}")
    if cells.shape != shape:
        raise DocumentInvalid(f"the round's {column.name} has the shape {cells.shape}, wanted {shape}")
    low, high = column.bounds
    if cells.size and not (low <= cells.min() and cells.max() <= high):
        raise DocumentInvalid(f"the round's {column.name} leaves its bounds of {low} to {high}")
    return cells


def _previous(column: Column, shape: Place, given: Given) -> Array:
    """What the round before handed on: `immediate` in the first round, and where the column is longer now."""
    cells = np.full(shape, column.immediate, dtype=object)
    if given.previous is not None:
        before = given.previous[column.operands[0].column]
        common = tuple(slice(0, min(old, new)) for old, new in zip(before.shape, shape, strict=True))
        cells[common] = before[common]
    return cells


def _hash_groups(cells: Array, shape: Place) -> Array:
    """Hash each eight cells along the last axis; equal ones once, as what is not there is 0 in most of them."""
    groups = -(-cells.shape[-1] // GROUP) if len(shape) == cells.ndim else 1
    padded = np.zeros((*cells.shape[:-1], groups * GROUP), dtype=object)
    padded[..., : cells.shape[-1]] = cells
    rows = [tuple(map(int, row)) for row in padded.reshape(-1, GROUP).tolist()]
    hashes = {row: hash_of_group(row, cells.shape[-1]) for row in dict.fromkeys(rows)}
    found = np.empty(len(rows), dtype=object)
    found[:] = [hashes[row] for row in rows]
    return found.reshape(shape)


def _rows(column: Column, x: list[Array], shape: Place, lengths: Lengths, rows: RowSource) -> Array:
    if column.op is Op.COMBINE:
        found = np.zeros(shape, dtype=object)
        added, weights = (np.broadcast_to(one, (*shape, one.shape[-1])) for one in x)
        for place in np.ndindex(*shape):
            found[place] = rows.combine(list(added[place]), [int(w) for w in weights[place]])
        return found
    # each pair of distinct rows once; 0 is no row
    left, left_at = _distinct(np.broadcast_to(x[0], shape))
    right, right_at = _distinct(np.broadcast_to(x[1], shape))
    with_itself = left == right and np.array_equal(left_at, right_at)

    def products(block: int | None) -> Array:
        if with_itself:
            squares = [int(rows.dots([root], [root], block)[0, 0]) for root in left]
            return np.asarray(np.array([0, *squares], dtype=object)[left_at])
        table = np.zeros((len(left) + 1, len(right) + 1), dtype=object)
        if left and right:
            table[1:, 1:] = rows.dots(left, right, block)
        return np.asarray(table[left_at, right_at])

    if column.op is Op.DOT_SHIFTED:
        shifts = np.broadcast_to(x[2], (*shape, lengths.blocks))
        parts = [_shifted(products(block), shifts[..., block]) for block in range(rows.counting)]
        return np.asarray(sum(parts, np.zeros(shape, dtype=object)), dtype=object)
    if Axis.BLOCK not in column.axes:
        return products(None)
    along = column.axes.index(Axis.BLOCK)
    found = np.zeros(shape, dtype=object)
    for block in range(lengths.blocks):
        at = (slice(None),) * along + (block,)
        found[at] = products(block)[at]
    return found


def _stepped(x: list[Array], shape: Place, stepper: ModelStepper) -> Array:
    found = np.zeros(shape, dtype=object)
    models, sums = (np.broadcast_to(one, shape) for one in x[:2])
    factors = np.broadcast_to(x[2], (*shape, x[2].shape[-1]))
    for place in np.ndindex(*shape):
        model, moving = int(models[place]), int(sums[place])
        if model and moving:
            found[place] = stepper.step(model, moving, [int(one) for one in factors[place]])
    return found


def _distinct(cells: Array) -> tuple[list[int], npt.NDArray[np.int64]]:
    """Return the roots that occur, 0 left out, and for each cell its number among them + 1, or 0."""
    numbers: dict[int, int] = {}
    flat = [0 if root == 0 else numbers.setdefault(root, len(numbers) + 1) for root in cells.reshape(-1).tolist()]
    return list(numbers), np.array(flat, dtype=np.int64).reshape(cells.shape)


def _diagonal(cells: Array, axes: tuple[Axis, ...]) -> Array:
    for one, other in ((Axis.ENTRY, Axis.OTHER), (Axis.DIRECTION, Axis.OTHER_DIRECTION)):
        if other in axes:
            first, second = axes.index(one), axes.index(other)
            cells = np.moveaxis(np.diagonal(cells, axis1=first, axis2=second), -1, first - (second < first))
            axes = tuple(axis for axis in axes if axis is not other)
    return cells


def _before(cells: Array, last: int, length: int) -> Array:
    """Return cells one place later along axis `last`, 0 at the first."""
    cells = np.repeat(cells, 1 if cells.shape[last] > 1 else length, axis=last)
    cells = np.roll(cells, 1, axis=last)
    if length:
        cells[(slice(None),) * last + (0,)] = 0
    return cells


def _gather(column: Column, x: list[Array], shape: Place) -> Array:
    cells, at = np.broadcast_to(x[0], (*shape, x[0].shape[-1])), np.broadcast_to(x[1], shape)
    length = cells.shape[-1]
    inside = (at >= 0) & (at < length)
    if not length:
        return np.zeros(shape, dtype=np.int64)
    safe = np.where(inside, at, 0).astype(np.int64)
    found = np.take_along_axis(cells, safe[..., None], axis=-1)[..., 0]
    return np.where(inside, found, 0)


def _least(column: Column, x: list[Array], shape: Place) -> Array:
    """Find a hint's one right value: among the declared range's lower end and the cells of x."""
    low, high = column.bounds
    found = np.zeros(shape, dtype=object)
    values, weights = (np.broadcast_to(each, (*shape, each.shape[-1])) for each in x[:2])
    wanted = np.broadcast_to(x[2], shape)
    for place in itertools.product(*map(range, shape)):
        pairs = sorted((max(low, int(v)), int(w)) for v, w in zip(values[place], weights[place], strict=True))
        found[place] = least_of(pairs, int(wanted[place]), low, high)
    return found


def _inverse(x: Array, length: int) -> Array:
    found = np.full(length, len(x), dtype=np.int64)
    for place in reversed(range(len(x))):
        if 0 <= x[place] < length:
            found[int(x[place])] = place
    return found


def least_of(pairs: list[tuple[int, int]], wanted: int, low: int, high: int) -> int:
    if wanted <= 0:
        return low
    total = 0
    for value, weight in pairs:
        total += weight
        if total >= wanted:
            return min(value, high)
    return high


_wrapped: Callable[..., Any] = np.frompyfunc(lambda cell: wrap(int(cell)), 1, 1)
_shifted: Callable[..., Any] = np.frompyfunc(lambda cell, by: shifted(int(cell), int(by)), 2, 1)


def _inside(cells: Array, column: Column) -> bool:
    """Whether cells keep to their column's bounds."""
    low, high = column.bounds
    return not cells.size or (low <= int(cells.min()) and int(cells.max()) <= high)


def _fits(bounds: tuple[int, int]) -> bool:
    return max(-bounds[0], bounds[1]) < _FAST


def _kind(column: Column) -> npt.DTypeLike:
    return np.int64 if column.kind is Kind.NUMBER and _fits(column.bounds) else object
