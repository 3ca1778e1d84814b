"""How much each trainer counts: the stake it locked on chain, capped, and never a number it claims (A16).

    a_i = floor(2^16 * c_i / sum c * min(1, tau / |u_i|)),   c_i = min(stake_i, cap of the total stake)

tau is the stake-weighted median norm times the rule's clip factor. Norms are integer square roots with 16 more bits.
All weights sum to at most 2^16, so an int8 aggregate stays below 2^23 and an int16 one below 2^31.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

WEIGHT_ONE = 1 << 16
NORM_BITS = 16
BASIS = 10_000


def norm_down(squared: int) -> int:
    """Return floor(2^16 * sqrt(squared)): a length in 2^-16 base units."""
    return isqrt(squared << (2 * NORM_BITS))


def capped_stakes(stakes: Sequence[int], *, cap_bps: int) -> tuple[int, ...]:
    """Return each stake, at most `cap_bps` basis points of their total (rounded down, but never below one wei).

    When fewer trainers are there than the cap needs (5 at 20 %), the cap still holds each against the total: all weigh
    alike then.
    """
    ceiling = max(1, sum(stakes) * cap_bps // BASIS)
    return tuple(min(stake, ceiling) for stake in stakes)


def weighted_median(values: Sequence[int], weights: Sequence[int]) -> int:
    """Return the lower weighted median: the least value at which half of the total weight is reached; 0 when empty."""
    half, reached = sum(weights), 0
    for value, weight in sorted(zip(values, weights, strict=True)):
        reached += weight
        if 2 * reached >= half:
            return value
    return 0


def full_weights(capped: Sequence[int]) -> tuple[int, ...]:
    """Return floor(2^16 * c_i / sum c): the weights before clipping; their sum is the divisor of the new model."""
    total = sum(capped)
    return tuple(WEIGHT_ONE * stake // total if total else 0 for stake in capped)


def clipped_weights(capped: Sequence[int], norms: Sequence[int], *, limit: int) -> tuple[int, ...]:
    """Return a_i; `norms` and `limit` (tau) in 2^-16 base units. An update of length 0 is not clipped."""
    total = sum(capped)
    if not total:
        return tuple(0 for _ in capped)
    return tuple(
        WEIGHT_ONE * stake // total if norm <= limit else WEIGHT_ONE * stake * limit // (total * norm)
        for stake, norm in zip(capped, norms, strict=True)
    )
