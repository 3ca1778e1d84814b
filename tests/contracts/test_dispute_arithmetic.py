"""The judges' arithmetic against Python's integers: wide numbers, Cramer's rule, numbers in a specification."""

from __future__ import annotations

import hashlib
from functools import reduce
from operator import mul

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fl_platform.aggregation.projection import determinant
from tests.contracts.conftest import Reverts
from tests.support.contracts import World
from tests.support.evm import Contract, Reverted, account

SOME = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LIMIT = 2**1280
BITS = (255, 255, 127, 84, 62)  # Cramer.BITS
EDGES = [0, 1, -1, 2**128, -(2**128), 2**255 - 1, -(2**255), 2**254, -(2**254) + 1]
word = st.one_of(st.sampled_from(EDGES), st.integers(-(2**255), 2**255 - 1), st.integers(-(10**6), 10**6))
factors = st.lists(word, max_size=5)


@pytest.fixture(scope="module")
def harness() -> Contract:
    """The libraries, on a chain of their own."""
    return World().evm.create(account("deployer").address, "LibraryHarness")


def product(values: list[int]) -> int:
    """Return the exact product."""
    return reduce(mul, values, 1)


def number_of(answer: tuple[bool, tuple[int, ...]]) -> int:
    """Return what sign and limbs stand for; they must be the shortest."""
    negative, limbs = answer
    assert not limbs or limbs[-1], "a leading limb is zero"
    assert limbs or not negative, "zero has a sign"
    magnitude = sum(limb << (256 * i) for i, limb in enumerate(limbs))
    return -magnitude if negative else magnitude


def fits(*steps: int) -> bool:
    """Say whether all these numbers stay inside 1,280 bits."""
    return all(abs(step) < LIMIT for step in steps)


def partial(values: list[int]) -> list[int]:
    """Return all products on the way."""
    return [product(values[:n]) for n in range(len(values) + 1)]


@SOME
@given(terms=st.lists(factors, max_size=4))
def test_sums_of_products(harness: Contract, terms: list[list[int]]) -> None:
    signed = [(-1) ** i * product(term) for i, term in enumerate(terms)]
    steps = [sum(signed[: i + 1]) for i in range(len(signed))]
    if fits(*steps, *(step for term in terms for step in partial(term))):
        assert number_of(harness.call("sumOfProducts", terms)) == sum(signed)
        return
    with pytest.raises(Reverted, match="Bigs_Overflow"):
        harness.call("sumOfProducts", terms)


@SOME
@given(a=st.lists(word, max_size=8), b=st.lists(word, max_size=8))
def test_scalar_products(harness: Contract, a: list[int], b: list[int]) -> None:
    size = min(len(a), len(b))
    expected = sum(x * y for x, y in zip(a, b, strict=False))
    assert number_of(harness.call("scalarProduct", a[:size], b[:size])) == expected


@SOME
@given(a=factors, b=factors, same=st.booleans())
def test_comparison(harness: Contract, a: list[int], b: list[int], same: bool) -> None:
    other = a[::-1] if same else b
    if fits(*partial(a), *partial(other)):
        difference = product(a) - product(other)
        assert harness.call("compareProducts", a, other) == (difference > 0) - (difference < 0)


@SOME
@given(n=factors, d=st.lists(st.integers(1, 2**255 - 1), max_size=4), off=st.integers(-2, 2))
def test_floor(harness: Contract, n: list[int], d: list[int], off: int) -> None:
    numerator, denominator = product(n), product(d)
    q = numerator // denominator + off
    if -(2**255) <= q < 2**255 and fits(*partial(n), denominator * q, numerator - denominator * q):
        assert harness.call("isFloor", q, n, d) == (off == 0)


@st.composite
def systems(draw: st.DrawFn) -> tuple[int, list[list[int]], list[int]]:
    """Return an order, a matrix and a right side, often at the limit of the range."""
    order = draw(st.integers(0, 4))
    limit = 2 ** BITS[order]
    value = st.one_of(st.sampled_from([0, 1, -1, limit - 1, -limit]), st.integers(-limit, limit - 1))
    row = st.lists(value, min_size=order, max_size=order)
    return order, draw(st.lists(row, min_size=order, max_size=order)), draw(row)


def packed(order: int, matrix: list[list[int]], side: list[int]) -> list[int]:
    """Lay a system out in four rows of five."""
    rows = [0] * 20
    for i in range(order):
        rows[5 * i : 5 * i + order], rows[5 * i + 4] = matrix[i], side[i]
    return rows


@SOME
@given(system=systems())
def test_cramer(harness: Contract, system: tuple[int, list[list[int]], list[int]]) -> None:
    order, matrix, side = system
    replaced = [
        [[side[i] if j == k else matrix[i][j] for j in range(order)] for i in range(order)] for k in range(order)
    ]
    z = tuple(determinant(m) for m in replaced)
    expected = (determinant(matrix) if order else 1), (*z, *[0] * (4 - order))
    found = harness.call("cramer", packed(order, matrix, side), order)
    assert (found[0], tuple(found[1])) == expected


@pytest.mark.parametrize("order", [2, 3, 4])
@pytest.mark.parametrize("sign", [1, -1])
def test_cramer_refuses_what_may_not_fit(harness: Contract, reverts: Reverts, order: int, sign: int) -> None:
    reach = sign * 2 ** BITS[order] - (sign < 0)
    for column in (0, order - 1, 4):
        rows = [0] * 20
        rows[5 * (order - 1) + column] = reach
        with reverts("Cramer_OutOfRange", order, BITS[order]):
            harness.call("cramer", rows, order)


DOCUMENT = b'{"a_bps":120,"b":{"c":7,"note":",\\"c\\":9,","z":0},"last":42}'


def test_numbers_in_a_document(harness: Contract, reverts: Reverts) -> None:
    digest = hashlib.sha256(DOCUMENT).digest()
    for key, value in ((b"a_bps", 120), (b"c", 7), (b"z", 0), (b"last", 42)):
        place = DOCUMENT.index(b'"' + key + b'":')
        assert harness.call("number", DOCUMENT, place, key + b'":', digest) == value
    elsewhere = (0, 1, DOCUMENT.index(b'\\"c'), DOCUMENT.index(b'"c') + 1, len(DOCUMENT) - 1, len(DOCUMENT), 2**256 - 1)
    for place in elsewhere:
        with reverts("Documents_KeyNotThere", place):
            harness.call("number", DOCUMENT, place, b'c":', digest)
    with reverts("Documents_DigestMismatch", digest, bytes(32)):
        harness.call("number", DOCUMENT, 1, b'a_bps":', bytes(32))
