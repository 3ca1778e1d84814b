"""The one door to libmcl (PyPI mclbn256): sums and multiples of BN254 points at machine speed.

Traps this module keeps the rest of the house out of:
- the package starts up on another curve: here the library is initialised with curve 4 (SNARK1), which is alt_bn128;
- a wrong build would answer with wrong points: known vectors are compared with py_ecc before first use;
- mulVec puts its tables on the stack (2^20 points overflow it): sums are taken 2^16 points at a time;
- mulVecMT crashes in the shipped build: not bound; ctypes releases the interpreter lock, so threads do as well;
- the curve is global to the library: nothing else in a process may initialise it differently.

Layout: a point is 12 words (x, y, z; Jacobian), a scalar 4 words, in Montgomery form, little endian
(zk/curve/kernels.py). Importing mclbn256 costs 0.12 s and about 100 MB for a moment (the library is unpacked from a
text), the compiled loops cost 0.7 s more: both are put off. `bound` is enough for a multiple of one point, `load` for
rows of points and scalars.

Tests: tests/unit/zk/curve/test_engine.py
"""

from __future__ import annotations

import ctypes
import functools
import importlib
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_platform.errors import CurveEngineBroken, PointInvalid
from zk.curve import bn254
from zk.curve.bn254 import FIELD, ORDER, Point

Words = npt.NDArray[np.uint64]

CURVE_SNARK1 = 4  # mcl's number for alt_bn128
COMPILED_TIME_VAR = 44  # MCLBN_FP_UNIT_SIZE + 10 * MCLBN_FR_UNIT_SIZE, as the wheel was built; init refuses another
MAX_TERMS = 1 << 16
_RADIX = 1 << 256  # of the Montgomery form
_CHECKED_TERMS = 40  # enough for mcl's bucket method and not only its small tables


def bind(name: str, result: Any, *arguments: Any) -> Any:
    """Return a function of libmcl, by address, so that the package's own prototypes stay as they are.

    The curve is set once `bound` has returned. Raises ImportError or OSError where there is no build.
    """
    library = importlib.import_module("mclbn256.mclbn256").lib
    address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
    if address is None:
        raise CurveEngineBroken(f"libmcl has no {name}: install the pinned mclbn256")
    return ctypes.CFUNCTYPE(result, *arguments)(address)


class Mcl:
    """The bound functions. Get it from `load`, which checks it first."""

    def __init__(self) -> None:
        """Bind the functions and initialise the curve."""
        pointer = ctypes.c_void_p
        code = bind("mclBn_init", ctypes.c_int, ctypes.c_int, ctypes.c_int)(CURVE_SNARK1, COMPILED_TIME_VAR)
        if code != 0:
            raise CurveEngineBroken(f"libmcl refused curve {CURVE_SNARK1} (code {code}): install the pinned mclbn256")
        self._mul_vec = bind("mclBnG1_mulVec", None, pointer, pointer, pointer, ctypes.c_size_t)
        self._mul_constant_time = bind("mclBnG1_mulCT", None, pointer, pointer, pointer)
        self._add = bind("mclBnG1_add", None, pointer, pointer, pointer)
        self._normalize = bind("mclBnG1_normalize", None, pointer, pointer)

    def mul_vec(self, points: Words, scalars: Words) -> Words:
        """Return sum scalars[i] * points[i] as a (12,) point. points: (n, 12); scalars: (n, 4); infinity allowed."""
        if points.shape[0] != scalars.shape[0]:
            raise ValueError(f"{points.shape[0]} points for {scalars.shape[0]} scalars")
        total = np.zeros(12, np.uint64)
        for start in range(0, points.shape[0], MAX_TERMS):
            bases = np.ascontiguousarray(points[start : start + MAX_TERMS])
            factors = np.ascontiguousarray(scalars[start : start + MAX_TERMS])
            part = np.zeros(12, np.uint64)
            self._mul_vec(part.ctypes.data, bases.ctypes.data, factors.ctypes.data, bases.shape[0])
            self._add(total.ctypes.data, total.ctypes.data, part.ctypes.data)
        return total

    def multiply_secret(self, point: Words, scalar: Words) -> Words:
        """Return scalar * point by mcl's constant-time multiplication; shapes (12,), (4,)."""
        point, scalar = np.ascontiguousarray(point), np.ascontiguousarray(scalar)
        product = np.zeros(12, np.uint64)
        self._mul_constant_time(product.ctypes.data, point.ctypes.data, scalar.ctypes.data)
        return product

    def add(self, left: Words, right: Words) -> Words:
        """Return the sum of two (12,) points."""
        left, right = np.ascontiguousarray(left), np.ascontiguousarray(right)
        total = np.zeros(12, np.uint64)
        self._add(total.ctypes.data, left.ctypes.data, right.ctypes.data)
        return total

    def to_point(self, point: Words) -> Point:
        """Return a (12,) point as integers."""
        point = np.ascontiguousarray(point)
        affine = np.zeros((1, 12), np.uint64)
        self._normalize(affine.ctypes.data, point.ctypes.data)
        x, y, z = (_integer(affine[0, i : i + 4], FIELD) for i in (0, 4, 8))
        return Point(x, y) if z else bn254.INFINITY

    def multiply(self, point: Point, scalar: int) -> Point:
        """Return scalar * point for a valid point but infinity and 0 <= scalar < r, in constant time."""
        words = np.concatenate([element(value, FIELD) for value in (point.x, point.y, 1)])
        return self.to_point(self.multiply_secret(words, element(scalar, ORDER)))


