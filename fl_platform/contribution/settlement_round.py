"""From a round bundle to what the settlement circuit takes, and back: the proof must be about this bundle.

Scores and replay verdicts are proved where the circuit holds the rule: anchored worth, at most one public direction, no
near-duplicates. Elsewhere they are taken as the bundle gives them (`Rule.given`) and everything else is proved: length
and cosine screens, multi-Krum, weights, pot, standings. Which of the two it is stands under the commitment.
"""

from __future__ import annotations

from collections.abc import Sequence

from fl_platform.aggregation import rules
from fl_platform.aggregation.admit import ADMITTED, is_reference
from fl_platform.aggregation.gram import Gram, from_triangle
from fl_platform.aggregation.projection import independent
from fl_platform.contribution.judge import OFF_ROSTER, address_text
from fl_platform.errors import AuditDifference, DocumentInvalid, NoCircuit
from fl_platform.protocol.bundle import RoundBundle, Standing, Verdict
from fl_platform.protocol.spec import TaskSpec
from fl_platform.updates.scale import norm_bound_squared
from zk.settlement import BASIS, Round, Rule, Slot, settle_round
from zk.settlement_inputs import claims_of, padded, payload


def settlement_round(spec: TaskSpec, bundle: RoundBundle, *, pot: int) -> Round:
    """Return the round whose settlement can be proved; `pot`: wei that the chain allotted to it.

    The bundle is the aggregator's claim: that its Gram matrix is right is not checked here. Raises NoCircuit
    where no circuit holds the round, AuditDifference where the bundle's own state does not follow from its numbers.
    """
    gram = from_triangle(bundle.rows, bundle.gram)
    reason: DocumentInvalid | None = None  # of the last try: the one that asks least of a circuit
    for given in (0, 1):
        try:
            made = _build(spec, bundle, gram, pot, given=given)
            _compare(bundle, made)
            return made
        except DocumentInvalid as error:
            reason = error
    raise NoCircuit(f"round {bundle.round} has no settlement proof: {reason}") from reason


def _demand_plain_lengths(candidates: Sequence[Slot], rounding: int) -> None:
    """The circuits take rounding's energy off whole, where the rule leaves an eighth of a squared length."""
    for slot in candidates:
        if rules.clean_energy(slot.squared, rounding) != max(0, slot.squared - rounding):
            raise DocumentInvalid(
                f"0x{slot.address:040x} has a squared length of {slot.squared}, of which rounding explains {rounding}: "
                f"the rule counts an eighth of it, the circuits count {max(0, slot.squared - rounding)}"
            )


def _directions(gram: Gram) -> tuple[int, ...]:
    return independent([i for i, name in enumerate(gram.names) if name.startswith("direction:")], gram)


def _build(spec: TaskSpec, bundle: RoundBundle, gram: Gram, pot: int, *, given: int) -> Round:
    directions = _directions(gram)
    if not given and (spec.worth.kind != "anchored" or len(directions) > 1):
        raise DocumentInvalid(f"scores of a {spec.worth.kind} round with {len(directions)} directions are not proved")
    reference = int("reference" in gram.names[:1] and gram.at(0, 0) > 0)
    direction = directions[0] if directions and not given else None
    old = {standing.trainer: standing for standing in bundle.before.standings}
    listed = {
        e.receipt.trainer: (e.stake, v)
        for e, v in zip(bundle.entries, bundle.verdicts, strict=True)
        if not is_reference(e, spec) and v.code not in OFF_ROSTER
    }
    fee = pot * spec.money.fee_bps // BASIS
    addresses = sorted(old.keys() | listed.keys() | ({bundle.aggregator} if fee else set()))
    rows = [_row(gram, address) for address in addresses]
    slots = [
        _slot(old.get(a, Standing(a, 0, 0, 0, 0)), listed.get(a), gram, row, (reference, direction), given)
        for a, row in zip(addresses, rows, strict=True)
    ]
    rule = _rule(
        spec, bundle, pot, reference=reference, directions=int(direction is not None), given=given,
        aggregator=addresses.index(bundle.aggregator) if fee else 0,
    )  # fmt: skip
    shared = (
        gram.at(0, 0) if reference else 0,
        gram.at(0, direction) if reference and direction is not None else 0,
        gram.at(direction, direction) if direction is not None else 0,
    )
    _demand_plain_lengths([slot for slot in slots if slot.candidate], rule.rounding)
    between = [[0 if i is None or j is None else gram.at(i, j) for j in rows] for i in rows]
    return padded(rule, shared, slots, between)


