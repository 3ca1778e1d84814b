"""What the settlement circuit proves, computed in plain integers: the twin of zk/circuits/settle.circom.

From the committed Gram matrix and the frozen rule follow the verdicts (length bounds, replay of one public direction,
cosine to the reference, multi-Krum), weights, scores, the round's pot and every standing after. The numbers are those
of fl_platform.aggregation.rules, contribution.anchored and settle; tests hold them equal. Narrower than the platform:
at most one public direction, integers within the limits below, no near-duplicates where scores are proved. Otherwise
`given` says that scores and replay verdicts are taken as committed. Of a squared length rounding is
taken off whole, where the platform leaves an eighth: callers refuse rounds in which the two differ. This module trusts
nothing: what the circuit could not hold raises DocumentInvalid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from math import isqrt

from fl_platform.errors import DocumentInvalid

BASIS = 10_000
WEIGHT_ONE = 1 << 16
SCORE_ONE = 10**12
REFERENCE_BPS = 3_000
NOISE_SIGMAS = 3
REPUTATION_ONE = 10**6
GRAM_BITS = 49  # |G_ij| < 2^49
AMOUNT_BITS = 80  # wei
SCORE_BITS = 63  # |score|, |score sum| < 2^63

NOT_HERE, ADMITTED, NO_WORK, TOO_LONG, REPLAY, OFF_REFERENCE, NOT_SELECTED = range(7)


@dataclass(frozen=True)
class Rule:
    """The frozen numbers of a task and of the round's bounds; field order is the order under the commitment."""

    krum: int  # 1: multi-Krum, 0: fedavg
    byzantine: int
    clip_bps: int
    reject_bps: int
    floor_bps: int
    duplicate_bps: int
    alpha_num: int
    alpha_den: int
    base_bps: int
    stake_cap_bps: int
    fee_bps: int
    size: int  # parameters d
    longest: int  # squared length that an honest encoder cannot exceed
    rounding: int  # squared length that stochastic rounding adds on average
    pot: int  # wei of this round
    pots_before: int  # wei that went through the catch-up split before
    reference: int  # 1: row 0 of the Gram matrix is a reference and not zero
    directions: int  # 0 or 1 public directions
    given: int  # 1: scores and replay verdicts are the slots' own, 0: they follow from the Gram matrix
    measured: int  # 1: the scores mean something
    aggregator: int  # slot that earns the fee


@dataclass(frozen=True)
class Slot:
    """One trainer, in ascending order of addresses; an empty slot is all zeros. Field order is committed."""

    address: int
    stake: int  # wei; 0 when not on the roster
    rostered: int
    candidate: int  # 1: its update is well formed and in the Gram matrix
    score_sum: int  # signed, before this round
    paid_scored: int  # wei before this round
    paid_base: int
    reputation: int
    given_score: int  # signed
    given_replay: int
    squared: int  # G_ii; 0 when no candidate
    inner: int  # G_ir
    along: int  # G_iP


EMPTY = Slot(*[0] * len(fields(Slot)))