def element(value: int, modulus: int) -> Words:
    """Return one number below the modulus as (4,) words in Montgomery form."""
    return np.frombuffer((value * _RADIX % modulus).to_bytes(32, "little"), np.uint64)


def _integer(words: Words, modulus: int) -> int:
    return int.from_bytes(words.tobytes(), "little") * pow(_RADIX, -1, modulus) % modulus


def points_from_bytes(encoded: bytes) -> Words:
    """Read n 64-byte points (untrusted) as (n, 12). Raises PointInvalid; infinity is refused."""
    from zk.curve import kernels

    if len(encoded) % bn254.POINT_BYTES:
        raise PointInvalid(f"{len(encoded)} bytes are no whole number of {bn254.POINT_BYTES}-byte points")
    coordinates = np.frombuffer(encoded, np.uint8).reshape(-1, 2, 32)[:, :, ::-1]
    words = np.ascontiguousarray(coordinates).view(np.uint64).reshape(-1, 8)
    points = np.empty((words.shape[0], 12), np.uint64)
    bad = int(kernels.points_from_words(words, points))
    if bad >= 0:
        bn254.decode(encoded[64 * bad : 64 * bad + 64])  # says what is wrong with it
        raise CurveEngineBroken(f"the compiled point check refuses point {bad}, the plain one accepts it")
    return points


def scalars_from_ints(values: list[int]) -> Words:
    """Return integers of any size and sign, reduced modulo r, as (n, 4) scalars."""
    from zk.curve import kernels

    plain = b"".join([(value % ORDER).to_bytes(32, "little") for value in values])
    words = np.frombuffer(plain, np.uint64).reshape(-1, 4)
    scalars = np.empty_like(words)
    kernels.scalars_from_words(words, scalars)
    return scalars


def scalars_to_ints(scalars: Words) -> list[int]:
    """Return (n, 4) scalars as integers in [0, r)."""
    from zk.curve import kernels

    words = np.empty(scalars.shape, np.uint64)
    kernels.scalars_to_words(np.ascontiguousarray(scalars), words)
    raw = words.tobytes()
    return [int.from_bytes(raw[i : i + 32], "little") for i in range(0, len(raw), 32)]


@functools.cache
def bound() -> Mcl:
    """Bind and initialise the library, once a process; it multiplies points as py_ecc does.

    Raises ImportError or OSError where there is no build for this platform, CurveEngineBroken where it answers wrongly.
    """
    mcl = Mcl()
    check_multiple(mcl)
    return mcl


@functools.cache
def load() -> Mcl:
    """Return the library, its sums checked too, once a process. Raises what `bound` does."""
    mcl = bound()
    check(mcl)
    return mcl


def check_multiple(mcl: Mcl) -> None:
    """Compare two multiples of one point with py_ecc's. Raises CurveEngineBroken."""
    scalar = pow(7, 90, ORDER)
    wanted = bn254.multiply(bn254.GENERATOR, scalar)
    found = mcl.multiply(bn254.GENERATOR, scalar)
    if found != wanted or mcl.multiply(wanted, ORDER - 1) != bn254.negate(wanted):
        raise CurveEngineBroken(f"libmcl says {found}, py_ecc says {wanted}: reinstall mclbn256")


def check(mcl: Mcl) -> None:
    """Compare sums of points with py_ecc's, at the extremes of the scalars too. Raises CurveEngineBroken."""
    expected = [bn254.GENERATOR]
    for _ in range(_CHECKED_TERMS - 1):
        expected.append(bn254.add(expected[-1], bn254.GENERATOR))
    points = points_from_bytes(b"".join(map(bn254.encode, expected)))
    for scalars in (
        [pow(7, 90 + i, ORDER) for i in range(_CHECKED_TERMS)],
        [ORDER - 1, 1, 0, -1, 2**16 - 1, -(2**15)] + [FIELD % ORDER] * (_CHECKED_TERMS - 6),
    ):
        # the bases are 1G, 2G, ... so the sum has a known logarithm: one reference multiplication is enough
        logarithm = sum(scalar * (i + 1) for i, scalar in enumerate(scalars))
        wanted = bn254.multiply(bn254.GENERATOR, logarithm)
        total = mcl.to_point(mcl.mul_vec(points, scalars_from_ints(scalars)))
        alone = mcl.to_point(mcl.multiply_secret(points[0], scalars_from_ints([logarithm])[0]))
        if not total == alone == wanted:
            raise CurveEngineBroken(f"libmcl says {total} and {alone}, py_ecc says {wanted}: reinstall mclbn256")
