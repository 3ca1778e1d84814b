"""Exact projections onto a few rows of the Gram matrix, as fractions of integers.

<u, Proj_P v> = g_uP^T adj(G_PP) g_Pv / det(G_PP); by Cramer's rule the numerator is minus the determinant of the
bordered matrix [[0, g_uP], [g_Pv, G_PP]].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fl_platform.aggregation.gram import Gram


@dataclass(frozen=True)
class Ratio:
    """numerator / denominator, denominator > 0, not reduced."""

    numerator: int
    denominator: int


def independent(rows: Sequence[int], gram: Gram) -> tuple[int, ...]:
    """Keep the rows that are not combinations of those before them (a zero row, two equal rows)."""
    basis: list[int] = []
    for row in rows:
        if determinant(_matrix([*basis, row], gram)):
            basis.append(row)
    return tuple(basis)


def projection(first: int, second: int, basis: Sequence[int], gram: Gram) -> Ratio:
    """Return <u, Proj_P v> of two rows; `basis` must be independent. An empty basis gives 0 / 1."""
    if not basis:
        return Ratio(0, 1)
    inner = _matrix(basis, gram)
    top = [0, *(gram.at(first, b) for b in basis)]
    bordered = [top, *([gram.at(b, second), *line] for b, line in zip(basis, inner, strict=True))]
    return Ratio(-determinant(bordered), determinant(inner))


def _matrix(rows: Sequence[int], gram: Gram) -> list[list[int]]:
    return [[gram.at(a, b) for b in rows] for a in rows]


def determinant(matrix: Sequence[Sequence[int]]) -> int:
    """Return the determinant of a square integer matrix (Bareiss: every division is exact)."""
    lines = [list(line) for line in matrix]
    sign, previous = 1, 1
    for k in range(len(lines) - 1):
        pivot = next((i for i in range(k, len(lines)) if lines[i][k]), None)
        if pivot is None:
            return 0
        if pivot != k:
            lines[k], lines[pivot], sign = lines[pivot], lines[k], -sign
        for i in range(k + 1, len(lines)):
            for j in range(k + 1, len(lines)):
                lines[i][j] = (lines[i][j] * lines[k][k] - lines[i][k] * lines[k][j]) // previous
        previous = lines[k][k]
    return sign * lines[-1][-1]
