"""Which admitted updates enter the sum, and with what weight (step 7): integers of the Gram matrix alone.

Screening by length: an update below the floor is no work, one above the reject bound is refused, one above the clip
bound weighs less; all three are multiples (basis points) of the stake-weighted median length. "multi-krum" (Blanchard
et al. 2017, section 4) then keeps the n - f updates whose n - f - 2 nearest neighbours are closest, on exact squared
distances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fl_platform.aggregation.gram import Gram
from fl_platform.aggregation.weights import (
    BASIS,
    capped_stakes,
    clipped_weights,
    full_weights,
    norm_down,
    weighted_median,
)
from fl_platform.errors import NotEnoughTrainers
from fl_platform.protocol.spec import AggregationRule

NO_WORK = "NoWork"
TOO_LONG = "UpdateNormExceeded"
NOT_SELECTED = "NotSelected"


@dataclass(frozen=True)
class Candidate:
    """A well-formed update of a trainer."""

    row: int  # in the Gram matrix
    trainer: bytes  # 20 bytes; breaks ties
    stake: int  # wei


@dataclass(frozen=True)
class Screened:
    """What the rule decided about one candidate."""

    code: str  # "admitted", or why it is not in the sum
    evidence: str
    capped: int  # capped stake, wei: what its score and base pay count; 0 when dropped by the screen
    weight: int  # in the sum
    full_weight: int  # before clipping; the sum of these is the divisor
    norm: int  # length, 2^-16 base units


@dataclass(frozen=True)
class Decision:
    """A round's screening, one item per candidate."""

    screened: tuple[Screened, ...]
    median_norm: int  # stake-weighted median length of the candidates, 2^-16 base units

    @property
    def divisor(self) -> int:
        """Sum of unclipped weights: clipping shortens the step, it does not give others a larger voice."""
        return sum(item.full_weight for item in self.screened)


def decide(
    candidates: Sequence[Candidate], gram: Gram, *, rule: AggregationRule, stake_cap_bps: int, longest_squared: int
) -> Decision:
    """Screen, select and weigh. `longest_squared`: squared length (base units) that an honest encoder cannot exceed.

    Raises NotEnoughTrainers when multi-Krum cannot keep its promise (n < 2f + 3 after screening): never a silent mean.
    """
    norms = [norm_down(gram.at(c.row, c.row)) for c in candidates]
    all_capped = capped_stakes([c.stake for c in candidates], cap_bps=stake_cap_bps)
    median = weighted_median(norms, all_capped)
    refusals = [
        _screen(gram.at(c.row, c.row), norm, median, rule=rule, longest_squared=longest_squared)
        for c, norm in zip(candidates, norms, strict=True)
    ]
    kept = [i for i, refusal in enumerate(refusals) if refusal is None]
    selected = _select(kept, candidates, gram, rule)
    # The cap is of the stake that counts: shares of those in the sum.
    capped = dict(zip(kept, capped_stakes([candidates[i].stake for i in kept], cap_bps=stake_cap_bps), strict=True))
    shares = [capped[i] for i in selected]
    limit = median * rule.clip_bps // BASIS
    clipped = dict(
        zip(selected, clipped_weights(shares, [norms[i] for i in selected], limit=limit), strict=True)
    )
    full = dict(zip(selected, full_weights(shares), strict=True))
    screened = []
    for i, refusal in enumerate(refusals):
        code, evidence = refusal or (("admitted", "") if i in full else (NOT_SELECTED, _not_selected(rule, len(kept))))
        screened.append(
            Screened(code, evidence, capped.get(i, 0), clipped.get(i, 0), full.get(i, 0), norms[i])
        )
    return Decision(tuple(screened), median)


def _screen(
    squared: int, norm: int, median: int, *, rule: AggregationRule, longest_squared: int
) -> tuple[str, str] | None:
    if squared > longest_squared:
        return TOO_LONG, f"squared length {squared}, an encoder that clips cannot exceed {longest_squared}"
    floor, ceiling = median * rule.floor_bps // BASIS, median * rule.reject_bps // BASIS
    if norm == 0 or norm < floor:
        return NO_WORK, f"length {norm >> 16}, the floor is {floor >> 16} ({rule.floor_bps} bps of the median)"
    if norm > ceiling:
        return TOO_LONG, f"length {norm >> 16}, the limit is {ceiling >> 16} ({rule.reject_bps} bps of the median)"
    return None


def _not_selected(rule: AggregationRule, n: int) -> str:
    return f"multi-Krum keeps {n - rule.byzantine} of {n}; this one is farther from its neighbours"


def _select(
    kept: Sequence[int], candidates: Sequence[Candidate], gram: Gram, rule: AggregationRule
) -> list[int]:
    if rule.name != "multi-krum":
        return list(kept)
    rows = [candidates[i].row for i in kept]
    chosen = multi_krum(rows, [candidates[i].trainer for i in kept], gram, byzantine=rule.byzantine)
    return [i for i in kept if candidates[i].row in chosen]


def squared_distance(gram: Gram, first: int, second: int) -> int:
    """Return |u - v|^2 = G_uu + G_vv - 2 G_uv, exact and never negative (in float32 it is neither, ATTACKS trap 5)."""
    return gram.at(first, first) + gram.at(second, second) - 2 * gram.at(first, second)


def krum_scores(rows: Sequence[int], gram: Gram, *, byzantine: int) -> tuple[int, ...]:
    """Return each row's sum of squared distances to its n - f - 2 nearest others. Raises NotEnoughTrainers."""
    n = len(rows)
    if byzantine < 0 or n < 2 * byzantine + 3:
        raise NotEnoughTrainers(
            f"multi-Krum against {byzantine} hostile needs {2 * byzantine + 3} updates, {n} passed the screen; "
            "wait for more trainers or open the task with a smaller f"
        )
    return tuple(
        sum(sorted(squared_distance(gram, row, other) for other in rows if other != row)[: n - byzantine - 2])
        for row in rows
    )


def multi_krum(rows: Sequence[int], trainers: Sequence[bytes], gram: Gram, *, byzantine: int) -> frozenset[int]:
    """Return the n - f rows with the smallest Krum scores; ties go by trainer address. Raises NotEnoughTrainers."""
    scores = krum_scores(rows, gram, byzantine=byzantine)
    ranked = sorted(zip(scores, trainers, rows, strict=True))
    return frozenset(row for _, _, row in ranked[: len(rows) - byzantine])


def duplicate_groups(rows: Sequence[int], gram: Gram, *, duplicate_bps: int) -> tuple[int, ...]:
    """Return for each row the least row it is joined to by a chain of near-duplicates (itself when alone).

    Two rows are near-duplicates when their cosine is positive and its square is over `duplicate_bps` / 10,000.
    """
    leader = {row: row for row in rows}

    def root(row: int) -> int:
        while leader[row] != row:
            row = leader[row]
        return row

    for position, first in enumerate(rows):
        for second in rows[position + 1 :]:
            inner = gram.at(first, second)
            if inner > 0 and inner * inner * BASIS > duplicate_bps * gram.at(first, first) * gram.at(second, second):
                low, high = sorted((root(first), root(second)))
                leader[high] = low
    return tuple(root(row) for row in rows)
