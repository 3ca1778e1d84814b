"""The operations of a round's cells as constraints: each gives the one value that protocol/arithmetic.py gives.

A gate costs what its operands' bounds ask for, and nothing where these decide: a sum is free, a product is one
constraint, a comparison one for each bit that the difference can have. Bounds are taken as given for what is put in,
and proved for all that is made here.

Tests: tests/zk/test_gates.py
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fl_platform.errors import NoCircuit
from fl_platform.protocol.operations import Bounds, Op, bounds_of
from zk.circuits.system import WIDEST, Cell, System, Value, modulo, total
from zk.curve.bn254 import ORDER

_COMMUTE = frozenset({Op.ADD, Op.MUL, Op.EQ})
_MOST_SHIFTS = 600  # different amounts by which one number is shifted


def constant(value: int) -> Cell:
    """Return a constant."""
    return Cell(value, value, value)


ZERO, ONE = constant(0), constant(1)


@dataclass
class Gates:
    """Gates on one system. Equal gates of equal cells are one."""

    system: System
    _made: dict[tuple[int, ...], Cell] = field(default_factory=dict)
    _read: list[Cell] = field(default_factory=list)  # operands of what was made: their ids must not be used again

    def give(self, op: Op, *x: Cell) -> Cell:
        """Return what a PLAIN operation gives. Raises NoCircuit where a number on the way is too wide."""
        bounds = bounds_of(op, *((one.low, one.high) for one in x))
        if bounds[0] == bounds[1]:
            return constant(bounds[0])
        key = (op, *sorted(map(id, x))) if op in _COMMUTE else (op, *map(id, x))
        if key not in self._made:
            made = _GATES[op](self, bounds, *x)
            self._made[key] = Cell(made.value, max(made.low, bounds[0]), min(made.high, bounds[1]))
            self._read.extend(x)
        return self._made[key]

    # --- comparing ----------------------------------------------------------------------------------------------------

    def less(self, x: Cell, y: Cell) -> Cell:
        """Return 1 where x < y, else 0."""
        low, high = y.low - x.high, y.high - x.low
        if low > 0 or high <= 0:
            return constant(int(low > 0))
        width = max((high - 1).bit_length(), (-low).bit_length())
        if width == 0:
            return Cell(y.value - x.value, 0, 1)
        return Cell(self.system.bits(y.value - x.value + ((1 << width) - 1), width + 1)[-1], 0, 1)

    def is_zero(self, x: Cell) -> Cell:
        """Return 1 where x is 0, else 0."""
        if x.low > 0 or x.high < 0:
            return ZERO
        if x.known == 0:
            return ONE
        if x.low >= -1 and x.high <= 1 and x.low * x.high == 0:
            return Cell(1 - x.value if x.high else x.value + 1, 0, 1)
        value = x.value
        inverse = self.system.hint(lambda: pow(int(value), -1, ORDER) if value else 0)  # type: ignore[arg-type]
        out = 1 - modulo(self.system.product(value, inverse))
        self.system.require(value, out, 0)
        return Cell(out, 0, 1)

    def truth(self, x: Cell) -> Cell:
        """Return 1 where x is not 0, else 0."""
        if x.low >= 0 and x.high <= 1:
            return x
        return self.give(Op.SUB, ONE, self.give(Op.EQ, x, ZERO))

    def select(self, condition: Cell, yes: Cell, no: Cell) -> Cell:
        """Return `yes` where the condition is not 0, else `no`."""
        chosen = self.truth(condition)
        if chosen.known is not None:
            return yes if chosen.known else no
        apart = Cell(yes.value - no.value, yes.low - no.high, yes.high - no.low)
        return Cell(self.times(chosen, apart).value + no.value, min(yes.low, no.low), max(yes.high, no.high))

    def times(self, x: Cell, y: Cell) -> Cell:
        """Return the product."""
        bounds = bounds_of(Op.MUL, (x.low, x.high), (y.low, y.high))
        for one, other in ((x, y), (y, x)):
            if one.known is not None:
                return Cell(other.value * one.known, *_narrow(bounds))
        return Cell(self.system.product(x.value, y.value), *_narrow(bounds))

    def require_within(self, value: Value, low: int, high: int) -> None:
        """Demand low <= value <= high, and no more than that."""
        most, above = high - low, value - low
        width = most.bit_length()
        if most == 1 << width - 1 and most > 1:  # one more than a power of two
            last = self.system.boolean(lambda: int(above == most))
            rest = above - last * most
            self.system.bits(rest, width - 1)
            self.system.require(last, rest, 0)
            return
        self.system.bits(above, width)
        beyond = (1 << width) - 1 - most
        if beyond <= 2:
            for over in range(beyond):
                self.require_unlike(value, high + 1 + over)
        else:
            self.system.bits(high - value, width)

    def require_unlike(self, value: Value, other: int) -> None:
        """Demand that a value is not a number."""
        away = value - other
        inverse = self.system.hint(lambda: pow(int(away), -1, ORDER) if away else 0)  # type: ignore[arg-type]
        self.system.require(away, inverse, 1)

    # --- dividing -----------------------------------------------------------------------------------------------------

    def quotient(self, x: Cell, y: Cell, bounds: Bounds, *, held: bool = False) -> Cell:
        """Return floor(x / y), 0 where y is 0.

        bounds: what it keeps to whatever the operands; or, `held`, what it is held to, 0 among them: outside of these
        there is no witness.
        """
        if x.known == 0:
            return ZERO
        if y.low < 0:
            sign = self.give(Op.SUB, ONE, self.give(Op.MUL, constant(2), self.less(y, ZERO)))
            x, y = self.times(x, sign), self.times(y, sign)
            y = Cell(y.value, 0, y.high)
        zero = self.is_zero(y)
        divisor = Cell(y.value + zero.value, max(1, y.low), max(1, y.high))
        top = x.value - self.times(x, zero).value
        if divisor.known == 1 and held:
            return self.give(Op.CLAMP, Cell(top, min(0, x.low), max(0, x.high)), *map(constant, bounds))
        if divisor.known == 1:
            return Cell(top, *bounds)
        low, width = bounds[0], (bounds[1] - bounds[0]).bit_length()
        below = divisor.value
        found = self.system.hint(lambda: int(top) // int(below))  # type: ignore[arg-type]
        if held:
            self.require_within(found, *bounds)
        else:
            self.system.bits(found - low, width)
        rest = top - self.times(Cell(found, low, low + (1 << width)), divisor).value
        last = (divisor.high - 1).bit_length()
        self.system.bits(rest, last)
        if divisor.known != 1 << last:
            self.system.bits(divisor.value - 1 - rest, last)
        return Cell(found, *bounds)

    def muldiv(self, x: Cell, y: Cell, z: Cell, bounds: Bounds) -> Cell:
        """Return floor(x * y / z), 0 where z is 0; see `quotient`."""
        return self.quotient(self.times(x, y), z, bounds)

    def root(self, x: Cell, bounds: Bounds) -> Cell:
        """Return the floor of the square root; 0 of what is negative."""
        square = self.give(Op.MAX, x, ZERO).value
        found = self.system.hint(lambda: math.isqrt(int(square)))  # type: ignore[arg-type]
        width = bounds[1].bit_length()
        self.system.bits(found, width)
        rest = square - self.system.product(found, found)
        self.system.bits(rest, width + 1)
        self.system.bits(found * 2 - rest, width + 1)
        return Cell(found, *bounds)

    # --- bits and places ----------------------------------------------------------------------------------------------

    def bit_length(self, x: Cell, bounds: Bounds) -> Cell:
        """Return how many bits x has; 0 of what is not positive."""
        seen: Cell = ZERO
        reached: list[Cell] = []
        for bit in reversed(self.system.bits(self.give(Op.MAX, x, ZERO).value, bounds[1])):
            here = Cell(bit, 0, 1)
            seen = Cell(seen.value + bit - self.times(seen, here).value, 0, 1)
            reached.append(seen)
        return Cell(total((one.value, 1) for one in reached), *bounds)

    def shift(self, x: Cell, y: Cell, bounds: Bounds) -> Cell:
        """Return floor(x * 2^y)."""
        if y.high - y.low > _MOST_SHIFTS:
            raise NoCircuit(f"a shift by {y.low} to {y.high} has no circuit: at most {_MOST_SHIFTS} amounts do")
        moved = Cell(y.value - y.low, 0, y.high - y.low)
        amounts = {place + y.low: one for place, one in self.selectors(moved, constant(moved.high + 1)).items()}

        def factor(sign: int) -> Cell:
            parts = ((one.value, 1 << max(0, sign * amount)) for amount, one in amounts.items())
            ends = sorted((sign * y.low, sign * y.high))
            return Cell(total(parts), 1 << max(0, ends[0]), 1 << max(0, ends[1]))

        raised = self.times(x, factor(1))
        return raised if y.low >= 0 else self.quotient(raised, factor(-1), bounds)

    def selectors(self, index: Cell, length: Cell, places: Sequence[int] | None = None) -> dict[int, Cell]:
        """Return for each place a cell that is 1 where the index names it; all are 0 where it is not in [0, length).

        places: the only ones below the length that the index can name; None: all.
        """
        inside = self.give(Op.SUB, ONE, self.less(index, ZERO))
        inside = self.times(inside, self.less(index, length))
        can = range(max(0, index.low), min(length.high, index.high + 1))
        allowed = [place for place in can if places is None or place in places]
        if index.known is not None:
            return dict.fromkeys(allowed, inside)
        if inside.known and allowed == [0, 1]:
            return {0: Cell(1 - index.value, 0, 1), 1: Cell(index.value, 0, 1)}
        told = index.value

        def named(place: int, kept: Value = inside.value) -> Callable[[], int]:
            return lambda: int(bool(kept) and told == place)

        found = {place: Cell(self.system.boolean(named(place)), 0, 1) for place in allowed}
        self.system.require(total((one.value, 1) for one in found.values()), 1, inside.value)
        self.system.require(index.value, inside.value, total((one.value, place) for place, one in found.items()))
        return found

    def chosen(self, selectors: Mapping[int, Cell], cells: Mapping[int, Cell]) -> Cell:
        """Return the cell that selectors name; 0 where they name none."""
        parts = [self.times(one, cells[place]) for place, one in selectors.items() if place in cells]
        low, high = (edge([0, *(getattr(one, name) for one in parts)]) for edge, name in ((min, "low"), (max, "high")))
        return Cell(total((one.value, 1) for one in parts), low, high)

    def least(
        self, values: Sequence[Cell], weights: Sequence[Cell], wanted: Cell, bounds: Bounds, found: Value
    ) -> Cell:
        """Hold a hint to the least v within bounds with sum of (x <= v) * weight >= wanted, else the upper end.

        found: a new signal. Weights are not negative. What weighs less than wanted below v, and no less up to v, is
        that v, for no x lies between.
        """
        low, high = bounds
        v = Cell(found, low, high)
        self.require_within(found, low, high)
        below, same = [], []
        for value, weight in zip(values, weights, strict=True):
            below.append(self.times(self.give(Op.LT, value, v), weight))
            same.append(self.times(self.give(Op.EQ, value, v), weight))
        under = Cell(total((one.value, 1) for one in below), 0, sum(one.high for one in weights))
        upto = Cell(total((one.value, 1) for one in (*below, *same)), 0, under.high)
        for wrong, end in ((self.give(Op.SUB, ONE, self.less(under, wanted)), low), (self.less(upto, wanted), high)):
            away = self.give(Op.SUB, ONE, self.give(Op.EQ, v, constant(end)))
            self.system.require(wrong.value, away.value, 0)
        return v


def _narrow(bounds: Bounds) -> Bounds:
    width = max(-bounds[0], bounds[1]).bit_length()
    if width > WIDEST:
        raise NoCircuit(f"a number of {width} bits is wider than the {WIDEST} that a circuit's field holds")
    return bounds


def _least(gates: Gates, x: Cell, y: Cell) -> Cell:
    if x.high <= y.low or y.high <= x.low:
        return x if x.high <= y.low else y
    return gates.select(gates.give(Op.LT, x, y), x, y)


def _greatest(gates: Gates, x: Cell, y: Cell) -> Cell:
    if x.high <= y.low or y.high <= x.low:
        return y if x.high <= y.low else x
    return gates.select(gates.give(Op.LT, x, y), y, x)


def _linear(one: Callable[[Value, Value], Value]) -> Callable[..., Cell]:
    return lambda _, bounds, x, y: Cell(one(x.value, y.value), *bounds)


_GATES: dict[Op, Callable[..., Cell]] = {
    Op.ADD: _linear(lambda x, y: x + y),
    Op.SUB: _linear(lambda x, y: x - y),
    Op.MUL: lambda gates, _, x, y: gates.times(x, y),
    Op.MULADD: lambda gates, bounds, x, y, z: Cell(gates.times(x, y).value + z.value, *bounds),
    Op.DIV: lambda gates, bounds, x, y: gates.quotient(x, y, bounds),
    Op.MULDIV: lambda gates, bounds, x, y, z: gates.muldiv(x, y, z, bounds),
    Op.ROOT: lambda gates, bounds, x: gates.root(x, bounds),
    Op.MIN: lambda gates, _, x, y: _least(gates, x, y),
    Op.MAX: lambda gates, _, x, y: _greatest(gates, x, y),
    Op.CLAMP: lambda gates, _, x, y, z: gates.give(Op.MIN, gates.give(Op.MAX, x, y), z),
    Op.LT: lambda gates, _, x, y: gates.less(x, y),
    Op.EQ: lambda gates, _, x, y: gates.is_zero(Cell(x.value - y.value, x.low - y.high, x.high - y.low)),
    Op.SEL: lambda gates, _, x, y, z: gates.select(x, y, z),
    Op.BITS: lambda gates, bounds, x: gates.bit_length(x, bounds),
    Op.SHIFT: lambda gates, bounds, x, y: gates.shift(x, y, bounds),
}
