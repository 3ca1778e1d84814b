"""BN254 G1 against known values and against affine arithmetic written from the definition."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import PointInvalid
from zk.curve import bn254
from zk.curve.bn254 import FIELD, GENERATOR, INFINITY, ORDER, Point

# EIP-196: the double of (1, 2)
TWICE = Point(
    0x030644E72E131A029B85045B68181585D97816A916871CA8D3C208C16D87CFD3,
    0x15ED738C0E0A7C92E7845F96B2AE9C0A68A6A449E3538FC7FF3EBF7A5A18A2C4,
)
scalars = st.integers(0, ORDER - 1)


def slow_add(left: Point, right: Point) -> Point:
    """Chord and tangent."""
    if left.is_infinity or right.is_infinity:
        return right if left.is_infinity else left
    if left.x == right.x:
        if (left.y + right.y) % FIELD == 0:
            return INFINITY
        slope = 3 * left.x * left.x * pow(2 * left.y, -1, FIELD)
    else:
        slope = (right.y - left.y) * pow(right.x - left.x, -1, FIELD)
    x = (slope * slope - left.x - right.x) % FIELD
    return Point(x, (slope * (left.x - x) - left.y) % FIELD)


def slow_multiply(point: Point, scalar: int) -> Point:
    """Double and add."""
    result = INFINITY
    for bit in bin(scalar)[2:]:
        result = slow_add(result, result)
        if bit == "1":
            result = slow_add(result, point)
    return result


def test_known_points() -> None:
    assert bn254.add(GENERATOR, GENERATOR) == bn254.multiply(GENERATOR, 2) == TWICE
    assert bn254.multiply(GENERATOR, ORDER) == INFINITY
    assert bn254.multiply(GENERATOR, ORDER - 1) == bn254.negate(GENERATOR)


@given(scalars, scalars)
@settings(max_examples=15, deadline=None)
def test_arithmetic_is_that_of_the_definition(first: int, second: int) -> None:
    left, right = bn254.multiply(GENERATOR, first), bn254.multiply(GENERATOR, second)
    assert left == slow_multiply(GENERATOR, first)
    assert bn254.add(left, right) == slow_add(left, right) == bn254.multiply(GENERATOR, first + second)


def test_infinity_is_neutral() -> None:
    assert bn254.add(GENERATOR, INFINITY) == bn254.add(INFINITY, GENERATOR) == GENERATOR
    assert bn254.add(GENERATOR, bn254.negate(GENERATOR)) == INFINITY
    assert bn254.negate(INFINITY) == INFINITY
    assert bn254.multiply(GENERATOR, 0) == bn254.multiply(INFINITY, 5) == INFINITY


@given(scalars.filter(bool))
@settings(max_examples=10, deadline=None)
def test_encodings_are_read_back(scalar: int) -> None:
    point = bn254.multiply(GENERATOR, scalar)
    data = bn254.encode(point)
    assert len(data) == 64
    assert bn254.decode(data) == point


def test_the_encoding_is_that_of_the_precompiles() -> None:
    assert bn254.encode(GENERATOR) == (1).to_bytes(32, "big") + (2).to_bytes(32, "big")
    assert bn254.encode(INFINITY) == bytes(64)
    assert bn254.decode(bytes(64), allow_infinity=True) == INFINITY


def number(value: int) -> bytes:
    """Return 32 bytes big endian."""
    return value.to_bytes(32, "big")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "64 bytes"),
        (bytes(63), "64 bytes"),
        (bytes(65), "64 bytes"),
        (bytes(64), "infinity"),
        (number(1) + number(3), "not on the curve"),
        (number(0) + number(1), "not on the curve"),
        (number(FIELD + 1) + number(2), "not below the field"),
        (number(1) + number(FIELD + 2), "not below the field"),
        (number(FIELD) + number(FIELD), "not below the field"),
        (b"\xff" * 64, "not below the field"),
    ],
)
def test_other_bytes_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(PointInvalid, match=message):
        bn254.decode(data)


def test_a_point_made_by_hand_is_judged_by_validate() -> None:
    assert bn254.validate(TWICE) == TWICE
    for point in (Point(-1, 2), Point(1, -2), Point(1, FIELD)):
        with pytest.raises(PointInvalid):
            bn254.validate(point)
