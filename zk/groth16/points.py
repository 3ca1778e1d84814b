"""Sums of BN254 points for the prover: libmcl for G1 and G2, with the witness sorted by size first.

Nearly every signal of a circuit of comparisons is a bit. Zeros are left out, ones are only added up, and only what is
left costs a multiplication.

Tests: tests/unit/zk/groth16/test_groth16.py
"""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from zk.curve import kernels, mcl
from zk.groth16 import arithmetic
from zk.groth16.files import Words


class _G2:
    """libmcl's functions of the second group; the library is initialised and checked by zk.curve.mcl."""

    def __init__(self) -> None:
        mcl.load()
        pointer = ctypes.c_void_p
        self._mul_vec = mcl.bind("mclBnG2_mulVec", None, pointer, pointer, pointer, ctypes.c_size_t)
        self._mul = mcl.bind("mclBnG2_mul", None, pointer, pointer, pointer)
        self._add = mcl.bind("mclBnG2_add", None, pointer, pointer, pointer)
        self._normalize = mcl.bind("mclBnG2_normalize", None, pointer, pointer)

    def mul_vec(self, points: Words, scalars: Words) -> Words:
        """Return sum scalars[i] * points[i]; (n, 24), (n, 4) Montgomery -> (24,)."""
        total = np.zeros(24, np.uint64)
        for start in range(0, len(points), mcl.MAX_TERMS // 2):
            bases = np.ascontiguousarray(points[start : start + mcl.MAX_TERMS // 2])
            factors = np.ascontiguousarray(scalars[start : start + mcl.MAX_TERMS // 2])
            part = np.zeros(24, np.uint64)
            self._mul_vec(part.ctypes.data, bases.ctypes.data, factors.ctypes.data, len(bases))
            self._add(total.ctypes.data, total.ctypes.data, part.ctypes.data)
        return total

    def add_all(self, points: Words) -> Words:
        """Return the sum of (n, 24) points."""
        points = np.ascontiguousarray(points)
        total = np.zeros(24, np.uint64)
        target, base = total.ctypes.data, points.ctypes.data
        for i in range(len(points)):
            self._add(target, target, base + 192 * i)
        return total

    def multiples(self, point: Words, scalars: Words) -> Words:
        """Return scalars[i] * point, affine: (24,), (n, 4) Montgomery -> (n, 24)."""
        point, scalars = np.ascontiguousarray(point), np.ascontiguousarray(scalars)
        out = np.zeros((len(scalars), 24), np.uint64)
        for i in range(len(scalars)):
            place = out.ctypes.data + 192 * i
            self._mul(place, point.ctypes.data, scalars.ctypes.data + 32 * i)
            self._normalize(place, place)
        return out

    def normalize(self, point: Words) -> Words:
        """Return a (24,) point with z = 1."""
        point = np.ascontiguousarray(point)
        out = np.zeros(24, np.uint64)
        self._normalize(out.ctypes.data, point.ctypes.data)
        return out


@functools.cache
def g2() -> _G2:
    """Return the bound functions of the second group."""
    return _G2()


@dataclass(frozen=True)
class Sorted:
    """A witness by what it costs: where it is one, and where it is larger."""

    ones: np.ndarray[Any, np.dtype[np.int64]]
    others: np.ndarray[Any, np.dtype[np.int64]]
    scalars: Words  # Montgomery, of the others


def sort_witness(witness: Words) -> Sorted:
    """Sort plain scalars (n, 4)."""
    small = ~witness[:, 1:].any(axis=1) & (witness[:, 0] < 2)
    scalars = np.ascontiguousarray(witness[~small])
    arithmetic.to_montgomery(scalars)
    return Sorted(np.flatnonzero(small & (witness[:, 0] == 1)), np.flatnonzero(~small), scalars)


def sum_g1(points: Words, witness: Sorted, *, skip: int = 0) -> Words:
    """Return sum witness[skip + i] * points[i]; points (n, 12), infinity allowed."""
    engine = mcl.load()
    ones = points[witness.ones[witness.ones >= skip] - skip]
    ones = np.ascontiguousarray(ones[ones[:, 8:].any(axis=1)])
    others, scalars = _finite(points, 8, witness, skip)
    total = engine.mul_vec(others, scalars)
    if not len(ones):
        return total
    added = np.zeros((1, 12), np.uint64)
    if not kernels.bucket_sums(ones, np.ones(len(ones), np.int32), added):
        unit = mcl.scalars_from_ints([1])
        added = engine.mul_vec(ones, np.repeat(unit, len(ones), axis=0))[np.newaxis]
    return engine.add(total, added[0])


def sum_g2(points: Words, witness: Sorted) -> Words:
    """Return sum witness[i] * points[i]; points (n, 24), infinity allowed."""
    ones = points[witness.ones]
    others, scalars = _finite(points, 16, witness, 0)
    total = np.stack([g2().mul_vec(others, scalars), g2().add_all(ones[ones[:, 16:].any(axis=1)])])
    return g2().add_all(total)


def _finite(points: Words, z: int, witness: Sorted, skip: int) -> tuple[Words, Words]:
    here = witness.others >= skip
    chosen, scalars = points[witness.others[here] - skip], witness.scalars[here]
    finite = chosen[:, z:].any(axis=1)
    return chosen[finite], scalars[finite]
