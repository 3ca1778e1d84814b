"""Compiled loops of the prover: transforms over BN254's scalar field, constraint evaluation, multiples of one point.

A scalar is four little-endian words. "plain" is the number, "Montgomery" is it times 2^256 modulo r. Arrays are
(n, 4) uint64. Nothing here is constant time: the witness of a settlement is public.

Tests: tests/unit/zk/groth16/test_groth16.py
"""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from zk.curve.bn254 import FIELD, ORDER
from zk.curve.kernels import _field

_r_mul, _r_add, _r_sub = _field(ORDER)
_p_mul, _p_add, _p_sub = _field(FIELD)
_BATCH = 512


def _compiled(function: Callable[..., Any]) -> Any:
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no place for numba's cache: compile again in every process
        return njit(nogil=True)(function)


def _limbs(value: int) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    words = [np.uint64((value >> (64 * i)) % (1 << 64)) for i in range(4)]
    return words[0], words[1], words[2], words[3]


_ZERO = _limbs(0)
_PLAIN_ONE = _limbs(1)
_R_ONE = _limbs((1 << 256) % ORDER)
_R_SQUARE = _limbs((1 << 512) % ORDER)
_P_ONE = _limbs((1 << 256) % FIELD)
_R_INVERSION = np.array([(ORDER - 2) >> i & 1 for i in range(253, -1, -1)], dtype=np.uint8)
_P_INVERSION = np.array([(FIELD - 2) >> i & 1 for i in range(253, -1, -1)], dtype=np.uint8)


@_compiled
def _get(array: Any, row: int, column: int) -> Any:
    return array[row, column], array[row, column + 1], array[row, column + 2], array[row, column + 3]


@_compiled
def _put(array: Any, row: int, column: int, value: Any) -> None:
    array[row, column] = value[0]
    array[row, column + 1] = value[1]
    array[row, column + 2] = value[2]
    array[row, column + 3] = value[3]


@_compiled
def _is_zero(value: Any) -> bool:
    return bool(value[0] == 0 and value[1] == 0 and value[2] == 0 and value[3] == 0)


@_compiled
def evaluate(matrix: Any, constraint: Any, signal: Any, value: Any, witness: Any, out_a: Any, out_b: Any) -> None:
    """Add value * witness[signal] to row `constraint` of out_a (matrix 0) or out_b (matrix 1).

    value: (m, 4), coefficient times 2^512, as a .zkey holds it; witness: plain; out: Montgomery.
    """
    for i in range(matrix.shape[0]):
        row = constraint[i]
        term = _r_mul(_get(value, i, 0), _get(witness, signal[i], 0))
        if matrix[i] == 0:
            _put(out_a, row, 0, _r_add(_get(out_a, row, 0), term))
        else:
            _put(out_b, row, 0, _r_add(_get(out_b, row, 0), term))


@_compiled
def multiply(left: Any, right: Any, out: Any) -> None:
    """out = left * right, entry by entry; all Montgomery (or one plain, then out is plain)."""
    for i in range(out.shape[0]):
        _put(out, i, 0, _r_mul(_get(left, i, 0), _get(right, i, 0)))


@_compiled
def multiply_subtract(left: Any, right: Any, minus: Any) -> None:
    """left = left * right - minus, entry by entry."""
    for i in range(left.shape[0]):
        _put(left, i, 0, _r_sub(_r_mul(_get(left, i, 0), _get(right, i, 0)), _get(minus, i, 0)))


@_compiled
def powers(first: Any, ratio: Any, out: Any) -> None:
    """out[i] = first * ratio^i; first, ratio: (1, 4) Montgomery."""
    value = _get(first, 0, 0)
    step = _get(ratio, 0, 0)
    for i in range(out.shape[0]):
        _put(out, i, 0, value)
        value = _r_mul(value, step)


@_compiled
def transform(values: Any, roots: Any) -> None:
    """Evaluate at all n-th roots of unity in place. roots: (n / 2, 4), w^0 .. w^(n/2 - 1); Montgomery."""
    n = values.shape[0]
    j = 0
    for i in range(1, n):
        bit = n >> 1
        while j & bit:
            j ^= bit
            bit >>= 1
        j |= bit
        if i < j:
            for k in range(4):
                values[i, k], values[j, k] = values[j, k], values[i, k]
    half = 1
    while half < n:
        stride = n // (2 * half)
        for start in range(0, n, 2 * half):
            for k in range(half):
                low = _get(values, start + k, 0)
                high = _r_mul(_get(values, start + k + half, 0), _get(roots, k * stride, 0))
                _put(values, start + k, 0, _r_add(low, high))
                _put(values, start + k + half, 0, _r_sub(low, high))
        half *= 2


@_compiled
def invert(values: Any) -> None:
    """Replace each Montgomery scalar, none of them zero, by its inverse."""
    n = values.shape[0]
    before = np.empty((n, 4), np.uint64)
    product = _R_ONE
    for i in range(n):
        _put(before, i, 0, product)
        product = _r_mul(product, _get(values, i, 0))
    inverse = _R_ONE
    for i in range(_R_INVERSION.shape[0]):
        inverse = _r_mul(inverse, inverse)
        if _R_INVERSION[i]:
            inverse = _r_mul(inverse, product)
    for i in range(n - 1, -1, -1):
        value = _get(values, i, 0)
        _put(values, i, 0, _r_mul(inverse, _get(before, i, 0)))
        inverse = _r_mul(inverse, value)


