"""Exact projections against numpy's least squares and against fractions."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.aggregation.gram import Gram
from fl_platform.aggregation.projection import determinant, independent, projection

ENTRY = st.integers(-(10**6), 10**6)


def gram_of(vectors: list[list[int]]) -> Gram:
    values = tuple(tuple(sum(a * b for a, b in zip(x, y, strict=True)) for y in vectors) for x in vectors)
    return Gram(tuple(map(str, range(len(vectors)))), values)


def leibniz(matrix: list[list[int]]) -> int:
    total = 0
    for order in permutations(range(len(matrix))):
        inversions = sum(order[i] > order[j] for i in range(len(order)) for j in range(i + 1, len(order)))
        product = -1 if inversions % 2 else 1
        for row, column in enumerate(order):
            product *= matrix[row][column]
        total += product
    return total


@given(st.integers(1, 5).flatmap(lambda n: st.lists(st.lists(ENTRY, min_size=n, max_size=n), min_size=n, max_size=n)))
def test_determinant_is_leibniz(matrix: list[list[int]]) -> None:
    assert determinant(matrix) == leibniz(matrix)


@settings(max_examples=60)
@given(st.lists(st.lists(st.integers(-50, 50), min_size=7, max_size=7), min_size=3, max_size=6))
def test_projection_is_least_squares(vectors: list[list[int]]) -> None:
    """Rows 0 and 1 are projected onto the rest."""
    gram = gram_of(vectors)
    basis = independent(range(2, len(vectors)), gram)
    ratio = projection(0, 1, basis, gram)
    assert ratio.denominator > 0
    u, v = np.array(vectors[0], dtype=float), np.array(vectors[1], dtype=float)
    space = np.array([vectors[i] for i in basis], dtype=float).reshape(len(basis), 7)
    expected = float(u @ space.T @ np.linalg.lstsq(space.T, v, rcond=None)[0]) if basis else 0.0
    assert abs(float(Fraction(ratio.numerator, ratio.denominator)) - expected) <= 1e-6 * (1 + abs(expected))


@given(st.lists(st.lists(st.integers(-5, 5), min_size=4, max_size=4), min_size=1, max_size=6))
def test_independent_rows_span_the_same_space(vectors: list[list[int]]) -> None:
    basis = independent(range(len(vectors)), gram_of(vectors))
    rank = int(np.linalg.matrix_rank(np.array(vectors)))
    assert len(basis) == rank
    if basis:
        assert np.linalg.matrix_rank(np.array([vectors[i] for i in basis])) == rank


def test_a_vector_inside_the_span_is_its_own_projection() -> None:
    gram = gram_of([[2, 3, 0], [1, 0, 0], [0, 1, 0]])
    ratio = projection(0, 0, (1, 2), gram)
    assert Fraction(ratio.numerator, ratio.denominator) == gram.at(0, 0)
    assert projection(0, 0, (), gram).numerator == 0
