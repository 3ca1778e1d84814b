"""How a rule writes a program: columns as values with the usual signs, named where a person should find them.

    b = Builder()
    stake = b.source(Source.STAKE)
    counted = b.source(Source.REFUSED) == 0
    weight = b.name("weight", b.select(counted, stake, 0))
    total = b.name("total", b.sum(weight, Axis.ENTRY))
    b.output("total", total)
    program = b.program()

Nothing is computed here; `Builder.program` returns a checked program. Equal instructions are one column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fl_platform.protocol.operations import Bounds, Op
from fl_platform.protocol.program import (
    MAX_COLUMNS,
    SOURCES,
    Axis,
    Column,
    Map,
    Operand,
    Program,
    Source,
    check,
    checked_column,
)

_ORDER = {axis: place for place, axis in enumerate(Axis)}


@dataclass(frozen=True, eq=False)
class Cells:
    """A column that a rule has written, read by some map."""

    builder: Builder
    operand: Operand
    axes: tuple[Axis, ...]  # along which it is read

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

    def __eq__(self, other: object) -> Cells:  # type: ignore[override]
        assert isinstance(other, Cells | int)
        return self.builder.plain(Op.EQ, self, other)

    __hash__ = None  # type: ignore[assignment]  # equal cells are a column, not a truth
    __radd__, __rmul__ = __add__, __mul__

    def __bool__(self) -> bool:
        raise TypeError("a column's cells are not known while a rule is written: use Builder.select")

    def swapped(self) -> Cells:
        """Return the cells with ENTRY and OTHER exchanged: of another entry, where this is an entry's."""
        swap = {Axis.ENTRY: Axis.OTHER, Axis.OTHER: Axis.ENTRY}
        return self._read(Map.SWAPPED, tuple(sorted((swap.get(a, a) for a in self.axes), key=_ORDER.__getitem__)))

    def diagonal(self) -> Cells:
        """Return what the cells of pairs are of an entry with itself."""
        return self._read(Map.DIAGONAL, tuple(axis for axis in self.axes if axis is not Axis.OTHER))

    def last(self) -> Cells:
        """Return the last cell along the last axis; 0 where that is empty."""
        return self._read(Map.LAST, self.axes[:-1])

    def _read(self, map_: Map, axes: tuple[Axis, ...]) -> Cells:
        assert self.operand.map is Map.OWN, "one map is all that an operand has: give this column a name first"
        return replace(self, operand=replace(self.operand, map=map_), axes=axes)