@_compiled
def read_constraints(words: Any, matrix: Any, constraint: Any, signal: Any, value: Any, count: int) -> int:
    """Read an .r1cs constraint section (uint32 words); returns how many entries there are, or -1 if it is cut short.

    With empty outputs it only counts. value: (m, 8) uint32, plain.
    """
    place = 0
    entry = 0
    fill = matrix.shape[0] > 0
    for c in range(count):
        for m in range(3):
            if place >= words.shape[0]:
                return -1
            terms = words[place]
            place += 1
            if place + 9 * terms > words.shape[0]:
                return -1
            for _ in range(terms):
                if fill:
                    matrix[entry] = m
                    constraint[entry] = c
                    signal[entry] = words[place]
                    for k in range(8):
                        value[entry, k] = words[place + 1 + k]
                entry += 1
                place += 9
    return entry


@_compiled
def gather(matrix: Any, constraint: Any, signal: Any, value: Any, basis: Any, out: Any) -> None:
    """out[matrix][signal] += value * basis[constraint]. out: (3, signals, 4); Montgomery throughout."""
    for i in range(matrix.shape[0]):
        term = _r_mul(_get(value, i, 0), _get(basis, constraint[i], 0))
        target = out[matrix[i]]
        _put(target, signal[i], 0, _r_add(_get(target, signal[i], 0), term))


@_compiled
def to_montgomery(values: Any) -> None:
    """Turn plain scalars into Montgomery form in place."""
    for i in range(values.shape[0]):
        _put(values, i, 0, _r_mul(_get(values, i, 0), _R_SQUARE))


@_compiled
def to_plain(values: Any) -> None:
    """Turn Montgomery scalars into plain ones in place."""
    for i in range(values.shape[0]):
        _put(values, i, 0, _r_mul(_get(values, i, 0), _PLAIN_ONE))


@_compiled
def combine(left: Any, left_factor: Any, right: Any, right_factor: Any, third: Any, out: Any) -> None:
    """out = left_factor * left + right_factor * right + third; factors (1, 4); all Montgomery."""
    a = _get(left_factor, 0, 0)
    b = _get(right_factor, 0, 0)
    for i in range(out.shape[0]):
        total = _r_add(_r_mul(a, _get(left, i, 0)), _r_mul(b, _get(right, i, 0)))
        _put(out, i, 0, _r_add(total, _get(third, i, 0)))


@_compiled
def _p_inverse(value: Any) -> Any:
    result = _P_ONE
    for i in range(_P_INVERSION.shape[0]):
        result = _p_mul(result, result)
        if _P_INVERSION[i]:
            result = _p_mul(result, value)
    return result


@_compiled
def fixed_base(table: Any, digits: Any, out: Any) -> bool:
    """out[i] = sum over windows w of table[w, digits[i, w]]: multiples of one point.

    table: (windows, 256, 8) affine, entry 0 unused; digits: (n, windows) uint8; out: (n, 12), z = 0 for infinity.
    A batch shares one inversion. Returns False if two summands had the same x (for random scalars: never).
    """
    prefixes = np.empty((_BATCH, 4), np.uint64)
    pending = np.empty(_BATCH, np.int64)
    for first in range(0, out.shape[0], _BATCH):
        last = min(first + _BATCH, out.shape[0])
        for i in range(first, last):
            out[i, :] = 0
        for w in range(table.shape[0]):
            product = _P_ONE
            count = 0
            for i in range(first, last):
                digit = digits[i, w]
                if digit == 0:
                    continue
                if out[i, 8] == 0 and out[i, 9] == 0 and out[i, 10] == 0 and out[i, 11] == 0:
                    for k in range(8):
                        out[i, k] = table[w, digit, k]
                    _put(out, i, 8, _P_ONE)
                    continue
                _put(prefixes, count, 0, product)
                pending[count] = i
                count += 1
                product = _p_mul(product, _p_sub(_get(table[w], digit, 0), _get(out, i, 0)))
            if count == 0:
                continue
            if _is_zero(product):
                return False
            inverse = _p_inverse(product)
            for k in range(count - 1, -1, -1):
                i = pending[k]
                digit = digits[i, w]
                x1 = _get(out, i, 0)
                y1 = _get(out, i, 4)
                x2 = _get(table[w], digit, 0)
                slope = _p_mul(_p_sub(_get(table[w], digit, 4), y1), _p_mul(inverse, _get(prefixes, k, 0)))
                inverse = _p_mul(inverse, _p_sub(x2, x1))
                x3 = _p_sub(_p_sub(_p_mul(slope, slope), x1), x2)
                _put(out, i, 0, x3)
                _put(out, i, 4, _p_sub(_p_mul(slope, _p_sub(x1, x3)), y1))
    return True
