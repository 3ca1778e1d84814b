"""How a rule writes a program: columns as values with the usual signs, named where a person should find them.

    b = Builder()
    stake = b.source(Source.STAKE)
    counted = b.source(Source.REFUSED) == 0
    weight = b.name("weight", b.select(counted, stake, 0))
    total = b.name("total", b.sum(weight, Axis.ENTRY))
    b.output(Output.DIVISOR, total)
    program = b.program()

Nothing is computed here; `Builder.program` returns a checked program. Equal instructions are one column.

Tests: tests/unit/protocol/test_program.py
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.checker import check, checked, joined, read_axes, row_kinds, sorted_axes
from fl_platform.protocol.operations import HINTS, Bounds, Op
from fl_platform.protocol.program import MAX_COLUMNS, Column, Operand, Output, Program
from fl_platform.protocol.sources import (
    INDEX_OF,
    RAW,
    Axis,
    Kind,
    Map,
    Source,
    given_of,
    grouped,
    immediate_of,
)

_LATER = 0xFFFE  # a carried column before the rule has said which it is


@dataclass(frozen=True, eq=False)
class Cells:
    """A column that a rule has written, read by some map."""

    builder: Builder
    operand: Operand

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Along which it is read."""
        return read_axes(self.operand)

    def __add__(self, other: Cells | int) -> Cells:
        return self.builder.plain(Op.ADD, self, other)

    def __sub__(self, other: Cells | int) -> Cells:
        return self.builder.plain(Op.SUB, self, other)

    def __rsub__(self, other: int) -> Cells:
        return self.builder.plain(Op.SUB, other, self)

    def __mul__(self, other: Cells | int) -> Cells:
        return self.builder.plain(Op.MUL, self, other)

    def __floordiv__(self, other: Cells | int) -> Cells:
        return self.builder.plain(Op.DIV, self, other)

    def __lt__(self, other: Cells | int) -> Cells:
        return self.builder.plain(Op.LT, self, other)

    def __gt__(self, other: Cells | int) -> Cells:
        return self.builder.plain(Op.LT, other, self)

    def __le__(self, other: Cells | int) -> Cells:
        return 1 - (self > other)

    def __ge__(self, other: Cells | int) -> Cells:
        return 1 - (self < other)

    def __eq__(self, other: object) -> Cells:  # type: ignore[override]
        assert isinstance(other, Cells | int)
        return self.builder.plain(Op.EQ, self, other)

    __hash__ = None  # type: ignore[assignment]  # equal cells are a column, not a truth
    __radd__, __rmul__ = __add__, __mul__

    def __bool__(self) -> bool:
        raise TypeError("a column's cells are not known while a rule is written: use Builder.select")

    def swapped(self) -> Cells:
        """Return the cells with the two of each pair exchanged: of another entry, where this is an entry's."""
        return self._read(Map.SWAPPED)

    def diagonal(self) -> Cells:
        """Return what the cells of pairs are of an entry with itself."""
        return self._read(Map.DIAGONAL)

    def before(self) -> Cells:
        """Return the cells one place earlier along the last axis; 0 at the first."""
        return self._read(Map.BEFORE)

    def last(self) -> Cells:
        """Return the last cell along the last axis; 0 where that is empty."""
        return self._read(Map.LAST)

    def _read(self, map_: Map) -> Cells:
        assert self.operand.map is Map.OWN, "one map is all that an operand has: give this column a name first"
        return replace(self, operand=replace(self.operand, map=map_))


