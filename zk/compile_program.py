"""A circuit from a round program: the cells that some columns of it depend on, as constraints.

The program that a task freezes is the only text: the same instructions that Python evaluates and the contract checks
cell by cell become constraints here (`circuits.gates`). `circuits.plan` says which cells there are.

A circuit has room for a number of trainers; a round may have fewer. Places behind the last entry, or the last seat,
hold whatever follows from zeros, and no sum, choice or hint counts them.

Tests: tests/zk/test_compile_program.py
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fl_platform.errors import NoCircuit
from fl_platform.protocol.checker import counted
from fl_platform.protocol.evaluation import least_of
from fl_platform.protocol.held import held_bounds, slot
from fl_platform.protocol.operations import GROUP, PLAIN, Bounds, Op
from fl_platform.protocol.program import Column, Operand
from fl_platform.protocol.sources import GROUPED, SECOND, TWINS, Axis, Kind, Map, Source, immediate_of
from fl_platform.protocol.tape import Place, Tape, place_of
from zk.circuits.gates import ONE, ZERO, Gates, constant
from zk.circuits.hashing import permutation
from zk.circuits.plan import Plan
from zk.circuits.system import Cell, System, modulo, total
from zk.curve.fields import ORDER

Cells = npt.NDArray[np.object_]  # of Cell, along a column's axes; None where nothing depends on one
_COUNT, _SEATED = immediate_of(Source.COUNT), {immediate_of(Source.SEAT_OF), immediate_of(Source.AGGREGATOR)}


@dataclass
class Compiler:
    """Compiles a plan's columns in order. tape: of the round, for the concrete reading; else None."""

    plan: Plan
    system: System
    tape: Tape | None = None
    cells: dict[int, Cells] = field(default_factory=dict)  # by column

    def __post_init__(self) -> None:
        """Say how many entries and seats a round has. Raises NoCircuit: more than there is room for."""
        self.gates = Gates(self.system)
        self.program, self.lengths = self.plan.program, self.plan.shape.lengths
        real = None if self.tape is None else self.tape.lengths
        if real is not None and (real.entries > self.lengths.entries or real.seats > self.lengths.seats):
            raise NoCircuit(
                f"a round of {real.entries} entries and {real.seats} seats: the circuit has room for "
                f"{self.lengths.entries} and {self.lengths.seats}"
            )
        self.count, entries = self._length(self.lengths.entries, 0 if real is None else real.entries)
        self.seats, seats = self._length(self.lengths.seats, 0 if real is None else real.seats)
        self.active = {Axis.ENTRY: entries, Axis.OTHER: entries, Axis.SEAT: seats}
        for group, (axis, places) in GROUPED.items():  # a group is there where its first place is
            self.active[group] = self.active[axis][::places]
        self._selectors: dict[tuple[int, Axis], dict[int, Cell]] = {}
        self._first: dict[int, list[dict[int, Cell]]] = {}
        self._quotients: dict[tuple[int, ...], Cell] = {}
        self._alive: list[Cell] = []  # operands of those: their ids must not be used again

    def compile(self) -> None:
        """Compile all. Raises NoCircuit naming a column that has no circuit, or does not hold the round."""
        for number in self.plan.numbers:
            if number in self.plan.cut.values():
                continue  # only its cut is read
            column = self.program.columns[number]
            try:
                self._column(number, column)
            except NoCircuit as error:
                raise NoCircuit(f"column {column.name!r}: {error}") from error

    # --- lengths ------------------------------------------------------------------------------------------------------

    def _length(self, room: int, real: int) -> tuple[Cell, list[Cell]]:
        """Return how many places there are, given, and by place 1 where it is one of them."""
        active = [Cell(self.system.boolean(lambda k=k: int(k < real)), 0, 1) for k in range(room)]  # type: ignore[misc]
        for one, behind in itertools.pairwise(active):
            self.system.require(behind.value, 1 - one.value, 0)
        return Cell(total((one.value, 1) for one in active), 0, room), active

    def _of(self, axis: Axis) -> Cell:
        """How long an axis is."""
        if axis in (Axis.ENTRY, Axis.OTHER):
            return self.count
        assert axis not in GROUPED, "no place among groups is anything but a constant"
        return self.seats if axis is Axis.SEAT else constant(self.lengths.of(axis))

    def _is_there(self, axis: Axis, place: int) -> Cell:
        return self.active[axis][place] if axis in self.active else ONE

    # --- columns ------------------------------------------------------------------------------------------------------

    def _column(self, number: int, column: Column) -> None:
        if Axis.BLOCK in column.axes:
            raise NoCircuit("what is paid depends on blocks of parameters, which circuits do not hold")
        if column.kind not in (Kind.NUMBER, Kind.FIELD) and column.op is not Op.CONST:
            raise NoCircuit("what is paid depends on a root itself, which a circuit does not hold")
        found = self.cells[number] = np.empty(self.lengths.shape(column.axes), dtype=object)
        if column.op is Op.INVERSE:
            found[:] = self._inverse(number, column)
            return
        given, symmetric = self.plan.is_given(number), self.plan.is_symmetric(number)
        for place in np.argwhere(self.plan.cells[number]):
            at = tuple(int(k) for k in place)
            if symmetric and at[-2] > at[-1]:
                found[at] = found[(*at[:-2], at[-1], at[-2])]
            else:
                found[at] = self._given(number, column, at) if given else self._cell(number, column, at)

    def _cell(self, number: int, column: Column, place: Place) -> Cell:
        if column.op is Op.CONST:
            return constant(column.immediate)
        if column.op is Op.POSEIDON:
            return self._hash_of_group(column, place)
        if self.plan.runs(number):
            return self._running(number, column, place)
        if column.op is Op.POSEIDON3:
            return self._hash([self._read(column, operand, place) for operand in column.operands])
        if column.op is Op.GATHER:
            return self._gather(column, place)
        if column.op is Op.LEAST:
            return self._least(column, place)
        if column.op not in PLAIN:
            raise NoCircuit(f"what is paid depends on a {column.op.name}, which has no circuit")
        if number in self.plan.cut:
            return self._cut_quotient(column, self.program.columns[self.plan.cut[number]], place)
        return self.gates.give(column.op, *(self._read(column, operand, place) for operand in column.operands))

    def _given(self, number: int, column: Column, place: Place) -> Cell:
        """A number of the tape, and 0 behind its last entry or seat.

        It is held to the bits that it has in the settlement cell, or a part of another number there could be moved into
        it; and it is not at an end to which the settlement cell cuts larger numbers.
        """
        if (column.op, column.immediate) == (Op.SOURCE, _COUNT):
            return self.count
        low, high = self._bounds(column)
        if Axis.SEAT in column.axes and place[column.axes.index(Axis.SEAT)] not in self.plan.shape.seats:
            low = high = 0
        real = 0 if self.tape is None else self.tape.cell(number, place)
        if self.tape is not None and not low <= real <= high:
            raise NoCircuit(f"the round has {real} at {place}, circuits hold {low} to {high}")
        if low == high:
            return constant(low)
        cell = Cell(self.system.hint(lambda: real), low, high)
        self._require_held(column, cell)
        return cell

    def _require_held(self, column: Column, cell: Cell) -> None:
        least, most = held_bounds(column)
        if cell.high < most:  # of fewer seats than there can be
            self.gates.require_within(cell.value, cell.low, cell.high)
        else:
            start, bits = slot((least, most))
            self.system.bits(cell.value - start, bits)
        for end, cut in ((least, least > column.bounds[0]), (most, most < column.bounds[1])):
            if cut and column.op is not Op.EQ:
                self.gates.require_unlike(cell.value, end)

    def _bounds(self, column: Column) -> Bounds:
        low, high = held_bounds(column)
        if column.op is Op.SOURCE and column.immediate in _SEATED:
            high = self.plan.shape.seats[-1] if column.axes else self.plan.shape.aggregators - 1
        if any(axis in self.active for axis in column.axes):
            return min(0, low), max(0, high)
        return low, high

    # --- operands -----------------------------------------------------------------------------------------------------

    def _read(self, column: Column, operand: Operand, place: Place) -> Cell:
        at = place_of(operand, column, place, operand.axes, self.lengths)
        if at is None:
            return ZERO
        axis = operand.axes[-1] if operand.map is Map.LAST else None
        if axis not in self.active or self.plan.runs(operand.column):
            return self._at(operand.column, at)  # what runs stays as it was behind the last place
        active = self.active[axis]
        behind = [one.value for one in active[1:]] + [0]
        ends = {k: Cell(one.value - after, 0, 1) for k, (one, after) in enumerate(zip(active, behind, strict=True))}
        return self.gates.chosen(ends, {k: self._at(operand.column, (*at[:-1], k)) for k in ends})

    def _at(self, number: int, place: Place) -> Cell:
        found = self.cells[number][place]
        assert isinstance(found, Cell), "a cell that the plan left out"
        return found

    # --- operations that look along an axis ---------------------------------------------------------------------------

    def _running(self, number: int, column: Column, place: Place) -> Cell:
        """One step of a running value; where its last one is read it stays as it was behind the last place."""
        before = self._at(number, (*place[:-1], place[-1] - 1)) if place[-1] else ZERO
        here = self._is_there(column.axes[-1], place[-1]) if number in self.plan.held else ONE
        x = [before if one.column == number else self._read(column, one, place) for one in column.operands]
        if column.op is Op.POSEIDON3:
            hashed = self._hash(x)
            moved = self._there(here, Cell(hashed.value - before.value, -ORDER, ORDER))
            return Cell(modulo(before.value + moved.value), 0, ORDER - 1)
        itself = [one.column == number for one in column.operands]
        if column.op in (Op.ADD, Op.MULADD) and itself == [False] * (len(x) - 1) + [True]:
            added = x[0] if column.op is Op.ADD else self.gates.give(Op.MUL, *x[:2])
            return self.gates.give(Op.ADD, self.gates.give(Op.MUL, here, added), before)
        return self.gates.give(Op.SEL, here, self.gates.give(column.op, *x), before)

    def _hash_of_group(self, column: Column, place: Place) -> Cell:
        """The hash of eight cells; of what lies behind the last place it reads 0."""
        source = column.operands[0]
        axis, inner = source.axes[-1], place[: len(source.axes) - 1]
        first = GROUP * place[-1] if len(place) == len(source.axes) else 0
        assert axis in self.active, "an axis with groups is one of which a round may have less"
        active, row = self.active[axis], self.cells[source.column][inner]
        if len(row) <= 1:  # what stands alone is not hashed
            alone = [self._there(here, one) for here, one in zip(active, row, strict=True)]
            return Cell(modulo(total((one.value, 1) for one in alone)), 0, ORDER - 1)
        cells = [self._there(active[first + k], one) for k, one in enumerate(row[first : first + GROUP])]
        hashed = self._hash(cells)
        if first:
            return hashed
        unlike = self._there(active[1], Cell(hashed.value - cells[0].value, -ORDER, ORDER))
        return Cell(modulo(cells[0].value + unlike.value), 0, ORDER - 1)

    def _there(self, here: Cell, one: Cell) -> Cell:
        """Return a number of the field, or 0."""
        if here.known is not None or one.known == 0:
            return one if here.known else ZERO
        return Cell(self.system.product(here.value, one.value), min(0, one.low), max(0, one.high))

    def _hash(self, cells: Sequence[Cell]) -> Cell:
        inputs = [*(one.value for one in cells), *[0] * (GROUP - len(cells))]
        return Cell(permutation(self.system, inputs), 0, ORDER - 1)

    def _gather(self, column: Column, place: Place) -> Cell:
        source, index = column.operands
        axis = source.axes[-1]
        inner = place_of(source, column, place, source.axes[:-1], self.lengths)
        at = place_of(index, column, place, index.axes, self.lengths)
        assert inner is not None
        if at is not None and index.column in self._first and index.map is Map.OWN and axis is Axis.ENTRY:
            selectors = self._first[index.column][at[0]]
        else:
            selectors = self._selected(self._read(column, index, place), axis)
        return self.gates.chosen(selectors, self._along(source, inner))

    def _along(self, source: Operand, inner: Place) -> dict[int, Cell]:
        """Return the cells along a column's last axis, those that there are."""
        cells = self.cells[source.column][inner]
        return {k: cell for k, cell in enumerate(cells) if cell is not None}

    def _selected(self, index: Cell, axis: Axis) -> dict[int, Cell]:
        if index.known is not None:
            inside = 0 <= index.known < self.lengths.of(axis)
            return {index.known: self._is_there(axis, index.known)} if inside else {}
        key = id(index), TWINS.get(axis, axis) if axis in SECOND else axis
        if key not in self._selectors:
            places = self.plan.shape.seats if axis is Axis.SEAT else None
            self._selectors[key] = self.gates.selectors(index, self._of(axis), places)
            self._alive.append(index)
        return self._selectors[key]

    def _inverse(self, number: int, column: Column) -> list[Cell]:
        """Return for each place of the column the first entry that names it, else how many entries there are."""
        source, axis = self.cells[column.operands[0].column], column.axes[0]
        room = self.lengths.of(axis)
        first: list[dict[int, Cell]] = [{} for _ in range(room)]
        seen: list[Cell] = [ZERO] * room
        for entry, here in enumerate(self.active[Axis.ENTRY]):
            for place, names in self._selected(source[entry], axis).items():
                fresh = self.gates.give(Op.SUB, ONE, seen[place])
                now = self.gates.give(Op.MUL, self.gates.give(Op.MUL, names, here), fresh)
                if now.known != 0:
                    first[place][entry] = now
                    seen[place] = Cell(seen[place].value + now.value, 0, 1)
        self._first[number] = first
        found = []
        for place in range(room):
            none = self.gates.give(Op.MUL, self.count, self.gates.give(Op.SUB, ONE, seen[place]))
            which = total((one.value, k) for k, one in first[place].items())
            found.append(Cell(which + none.value, 0, self.lengths.entries))
        return found

    def _least(self, column: Column, place: Place) -> Cell:
        axis = counted(column)
        assert axis is not None
        values, weights = [], []
        for k in range(self.lengths.of(axis)):
            x, weight = (self._read(column, operand, (*place, k)) for operand in column.operands[:2])
            values.append(x)
            weights.append(self.gates.give(Op.MUL, self._is_there(axis, k), weight))
        wanted = self._read(column, column.operands[2], place)
        low, high = column.bounds

        def right() -> int:
            pairs = sorted((max(low, x.number), weight.number) for x, weight in zip(values, weights, strict=True))
            return least_of(pairs, wanted.number, low, high)

        return self.gates.least(values, weights, wanted, column.bounds, self.system.hint(right))

    # --- quotients that are cut ---------------------------------------------------------------------------------------

    def _cut_quotient(self, column: Column, source: Column, place: Place) -> Cell:
        x = [self._read(source, operand, place) for operand in source.operands]
        low, high = (self._read(column, operand, place) for operand in column.operands[1:])
        key = (source.op, *sorted(map(id, x[:-1])), id(x[-1]), id(low), id(high))
        if key not in self._quotients:
            self._quotients[key] = self._divided(source, x, low, high)
            self._alive += (*x, low, high)
        return self._quotients[key]

    def _divided(self, source: Column, x: list[Cell], low: Cell, high: Cell) -> Cell:
        if source.op is Op.MULDIV and low.known == 0:
            for part, whole in ((0, 1), (1, 0)):
                of_whole = high is x[whole] or (high.known is not None and high.known == x[whole].known)
                shares = of_whole and self.plan.sums(source.operands[2], source.operands[part])
                if shares and x[whole].low >= 0 and x[part].low >= 0:  # a part of a sum: no more than the whole
                    return self.gates.quotient(self.gates.times(x[0], x[1]), x[2], (0, x[whole].high))
        if low.known is None or high.known is None or not low.known <= 0 <= high.known:
            return self.gates.give(Op.CLAMP, self.gates.give(source.op, *x), low, high)
        top = x[0] if source.op is Op.DIV else self.gates.times(x[0], x[1])
        return self.gates.quotient(top, x[-1], (low.known, high.known), held=True)
