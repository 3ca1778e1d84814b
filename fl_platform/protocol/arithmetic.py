"""What the operations of a round's cells give (protocol/operations.py). Twin of contracts/libraries/Operations.sol.

`give` works on numpy arrays of one shape: of int64 where the caller knows that everything fits, else of Python integers
(dtype object). `apply` is the same for single cells, with the wrapping.

Tests: tests/unit/protocol/test_operations.py
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_platform.protocol.operations import BITS, GROUP, HALF, Op, wrap
from zk.curve.fields import ORDER
from zk.poseidon import permute_hash

Array = npt.NDArray[Any]  # int64, or Python integers


def apply(op: Op, *operands: int) -> int:
    """Return what a PLAIN operation gives of single cells (each of 256 bits); POSEIDON3 as well."""
    # of one element: what numpy computes of arrays without axes are bare numbers, which it then takes for int64
    cells = [np.array([value], dtype=object) for value in operands]
    return wrap(int(give(op, *cells)[0]))


def give(op: Op, *x: Array) -> Array:
    """Return what a PLAIN operation gives, without wrapping: whoever calls knows the bounds."""
    return _GIVE[op](*x)


def hash_of(*cells: int) -> int:
    """Return the hash of eight cells, or of fewer and zeros behind them."""
    return permute_hash([cell % ORDER for cell in cells] + [0] * (GROUP - len(cells)))


def hash_of_group(cells: Sequence[int], places: int) -> int:
    """Return the hash of up to eight cells along an axis of so many places; one that stands alone is not hashed."""
    return (cells[0] if cells else 0) % ORDER if places <= 1 else hash_of(*cells)


def _div(x: Array, y: Array) -> Array:
    safe = np.where(y == 0, 1, y)
    return np.where(y == 0, 0, x // safe)


def _muldiv(x: Array, y: Array, z: Array) -> Array:
    found = _div(x * y, z)
    return np.where((found >= -HALF) & (found < HALF), found, 0) if found.dtype == object else found


def _shift(x: Array, y: Array) -> Array:
    return np.asarray(_shifted(x, y))


_root: Callable[..., Any] = np.frompyfunc(lambda x: math.isqrt(max(0, int(x))), 1, 1)
_bits: Callable[..., Any] = np.frompyfunc(lambda x: max(0, int(x)).bit_length(), 1, 1)
_hashed: Callable[..., Any] = np.frompyfunc(lambda x, y, z: hash_of(int(x), int(y), int(z)), 3, 1)
_shifted: Callable[..., Any] = np.frompyfunc(lambda x, y: _shift_one(int(x), int(y)), 2, 1)


def _shift_one(x: int, y: int) -> int:
    if y >= 0:
        return wrap(x << y) if y < BITS else 0
    return x >> min(-y, BITS)


_GIVE: dict[Op, Callable[..., Array]] = {
    Op.ADD: lambda x, y: x + y,
    Op.SUB: lambda x, y: x - y,
    Op.MUL: lambda x, y: x * y,
    Op.MULADD: lambda x, y, z: x * y + z,
    Op.DIV: _div,
    Op.MULDIV: _muldiv,
    Op.ROOT: lambda x: np.asarray(_root(x)),
    Op.MIN: lambda x, y: np.minimum(x, y),
    Op.MAX: lambda x, y: np.maximum(x, y),
    Op.CLAMP: lambda x, low, high: np.minimum(np.maximum(x, low), high),
    Op.LT: lambda x, y: np.where(x < y, 1, 0),
    Op.EQ: lambda x, y: np.where(x == y, 1, 0),
    Op.SEL: lambda x, y, z: np.asarray(np.where(x != 0, y, z)),
    Op.BITS: lambda x: np.asarray(_bits(x)),
    Op.SHIFT: _shift,
    Op.POSEIDON3: lambda x, y, z: np.asarray(_hashed(x, y, z)),
}