class Builder:
    """Collects a rule's columns."""

    def __init__(self) -> None:
        self._columns: list[Column] = []
        self._known: dict[tuple[object, ...], int] = {}
        self._outputs: dict[str, int] = {}

    def program(self) -> Program:
        """Return the program, checked. Raises DocumentInvalid."""
        found = Program(tuple(self._columns), dict(self._outputs))
        check(found)
        return found

    def source(self, source: Source) -> Cells:
        """Return what is given from outside."""
        return self._add(Op.SOURCE, SOURCES[source].axes, (), int(source), name=source.name.lower())

    def const(self, value: int) -> Cells:
        """Return a number of the rule."""
        return self._add(Op.CONST, (), (), value)

    def plain(self, op: Op, *values: Cells | int) -> Cells:
        """Return what an operation gives of cells at one place; numbers are constants."""
        cells = [self.const(value) if isinstance(value, int) else value for value in values]
        axes = sorted({axis for one in cells for axis in one.axes}, key=_ORDER.__getitem__)
        if Axis.OTHER in axes and Axis.ENTRY not in axes:
            axes.insert(0, Axis.ENTRY)
        return self._add(op, tuple(axes), tuple(one.operand for one in cells))

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

    def sum(self, x: Cells, axis: Axis, *, weight: Cells | int = 1) -> Cells:
        """Return the sum of x * weight over an axis."""
        other = self.const(weight) if isinstance(weight, int) else weight
        axes = sorted(({*x.axes, *other.axes}) - {axis}, key=_ORDER.__getitem__)
        return self._add(Op.INNER, tuple(axes), (x.operand, other.operand), int(axis))

    def running(self, x: Cells) -> Cells:
        """Return the running sum of x along its last axis."""
        itself = Operand(len(self._columns), Map.BEFORE, x.axes)
        return self._add(Op.ADD, x.axes, (x.operand, itself))

    def gather(self, x: Cells, at: Cells) -> Cells:
        """Return the cell of x that `at` names along x's last axis; 0 outside of it."""
        axes = sorted({*x.axes[:-1], *at.axes}, key=_ORDER.__getitem__)
        return self._add(Op.GATHER, tuple(axes), (x.operand, at.operand))

    def least(self, x: Cells, weight: Cells, wanted: Cells, axis: Axis, bounds: Bounds) -> Cells:
        """Return the least v within bounds with sum over `axis` of (x <= v) * weight >= wanted, else the upper end.

        A hint: the sealer brings it, and two columns that the compiler writes hold it to its one right value.
        """
        axes = tuple(sorted(({*x.axes, *weight.axes, *wanted.axes}) - {axis}, key=_ORDER.__getitem__))
        found = self._add(Op.LEAST, axes, (x.operand, weight.operand, wanted.operand), int(axis), bounds=bounds)
        reached = self._reached(x, weight, wanted, axis, found)
        before = self._reached(x, weight, wanted, axis, found - 1)
        self._must(self.plain(Op.MAX, reached, found == bounds[1]))
        self._must(self.plain(Op.MAX, 1 - before, found == bounds[0]))
        self._within(found, *bounds)  # or what is below the range would do where it is enough
        return found

    def numbers(self, like: Cells) -> Cells:
        """Return 0, 1, 2 ... along the last axis of `like`."""
        return self.running(self.plain(Op.ADD, like * 0, 1)) - 1

    def inverse(self, x: Cells, over: Cells, length: Cells) -> Cells:
        """Return, for each place of the one axis of `over`, the first entry of x that holds its number.

        `length`, of x, where none does. A hint: what one place holds is gathered, so no pair of places is looked at.
        """
        found = self._add(Op.INVERSE, over.axes, (x.operand,))
        number = self.numbers(over)
        self._must(self.plain(Op.MAX, self.gather(x, found) == number, found == length))
        self._must(1 - (self.gather(found, x) > self.numbers(x)))
        self._within(found, 0, length)  # or a place outside of x, which reads 0, would do for the number 0
        return found

    def name(self, name: str, cells: Cells) -> Cells:
        """Give a column a name by which people find it."""
        assert cells.operand.map is Map.OWN
        number = cells.operand.column
        self._columns[number] = replace(self._columns[number], name=name)
        return cells

    def output(self, name: str, cells: Cells) -> None:
        """Let a column decide something of the round."""
        assert cells.operand.map is Map.OWN
        self._outputs[name] = cells.operand.column

    def _reached(self, x: Cells, weight: Cells, wanted: Cells, axis: Axis, value: Cells) -> Cells:
        inside = 1 - (x > value)
        return 1 - (self.sum(inside, axis, weight=weight) < wanted)

    def _within(self, found: Cells, low: int, high: Cells | int) -> None:
        self._must(1 - (found < low))
        self._must(1 - (found > high))

    def _must(self, cells: Cells) -> None:
        self._add(Op.MUST, cells.axes, (cells.operand,))

    def _add(
        self, op: Op, axes: tuple[Axis, ...], operands: Sequence[Operand], immediate: int = 0, *,
        name: str = "", bounds: Bounds = (0, 0),
    ) -> Cells:  # fmt: skip
        key = (op, axes, tuple(operands), immediate, bounds)
        number = self._known.get(key)
        if number is None:
            number = len(self._columns)
            assert number < MAX_COLUMNS, f"a program has {MAX_COLUMNS} columns at most"
            drafted = Column(name or f"c{number}", op, axes, tuple(operands), immediate, bounds)
            self._columns.append(replace(drafted, bounds=checked_column(drafted, number, self._columns)))
            self._known[key] = number
        return Cells(self, Operand(number, axes=axes), axes)
