"""Rank-1 constraints and their witness from one text: what `gates` write is read twice.

    symbolic   a value is a linear expression of signals; products become constraints, hints new signals
    concrete   a value is an integer; products and hints become the witness, and are checked as they are made

Both readings make the same signals in the same order, because every decision on the way (what is a constant, how wide a
range is) is taken from a value's bounds, which both have, and never from the value. So there is no second text of a
circuit that could part from the first, and nothing to compile.

Tests: tests/zk/test_gates.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from fl_platform.errors import NoCircuit
from zk.curve.bn254 import ORDER

WIDEST = 251  # bits that an expression may have, sign apart: below r / 4, so equal modulo r is equal
_ONE = 0  # the signal that is 1


class Linear:
    """A linear expression of signals: signal -> coefficient; signal 0 is 1."""

    __slots__ = ("terms",)

    def __init__(self, terms: dict[int, int]) -> None:
        self.terms = terms

    def __add__(self, other: Linear | int) -> Linear:
        terms = dict(self.terms)
        for signal, factor in ((_ONE, other),) if isinstance(other, int) else other.terms.items():
            terms[signal] = terms.get(signal, 0) + factor
        return Linear(terms)

    def __mul__(self, factor: int) -> Linear:
        return Linear({signal: each * factor for signal, each in self.terms.items()} if factor else {})

    def __neg__(self) -> Linear:
        return self * -1

    def __sub__(self, other: Linear | int) -> Linear:
        return self + -other

    def __rsub__(self, other: int) -> Linear:
        return -self + other

    __radd__, __rmul__ = __add__, __mul__


Value = Linear | int  # an integer: a constant, or in the concrete reading any value


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """A value with the bounds that hold for every witness, both included. Where they meet it is a constant."""

    value: Value
    low: int
    high: int

    @property
    def number(self) -> int:
        """The value, in the concrete reading."""
        assert isinstance(self.value, int)
        return self.value

    @property
    def known(self) -> int | None:
        """The constant that it is; None: not one."""
        return self.low if self.low == self.high else None


def linear(value: Value) -> Linear:
    """Return a value as an expression."""
    return Linear({_ONE: value} if value else {}) if isinstance(value, int) else value


@dataclass
class System:
    """Collects constraints a * b = c over signals 1, public ones, private ones; or, concrete, a witness.

    public: how many signals behind the one are public; they are hinted first.
    """

    concrete: bool
    public: int = 0
    signals: int = 1
    values: list[int] = field(default_factory=lambda: [1])  # concrete: of the signals, below r
    rows: list[tuple[Linear, Linear, Linear]] = field(default_factory=list)
    booleans: list[int] = field(default_factory=list)  # signals b with b * (b - 1) = 0

    @property
    def constraints(self) -> int:
        """How many there are."""
        return len(self.rows) + len(self.booleans)

    def hint(self, compute: Callable[[], int]) -> Value:
        """Return a new signal; concrete, with this value. Whoever calls constrains it."""
        self.signals += 1
        if not self.concrete:
            return Linear({self.signals - 1: 1})
        value = compute()
        self.values.append(value % ORDER)
        return value

    def product(self, one: Value, other: Value) -> Value:
        """Return a new signal that is the product."""
        if self.concrete:
            assert isinstance(one, int)
            assert isinstance(other, int)
            self.signals += 1
            result = one * other
            self.values.append(result % ORDER)
            return result
        found = self.hint(lambda: 0)
        self.rows.append((linear(one), linear(other), linear(found)))
        return found

    def require(self, one: Value, other: Value, product: Value) -> None:
        """Demand one * other = product. Raises NoCircuit, concrete, where it is not."""
        if self.concrete:
            assert isinstance(one, int)
            assert isinstance(other, int)
            assert isinstance(product, int)
            if (one * other - product) % ORDER:
                raise NoCircuit("circuits refuse these numbers: a constraint does not hold")
        else:
            self.rows.append((linear(one), linear(other), linear(product)))

    def bits(self, value: Value, width: int) -> list[Value]:
        """Return the bits of a value, the lowest first, and so demand that it is in [0, 2^width).

        The lowest bit is no signal: it is what the others leave.
        """
        if width > WIDEST:
            raise NoCircuit(f"a number of {width} bits is wider than the {WIDEST} that a circuit's field holds")
        if width <= 0:
            self.require(value, 1, 0)
            return []
        if self.concrete:
            assert isinstance(value, int)
            if value >> width:
                raise NoCircuit(f"circuits refuse these numbers: {value} is not within {width} bits")
            found = [value >> place & 1 for place in range(width)]
            self.values += found[1:]
            self.signals += width - 1
            return list(found)
        first, self.signals = self.signals, self.signals + width - 1
        self.booleans += range(first, self.signals)
        upper = Linear({first + place - 1: -(1 << place) for place in range(1, width)})
        lowest = upper + value
        self.rows.append((lowest, lowest + -1, Linear({})))
        return [lowest, *(Linear({signal: 1}) for signal in range(first, self.signals))]

    def boolean(self, compute: Callable[[], int]) -> Value:
        """Return a new signal that is 0 or 1."""
        found = self.hint(compute)
        if isinstance(found, Linear):
            self.booleans.append(self.signals - 1)
        elif found not in (0, 1):
            raise NoCircuit(f"circuits refuse these numbers: {found} is neither 0 nor 1")
        return found


def modulo(value: Value) -> Value:
    """Return a number of the field: integers modulo r; of expressions the field itself is."""
    return value % ORDER if isinstance(value, int) else value


def total(values: Iterable[tuple[Value, int]]) -> Value:
    """Return the sum of values times factors."""
    constant, terms = 0, dict[int, int]()
    for value, factor in values:
        if isinstance(value, int):
            constant += value * factor
        else:
            for signal, each in value.terms.items():
                terms[signal] = terms.get(signal, 0) + each * factor
    if not terms:
        return constant
    if constant:
        terms[_ONE] = terms.get(_ONE, 0) + constant
    return Linear(terms)
