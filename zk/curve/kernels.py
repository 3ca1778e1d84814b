"""Compiled inner loops: Montgomery arithmetic modulo p and r, bucket sums of points, vectors of scalars.

Why not mcl alone: its mulVec spends about half a microsecond a point on preparing 254-bit scalars (GLV) before it adds
anything. An update's scalars have 8 or 16 bits and its bases are affine and fixed, so each point is worth one addition
a digit: points are sorted by signed digit and each bucket is added up pairwise, all the pairs of a pass sharing one
field inversion (Montgomery's trick): about 6 multiplications an addition.

A field element is four 64-bit limbs, little endian, times 2^256 (Montgomery form), which is mcl's own layout; a point
is mcl's too: a row of 12 words x, y, z, affine when z is 1. Nothing here is constant time.
Everything stands in one file because numba's cache on disk watches the file of the compiled function only.

Tests: tests/unit/zk/curve/test_engine.py
"""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from zk.curve.bn254 import FIELD, ORDER

_WORD = 1 << 64
_I64, _I128, _I256 = ir.IntType(64), ir.IntType(128), ir.IntType(256)
_ELEMENT = types.UniTuple(types.uint64, 4)
BATCH = 512  # pairs that share one inversion: their prefix products (16 kB) stay in the first-level cache


def _limbs(value: int) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    words = [np.uint64((value >> (64 * i)) % _WORD) for i in range(4)]
    return words[0], words[1], words[2], words[3]


def _pack(builder: Any, limbs: list[Any]) -> Any:
    value = builder.zext(limbs[0], _I256)
    for j in range(1, 4):
        value = builder.or_(value, builder.shl(builder.zext(limbs[j], _I256), ir.Constant(_I256, 64 * j)))
    return value


def _unpack(context: Any, builder: Any, value: Any) -> Any:
    limbs = [builder.trunc(builder.lshr(value, ir.Constant(_I256, 64 * j)), _I64) for j in range(4)]
    return context.make_tuple(builder, _ELEMENT, limbs)


def _reduce_once(context: Any, builder: Any, value: Any, correction: int) -> Any:
    """Return value + correction if that is not negative, else value; both readings fit 255 bits and a sign."""
    other = builder.add(value, ir.Constant(_I256, correction))
    negative = builder.icmp_signed("<", other, ir.Constant(_I256, 0))
    return _unpack(context, builder, builder.select(negative, value, other))


def _multiply_ir(builder: Any, left: Any, right: Any, modulus: int) -> list[Any]:
    """Emit Montgomery multiplication, a limb of `right` at a time (CIOS); no extra word below 2^254."""

    def wide(value: Any) -> Any:
        return builder.zext(value, _I128)

    def low(value: Any) -> Any:
        return builder.trunc(value, _I64)

    def high(value: Any) -> Any:
        return builder.lshr(value, ir.Constant(_I128, 64))

    words = [ir.Constant(_I128, (modulus >> (64 * j)) % _WORD) for j in range(4)]
    inverse = ir.Constant(_I64, -pow(modulus, -1, _WORD) % _WORD)
    a = [wide(limb) for limb in left]
    t = [ir.Constant(_I64, 0)] * 4
    for limb in right:
        b = wide(limb)
        s = builder.add(builder.mul(a[0], b), wide(t[0]))
        carry = high(s)
        m = wide(builder.mul(low(s), inverse))
        reduced = high(builder.add(builder.mul(m, words[0]), wide(low(s))))
        for j in range(1, 4):
            s = builder.add(builder.add(builder.mul(a[j], b), wide(t[j])), carry)
            carry = high(s)
            u = builder.add(builder.add(builder.mul(m, words[j]), wide(low(s))), reduced)
            reduced = high(u)
            t[j - 1] = low(u)
        t[3] = low(builder.add(carry, reduced))
    return t