def _row(gram: Gram, address: bytes) -> int | None:
    name = address_text(address)
    return gram.names.index(name) if name in gram.names else None


def _slot(
    before: Standing, listed: tuple[int, Verdict] | None, gram: Gram, row: int | None,
    public: tuple[int, int | None], given: int,
) -> Slot:  # fmt: skip
    stake, verdict = listed if listed else (0, None)
    reference, direction = public
    return Slot(
        address=int.from_bytes(before.trainer, "big"),
        stake=stake,
        rostered=int(listed is not None),
        candidate=int(row is not None),
        score_sum=before.score_sum,
        paid_scored=before.paid_scored,
        paid_base=before.paid_base,
        reputation=before.reputation,
        given_score=verdict.score if given and verdict else 0,
        given_replay=int(bool(given and verdict and verdict.code == rules.REPLAY)),
        squared=gram.at(row, row) if row is not None else 0,
        inner=gram.at(row, 0) if row is not None and reference else 0,
        along=gram.at(row, direction) if row is not None and direction is not None else 0,
    )


def _rule(
    spec: TaskSpec, bundle: RoundBundle, pot: int, *, reference: int, directions: int, given: int, aggregator: int
) -> Rule:
    rule, worth, scale = spec.aggregation, spec.worth, bundle.before.scale
    return Rule(
        krum=int(rule.name == "multi-krum"),
        byzantine=rule.byzantine,
        clip_bps=rule.clip_bps,
        reject_bps=rule.reject_bps,
        floor_bps=rule.floor_bps,
        duplicate_bps=rule.duplicate_bps,
        alpha_num=worth.alpha_num if worth.alpha_den else 0,
        alpha_den=worth.alpha_den or 1,
        base_bps=worth.base_bps,
        stake_cap_bps=worth.stake_cap_bps,
        fee_bps=spec.money.fee_bps,
        size=spec.model.size,
        longest=norm_bound_squared(scale, spec.model, spec.codec.bits),
        rounding=rules.rounding_energy(spec.model, scale, spec.codec.rounding),
        pot=pot,
        pots_before=bundle.before.scored_pots,
        reference=reference,
        directions=directions,
        given=given,
        measured=int(bundle.measured),
        aggregator=aggregator,
    )


def _compare(bundle: RoundBundle, made: Round) -> None:
    """Hold what the rule gives against what the bundle says. Raises AuditDifference."""
    settled = settle_round(made)
    found = [(a.to_bytes(20, "big"), wei) for a, wei in claims_of(payload(made, settled))]
    claimed = [(standing.trainer, standing.earned) for standing in bundle.after.standings]
    if found != claimed:
        raise AuditDifference(
            f"round {bundle.round}: the bundle's claims do not follow from its Gram matrix by the rule"
        )
    pots = (bundle.before.scored_pots + settled.scored_pot, bundle.before.dust + settled.dust, settled.divisor)
    if pots != (bundle.after.scored_pots, bundle.after.dust, bundle.divisor):
        raise AuditDifference(f"round {bundle.round}: pots, dust or divisor do not follow from the Gram matrix")
    weights = {
        slot.address: (weight, score)
        for slot, weight, score in zip(made.slots, settled.weights, settled.scores, strict=True)
    }
    for verdict in bundle.verdicts:
        expected = weights.get(int.from_bytes(verdict.trainer, "big"), (0, 0))
        if verdict.code == ADMITTED and (verdict.weight, verdict.score) != expected:
            raise AuditDifference(
                f"0x{verdict.trainer.hex()} has weight and score {verdict.weight, verdict.score}, "
                f"the rule gives {expected}"
            )
