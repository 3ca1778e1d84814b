"""Which admitted updates enter the sum, and with what weight (step 7): integers of the Gram matrix alone.

Screening by length: an update below the floor is no work, one above the reject bound is refused, one above the clip
bound weighs less; all three are multiples (basis points) of the stake-weighted median length. Screening by direction:
an update that lies within the span of the last applied aggregates is a replay; where the owner commits a reference, one
that goes its way much less than the median update does is no work on this task. Lengths are taken without the energy
that stochastic rounding adds on average, so that a short honest update is not mistaken for noise. "multi-krum"
(Blanchard et al. 2017, section 4) then keeps the n - f updates whose n - f - 2 nearest neighbours are closest, on
exact squared distances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fl_platform.aggregation.admit import ADMITTED
from fl_platform.aggregation.gram import Gram
from fl_platform.aggregation.projection import projection
from fl_platform.aggregation.weights import (
    BASIS,
    capped_stakes,
    clipped_weights,
    full_weights,
    norm_down,
    weighted_median,
)
from fl_platform.errors import NotEnoughTrainers
from fl_platform.protocol.spec import AggregationRule, ModelSpec, ScaleSpec

NO_WORK = "NoWork"
TOO_LONG = "UpdateNormExceeded"
NOT_SELECTED = "NotSelected"
REPLAY = "Replay"
OFF_REFERENCE = "OffReference"

# A cosine with the reference below this part of the median one is work on something else. Measured (benchmark `worth`):
# honest trainers with two of ten digits each 0.38 or more of the median in nearly all rounds, noise under 0.05, flipped
# labels under 0.25 even in round 0, when any training at all looks alike.
REFERENCE_BPS = 3_000
_COSINE_BITS = 32

Reason = tuple[str, str]  # verdict code, evidence

# Stochastic rounding adds f(1 - f) per parameter for a fraction f: 1/6 if fractions are uniform, less where deltas
# crowd around zero. Measured on MNIST deltas at int8: 1/6.9.
ROUNDING_SHARE = 7


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
    norm: int  # length, 2^-16 base units, without expected rounding noise
    energy: int  # its square, squared base units


@dataclass(frozen=True)
class Decision:
    """A round's screening, one item per candidate."""

    screened: tuple[Screened, ...]
    median_norm: int  # stake-weighted median length of the candidates, 2^-16 base units

    @property
    def divisor(self) -> int:
        """Sum of unclipped weights: clipping shortens the step, it does not give others a larger voice."""
        return sum(item.full_weight for item in self.screened)


@dataclass(frozen=True)
class Bounds:
    """What is known of a round's updates before any is read; squared base units."""

    longest: int  # squared length that an honest encoder cannot exceed
    rounding: int  # squared length that stochastic rounding adds on average; 0 for nearest
    directions: tuple[int, ...]  # independent Gram rows of public directions
    reference: int | None  # Gram row of the owner's reference; None where there is none or it is zero


def rounding_energy(model: ModelSpec, scale: ScaleSpec, rounding: str) -> int:
    """Return what rounding adds to a squared length on average, squared base units, rounded down."""
    if rounding != "stochastic":
        return 0
    steps = sum(tensor.size << (2 * o) for tensor, o in zip(model.tensors, scale.offsets, strict=True))
    return steps // ROUNDING_SHARE