class Builder:
    """Collects a rule's columns."""

    def __init__(self) -> None:
        self._columns: list[Column] = []
        self._known: dict[tuple[object, ...], int] = {}
        self._outputs: dict[Output, int] = {}
        self._musts: set[int] = set()
        self._complete = False  # a program that is there already, and gets no more columns

    def program(self) -> Program:
        """Return the program, checked. Raises DocumentInvalid."""
        found = Program(tuple(self._columns), dict(self._outputs))
        check(found)
        return found

    @classmethod
    def of(cls, program: Program) -> Builder:
        """Return a builder that finds a program's columns, and writes none: it raises DocumentInvalid instead."""
        found = cls()
        found._read(program.columns)
        return found

    @property
    def outputs(self) -> Mapping[Output, int]:
        """The columns that decide something of the round so far."""
        return self._outputs

    @property
    def columns(self) -> Sequence[Column]:
        """What was written so far."""
        return self._columns

    # --- what is given ------------------------------------------------------------------------------------------------

    def source(self, source: Source) -> Cells:
        """Return what is given from outside."""
        return self._given(immediate_of(source), source.name.lower())

    def word(self, name: str) -> Cells:
        """Return a number that the task's rules freeze. Raises KeyError."""
        return self._given(immediate_of(Source.WORD, INDEX_OF[name]), name)

    def own_word(self, index: int) -> Cells:
        """Return a number of a task's own rule, frozen by the task; `index`: one of `OWN_WORDS`."""
        return self._given(immediate_of(Source.WORD, index), f"word{index}")

    def _given(self, immediate: int, name: str) -> Cells:
        given = given_of(immediate)
        assert given is not None, "no source of the protocol"
        return self._add(Op.SOURCE, given.axes, (), immediate, name=name)

    def const(self, value: int) -> Cells:
        """Return a number of the rule."""
        return self._add(Op.CONST, (), (), value)

    def carried(
        self, name: str, axes: tuple[Axis, ...], bounds: Bounds = RAW, *, start: int = 0, kind: Kind = Kind.NUMBER
    ) -> Cells:
        """Return what `carry` of this one handed on in the round before; `start` in the first round, and where the
        column is longer now."""
        drafted = Column(name, Op.PREV, axes, (Operand(_LATER, axes=axes),), start, bounds, kind)
        self._columns.append(drafted)
        return Cells(self, Operand(len(self._columns) - 1, axes=axes))

    def carry(self, carried: Cells, cells: Cells) -> Cells:
        """Say what the next round gets as `carried`: cells of its shape and kind, clamped to its bounds."""
        number = carried.operand.column
        column = self._columns[number]
        assert column.operands[0].column == _LATER, "handed on twice"
        kept = cells if column.kind is not Kind.NUMBER else self.clamp(cells, *column.bounds)
        assert (kept.operand.map, kept.operand.axes) == (Map.OWN, column.axes), "another shape than is carried"
        self._columns[number] = replace(column, operands=(Operand(kept.operand.column, axes=column.axes),))
        return kept

    def claimed(self, name: str, axes: tuple[Axis, ...], bounds: Bounds) -> Cells:
        """Return numbers that who seals brings, and no contract decides: only their range."""
        return self._held(self._add(Op.CLAIMED, axes, (), len(self._columns), name=name, bounds=bounds))

    # --- arithmetic ---------------------------------------------------------------------------------------------------

    def plain(self, op: Op, *values: Cells | int) -> Cells:
        """Return what an operation gives of cells at one place; numbers are constants."""
        cells = [self.const(value) if isinstance(value, int) else value for value in values]
        return self._add(op, joined([one.operand for one in cells]), tuple(one.operand for one in cells))

    def select(self, condition: Cells, yes: Cells | int, no: Cells | int) -> Cells:
        """Return `yes` where the condition is not 0, else `no`."""
        return self.plain(Op.SEL, condition, yes, no)

    def muldiv(self, x: Cells | int, y: Cells | int, divisor: Cells | int) -> Cells:
        """Return floor(x * y / divisor) with an exact product; 0 where the divisor is 0."""
        return self.plain(Op.MULDIV, x, y, divisor)

    def minimum(self, x: Cells, y: Cells | int) -> Cells:
        """Return the less of both."""
        return self.plain(Op.MIN, x, y)

    def maximum(self, x: Cells, y: Cells | int) -> Cells:
        """Return the greater of both."""
        return self.plain(Op.MAX, x, y)

    def clamp(self, x: Cells, low: Cells | int, high: Cells | int) -> Cells:
        """Return x, no less than low and no more than high."""
        return self.plain(Op.CLAMP, x, low, high)

    def root(self, x: Cells) -> Cells:
        """Return the floor of the square root; 0 of what is negative."""
        return self.plain(Op.ROOT, x)

    def shift(self, x: Cells | int, by: Cells | int) -> Cells:
        """Return x * 2^by, rounded down."""
        return self.plain(Op.SHIFT, x, by)

    def running(self, x: Cells, axis: Axis | None = None, *, weight: Cells | None = None) -> Cells:
        """Return the running sum of x, or of x * weight, along an axis (None: the last one)."""
        cells = [x] if weight is None else [x, weight]
        return self._scan(Op.ADD if weight is None else Op.MULADD, cells, axis)

    def sum(self, x: Cells, axis: Axis, *, weight: Cells | None = None) -> Cells:
        """Return the sum of x, or of x * weight, over an axis."""
        return self.running(x, axis, weight=weight).last() + 0

    def largest(self, x: Cells, axis: Axis) -> Cells:
        """Return the greatest of x along an axis, and no less than 0."""
        return self._scan(Op.MAX, [x], axis).last() + 0

    def ones(self, axis: Axis) -> Cells:
        """Return 1 at every place of an axis."""
        return self._add(Op.ADD, (axis,), (self.const(1).operand, self.const(0).operand))

    def numbers(self, like: Cells) -> Cells:
        """Return 0, 1, 2 ... along the last axis of `like`."""
        return self.running(self.select(like, 1, 1)) - 1

    def gather(self, x: Cells, at: Cells | int, *, axes: tuple[Axis, ...] = ()) -> Cells:
        """Return the cell of x that `at` names along x's last axis; 0 outside of it. `axes`: in another order."""
        place = self.const(at) if isinstance(at, int) else at
        usual = sorted_axes({*read_axes(x.operand, gathered=True), *place.axes})
        return self._add(Op.GATHER, axes or usual, (x.operand, place.operand))

    # --- hints --------------------------------------------------------------------------------------------------------

    def least(self, x: Cells, weight: Cells | int, wanted: Cells, axis: Axis, bounds: Bounds) -> Cells:
        """Return the least v within bounds with sum over `axis` of (x <= v) * weight >= wanted, else the upper end.

        A hint: the sealer brings it, and columns that the compiler writes hold it to its one right value.
        """
        weights = self.const(weight) if isinstance(weight, int) else weight
        axes = sorted_axes({*x.axes, *weights.axes, *wanted.axes} - {axis})
        operands = (x.operand, weights.operand, wanted.operand)
        return self._held(self._add(Op.LEAST, axes, operands, int(axis), bounds=bounds))

    def inverse(self, x: Cells, over: Cells) -> Cells:
        """Return, for each place of the one axis of `over`, the first entry of x that holds its number; how many
        entries there are, where none does.

        A hint: what one place holds is gathered, so no pair of places is looked at.
        """
        return self._held(self._add(Op.INVERSE, over.axes, (x.operand,)))

    def _held(self, found: Cells) -> Cells:
        """Write what holds cells that the sealer brings; where that cannot be written, they are not there either."""
        try:
            return self._checked(found)
        except DocumentInvalid:
            number = found.operand.column
            del self._columns[number:]
            self._known = {key: known for key, known in self._known.items() if known < number}
            self._musts = {known for known in self._musts if known < number}
            raise

    def _checked(self, found: Cells) -> Cells:
        """Write the checks: a hint has one right value, all keep to their range."""
        column = self._columns[found.operand.column]
        read = [Cells(self, operand) for operand in column.operands]
        if column.op is Op.INVERSE:
            length = self.source(Source.COUNT)
            self._must(self.maximum(self.gather(read[0], found) == self.numbers(found), found == length))
            self._must(1 - (self.gather(found, read[0]) > self.numbers(read[0])))
            self._within(found, 0, length)  # or a place outside of x, which reads 0, would do for the number 0
            return found
        low, high = column.bounds
        if column.op is Op.LEAST:
            x, weights, wanted, axis = *read, Axis(column.immediate)
            reached = self._reached(x, weights, wanted, axis, found)
            before = self._reached(x, weights, wanted, axis, found - 1)
            self._must(self.maximum(reached, found == high))
            self._must(self.maximum(1 - before, found == low))
        self._within(found, low, high)  # of a hint too: what is below the range would do where it is enough
        return found

    def require_checks(self, columns: Sequence[Column]) -> None:
        """Hold a program's checks to what is written here for what its sealer brings: none is missing, none is more.
        Raises DocumentInvalid."""
        self._read(columns)
        for number, one in enumerate(columns):
            if one.op in HINTS | {Op.CLAIMED}:
                self._held(Cells(self, Operand(number, axes=one.axes)))
        more = {number for number, one in enumerate(columns) if one.op is Op.MUST} - self._musts
        if more:
            raise DocumentInvalid(f"column {columns[min(more)].name!r} is a check that no hint needs")

    def _read(self, columns: Sequence[Column]) -> None:
        assert not self._columns, "of a program, not in addition to one"
        for number, one in enumerate(columns):
            declared = one.bounds if one.op in (Op.LEAST, Op.CLAIMED) else (0, 0)
            self._known.setdefault((one.op, one.axes, one.operands, one.immediate, declared), number)
            if one.operands and one.operands[-1].column == number:
                self._known.setdefault((one.op, one.axes, one.operands[:-1], "running"), number)
        self._columns, self._complete = list(columns), True

    # --- rows ---------------------------------------------------------------------------------------------------------

    def dot(self, x: Cells, y: Cells, *, by_block: bool = False, shifts: Cells | None = None) -> Cells:
        """Return the inner products of two columns of rows: over all parameters that count, or block by block.

        `shifts`: block b counts 2^shifts[b] times.
        """
        own = sorted_axes({*x.axes, *y.axes, *((Axis.BLOCK,) if by_block else ())})
        kinds = row_kinds([self._columns[one.operand.column].kind for one in (x, y)])
        if shifts is None:
            return self._add(Op.DOT, own, (x.operand, y.operand), kinds)
        return self._add(Op.DOT_SHIFTED, own, (x.operand, y.operand, shifts.operand), kinds)

    def combine(self, rows: Cells, weights: Cells) -> Cells:
        """Return the content root of the sum of rows times weights, along the last axis of `rows`."""
        return self._add(Op.COMBINE, rows.axes[:-1], (rows.operand, weights.operand))

    def step(self, model: Cells, sums: Cells, factors: Cells) -> Cells:
        """Return the content root of a model moved by sums; `factors`: packed, by block (`rows.step_body`)."""
        kinds = row_kinds((Kind.MODEL, Kind.SUMS))
        return self._add(
            Op.STEP, sorted_axes({*model.axes, *sums.axes}), (model.operand, sums.operand, factors.operand), kinds
        )

    # --- hashes -------------------------------------------------------------------------------------------------------

    def hash(self, x: Cells) -> Cells:
        """Return the hashes of each eight cells along the last axis of x, along its axis of groups: or the one of all
        of them, where there are no more than eight groups."""
        axes = grouped(x.axes)
        assert axes is not None, "an axis that has no groups, and is longer than one"
        return self._add(Op.POSEIDON, axes, (x.operand,))

    def hash_along(self, x: Cells, y: Cells | int) -> Cells:
        """Return the last of a chain of hashes along the last axis of x, which may have no groups."""
        return self._scan(Op.POSEIDON3, [x, self.const(y) if isinstance(y, int) else y], None).last()

    # --- names --------------------------------------------------------------------------------------------------------

    def name(self, name: str, cells: Cells) -> Cells:
        """Give a column a name by which people find it."""
        assert cells.operand.map is Map.OWN
        number = cells.operand.column
        self._columns[number] = replace(self._columns[number], name=name)
        return cells

    def output(self, output: Output, cells: Cells) -> None:
        """Let a column decide something of the round."""
        assert cells.operand.map is Map.OWN
        self._outputs[output] = cells.operand.column

    def _reached(self, x: Cells, weight: Cells, wanted: Cells, axis: Axis, value: Cells) -> Cells:
        inside = 1 - (x > value)
        return 1 - (self.sum(inside, axis, weight=weight) < wanted)

    def _scan(self, op: Op, cells: Sequence[Cells], axis: Axis | None) -> Cells:
        """Return a column that goes on from the place before it along an axis (None: the last one), at first from 0."""
        read = joined([one.operand for one in cells])
        scanned = read[-1] if axis is None else axis
        axes = (*(each for each in read if each is not scanned), scanned)
        known = (op, axes, tuple(one.operand for one in cells), "running")
        if known in self._known:
            return Cells(self, Operand(self._known[known], axes=axes))
        itself = Operand(len(self._columns), Map.BEFORE, axes)
        found = self._add(op, axes, (*(one.operand for one in cells), itself))
        self._known[known] = found.operand.column
        return found

    def _within(self, found: Cells, low: int, high: Cells | int) -> None:
        self._must(1 - (found < low))
        self._must(1 - (found > high))

    def _must(self, cells: Cells) -> None:
        self._musts.add(self._add(Op.MUST, cells.axes, (cells.operand,)).operand.column)

    def _add(
        self, op: Op, axes: tuple[Axis, ...], operands: Sequence[Operand], immediate: int = 0, *,
        name: str = "", bounds: Bounds = (0, 0),
    ) -> Cells:  # fmt: skip
        key = (op, axes, tuple(operands), immediate, bounds)
        number = self._known.get(key)
        if number is None:
            number = len(self._columns)
            if self._complete:
                raise DocumentInvalid(f"the round program lacks a {op.name} in the checks of what its sealer brings")
            assert number < MAX_COLUMNS, f"a program has {MAX_COLUMNS} columns at most"
            drafted = Column(name or f"c{number}", op, axes, tuple(operands), immediate, bounds)
            kind, found = checked(drafted, number, self._columns)
            self._columns.append(replace(drafted, kind=kind, bounds=found))
            self._known[key] = number
        return Cells(self, Operand(number, axes=axes))
