"""BN254 (alt_bn128) G1: points, their 64-byte encoding, addition and multiplication.

y^2 = x^3 + 3 over F_p, prime group order r, cofactor 1: every point of the curve is in the group, so a curve check is
a subgroup check. The encoding is that of the EVM's precompiles 0x06 and 0x07 (EIP-196): x and y as 32 bytes big endian
each, infinity as 64 zero bytes. Security is about 100 bits. The arithmetic is py_ecc's and takes time that depends on
the scalar: do not let a stranger time it on a long-lived secret over a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from py_ecc.fields import optimized_bn128_FQ as FQ
from py_ecc.optimized_bn128.optimized_curve import add as _add
from py_ecc.optimized_bn128.optimized_curve import double as _double
from py_ecc.optimized_bn128.optimized_curve import multiply as _multiply
from py_ecc.optimized_bn128.optimized_curve import normalize as _normalize

from fl_platform.errors import PointInvalid
from zk.curve.fields import FIELD as FIELD
from zk.curve.fields import ORDER as ORDER

POINT_BYTES = 64


@dataclass(frozen=True, slots=True)
class Point:
    """An affine point; (0, 0), which is not on the curve, stands for infinity.

    Check with `validate` what came from outside.
    """

    x: int  # 0 <= x < p
    y: int  # 0 <= y < p

    @property
    def is_infinity(self) -> bool:
        """Tell whether this is the neutral element."""
        return self.x == 0 and self.y == 0


INFINITY = Point(0, 0)
GENERATOR = Point(1, 2)


def validate(point: Point, *, allow_infinity: bool = False) -> Point:
    """Return the point if it is in G1.

    Raises PointInvalid: coordinate >= p, not on the curve, infinity where not allowed.
    """
    if not (0 <= point.x < FIELD and 0 <= point.y < FIELD):
        raise PointInvalid("a point's coordinate is not below the field's size: ask its sender for the reduced point")
    if point.is_infinity:
        if allow_infinity:
            return point
        raise PointInvalid("the point at infinity is not allowed here: ask its sender for a real point")
    if (point.y * point.y - point.x * point.x * point.x - 3) % FIELD:
        raise PointInvalid(f"(0x{point.x:064x}, 0x{point.y:064x}) is not on the curve BN254")
    return point


def encode(point: Point) -> bytes:
    """Return the 64-byte encoding."""
    return point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")


def decode(data: bytes, *, allow_infinity: bool = False) -> Point:
    """Parse 64 bytes (untrusted) and validate the point. Raises PointInvalid."""
    if len(data) != POINT_BYTES:
        raise PointInvalid(f"a point has {POINT_BYTES} bytes (x, y), not {len(data)}")
    point = Point(int.from_bytes(data[:32], "big"), int.from_bytes(data[32:], "big"))
    return validate(point, allow_infinity=allow_infinity)


def add(left: Point, right: Point) -> Point:
    """Add two valid points."""
    return _affine(_add(_projective(left), _projective(right)))


def multiply(point: Point, scalar: int) -> Point:
    """Multiply a valid point by any integer, reduced modulo the order."""
    return _affine(_multiply(_projective(point), scalar % ORDER))


def negate(point: Point) -> Point:
    """Return the inverse of a valid point."""
    return point if point.is_infinity else Point(point.x, FIELD - point.y)


def sum_of_products(points: Sequence[Point], scalars: Sequence[int]) -> Point:
    """Return sum scalars[i] * points[i] by Pippenger's buckets: slow, and the reference for the fast engine.

    Any integers; they are taken modulo the order to the nearest of zero, so a small negative number stays small.
    """
    signed = [((scalar + ORDER // 2) % ORDER) - ORDER // 2 for scalar in scalars]
    top = max((abs(scalar).bit_length() for scalar in signed), default=0)
    width = _WINDOW_LARGE if len(signed) > 64 else _WINDOW_SMALL  # more points pay for more buckets
    total = _IDENTITY
    for shift in range(-(-top // width) * width - width, -1, -width):
        for _ in range(width):
            total = _double(total)
        buckets: dict[int, _Projective] = {}
        for point, scalar in zip(points, signed, strict=True):
            digit = abs(scalar) >> shift & ((1 << width) - 1)
            if digit:
                term = _projective(negate(point) if scalar < 0 else point)
                buckets[digit] = _add(buckets[digit], term) if digit in buckets else term
        total = _add(total, _bucket_total(buckets, 1 << width))
    return _affine(total)


_Projective = tuple[FQ, FQ, FQ]
_IDENTITY: _Projective = (FQ.one(), FQ.one(), FQ.zero())
_WINDOW_SMALL, _WINDOW_LARGE = 4, 8  # bits


def _bucket_total(buckets: dict[int, _Projective], end: int) -> _Projective:
    """Return sum v * buckets[v] by running sums from the top."""
    running = total = _IDENTITY
    for value in range(end - 1, 0, -1):
        if value in buckets:
            running = _add(running, buckets[value])
        total = _add(total, running)
    return total


def _projective(point: Point) -> _Projective:
    if point.is_infinity:
        return FQ.one(), FQ.one(), FQ.zero()
    return FQ(point.x), FQ(point.y), FQ.one()


def _affine(point: _Projective) -> Point:
    if point[2] == FQ.zero():
        return INFINITY
    x, y = _normalize(point)
    return Point(int(x), int(y))
