"""A circuit from a round program: the cells that some columns of it depend on, as constraints.

The program that a task freezes is the only text: the same instructions that Python evaluates and the contract checks
cell by cell become constraints here (`circuits.gates`). What no circuit can follow is *given*, as the tape has it: the
sources, what the round before handed on, what a sealer claims, products of rows, and whether two roots are equal.

A circuit has room for a number of trainers; a round may have fewer. Places behind the last entry, or the last seat, hold
whatever follows from zeros, and no sum, choice or hint counts them.

Tests: tests/zk/test_compile_program.py
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fl_platform.errors import NoCircuit
from fl_platform.protocol.checker import counted, row_kinds
from fl_platform.protocol.evaluation import least_of
from fl_platform.protocol.operations import PLAIN, Bounds, Op
from fl_platform.protocol.program import Column, Operand, Program
from fl_platform.protocol.seats import FIRST_SEAT, REFERENCE_SEAT
from fl_platform.protocol.sources import SECOND, TWINS, Axis, Kind, Map, Source, immediate_of
from fl_platform.protocol.tape import Lengths, Place, Tape, place_of
from zk.circuits.gates import ONE, ZERO, Gates, constant
from zk.circuits.system import Cell, System, total

Cells = npt.NDArray[np.object_]  # of Cell, along a column's axes
# What a circuit holds of given numbers, in bits; a round with a larger one has no proof. Products of two updates, of an
# update with an earlier sum, of two earlier sums; wei of one round or stake; wei of a task so far, and its scores.
HELD: Mapping[tuple[Op, int], int] = {
    (Op.DOT, row_kinds((Kind.UPDATE, Kind.UPDATE))): 50,
    (Op.DOT_SHIFTED, row_kinds((Kind.UPDATE, Kind.SUMS))): 60,
    (Op.DOT_SHIFTED, row_kinds((Kind.SUMS, Kind.SUMS))): 76,
    (Op.SOURCE, immediate_of(Source.POT)): 76,
    (Op.SOURCE, immediate_of(Source.STAKE)): 76,
}
HELD_CARRIED = 80
_SEATED = frozenset({Source.SEAT_OF, Source.AGGREGATOR})  # which hold seats


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


def needed(program: Program, wanted: Sequence[int]) -> list[int]:
    """Return the columns that some depend on, in order; of a given one nothing more is asked."""
    found: set[int] = set()
    ahead = list(wanted)
    while ahead:
        number = ahead.pop()
        if number not in found:
            found.add(number)
            column = program.columns[number]
            if not is_given(program, column):
                ahead += [operand.column for operand in column.operands]
    return sorted(found)


def is_given(program: Program, column: Column) -> bool:
    """Whether a circuit takes a column as the tape has it."""
    if column.op is Op.EQ:
        return any(program.columns[operand.column].kind is not Kind.NUMBER for operand in column.operands)
    return column.op in {Op.SOURCE, Op.PREV, Op.CLAIMED, Op.DOT, Op.DOT_SHIFTED}


@dataclass
class Compiler:
    """Compiles columns in order. tape: of the round, for the concrete reading; else None."""

    program: Program
    shape: Shape
    system: System
    tape: Tape | None = None
    given: list[Cell] = field(default_factory=list)  # in order of columns, row by row
    cells: dict[int, Cells] = field(default_factory=dict)  # by column

    def __post_init__(self) -> None:
        """Say how many entries and seats a round has."""
        self.gates = Gates(self.system)
        self.lengths = self.shape.lengths
        real = None if self.tape is None else self.tape.lengths
        if real is not None and (real.entries > self.lengths.entries or real.seats > self.lengths.seats):
            raise NoCircuit(
                f"a round of {real.entries} entries and {real.seats} seats; this circuit has room for "
                f"{self.lengths.entries} and {self.lengths.seats}: the round's window stands"
            )
        self.count, entries = self._length(self.lengths.entries, 0 if real is None else real.entries)
        self.seats, seats = self._length(self.lengths.seats, 0 if real is None else real.seats)
        self.active = {Axis.ENTRY: entries, Axis.OTHER: entries, Axis.SEAT: seats}
        self._selectors: dict[tuple[int, Axis], dict[int, Cell]] = {}
        self._first: dict[int, list[dict[int, Cell]]] = {}
        self._quotients: dict[tuple[int, ...], Cell] = {}
        self._alive: list[Cell] = []  # operands of those: their ids must not be used again

    def compile(self, wanted: Sequence[int]) -> None:
        """Compile what these columns depend on. Raises NoCircuit naming a column that has no circuit."""
        numbers = needed(self.program, wanted)
        read = [operand for number in numbers for operand in self._operands(number)]
        self._held = {operand.column for operand in read if operand.map is Map.LAST}
        cut = self._cut(numbers, wanted)
        self._read_at = self._marked(numbers, wanted)
        for number in numbers:
            if number in cut.values():
                continue  # only its cut is read
            column = self.program.columns[number]
            try:
                self.cells[number] = self._column(number, column, self.program.columns[cut[number]] if number in cut else None)
            except NoCircuit as error:
                raise NoCircuit(f"column {column.name!r}: {error}") from error

    def _symmetric(self, column: Column) -> bool:
        """Whether a product of rows is the same with its pair exchanged."""
        pair = len(column.axes) > 1 and TWINS.get(column.axes[-2]) is column.axes[-1]
        if not pair or column.op not in (Op.DOT, Op.DOT_SHIFTED) or not _swapped(column.operands[0], column.operands[1]):
            return False
        if column.op is Op.DOT:
            return True
        shifts = self.program.columns[column.operands[2].column]
        return shifts.op is Op.ADD and _swapped(*shifts.operands)

    def _operands(self, number: int) -> tuple[Operand, ...]:
        column = self.program.columns[number]
        return () if is_given(self.program, column) else column.operands

    def _marked(self, numbers: Sequence[int], wanted: Sequence[int]) -> dict[int, npt.NDArray[np.bool_]]:
        """Return by column which cells something depends on."""
        columns = self.program.columns
        marks = {n: np.full(self.lengths.shape(columns[n].axes), n in wanted) for n in numbers}
        for number in reversed(numbers):
            column, own = columns[number], marks[number]
            if is_given(self.program, column):
                if self._symmetric(column):
                    own |= np.swapaxes(own, -2, -1)
            elif column.op in (Op.LEAST, Op.INVERSE):
                for operand in column.operands:
                    marks[operand.column][...] = True
            else:
                for place in reversed(list(np.ndindex(*own.shape))):
                    if own[place]:
                        self._mark(column, place, marks)
        return marks

    def _mark(self, column: Column, place: Place, marks: Mapping[int, npt.NDArray[np.bool_]]) -> None:
        """Mark what one cell reads."""
        for number, operand in enumerate(column.operands):
            gathered = column.op is Op.GATHER and number == 0
            axes = operand.axes[:-1] if gathered else operand.axes
            at = place_of(operand, column, place, axes, self.lengths)
            if at is None:
                continue
            if gathered:
                index = self.program.columns[column.operands[1].column]
                if index.op is not Op.CONST:
                    marks[operand.column][at] = True
                elif 0 <= index.immediate < self.lengths.of(operand.axes[-1]):
                    marks[operand.column][(*at, index.immediate)] = True
            elif operand.map is Map.LAST and operand.axes[-1] in self.active and not self._runs(operand.column):
                marks[operand.column][at[:-1]] = True
            else:
                marks[operand.column][at] = True

    # --- lengths ------------------------------------------------------------------------------------------------------

    def _length(self, room: int, real: int) -> tuple[Cell, list[Cell]]:
        """Return how many places there are, given, and by place 1 where it is one of them."""
        active = [Cell(self.system.boolean(lambda k=k: int(k < real)), 0, 1) for k in range(room)]  # type: ignore[misc]
        for one, behind in zip(active, active[1:], strict=False):
            self.system.require(behind.value, 1 - one.value, 0)
        length = Cell(total((one.value, 1) for one in active), 0, room)
        self.given.append(length)
        return length, active

    def _of(self, axis: Axis) -> Cell:
        return self.count if axis in (Axis.ENTRY, Axis.OTHER) else self.seats if axis is Axis.SEAT else constant(self.lengths.of(axis))

    def _is_there(self, axis: Axis, place: int) -> Cell:
        return self.active[axis][place] if axis in self.active else ONE

    # --- columns ------------------------------------------------------------------------------------------------------

    def _column(self, number: int, column: Column, cut: Column | None) -> Cells:
        if Axis.BLOCK in column.axes:
            raise NoCircuit("what is paid depends on blocks of parameters, which circuits do not hold")
        if column.kind is not Kind.NUMBER and column.op is not Op.CONST:
            raise NoCircuit("what is paid depends on a root itself, which a circuit does not hold")
        found = np.empty(self.lengths.shape(column.axes), dtype=object)
        if column.op is Op.INVERSE:
            found[:] = self._inverse(number, column)
            return found
        self.cells[number] = found  # a running value reads its own column
        symmetric = is_given(self.program, column) and self._symmetric(column)
        for place in np.ndindex(*found.shape):
            if not self._read_at[number][place]:
                continue
            if symmetric and place[-2] > place[-1]:
                found[place] = found[(*place[:-2], place[-1], place[-2])]
            else:
                found[place] = self._cell(number, column, place, cut)
        return found

    def _cell(self, number: int, column: Column, place: Place, cut: Column | None) -> Cell:
        if is_given(self.program, column):
            return self._given(number, column, place)
        if column.op is Op.CONST:
            return constant(column.immediate)
        if any(operand.column == number for operand in column.operands):
            return self._running(number, column, place)
        if column.op is Op.GATHER:
            return self._gather(column, place)
        if column.op is Op.LEAST:
            return self._least(column, place)
        if column.op not in PLAIN:
            raise NoCircuit(f"what is paid depends on a {column.op.name}, which has no circuit")
        if cut is not None:
            return self._cut_quotient(column, cut, place)
        return self.gates.give(column.op, *(self._read(column, operand, place) for operand in column.operands))

    def _given(self, number: int, column: Column, place: Place) -> Cell:
        """A number of the tape, and 0 behind its last entry or seat; it lies under the commitment."""
        low, high = self._bounds(column)
        if Axis.SEAT in column.axes and place[column.axes.index(Axis.SEAT)] not in self.shape.seats:
            low = high = 0
        real = 0 if self.tape is None else self.tape.cell(number, place)
        if column.op is Op.SOURCE and column.immediate == immediate_of(Source.COUNT):
            return self.count
        if self.tape is not None and not low <= real <= high:
            raise NoCircuit(f"{real} at {place}, of which circuits hold {low} to {high}: the round's window stands")
        cell = constant(low) if low == high else Cell(self.system.hint(lambda: real), low, high)
        if cell.known is None:
            self.given.append(cell)
        return cell

    def _bounds(self, column: Column) -> Bounds:
        low, high = column.bounds
        held = 1 << HELD.get((column.op, column.immediate), HELD_CARRIED if column.op is Op.PREV else 250)
        if column.op is Op.EQ:
            low, high = 0, 1
        if column.op is Op.SOURCE and column.immediate in {immediate_of(source) for source in _SEATED}:
            high = self.shape.seats[-1] if column.axes else self.shape.aggregators - 1
        if any(axis in self.active for axis in column.axes):
            low, high = min(0, low), max(0, high)
        return max(low, -held), min(high, held)

    # --- operands -----------------------------------------------------------------------------------------------------

    def _read(self, column: Column, operand: Operand, place: Place) -> Cell:
        if operand.map is Map.LAST:
            return self._last(column, operand, place)
        at = place_of(operand, column, place, operand.axes, self.lengths)
        return ZERO if at is None else self._at(operand.column, at)

    def _at(self, number: int, place: Place) -> Cell:
        found: Cell = self.cells[number][place]
        return found

    def _last(self, column: Column, operand: Operand, place: Place) -> Cell:
        axis = operand.axes[-1]
        behind = place_of(operand, column, place, operand.axes, self.lengths)
        if behind is None:
            return ZERO
        if axis not in self.active or self._runs(operand.column):
            return self._at(operand.column, behind)  # what runs stays as it was behind the last place
        active = self.active[axis]
        ends = {
            k: Cell(one.value - (active[k + 1].value if k + 1 < len(active) else 0), 0, 1) for k, one in enumerate(active)
        }
        return self.gates.chosen(ends, {k: self._at(operand.column, (*behind[:-1], k)) for k in ends})

    def _runs(self, number: int) -> bool:
        return any(operand.column == number for operand in self.program.columns[number].operands)

    # --- operations that look along an axis ---------------------------------------------------------------------------

    def _running(self, number: int, column: Column, place: Place) -> Cell:
        """One step of a running value; where its last one is read it stays as it was behind the last place."""
        before = self._at(number, (*place[:-1], place[-1] - 1)) if place[-1] else ZERO
        here = ONE if number not in self._held else self._is_there(column.axes[-1], place[-1])
        x = [
            before if operand.column == number else self._read(column, operand, place) for operand in column.operands
        ]
        if column.op in (Op.ADD, Op.MULADD) and x[-1] is before and before not in x[:-1]:
            added = x[0] if column.op is Op.ADD else self.gates.give(Op.MUL, *x[:2])
            return self.gates.give(Op.ADD, self.gates.give(Op.MUL, here, added), before)
        return self.gates.give(Op.SEL, here, self.gates.give(column.op, *x), before)

    def _gather(self, column: Column, place: Place) -> Cell:
        source, index = column.operands
        axis = source.axes[-1]
        inner = place_of(source, column, place, source.axes[:-1], self.lengths)
        if inner is None:
            return ZERO
        at = place_of(index, column, place, index.axes, self.lengths) if index.map is not Map.LAST else None
        if at is not None and index.column in self._first and axis is Axis.ENTRY:
            selectors = self._first[index.column][at[0]]
        else:
            selectors = self._selected(self._read(column, index, place), axis)
        return self.gates.chosen(selectors, {k: self._at(source.column, (*inner, k)) for k in selectors})

    def _selected(self, index: Cell, axis: Axis) -> dict[int, Cell]:
        key = (id(index), TWINS.get(axis, axis) if axis in SECOND else axis)
        if key not in self._selectors:
            places = self.shape.seats if axis is Axis.SEAT else None
            self._selectors[key] = self.gates.selectors(index, self._of(axis), places)
        return self._selectors[key]

    def _inverse(self, number: int, column: Column) -> Iterator[Cell] | list[Cell]:
        """For each place of the column the first entry that names it, else how many entries there are."""
        source = self.cells[column.operands[0].column]
        axis, room = column.axes[0], self.lengths.of(column.axes[0])
        first: list[dict[int, Cell]] = [{} for _ in range(room)]
        seen: list[Cell] = [ZERO] * room
        for entry, here in enumerate(self.active[Axis.ENTRY]):
            for place, names in self._selected(source[entry], axis).items():
                now = self.gates.give(Op.MUL, self.gates.give(Op.MUL, names, here), self.gates.give(Op.SUB, ONE, seen[place]))
                if now.known == 0:
                    continue
                first[place][entry] = now
                seen[place] = Cell(seen[place].value + now.value, 0, 1)
        self._first[number] = first
        found = []
        for place in range(room):
            none = self.gates.give(Op.MUL, self.count, self.gates.give(Op.SUB, ONE, seen[place]))
            entry = total((one.value, k) for k, one in first[place].items())
            found.append(Cell(entry + none.value, 0, self.lengths.entries))
        return found

    def _least(self, column: Column, place: Place) -> Cell:
        axis = counted(column)
        assert axis is not None
        values, weights = [], []
        for k in range(self.lengths.of(axis)):
            x, weight = (
                self._read(column, operand, (*place, k)) for operand in column.operands[:2]
            )
            values.append(x)
            weights.append(self.gates.give(Op.MUL, self._is_there(axis, k), weight))
        wanted = self._read(column, column.operands[2], place)
        low, high = column.bounds

        def right() -> int:
            pairs = sorted((max(low, int(x.value)), int(w.value)) for x, w in zip(values, weights, strict=True))  # type: ignore[arg-type]
            return least_of(pairs, int(wanted.value), low, high)  # type: ignore[arg-type]

        return self.gates.least(values, weights, wanted, column.bounds, self.system.hint(right))

    # --- quotients that are cut ---------------------------------------------------------------------------------------

    def _cut(self, numbers: Sequence[int], wanted: Sequence[int]) -> dict[int, int]:
        """Return the CLAMPs that alone read a quotient, and the quotient's column.

        Such a clamp says how large a quotient can be, and so how many bits it needs; where it would cut, the round has
        no proof.
        """
        readers: dict[int, list[int]] = {}
        for number in numbers:
            for operand in self._operands(number):
                readers.setdefault(operand.column, []).append(number)
        found = {}
        for number in numbers:
            column = self.program.columns[number]
            if column.op is not Op.CLAMP or is_given(self.program, column):
                continue
            inner = column.operands[0]
            source = self.program.columns[inner.column]
            alone = readers[inner.column] == [number] and inner.column not in wanted
            if alone and source.op in (Op.DIV, Op.MULDIV) and inner.map is Map.OWN and source.axes == column.axes:
                found[number] = inner.column
        return found

    def _cut_quotient(self, column: Column, source: Column, place: Place) -> Cell:
        x = [self._read(source, operand, place) for operand in source.operands]
        low, high = (self._read(column, operand, place) for operand in column.operands[1:])
        key = (source.op, *(sorted(map(id, x[:-1]))), id(x[-1]), id(low), id(high))
        if key not in self._quotients:
            self._quotients[key] = self._divided(source, x, low, high)
            self._alive += (*x, low, high)
        return self._quotients[key]

    def _divided(self, source: Column, x: list[Cell], low: Cell, high: Cell) -> Cell:
        if source.op is Op.MULDIV and low.known == 0:
            for part, whole in ((0, 1), (1, 0)):
                bounded = high is x[whole] or (high.known is not None and high.known == x[whole].known)
                if bounded and self._sums(source.operands[2], source.operands[part]) and x[whole].low >= 0 <= x[part].low:
                    return self.gates.muldiv(*x, (0, x[whole].high))  # a part of a sum: no more than the whole
        if low.known is None or high.known is None:
            return self.gates.give(Op.CLAMP, self.gates.give(source.op, *x), low, high)
        top = x[0] if source.op is Op.DIV else self.gates.times(x[0], x[1])
        return self.gates.quotient(top, x[-1], (low.known, high.known))

    def _sums(self, total_: Operand, part: Operand) -> bool:
        """Whether a column is the sum of another."""
        added = self.program.columns[total_.column]
        if added.op is not Op.ADD or added.operands[0].map is not Map.LAST:
            return False
        running = self.program.columns[added.operands[0].column]
        rest = self.program.columns[added.operands[1].column]
        return (
            running.op is Op.ADD and self._runs(added.operands[0].column)
            and running.operands[0] == part and (rest.op, rest.immediate) == (Op.CONST, 0)
        )  # fmt: skip


def _swapped(one: Operand, other: Operand) -> bool:
    """Whether both read one column, one of them with its pair exchanged."""
    return one.column == other.column and {one.map, other.map} == {Map.OWN, Map.SWAPPED}