@dataclass(frozen=True)
class Round:
    """All that is under the commitment. `pairs`: G_ij for i > j by rows; empty in the layout without pairs."""

    rule: Rule
    reference_squared: int  # G_rr
    reference_along: int  # G_rP
    direction_squared: int  # G_PP
    slots: tuple[Slot, ...]
    pairs: tuple[int, ...]

    def between(self, first: int, second: int) -> int:
        """G_ij of two different slots."""
        low, high = sorted((first, second))
        return self.pairs[high * (high - 1) // 2 + low]


@dataclass(frozen=True)
class Settled:
    """What follows, parallel to the slots but for the last three."""

    codes: tuple[int, ...]
    weights: tuple[int, ...]
    scores: tuple[int, ...]
    scored: tuple[int, ...]  # wei of this round
    base: tuple[int, ...]
    reputations: tuple[int, ...]
    divisor: int
    scored_pot: int
    fee: int
    dust: int


def settle_round(round_: Round) -> Settled:
    """Apply the rule. Raises DocumentInvalid where the circuit has no proof (see `check_round` and near-duplicates)."""
    check_round(round_)
    screen = _Screen(round_)
    codes, live, selected = screen.codes()
    weights, divisor = _weights(round_, screen, live, selected)
    scores = _scores(round_, screen, live)
    return _payouts(round_, codes, weights, divisor, scores, live, selected)


def weighted_median(values: Sequence[int], weights: Sequence[int]) -> int:
    """Return the least value at which half of the weight is reached; 0 when there is no weight."""
    total, reached = sum(weights), 0
    for value, weight in sorted((v, w) for v, w in zip(values, weights, strict=True) if w):
        reached += weight
        if 2 * reached >= total:
            return value
    return 0


def _capped(stakes: Sequence[int], cap_bps: int) -> list[int]:
    ceiling = max(1, sum(stakes) * cap_bps // BASIS)
    return [min(stake, ceiling) for stake in stakes]


class _Screen:
    """Lengths and verdicts."""

    def __init__(self, round_: Round) -> None:
        self.round, self.rule, self.slots = round_, round_.rule, round_.slots
        self.energies = [max(0, s.squared - self.rule.rounding) * s.candidate for s in self.slots]
        self.norms = [isqrt(energy << 32) for energy in self.energies]
        self.stakes = _capped([s.stake * s.candidate for s in self.slots], self.rule.stake_cap_bps)
        self.median = weighted_median(self.norms, self.stakes)

    def codes(self) -> tuple[list[int], list[int], list[int]]:
        """Return verdict codes, who passed the screen, who is in the sum (0 or 1 each)."""
        first = [self._first(i) if s.candidate else NOT_HERE for i, s in enumerate(self.slots)]
        live = [int(bool(s.candidate) and not code) for s, code in zip(self.slots, first, strict=True)]
        if self.rule.reference:
            off = self._off_reference(live)
            first = [OFF_REFERENCE if o else code for o, code in zip(off, first, strict=True)]
            live = [int(here and not o) for here, o in zip(live, off, strict=True)]
        selected = self._selected(live)
        codes = [
            ADMITTED if s else NOT_SELECTED if here else code
            for s, here, code in zip(selected, live, first, strict=True)
        ]
        return codes, live, selected

    def _first(self, i: int) -> int:
        slot, rule, norm = self.slots[i], self.rule, self.norms[i]
        if slot.squared > rule.longest:
            return TOO_LONG
        if norm == 0 or norm < self.median * rule.floor_bps // BASIS:
            return NO_WORK
        if norm > self.median * rule.reject_bps // BASIS:
            return TOO_LONG
        if rule.given:
            return REPLAY if slot.given_replay else 0
        over = slot.along**2 * BASIS > rule.duplicate_bps * self.energies[i] * self.round.direction_squared
        return REPLAY if rule.directions and over else 0

    def _off_reference(self, live: Sequence[int]) -> list[int]:
        cosines = [(s.inner << 32) // max(norm, 1) for s, norm in zip(self.slots, self.norms, strict=True)]
        median = max(0, weighted_median(cosines, [c * here for c, here in zip(self.stakes, live, strict=True)]))
        return [
            int(here and (cosine <= 0 or cosine * BASIS < REFERENCE_BPS * median))
            for cosine, here in zip(cosines, live, strict=True)
        ]

    def _selected(self, live: Sequence[int]) -> list[int]:
        rule, left = self.rule, sum(live)
        if not rule.krum:
            return list(live)
        byzantine = max(0, rule.byzantine - (sum(s.rostered for s in self.slots) - left))
        needed = 2 * byzantine + 3 if byzantine else 0
        if left < needed:
            raise DocumentInvalid(f"multi-Krum has {left} updates left and needs {needed}: such a round is not sealed")
        if not byzantine:
            return list(live)
        keys = sorted((self._krum(i, live, left - byzantine - 2), i) for i, here in enumerate(live) if here)
        chosen = {i for _, i in keys[: left - byzantine]}
        return [int(i in chosen) for i in range(len(live))]

    def _krum(self, i: int, live: Sequence[int], nearest: int) -> int:
        squared = self.slots[i].squared
        return sum(
            sorted(
                squared + other.squared - 2 * self.round.between(i, j)
                for j, other in enumerate(self.slots)
                if j != i and live[j]
            )[:nearest]
        )


def _weights(round_: Round, screen: _Screen, live: Sequence[int], selected: Sequence[int]) -> tuple[list[int], int]:
    capped = _live_stakes(round_, live)
    shares = [c * s for c, s in zip(capped, selected, strict=True)]
    total, limit = sum(shares), screen.median * round_.rule.clip_bps // BASIS
    full = [WEIGHT_ONE * share // total if total else 0 for share in shares]
    weights = [
        WEIGHT_ONE * share * limit // (total * norm) if norm > limit and total else whole
        for share, norm, whole in zip(shares, screen.norms, full, strict=True)
    ]
    return weights, sum(full)


def _live_stakes(round_: Round, live: Sequence[int]) -> list[int]:
    stakes = [s.stake * here for s, here in zip(round_.slots, live, strict=True)]
    return [c * here for c, here in zip(_capped(stakes, round_.rule.stake_cap_bps), live, strict=True)]


def _scores(round_: Round, screen: _Screen, live: Sequence[int]) -> list[int]:
    rule = round_.rule
    if rule.given:
        return [s.given_score * here for s, here in zip(round_.slots, live, strict=True)]
    if not rule.measured:
        return [0] * len(live)
    _refuse_duplicates(round_, screen, live)
    capped = _live_stakes(round_, live)
    unit = isqrt(round_.reference_squared << 32) * sum(capped)
    return [_quality(round_, screen, i) * capped[i] // unit if here and unit else 0 for i, here in enumerate(live)]


def _quality(round_: Round, screen: _Screen, i: int) -> int:
    """The anchored score's <u_i, r_perp> / max(|u_i|, tau / 8); see fl_platform.contribution.anchored."""
    rule, slot = round_.rule, round_.slots[i]
    if slot.inner <= 0:
        return 0
    inside = round_.direction_squared if rule.directions else 1
    scale = rule.alpha_den * inside
    numerator = slot.inner * scale - rule.directions * rule.alpha_num * slot.along * round_.reference_along
    rest = round_.reference_squared * rule.alpha_den**2 * inside - rule.directions * (
        2 * rule.alpha_num * rule.alpha_den - rule.alpha_num**2
    ) * (round_.reference_along**2)
    if numerator**2 * rule.size * rule.alpha_den <= NOISE_SIGMAS**2 * screen.energies[i] * rest * scale:
        return 0
    return (SCORE_ONE * numerator << 32) // (scale * max(screen.norms[i], screen.median // 8, 1))


def _refuse_duplicates(round_: Round, screen: _Screen, live: Sequence[int]) -> None:
    here = [i for i, flag in enumerate(live) if flag and round_.pairs]
    for i in here:
        for j in here:
            inner = round_.between(i, j) if i < j else 0
            bound = round_.rule.duplicate_bps * screen.energies[i] * screen.energies[j]
            if inner > 0 and inner * inner * BASIS > bound:
                raise DocumentInvalid(
                    f"slots {i} and {j} are near-duplicates, whose shared score the circuit does not prove: "
                    "settle this round with given scores"
                )


def _split(pot: int, shares: Sequence[int]) -> list[int]:
    total = sum(shares)
    return [pot * share // total if total else 0 for share in shares]


def _payouts(
    round_: Round, codes: Sequence[int], weights: Sequence[int], divisor: int, scores: Sequence[int],
    live: Sequence[int], selected: Sequence[int],
) -> Settled:  # fmt: skip
    rule, slots = round_.rule, round_.slots
    fee = rule.pot * rule.fee_bps // BASIS
    rest = rule.pot - fee
    scored_part = rest - rest * (rule.base_bps if rule.measured else BASIS) // BASIS
    sums = [s.score_sum + score for s, score in zip(slots, scores, strict=True)]
    entitled = _split(rule.pots_before + scored_part, [max(0, c) for c in sums])
    due = [e * here for e, here in zip(entitled, live, strict=True)]
    lacking = [max(0, d - s.paid_scored) for d, s in zip(due, slots, strict=True)]
    scored = _split(scored_part, lacking if any(lacking) else due)
    scored_pot = scored_part if any(scored) else 0
    capped = _capped([s.stake for s in slots], rule.stake_cap_bps)
    by_stake = [c * s for c, s in zip(capped, selected, strict=True)]
    base = _split(rest - scored_pot, by_stake if any(by_stake) else capped)
    good = [score > 0 if rule.measured else bool(s) for score, s in zip(scores, selected, strict=True)]
    reputations = [
        s.reputation + ((REPUTATION_ONE * g - s.reputation) // 8 if s.rostered else 0)
        for s, g in zip(slots, good, strict=True)
    ]
    dust = rest - sum(base) - sum(scored)
    return Settled(
        tuple(codes), tuple(weights), tuple(scores), tuple(scored), tuple(base), tuple(reputations),
        divisor, scored_pot, fee, dust,
    )  # fmt: skip


def check_round(round_: Round) -> None:
    """Refuse what the circuit's integers cannot hold. Raises DocumentInvalid."""
    rule, slots = round_.rule, round_.slots
    gram = [round_.reference_squared, round_.direction_squared, round_.reference_along, *round_.pairs]
    gram += [value for s in slots for value in (s.squared, s.inner, s.along)]
    amounts = [rule.pot, rule.pots_before, *(v for s in slots for v in (s.stake, s.paid_scored, s.paid_base))]
    shares = (rule.duplicate_bps, rule.base_bps, rule.stake_cap_bps, rule.fee_bps)
    flags = [rule.krum, rule.reference, rule.directions, rule.given, rule.measured]
    flags += [flag for s in slots for flag in (s.rostered, s.candidate, s.given_replay)]
    addresses = [s.address for s in slots if s.address]
    _demand("a Gram entry has 49 bits", gram, lambda v: abs(v) < 1 << GRAM_BITS)
    _demand("an amount has 80 bits", amounts, lambda v: 0 <= v < 1 << AMOUNT_BITS)
    _demand("a score has 63 bits", [v for s in slots for v in (s.score_sum, s.given_score)],
            lambda v: abs(v) < 1 << (SCORE_BITS - 1))  # fmt: skip
    _demand("a share is at most 10,000 basis points", shares, lambda v: 0 <= v <= BASIS)
    _demand("a multiple of the median is below 2^20 basis points",
            [rule.clip_bps, rule.reject_bps, rule.floor_bps], lambda v: 0 <= v < 1 << 20)  # fmt: skip
    _demand("a flag is 0 or 1", flags, lambda v: v in (0, 1))
    _demand("alpha is num / den with den below 128", [rule.alpha_num], lambda v: 0 <= v <= rule.alpha_den)
    _demand("alpha's denominator is 1 to 127", [rule.alpha_den], lambda v: 0 < v < 128)
    _demand("a model has fewer than 2^28 parameters", [rule.size], lambda v: 0 < v < 1 << 28)
    _demand("a squared bound has 63 bits", [rule.longest], lambda v: 0 <= v < 1 << 63)
    _demand("rounding energy has 49 bits", [rule.rounding], lambda v: 0 <= v < 1 << GRAM_BITS)
    _demand("a reputation is at most 10^6", [s.reputation for s in slots], lambda v: 0 <= v <= REPUTATION_ONE)
    _demand("the aggregator has a slot", [rule.aggregator], lambda v: 0 <= v < len(slots))
    _demand("f is at most 100", [rule.byzantine], lambda v: 0 <= v <= 100)
    _demand("the stake cap is not zero", [rule.stake_cap_bps], lambda v: v > 0)
    consistent = (
        addresses == sorted(set(addresses)) and all(a < 1 << 160 for a in addresses)
        and all(s.rostered >= s.candidate and bool(s.stake) == bool(s.rostered) for s in slots)
        and all(s.address or s == EMPTY for s in slots)
        and all(s.candidate or not (s.squared or s.inner or s.along) for s in slots)
        and (rule.given or (rule.measured == rule.reference and not any(s.given_score for s in slots)))
        and bool(round_.reference_squared) >= bool(rule.reference)
        and bool(round_.direction_squared) >= bool(rule.directions)
        and all(s.squared >= 0 for s in slots)
        and len(round_.pairs) in (0, len(slots) * (len(slots) - 1) // 2)
        and (round_.pairs or not rule.krum)
    )  # fmt: skip
    if not consistent:
        raise DocumentInvalid("this round's parts contradict each other: build it with `zk.settlement.inputs`")


def _demand(what: str, values: Sequence[int], holds: Callable[[int], bool]) -> None:
    for value in values:
        if not holds(value):
            raise DocumentInvalid(f"{what}, here is {value}: this round has no settlement proof, its window stands")