def clean_energy(squared: int, rounding: int) -> int:
    """Return a squared length without the energy that rounding adds on average. Twin of `JudgeBase._energy`.

    At least an eighth of it stays: where a step is so coarse that most parameters round to 0 or one step, rounding adds
    less than usual, and an honest round must not vanish for it.
    """
    return max(squared - rounding, squared // 8)


def decide(
    candidates: Sequence[Candidate],
    gram: Gram,
    *,
    rule: AggregationRule,
    stake_cap_bps: int,
    bounds: Bounds,
    refused: int = 0,
) -> Decision:
    """Screen, select and weigh. `refused`: rostered trainers whose updates admission refused; no strangers, who have
    no stake to lose, and no second entries.

    Raises NotEnoughTrainers when multi-Krum cannot keep its promise (see `remaining_byzantine`): never a silent mean.
    """
    energies = [clean_energy(gram.at(c.row, c.row), bounds.rounding) for c in candidates]
    norms = [norm_down(energy) for energy in energies]
    stakes = capped_stakes([c.stake for c in candidates], cap_bps=stake_cap_bps)
    median = weighted_median(norms, stakes)
    refusals: list[Reason | None] = [
        _too_long(gram.at(c.row, c.row), bounds.longest)
        or _screen_length(norm, median, rule)
        or _screen_replay(c.row, energy, gram, bounds.directions, rule)
        for c, energy, norm in zip(candidates, energies, norms, strict=True)
    ]
    if bounds.reference is not None:
        rows = [c.row for c in candidates]
        refusals = _screen_direction(refusals, rows, norms, stakes, gram, bounds.reference)
    kept = [i for i, refusal in enumerate(refusals) if refusal is None]
    byzantine = remaining_byzantine(rule, left=len(kept), dropped=refused + len(candidates) - len(kept))
    selected = _select(kept, candidates, gram, byzantine)
    for i in set(kept) - set(selected):
        refusals[i] = (NOT_SELECTED, _not_selected(byzantine, len(kept)))
    # The cap is of the stake that counts: shares of those that passed the screen.
    capped = dict(zip(kept, capped_stakes([candidates[i].stake for i in kept], cap_bps=stake_cap_bps), strict=True))
    shares = [capped[i] for i in selected]
    limit = median * rule.clip_bps // BASIS
    clipped = dict(zip(selected, clipped_weights(shares, [norms[i] for i in selected], limit=limit), strict=True))
    full = dict(zip(selected, full_weights(shares), strict=True))
    screened = tuple(
        Screened(
            *(refusal or (ADMITTED, "")), capped.get(i, 0), clipped.get(i, 0), full.get(i, 0), norms[i], energies[i]
        )
        for i, refusal in enumerate(refusals)
    )
    return Decision(screened, median)


def _too_long(squared: int, longest: int) -> Reason | None:
    if squared <= longest:
        return None
    return TOO_LONG, f"squared length {squared}, an encoder that clips cannot exceed {longest}"


def _screen_length(norm: int, median: int, rule: AggregationRule) -> Reason | None:
    floor, ceiling = median * rule.floor_bps // BASIS, median * rule.reject_bps // BASIS
    if norm == 0 or norm < floor:
        return NO_WORK, f"length {norm >> 16}, the floor is {floor >> 16} ({rule.floor_bps} bps of the median)"
    if norm > ceiling:
        return TOO_LONG, f"length {norm >> 16}, the limit is {ceiling >> 16} ({rule.reject_bps} bps of the median)"
    return None


def _screen_replay(
    row: int, energy: int, gram: Gram, directions: tuple[int, ...], rule: AggregationRule
) -> Reason | None:
    """Refuse what lies in the span of public directions: the duplicate bound, on the part of the energy there."""
    if not directions:
        return None
    inside = projection(row, row, directions, gram)
    if inside.numerator * BASIS <= rule.duplicate_bps * energy * inside.denominator:
        return None
    share = inside.numerator * BASIS // (inside.denominator * energy)
    return REPLAY, f"{share} bps of it are combinations of the last {len(directions)} public updates"


def _screen_direction(
    refusals: Sequence[Reason | None],
    rows: Sequence[int],
    norms: Sequence[int],
    stakes: Sequence[int],
    gram: Gram,
    reference: int,
) -> list[Reason | None]:
    """Refuse what goes too little the reference's way, among those not refused yet (parallel sequences).

    <u_i, r> / |u_i| is the cosine times |r|, which is the same for all; the median is weighted by capped stake.
    """
    left = [i for i, refusal in enumerate(refusals) if refusal is None]
    cosines = {i: (gram.at(rows[i], reference) << _COSINE_BITS) // norms[i] for i in left}
    median = max(0, weighted_median([cosines[i] for i in left], [stakes[i] for i in left]))
    return [
        (OFF_REFERENCE, _off_reference(cosines[i], median))
        if i in cosines and (cosines[i] <= 0 or cosines[i] * BASIS < REFERENCE_BPS * median)
        else refusal
        for i, refusal in enumerate(refusals)
    ]


def _off_reference(cosine: int, median: int) -> str:
    if median == 0:
        return "it goes against the reference"
    return f"its cosine with the reference is {cosine * BASIS // median} bps of the median one, {REFERENCE_BPS} needed"


def _not_selected(byzantine: int, n: int) -> str:
    return f"multi-Krum keeps {n - byzantine} of {n}; this one is farther from its neighbours"


def remaining_byzantine(rule: AggregationRule, *, left: int, dropped: int) -> int:
    """Return how many hostile updates multi-Krum must still withstand among the `left`; 0 for other rules.

    The rule's f less the `dropped`, who may all have been the hostile ones: so up to f trainers cannot stop a round by
    handing in rubbish, and nobody honest is left out in their place. When more than f were dropped, whoever is left is
    summed, be it nobody: a round that cannot be sealed would cost an honest aggregator its bond. Raises
    NotEnoughTrainers when n < 2f + 3.
    """
    if rule.name != "multi-krum":
        return 0
    byzantine = max(0, rule.byzantine - dropped)
    needed = 2 * byzantine + 3 if byzantine else 0
    if left < needed:
        raise NotEnoughTrainers(
            f"multi-Krum against {rule.byzantine} hostile: {left} updates left, {dropped} dropped; it needs {needed}: "
            f"wait for more trainers or open the task with a smaller f"
        )
    return byzantine


def _select(kept: Sequence[int], candidates: Sequence[Candidate], gram: Gram, byzantine: int) -> list[int]:
    if byzantine == 0:
        return list(kept)
    rows = [candidates[i].row for i in kept]
    chosen = multi_krum(rows, [candidates[i].trainer for i in kept], gram, byzantine=byzantine)
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


def duplicate_groups(
    rows: Sequence[int], energies: Sequence[int], gram: Gram, *, duplicate_bps: int
) -> tuple[int, ...]:
    """Return for each row the least row it is joined to by a chain of near-duplicates (itself when alone).

    Two rows are near-duplicates when their cosine is positive and its square is over `duplicate_bps` / 10,000, lengths
    taken without expected rounding noise (`energies`, parallel): else one delta rounded with two seeds would pass for
    two. Measured at int8: copies 0.985 to 1.004, honest pairs up to 0.977 (two trainers with the same two digits).
    """
    leader = {row: row for row in rows}
    energy = dict(zip(rows, energies, strict=True))

    def root(row: int) -> int:
        while leader[row] != row:
            row = leader[row]
        return row

    for position, first in enumerate(rows):
        for second in rows[position + 1 :]:
            inner = gram.at(first, second)
            if inner > 0 and inner * inner * BASIS > duplicate_bps * energy[first] * energy[second]:
                low, high = sorted((root(first), root(second)))
                leader[high] = low
    return tuple(root(row) for row in rows)
