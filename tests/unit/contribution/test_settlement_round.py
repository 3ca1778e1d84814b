"""Whole judged rounds go into the circuit's form, and what comes out is the bundle's own state."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import pytest

from fl_platform.contribution.settlement_round import settlement_round
from fl_platform.errors import AuditDifference
from fl_platform.protocol.bundle import RoundBundle
from tests.support.disputes import bundle_of
from tests.support.rounds import Round, happy_round, ints_like
from zk.groth16 import keys, witness
from zk.settlement import settle_round
from zk.settlement_inputs import Context, statement

POT = 10**18


def rounds(count: int) -> list[tuple[Round, RoundBundle]]:
    made = happy_round(6)
    made.context = replace(made.context, pot=POT)
    found = []
    for number in range(count):
        judged = made.judge()
        found.append((made, bundle_of(made, judged, made.before.round)))
        reference = ints_like(made.spec, 50 + number)
        updates = [ints_like(made.spec, 60 + 10 * number + k, towards=reference, share=0.7) for k in range(6)]
        updates[2] = -updates[2]
        made = made.next_round(judged, updates, reference=reference)
        made.context = replace(made.context, pot=POT)
    return found


def test_rounds_of_a_task_settle_to_their_bundles() -> None:
    for number, (made, bundle) in enumerate(rounds(4)):
        settled_round = settlement_round(made.spec, bundle, pot=POT)
        assert settled_round.rule.given == int(number > 1)  # from round 2 on there are two public directions
        assert len(settled_round.slots) == 16
        settled = settle_round(settled_round)
        assert settled.dust == bundle.after.dust - bundle.before.dust


def test_the_circuit_takes_a_judged_round() -> None:
    made, bundle = rounds(2)[1]
    settled = statement(settlement_round(made.spec, bundle, pot=POT), Context(31337, 1, 7, 1, 2))
    signals = witness.calculate(keys.program(16), settled.inputs)
    assert tuple(int.from_bytes(signals[i].tobytes(), "little") for i in (1, 2, 3)) == settled.public


def test_a_bundle_whose_claims_do_not_follow_is_refused() -> None:
    made, bundle = rounds(2)[1]
    standing = bundle.after.standings[0]
    raised = replace(standing, paid_base=standing.paid_base + 1)
    after = replace(bundle.after, standings=(raised, *bundle.after.standings[1:]))
    with pytest.raises(AuditDifference, match="claims"):
        settlement_round(made.spec, replace(bundle, after=after), pot=POT)
    with pytest.raises(AuditDifference, match="divisor"):
        settlement_round(made.spec, replace(bundle, divisor=bundle.divisor + 1), pot=POT)
    gram = list(bundle.gram)
    gram[1] += 10**4  # a Gram entry: the product of reference and first trainer
    with pytest.raises(AuditDifference):
        settlement_round(made.spec, replace(bundle, gram=tuple(gram)), pot=POT)
    place = next(i for i, v in enumerate(bundle.verdicts) if v.weight)
    verdict = dataclasses.replace(bundle.verdicts[place], weight=bundle.verdicts[place].weight + 1)
    verdicts = (*bundle.verdicts[:place], verdict, *bundle.verdicts[place + 1 :])
    with pytest.raises(AuditDifference, match="weight"):
        settlement_round(made.spec, replace(bundle, verdicts=verdicts), pot=POT)
