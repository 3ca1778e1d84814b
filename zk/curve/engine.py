"""Group arithmetic as the proofs use it: one interface, a fast engine (mcl and compiled loops) and a slow one (py_ecc).

Both are exact and give the same points; the slow one is the reference in tests and the fallback where libmcl has no
build, which it says. `Bases` and `Scalars` belong to the engine that made them; both can be sliced and have a length.
"""

from __future__ import annotations

import functools
import logging
import secrets
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from zk.curve import bn254
from zk.curve.bn254 import FIELD, ORDER, Point

Bases = Any  # a sequence of points
Scalars = Any  # a sequence of integers modulo r
Row = npt.NDArray[np.integer[Any]]

_LOG = logging.getLogger(__name__)


class Engine(Protocol):
    """What the proofs need of a group. Scalars are taken modulo r; points from outside are checked in `bases`."""

    name: str

    def bases(self, encoded: bytes) -> Bases:
        """Read 64-byte points (untrusted). Raises PointInvalid, for infinity too."""

    def lift(self, xs: Sequence[int], odd: Sequence[bool]) -> list[Point | None]:
        """Return per x (below p) the point with y of that parity, None where x is on no point."""

    def commit_row(self, bases: Bases, row: Row, bits: int, *, blinding: int, blinding_base: Bases) -> Point:
        """Return sum row[i] * bases[i] + blinding * blinding_base[0] for |row[i]| < 2^(bits - 1), bits <= 63."""

    def msm(self, bases: Bases, scalars: Scalars) -> Point:
        """Return sum scalars[i] * bases[i]."""

    def combine(self, bases: Bases, coefficients: Scalars) -> Bases:
        """Return m = len(bases) / len(coefficients) points, the i-th sum_s coefficients[s] * bases[i + s * m]."""

    def blocks(self, bases: Bases, width: int, parity: int) -> Bases:
        """Return every second block of `width` points: the even ones for parity 0, the odd ones for 1."""

    def scalars(self, values: Sequence[int]) -> Scalars:
        """Return integers of any size and sign as scalars."""

    def random_scalars(self, count: int) -> Scalars:
        """Return uniform scalars from the system's generator."""

    def to_ints(self, scalars: Scalars) -> list[int]:
        """Return scalars as integers in [0, r)."""

    def add_row(self, target: Scalars, factor: int, row: Row) -> None:
        """target[i] += factor * row[i] in place; `row` may be shorter, entries int64."""

    def add_scaled(self, target: Scalars, factor: int, vector: Scalars) -> None:
        """target += factor * vector in place."""

    def outer(self, left: Scalars, right: Scalars) -> Scalars:
        """Return left[a] * right[b] at place a * len(right) + b."""


class SlowEngine:
    """Plain Python and py_ecc: about 10 thousand small terms a second, a few hundred full ones."""

    name = "py_ecc"

    def bases(self, encoded: bytes) -> list[Point]:
        """See Engine."""
        size = bn254.POINT_BYTES
        return [bn254.decode(encoded[i : i + size]) for i in range(0, len(encoded), size)]

    def lift(self, xs: Sequence[int], odd: Sequence[bool]) -> list[Point | None]:
        """See Engine."""
        found: list[Point | None] = []
        for x, parity in zip(xs, odd, strict=True):
            square = (x * x * x + 3) % FIELD
            y = pow(square, (FIELD + 1) // 4, FIELD)
            if y == 0 or y * y % FIELD != square:
                found.append(None)
            else:
                found.append(Point(x, y if y % 2 == int(parity) else FIELD - y))
        return found

    def commit_row(
        self, bases: list[Point], row: Row, bits: int, *, blinding: int, blinding_base: list[Point]
    ) -> Point:
        """See Engine."""
        return bn254.add(
            bn254.sum_of_products(bases[: len(row)], [int(value) for value in row]),
            bn254.multiply(blinding_base[0], blinding),
        )

    def msm(self, bases: list[Point], scalars: list[int]) -> Point:
        """See Engine."""
        return bn254.sum_of_products(bases, scalars)

    def combine(self, bases: list[Point], coefficients: list[int]) -> list[Point]:
        """See Engine."""
        count = len(bases) // len(coefficients)
        return [bn254.sum_of_products(bases[i::count], coefficients) for i in range(count)]

    def blocks(self, bases: list[Point], width: int, parity: int) -> list[Point]:
        """See Engine."""
        starts = range(parity * width, len(bases), 2 * width)
        return [point for start in starts for point in bases[start : start + width]]

    def scalars(self, values: Sequence[int]) -> list[int]:
        """See Engine."""
        return [value % ORDER for value in values]

    def random_scalars(self, count: int) -> list[int]:
        """See Engine."""
        return [secrets.randbelow(ORDER) for _ in range(count)]

    def to_ints(self, scalars: list[int]) -> list[int]:
        """See Engine."""
        return list(scalars)

    def add_row(self, target: list[int], factor: int, row: Row) -> None:
        """See Engine."""
        for i, value in enumerate(row):
            target[i] = (target[i] + factor * int(value)) % ORDER

    def add_scaled(self, target: list[int], factor: int, vector: list[int]) -> None:
        """See Engine."""
        for i, value in enumerate(vector):
            target[i] = (target[i] + factor * value) % ORDER

    def outer(self, left: list[int], right: list[int]) -> list[int]:
        """See Engine."""
        return [a * b % ORDER for a in left for b in right]


@functools.cache
def default_engine() -> Engine:
    """Return the fast engine, checked against py_ecc; the slow one, with a warning, where libmcl cannot be loaded.

    Raises CurveEngineBroken if libmcl is there and wrong: that is never papered over.
    """
    try:
        from zk.curve import fast_engine  # its libraries cost 0.5 s to load: only who proves pays

        return fast_engine.load()
    except (ImportError, OSError) as error:
        _LOG.warning(
            "no libmcl or numba here (%s): proofs run on py_ecc, some hundred times slower; "
            "install mclbn256 and numba for this platform",
            error,
        )
        return SlowEngine()
