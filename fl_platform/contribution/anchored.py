"""The anchored score (DESIGN 3d): how far an update goes the way the owner's reference goes, beyond what is public.

With r the reference, P the public directions (the last applied aggregates), tau the stake-weighted median length:

    s_i = c_i / sum c * [<u_i, r> > 0] * <u_i, r - alpha * Proj_P r> / (max(|u_i|, tau / 8) * |r|)

Division by |u_i| makes length worthless; the floor tau / 8 keeps a tiny update from speaking with a full voice.
Division by |r| makes rounds commensurable: the codec's step, and with it the unit of the Gram matrix, changes from
round to round, while every round's pot is the same. r_perp = r - alpha * Proj_P r takes out what anyone can copy from
the chain: at alpha = 1 the last aggregate earns nothing. Everything comes from a few Gram entries; the projection
onto p rows is adj(G_PP) / det(G_PP), so there is one division, at the end, rounded down.

Near-duplicates share one score: their group gets the mean quality at the weight of its largest member, divided by
stake.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fl_platform.aggregation.gram import Gram
from fl_platform.aggregation.weights import norm_down

SCORE_ONE = 10**12  # an update along r_perp = r by a trainer that holds the whole stake
_NORM_ONE = 1 << 16  # `norm_down` has 16 more bits


@dataclass(frozen=True)
class Scored:
    """A trainer whose work is measured."""

    row: int  # in the Gram matrix
    capped: int  # capped stake, wei, over 0
    norm: int  # length, 2^-16 base units
    group: int  # equal for near-duplicates


@dataclass(frozen=True)
class Fraction:
    """numerator / denominator, denominator > 0, not reduced."""

    numerator: int
    denominator: int


def anchored_scores(
    trainers: Sequence[Scored],
    gram: Gram,
    *,
    reference: int,
    directions: Sequence[int],
    alpha_num: int,
    alpha_den: int,
    median_norm: int,
) -> tuple[int, ...]:
    """Return each trainer's signed score of this round, fixed point of SCORE_ONE, rounded down.

    `reference`, `directions`: row numbers (directions newest first, may be empty: then nothing is taken out);
    `median_norm`: tau in 2^-16 base units. A zero reference measures nothing: all scores are 0.
    """
    length = norm_down(gram.at(reference, reference))
    total = sum(trainer.capped for trainer in trainers)
    if not length or not total:
        return tuple(0 for _ in trainers)
    basis = independent(directions, gram)
    qualities = [
        _quality(trainer, gram, reference, basis, Fraction(alpha_num, alpha_den), median_norm) for trainer in trainers
    ]
    return tuple(
        _share(index, trainers, qualities, length=length, total=total) for index in range(len(trainers))
    )


def _quality(
    trainer: Scored, gram: Gram, reference: int, basis: Sequence[int], alpha: Fraction, median_norm: int
) -> int:
    """<u_i, r_perp> / max(|u_i|, tau/8) in fixed point; 0 where the update does not go the reference's way at all."""
    inner = gram.at(trainer.row, reference)
    if inner <= 0:
        return 0
    projected = projection(trainer.row, reference, basis, gram)
    numerator = inner * alpha.denominator * projected.denominator - alpha.numerator * projected.numerator
    denominator = alpha.denominator * projected.denominator * max(trainer.norm, median_norm // 8, 1)
    return SCORE_ONE * _NORM_ONE * _NORM_ONE * numerator // denominator


def _share(index: int, trainers: Sequence[Scored], qualities: Sequence[int], *, length: int, total: int) -> int:
    """One trainer's part of its group's score. A group of one: quality * stake share."""
    me = trainers[index]
    group = [i for i, other in enumerate(trainers) if other.group == me.group]
    stake = sum(trainers[i].capped for i in group)
    mean = sum(qualities[i] * trainers[i].capped for i in group)  # over stake
    largest = max(trainers[i].capped for i in group)
    return mean * largest * me.capped // (stake * stake * length * total)


def independent(directions: Sequence[int], gram: Gram) -> tuple[int, ...]:
    """Keep the directions that are not combinations of those before them (a zero row, two equal rows)."""
    basis: list[int] = []
    for row in directions:
        if determinant(_matrix([*basis, row], gram)):
            basis.append(row)
    return tuple(basis)


def projection(row: int, reference: int, basis: Sequence[int], gram: Gram) -> Fraction:
    """Return <u, Proj_P r> = g_uP^T adj(G_PP) g_Pr / det(G_PP), exactly; `basis` must be independent.

    By Cramer's rule it is minus the determinant of the bordered matrix [[0, g_uP], [g_Pr, G_PP]] over det(G_PP).
    """
    if not basis:
        return Fraction(0, 1)
    inner = _matrix(basis, gram)
    top = [0, *(gram.at(row, b) for b in basis)]
    bordered = [top, *([gram.at(b, reference), *line] for b, line in zip(basis, inner, strict=True))]
    return Fraction(-determinant(bordered), determinant(inner))


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
