"""Who gets how much of a round's pot (step 10), in integers. Every division rounds down; the dust is the owner's.

Catch-up split. Scores are signed and summed over the task; the split that the task would have if it ended now gives
each trainer an entitlement E_i = pots so far * max(0, C_i) / sum_j max(0, C_j). A round's pot goes to the trainers in
proportion to what they still lack, max(0, E_i - paid_i); only to those whose update passed the screen in that round,
so that early work is not paid out of rounds that one stays away from. So earnings never shrink (claims are
cumulative), each pot is spent whole but for dust, and pay converges to "clamped at zero once, at the end": a trainer
that worked once and then rides along ends with that round's share of all work, and noise that scored by luck keeps at
most its best entitlement (clamping each round by itself would pay it every time). Splitting one identity's stake
splits its score and its pay alike (invariant 12), because every step is linear in (score, paid).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PotSplit:
    """One round's pot."""

    fee: int  # wei to the aggregator that seals
    base: tuple[int, ...]  # wei by stake, per trainer
    scored: tuple[int, ...]  # wei by score, per trainer
    scored_pot: int  # wei of this pot that went through the catch-up split; 0 when nobody had a positive score
    dust: int  # wei left over, the owner's


def split_down(pot: int, shares: Sequence[int]) -> tuple[int, ...]:
    """Split `pot` wei in proportion to non-negative `shares`, each rounded down; all zero when no share is positive."""
    total = sum(shares)
    if total == 0:
        return tuple(0 for _ in shares)
    return tuple(pot * share // total for share in shares)


def entitlements_down(pots: int, scores: Sequence[int]) -> tuple[int, ...]:
    """Return what each would have of `pots` wei if the task ended with these signed score sums."""
    return split_down(pots, [max(0, score) for score in scores])


def catch_up_down(
    *, pot: int, pots_before: int, scores: Sequence[int], paid: Sequence[int], present: Sequence[bool]
) -> tuple[int, ...]:
    """Split `pot` toward the entitlements of those present; all zero when none of them has a positive score sum.

    `pots_before` is what earlier rounds put through this split, `paid` what each trainer got of it (wei), `present`
    whose update passed the screen in this round. When all present have what they are entitled to, their
    entitlements are the shares.
    """
    entitled = entitlements_down(pots_before + pot, scores)
    due = [e if here else 0 for e, here in zip(entitled, present, strict=True)]
    lacking = [max(0, d - p) for d, p in zip(due, paid, strict=True)]
    return split_down(pot, lacking if any(lacking) else due)


def split_pot(
    *,
    pot: int,
    fee_bps: int,
    base_bps: int,
    pots_before: int,
    scores: Sequence[int],
    paid_scored: Sequence[int],
    stakes: Sequence[int],
    admitted: Sequence[bool],
    present: Sequence[bool],
) -> PotSplit:
    """Split one round's pot among the task's trainers (parallel sequences).

    `scores` are the signed sums including this round; `stakes` are capped stake shares of those on this round's roster
    (0 for who is not on it); `admitted` says whose update is in the sum, `present` whose passed the screen: worth is
    paid even where a robust rule kept an update out of the sum. When worth was not measured, or no sum is positive, the
    scored part goes by stake to the admitted; when nobody was admitted, by stake to the rostered. A pot of a
    rostered round never goes back to the owner, but for the dust.
    """
    fee = pot * fee_bps // 10_000
    rest = pot - fee
    base_pot = rest * base_bps // 10_000
    by_stake = [stake if ok else 0 for stake, ok in zip(stakes, admitted, strict=True)]
    if not any(by_stake):
        by_stake = list(stakes)
    scored = catch_up_down(
        pot=rest - base_pot, pots_before=pots_before, scores=scores, paid=paid_scored, present=present
    )
    scored_pot = rest - base_pot if any(scored) else 0
    base = split_down(rest - scored_pot, by_stake)
    return PotSplit(fee, base, scored, scored_pot, pot - fee - sum(base) - sum(scored))
