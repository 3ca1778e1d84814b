"""The fast engine: compiled bucket sums for an update's small integers, mcl for everything else.

Bases are (n, 12) and scalars (n, 4) uint64 arrays in Montgomery form (zk/curve/kernels.py).

Tests: tests/unit/zk/curve/test_engine.py
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Sequence

import numpy as np

from fl_platform.errors import CurveEngineBroken
from zk.curve import bn254, kernels, mcl
from zk.curve.bn254 import ORDER, Point
from zk.curve.engine import Row
from zk.curve.mcl import Mcl, Words

MAX_DIGIT_BITS = 11  # 1024 buckets: past that their own sum costs more than the window it saves
MAX_ROW_BITS = 63


@functools.cache
def digit_windows(bits: int) -> tuple[int, int]:
    """Return (digit width, number of digits) for signed values of `bits` bits."""
    count = -(-bits // MAX_DIGIT_BITS)
    return -(-bits // count), count


def signed_digits(row: Row, width: int, count: int) -> list[np.ndarray[tuple[int], np.dtype[np.int32]]]:
    """Return int32 digits d_t in [-2^(w-1), 2^(w-1)], row = sum d_t 2^(w t). Raises ValueError: value too large."""
    half = 1 << (width - 1)
    rest = row.astype(np.int64)
    digits = []
    for _ in range(count - 1):
        low = ((rest + half) & (2 * half - 1)) - half
        digits.append(low.astype(np.int32))
        rest = (rest - low) >> width
    if rest.size and max(int(rest.max()), -int(rest.min())) > half:
        raise ValueError(f"a value does not fit {count} signed digits of {width} bits")
    digits.append(rest.astype(np.int32))
    return digits


@functools.cache
def _bucket_factors(width: int, count: int) -> Words:
    half = 1 << (width - 1)
    return mcl.scalars_from_ints([v << (width * t) for t in range(count) for v in range(1, half + 1)])


class FastEngine:
    """See zk.curve.engine.Engine for what each method does."""

    name = "mcl"

    def __init__(self, library: Mcl) -> None:
        """Take a checked library."""
        self._mcl = library

    def bases(self, encoded: bytes) -> Words:
        """See Engine."""
        return mcl.points_from_bytes(encoded)

    def lift(self, xs: Sequence[int], odd: Sequence[bool]) -> list[Point | None]:
        """See Engine."""
        words = np.frombuffer(b"".join([x.to_bytes(32, "little") for x in xs]), np.uint64).reshape(-1, 4)
        out = np.zeros((len(xs), 8), np.uint64)
        found = np.zeros(len(xs), np.bool_)
        kernels.lift_x(words, np.array(odd, np.uint8), out, found)
        raw = out.tobytes()
        ys = (int.from_bytes(raw[64 * i + 32 : 64 * i + 64], "little") for i in range(len(xs)))
        return [Point(x, y) if is_there else None for x, y, is_there in zip(xs, ys, found, strict=True)]

    def commit_row(self, bases: Words, row: Row, bits: int, *, blinding: int, blinding_base: Words) -> Point:
        """See Engine."""
        if not 2 <= bits <= MAX_ROW_BITS:
            raise ValueError(f"values of {bits} bits: from 2 to {MAX_ROW_BITS} are possible")
        total = self._small_sum(bases[: len(row)], row, bits)
        hiding = self._mcl.multiply_secret(blinding_base[0], mcl.scalars_from_ints([blinding])[0])
        return self._mcl.to_point(self._mcl.add(total, hiding))

    def _small_sum(self, bases: Words, row: Row, bits: int) -> Words:
        width, count = digit_windows(bits)
        buckets = 1 << (width - 1)
        sums = np.empty((count * buckets, 12), np.uint64)
        for t, digits in enumerate(signed_digits(row, width, count)):
            if not kernels.bucket_sums(bases, digits, sums[t * buckets : (t + 1) * buckets]):
                # equal x among the sums: these bases are not independent (or one is repeated), which mcl can add
                return self._mcl.mul_vec(bases, self.scalars([int(value) for value in row]))
        used = sums[:, 8:].any(axis=1)
        return self._mcl.mul_vec(sums[used], _bucket_factors(width, count)[used])

    def msm(self, bases: Words, scalars: Words) -> Point:
        """See Engine."""
        return self._mcl.to_point(self._mcl.mul_vec(bases, scalars))

    def combine(self, bases: Words, coefficients: Words) -> Words:
        """See Engine."""
        terms = len(coefficients)
        columns = np.ascontiguousarray(bases.reshape(terms, -1, 12).transpose(1, 0, 2))
        return np.array([self._mcl.mul_vec(column, coefficients) for column in columns], np.uint64).reshape(-1, 12)

    def blocks(self, bases: Words, width: int, parity: int) -> Words:
        """See Engine."""
        return np.ascontiguousarray(bases.reshape(-1, 2, width, 12)[:, parity]).reshape(-1, 12)

    def scalars(self, values: Sequence[int]) -> Words:
        """See Engine."""
        return mcl.scalars_from_ints(list(values))

    def random_scalars(self, count: int) -> Words:
        """See Engine."""
        # 384 bits modulo r: 2^-130 from uniform
        raw = secrets.token_bytes(48 * count)
        return mcl.scalars_from_ints([int.from_bytes(raw[i : i + 48], "little") for i in range(0, len(raw), 48)])

    def to_ints(self, scalars: Words) -> list[int]:
        """See Engine."""
        return mcl.scalars_to_ints(scalars)

    def add_row(self, target: Words, factor: int, row: Row) -> None:
        """See Engine."""
        kernels.scalars_add_row(target, np.ascontiguousarray(row, np.int64), self.scalars([factor]))

    def add_scaled(self, target: Words, factor: int, vector: Words) -> None:
        """See Engine."""
        kernels.scalars_axpy(target, self.scalars([factor]), np.ascontiguousarray(vector))

    def outer(self, left: Words, right: Words) -> Words:
        """See Engine."""
        out = np.empty((len(left) * len(right), 4), np.uint64)
        kernels.scalars_outer(left, np.ascontiguousarray(right), out)
        return out


@functools.cache
def load() -> FastEngine:
    """Load libmcl and check both it and the compiled sums. Raises ImportError, OSError, CurveEngineBroken."""
    engine = FastEngine(mcl.load())
    _check_small_sums(engine)
    return engine


def _check_small_sums(engine: FastEngine) -> None:
    """Compare the compiled bucket sum with py_ecc on known multiples of the generator, signs and extremes included."""
    logarithms = [pow(5, 100 + i, ORDER) for i in range(12)]
    points = [bn254.multiply(bn254.GENERATOR, value) for value in logarithms]
    bases = engine.bases(b"".join(map(bn254.encode, points)))
    row = np.array([32767, -32767, 0, 1, -1, 128, -128, 255, 256, 32640, 128, 127], np.int64)
    wanted = bn254.multiply(
        bn254.GENERATOR, sum(int(q) * value for q, value in zip(row, logarithms, strict=True)) + 9 * logarithms[0]
    )
    found = engine.commit_row(bases, row, 16, blinding=9, blinding_base=bases)
    if found != wanted:
        raise CurveEngineBroken(
            f"the compiled sum says {found}, py_ecc says {wanted}: clear numba's cache (zk/__pycache__)"
        )
