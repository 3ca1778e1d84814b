"""The anchored score: how far an update goes the way the owner's reference goes, beyond what is public.

With r the reference, P the public directions (the last applied aggregates), tau the stake-weighted median length and
r_perp = r - alpha * Proj_P r:

    s_i = c_i / sum c * [<u_i, r> > 0] * <u_i, r_perp> / (max(|u_i|, tau / 8) * |r|)

What each part is for, and what measured without it (benchmark `worth`):
- division by |u_i| makes length worthless; the floor tau / 8 keeps a tiny update from speaking with a full voice;
- |u_i| is the length before rounding: stochastic rounding adds about 1/7 of a squared step per parameter, which a
  longer delta drowns; uncorrected, scaling one's delta by 5 earns 2 % more at int8;
- division by |r| makes rounds commensurable: the unit of the Gram matrix changes with the codec's step, and every
  round's pot is the same;
- r_perp takes out what anyone can copy from the chain. One direction stops a replay of the last aggregate, but not one
  of the aggregate before it or of a fading mix of old ones (17 to 43 % of an honest mean); four leave those under 6 %;
- a cosine with r_perp below NOISE_SIGMAS / sqrt(d) is what random vectors of d parameters have: it counts as 0, so
noise earns nothing rather than little.
Everything comes from a few Gram entries; the projection onto p rows is adj(G_PP) / det(G_PP), so there is one division,
at the end, rounded down. Near-duplicates share one score: their group gets the mean quality at the weight of its
largest member, divided by stake.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fl_platform.aggregation.gram import Gram
from fl_platform.aggregation.projection import projection
from fl_platform.aggregation.weights import NORM_BITS, norm_down

SCORE_ONE = 10**12  # an update along r_perp = r by a trainer that holds the whole stake
NOISE_SIGMAS = 3


@dataclass(frozen=True)
class Scored:
    """A trainer whose work is measured."""

    row: int  # in the Gram matrix
    capped: int  # capped stake, wei, over 0
    energy: int  # squared length without expected rounding noise, squared base units (`rules.Screened`)
    group: int  # equal for near-duplicates


@dataclass(frozen=True)
class Anchor:
    """What a round's updates are measured against."""

    reference: int  # Gram row
    directions: tuple[int, ...]  # independent Gram rows, newest first; empty in round 0: then nothing is taken out
    alpha_num: int
    alpha_den: int
    median_norm: int  # tau in 2^-16 base units
    size: int  # parameters d


@dataclass(frozen=True)
class _Measure:
    """Terms that all trainers of a round share; `scale` is the common denominator alpha_den * det(G_PP) > 0."""

    scale: int
    rest: int  # |r_perp|^2 * alpha_den^2 * det(G_PP)


def anchored_scores(trainers: Sequence[Scored], gram: Gram, anchor: Anchor) -> tuple[int, ...]:
    """Return each trainer's signed score of this round, fixed point of SCORE_ONE, rounded down.

    A zero reference measures nothing: all scores are 0.
    """
    squared = gram.at(anchor.reference, anchor.reference)
    total = sum(trainer.capped for trainer in trainers)
    if not squared or not total:
        return tuple(0 for _ in trainers)
    measured = qualities(trainers, gram, anchor)
    length = norm_down(squared)
    return tuple(_share(index, trainers, measured, length=length, total=total) for index in range(len(trainers)))


def qualities(trainers: Sequence[Scored], gram: Gram, anchor: Anchor) -> tuple[int, ...]:
    """Return <u_i, r_perp> / max(|u_i|, tau/8) of each trainer, fixed point of SCORE_ONE, rounded down."""
    squared = gram.at(anchor.reference, anchor.reference)
    inner = projection(anchor.reference, anchor.reference, anchor.directions, gram)
    # |r - alpha Pr|^2 = |r|^2 - (2 alpha - alpha^2) |Pr|^2
    num, den = anchor.alpha_num, anchor.alpha_den
    rest = squared * den * den * inner.denominator - (2 * num * den - num * num) * inner.numerator
    measure = _Measure(den * inner.denominator, rest)
    return tuple(_quality(trainer, gram, anchor, measure) for trainer in trainers)


def _quality(trainer: Scored, gram: Gram, anchor: Anchor, measure: _Measure) -> int:
    """<u_i, r_perp> / max(|u_i|, tau/8) in fixed point; 0 where it is against the reference, or noise."""
    inner = gram.at(trainer.row, anchor.reference)
    if inner <= 0:
        return 0
    projected = projection(trainer.row, anchor.reference, anchor.directions, gram)
    numerator = inner * measure.scale - anchor.alpha_num * projected.numerator
    # cosine^2 * d <= sigmas^2, with cosine = numerator / (scale |u| |r_perp|), |r_perp|^2 = rest / (scale * alpha_den)
    cleared = numerator * numerator * anchor.size * anchor.alpha_den
    if cleared <= NOISE_SIGMAS**2 * trainer.energy * measure.rest * measure.scale:
        return 0
    denominator = measure.scale * max(norm_down(trainer.energy), anchor.median_norm // 8, 1)
    return (SCORE_ONE * numerator << (2 * NORM_BITS)) // denominator


def _share(index: int, trainers: Sequence[Scored], qualities: Sequence[int], *, length: int, total: int) -> int:
    """One trainer's part of its group's score. A group of one: quality * stake share."""
    me = trainers[index]
    group = [i for i, other in enumerate(trainers) if other.group == me.group]
    stake = sum(trainers[i].capped for i in group)
    sum_of_qualities = sum(qualities[i] * trainers[i].capped for i in group)  # stake times their mean
    largest = max(trainers[i].capped for i in group)
    return sum_of_qualities * largest * me.capped // (stake * stake * length * total)