def _field(modulus: int) -> tuple[Any, Any, Any]:
    """Return compiled (multiply, add, subtract) modulo a prime below 2^254; operands and results are reduced."""

    @intrinsic
    def multiply(_typing: Any, _left: Any, _right: Any) -> Any:
        def emit(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            left, right = (cgutils.unpack_tuple(builder, arg) for arg in args)
            return _reduce_once(
                context, builder, _pack(builder, _multiply_ir(builder, left, right, modulus)), -modulus
            )

        return _ELEMENT(_ELEMENT, _ELEMENT), emit

    @intrinsic
    def add(_typing: Any, _left: Any, _right: Any) -> Any:
        def emit(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            left, right = (_pack(builder, cgutils.unpack_tuple(builder, arg)) for arg in args)
            return _reduce_once(context, builder, builder.add(left, right), -modulus)

        return _ELEMENT(_ELEMENT, _ELEMENT), emit

    @intrinsic
    def subtract(_typing: Any, _left: Any, _right: Any) -> Any:
        def emit(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            left, right = (_pack(builder, cgutils.unpack_tuple(builder, arg)) for arg in args)
            difference = builder.sub(left, right)
            negative = builder.icmp_signed("<", difference, ir.Constant(_I256, 0))
            wrapped = builder.add(difference, ir.Constant(_I256, modulus))
            return _unpack(context, builder, builder.select(negative, wrapped, difference))

        return _ELEMENT(_ELEMENT, _ELEMENT), emit

    return multiply, add, subtract


def _compiled(function: Callable[..., Any]) -> Any:
    """Compile lazily, without the interpreter lock, cached on disk where a folder can be written."""
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba found no place for its cache: compile again in every process
        return njit(nogil=True)(function)


_p_mul, _p_add, _p_sub = _field(FIELD)
_r_mul, _r_add, _r_sub = _field(ORDER)

_ZERO = _limbs(0)
_P_LIMBS = _limbs(FIELD)
_P_ONE = _limbs(_WORD**4 % FIELD)
_P_SQUARE = _limbs(_WORD**8 % FIELD)  # times a plain number: its Montgomery form
_P_THREE = _limbs(3 * _WORD**4 % FIELD)
_P_INVERSION = np.array([(FIELD - 2) >> i & 1 for i in range(253, -1, -1)], dtype=np.uint8)
_P_ROOT = np.array([(FIELD + 1) // 4 >> i & 1 for i in range(251, -1, -1)], dtype=np.uint8)  # p = 3 mod 4
_R_SQUARE = _limbs(_WORD**8 % ORDER)
_PLAIN_ONE = _limbs(1)


@_compiled
def _load(array: Any, row: int, column: int) -> Any:
    return array[row, column], array[row, column + 1], array[row, column + 2], array[row, column + 3]


@_compiled
def _store(array: Any, row: int, column: int, value: Any) -> None:
    array[row, column] = value[0]
    array[row, column + 1] = value[1]
    array[row, column + 2] = value[2]
    array[row, column + 3] = value[3]


@_compiled
def _below(value: Any, limit: Any) -> bool:
    for i in range(3, -1, -1):
        if value[i] != limit[i]:
            return bool(value[i] < limit[i])
    return False


@_compiled
def _is_zero(value: Any) -> bool:
    return bool(value[0] == 0 and value[1] == 0 and value[2] == 0 and value[3] == 0)


@_compiled
def _p_power(value: Any, bits: Any) -> Any:
    """Raise to an exponent given by its bits, highest first."""
    result = _P_ONE
    for i in range(bits.shape[0]):
        result = _p_mul(result, result)
        if bits[i]:
            result = _p_mul(result, value)
    return result


@_compiled
def lift_x(words: Any, odd: Any, out: Any, found: Any) -> None:
    """Find the curve's points with the given x (n, 4; plain, below p) and the given parity of y (n,) uint8.

    out: (n, 8) plain words, written where found (n,) bool becomes True: for about half of all x.
    """
    for i in range(words.shape[0]):
        x = _p_mul(_load(words, i, 0), _P_SQUARE)
        square = _p_add(_p_mul(_p_mul(x, x), x), _P_THREE)
        y = _p_power(square, _P_ROOT)
        found[i] = _is_zero(_p_sub(_p_mul(y, y), square)) and not _is_zero(y)
        if found[i]:
            plain = _p_mul(y, _PLAIN_ONE)
            if (plain[0] & np.uint64(1)) != np.uint64(odd[i]):
                plain = _p_sub(_ZERO, plain)
            _store(out, i, 0, _load(words, i, 0))
            _store(out, i, 4, plain)


@_compiled
def points_from_words(words: Any, out: Any) -> int:
    """Read affine points and check them; return the index of the first bad one, or -1.

    words: (n, 8) uint64, x then y as plain little-endian limbs, untrusted; out: (n, 12) uint64, filled as mcl wants it.
    Bad: a coordinate >= p, or not on the curve (and so infinity too, whose encoding (0, 0) is not).
    """
    for i in range(words.shape[0]):
        x = _load(words, i, 0)
        y = _load(words, i, 4)
        if not (_below(x, _P_LIMBS) and _below(y, _P_LIMBS)):
            return i
        x = _p_mul(x, _P_SQUARE)
        y = _p_mul(y, _P_SQUARE)
        cube = _p_mul(_p_mul(x, x), x)
        if not _is_zero(_p_sub(_p_mul(y, y), _p_add(cube, _P_THREE))):
            return i
        _store(out, i, 0, x)
        _store(out, i, 4, y)
        _store(out, i, 8, _P_ONE)
    return -1


@_compiled
def _add_pairs(source: Any, pairs: Any, count: int, target: Any, places: Any, prefixes: Any) -> bool:
    """target[places[i]] = source[pairs[i]] + source[pairs[i] + 1], affine; False, nothing done, if two x are equal."""
    product = _P_ONE
    for i in range(count):
        j = pairs[i]
        _store(prefixes, i, 0, product)
        product = _p_mul(product, _p_sub(_load(source, j + 1, 0), _load(source, j, 0)))
    if _is_zero(product):
        return False
    inverse = _p_power(product, _P_INVERSION)  # Fermat
    for i in range(count - 1, -1, -1):
        j = pairs[i]
        x1 = _load(source, j, 0)
        x2 = _load(source, j + 1, 0)
        y1 = _load(source, j, 4)
        slope = _p_mul(_p_sub(_load(source, j + 1, 4), y1), _p_mul(inverse, _load(prefixes, i, 0)))
        inverse = _p_mul(inverse, _p_sub(x2, x1))
        x3 = _p_sub(_p_sub(_p_mul(slope, slope), x1), x2)
        _store(target, places[i], 0, x3)
        _store(target, places[i], 4, _p_sub(_p_mul(slope, _p_sub(x1, x3)), y1))
    return True


@_compiled
def _sort_by_digit(points: Any, digits: Any, out: Any, starts: Any) -> None:
    """Copy points, negated where the digit is, to `out`, grouped by |digit|; group v is starts[v]:starts[v + 1]."""
    starts[:] = 0
    for i in range(digits.shape[0]):
        if digits[i] != 0:
            starts[abs(digits[i]) + 1] += 1
    for v in range(1, starts.shape[0]):
        starts[v] += starts[v - 1]
    places = starts.copy()
    for i in range(digits.shape[0]):
        digit = digits[i]
        if digit == 0:
            continue
        row = places[abs(digit)]
        places[abs(digit)] += 1
        for k in range(8):
            out[row, k] = points[i, k]
        if digit < 0:
            _store(out, row, 4, _p_sub(_ZERO, _load(out, row, 4)))


@_compiled
def _add_neighbours(source: Any, starts: Any, sizes: Any, target: Any, work: Any, prefixes: Any) -> int:
    """Halve every group by adding neighbours; return the largest size left, or -1 if two equal x met."""
    filled = 0
    place = 0
    largest = 0
    for v in range(sizes.shape[0]):
        start = starts[v]
        size = sizes[v]
        starts[v] = place
        for i in range(size >> 1):
            work[0, filled] = start + 2 * i
            work[1, filled] = place
            filled += 1
            place += 1
            if filled == BATCH:
                if not _add_pairs(source, work[0], filled, target, work[1], prefixes):
                    return -1
                filled = 0
        if size & 1:
            for k in range(8):
                target[place, k] = source[start + size - 1, k]
            place += 1
        sizes[v] = (size + 1) >> 1
        largest = max(largest, sizes[v])
    if filled > 0 and not _add_pairs(source, work[0], filled, target, work[1], prefixes):
        return -1
    return largest


@_compiled
def bucket_sums(points: Any, digits: Any, out: Any) -> bool:
    """out[v - 1] = sum of sign(digit_i) * points[i] over |digit_i| = v, for v = 1 .. len(out); z = 0 if there is none.

    points: (>= n, 12) uint64, affine, no infinity; digits: (n,) int32, |digit| <= len(out); out: (buckets, 12) uint64.
    Returns False, with `out` undefined, if two points of equal x met (independent bases never do): use a general sum.
    """
    count = digits.shape[0]
    buckets = out.shape[0]
    starts = np.zeros(buckets + 2, np.int64)
    current = np.empty((count, 8), np.uint64)
    other = np.empty((count, 8), np.uint64)
    _sort_by_digit(points, digits, current, starts)
    sizes = np.empty(buckets + 1, np.int64)
    for v in range(buckets + 1):
        sizes[v] = starts[v + 1] - starts[v]
    work = np.empty((2, BATCH), np.int64)
    prefixes = np.empty((BATCH, 4), np.uint64)
    largest = 2
    while largest > 1:
        largest = _add_neighbours(current, starts, sizes, other, work, prefixes)
        if largest < 0:
            return False
        current, other = other, current
    for v in range(1, buckets + 1):
        out[v - 1, :] = 0
        if sizes[v] > 0:
            out[v - 1, :8] = current[starts[v], :]
            _store(out, v - 1, 8, _P_ONE)
    return True


@_compiled
def scalars_from_words(words: Any, out: Any) -> None:
    """Turn plain scalars below r into Montgomery form; both (n, 4) uint64."""
    for i in range(words.shape[0]):
        _store(out, i, 0, _r_mul(_load(words, i, 0), _R_SQUARE))


@_compiled
def scalars_to_words(scalars: Any, out: Any) -> None:
    """Turn scalars in Montgomery form into plain ones; both (n, 4) uint64."""
    for i in range(scalars.shape[0]):
        _store(out, i, 0, _r_mul(_load(scalars, i, 0), _PLAIN_ONE))


@_compiled
def scalars_add_row(accumulator: Any, row: Any, factor: Any) -> None:
    """accumulator += factor * row. accumulator: (>= m, 4) Montgomery; row: (m,) int64; factor: (1, 4) Montgomery."""
    # a plain number times (factor * 2^512) is (factor * number) in Montgomery form: one multiplication an entry
    lifted = _r_mul(_load(factor, 0, 0), _R_SQUARE)
    for i in range(row.shape[0]):
        value = row[i]
        if value != 0:
            magnitude = np.uint64(value) if value > 0 else np.uint64(-value)
            product = _r_mul(lifted, (magnitude, np.uint64(0), np.uint64(0), np.uint64(0)))
            before = _load(accumulator, i, 0)
            _store(accumulator, i, 0, _r_add(before, product) if value > 0 else _r_sub(before, product))


@_compiled
def scalars_axpy(target: Any, factor: Any, vector: Any) -> None:
    """target += factor * vector, rows of (m, 4) Montgomery scalars, factor (1, 4)."""
    multiplier = _load(factor, 0, 0)
    for i in range(vector.shape[0]):
        _store(target, i, 0, _r_add(_load(target, i, 0), _r_mul(multiplier, _load(vector, i, 0))))


@_compiled
def scalars_outer(left: Any, right: Any, out: Any) -> None:
    """out[a * len(right) + b] = left[a] * right[b], all (n, 4) Montgomery scalars."""
    size = right.shape[0]
    for a in range(left.shape[0]):
        multiplier = _load(left, a, 0)
        for b in range(size):
            _store(out, a * size + b, 0, _r_mul(multiplier, _load(right, b, 0)))
