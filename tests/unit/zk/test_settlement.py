"""The rule's twin against the platform's own functions, the list and its binding."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.aggregation import rules
from fl_platform.aggregation.gram import Gram
from fl_platform.contribution.anchored import Anchor, Scored, anchored_scores
from fl_platform.errors import DocumentInvalid, NotEnoughTrainers
from fl_platform.protocol.merkle_sum import Leaf, build
from fl_platform.protocol.payout import split_pot
from fl_platform.protocol.spec import AggregationRule
from fl_platform.reputation.ema import next_reputation
from tests.support.settlements import BASE, Shape, made_round
from zk.curve import ORDER
from zk.poseidon import permute_hash
from zk.settlement import ADMITTED, NOT_HERE, NOT_SELECTED, Round, settle_round
from zk.settlement_inputs import Context, claims_of, commitment, padded, payload, rho_of, statement, value_at

CONTEXT = Context(31337, 0x1234, 5, 6, 0x77)
CODES = [None, rules.ADMITTED, rules.NO_WORK, rules.TOO_LONG, rules.REPLAY, rules.OFF_REFERENCE, rules.NOT_SELECTED]


def platform_gram(round_: Round) -> tuple[Gram, int]:
    """Reference row, one row per slot (zero rows of the absent are harmless), then the direction."""
    n = len(round_.slots)
    values = [[0] * (n + 2) for _ in range(n + 2)]
    values[0][0], values[n + 1][n + 1] = round_.reference_squared, round_.direction_squared
    values[0][n + 1] = values[n + 1][0] = round_.reference_along
    for i, slot in enumerate(round_.slots):
        values[i + 1][i + 1] = slot.squared
        values[0][i + 1] = values[i + 1][0] = slot.inner
        values[n + 1][i + 1] = values[i + 1][n + 1] = slot.along
        for j in range(i if round_.pairs else 0):
            values[i + 1][j + 1] = values[j + 1][i + 1] = round_.between(i, j)
    return Gram(tuple(map(str, range(n + 2))), tuple(map(tuple, values))), n + 1


def platform_decision(round_: Round) -> tuple[list[int], rules.Decision]:
    """Run the platform's screening over the candidates; returns their slots too."""
    rule = round_.rule
    gram, direction = platform_gram(round_)
    here = [i for i, slot in enumerate(round_.slots) if slot.candidate]
    decision = rules.decide(
        [rules.Candidate(i + 1, round_.slots[i].address.to_bytes(20, "big"), round_.slots[i].stake) for i in here],
        gram,
        rule=AggregationRule(
            "multi-krum" if rule.krum else "fedavg", rule.byzantine, rule.clip_bps, rule.reject_bps, rule.floor_bps,
            rule.duplicate_bps, 1, 1,
        ),
        stake_cap_bps=rule.stake_cap_bps,
        bounds=rules.Bounds(rule.longest, rule.rounding, (direction,) * rule.directions, 0 if rule.reference else None),
        refused=sum(slot.rostered for slot in round_.slots) - len(here),
    )  # fmt: skip
    return here, decision


def shapes() -> st.SearchStrategy[Shape]:
    return st.builds(
        Shape, trainers=st.integers(1, 12), krum=st.booleans(), byzantine=st.integers(0, 3),
        directions=st.integers(0, 1), reference=st.booleans(), spread=st.sampled_from([10, 40, 60]),
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(shape=shapes(), seed=st.integers(0, 10**6), clip=st.sampled_from([8_000, 15_000]))
def test_the_twin_says_what_the_platform_says(shape: Shape, seed: int, clip: int) -> None:
    round_ = made_round(shape, seed, clip_bps=clip)
    rule = round_.rule
    try:
        here, decision = platform_decision(round_)
    except NotEnoughTrainers:
        with pytest.raises(DocumentInvalid):
            settle_round(round_)
        return
    live = [i for i, item in zip(here, decision.screened, strict=True) if item.capped]
    groups = rules.duplicate_groups(
        [i + 1 for i in live], [item.energy for item in decision.screened if item.capped], platform_gram(round_)[0],
        duplicate_bps=rule.duplicate_bps,
    )  # fmt: skip
    if rule.measured and len(set(groups)) < len(groups):
        with pytest.raises(DocumentInvalid):
            settle_round(round_)
        return
    settled = settle_round(round_)
    assert settled.divisor == decision.divisor
    for i, item in zip(here, decision.screened, strict=True):
        assert CODES[settled.codes[i]] == item.code
        assert settled.weights[i] == item.weight
    assert all(settled.codes[i] == NOT_HERE for i in range(len(round_.slots)) if i not in here)
    assert settled.scores == platform_scores(round_, here, decision)
    check_payouts(round_, settled)


def platform_scores(round_: Round, here: list[int], decision: rules.Decision) -> tuple[int, ...]:
    rule = round_.rule
    scores = [0] * len(round_.slots)
    if rule.measured:
        gram, direction = platform_gram(round_)
        live = [(i, item) for i, item in zip(here, decision.screened, strict=True) if item.capped]
        found = anchored_scores(
            [Scored(i + 1, item.capped, item.energy, i) for i, item in live],
            gram,
            Anchor(0, (direction,) * rule.directions, rule.alpha_num, rule.alpha_den, decision.median_norm, rule.size),
        )
        for (i, _), score in zip(live, found, strict=True):
            scores[i] = score
    return tuple(scores)


def check_payouts(round_: Round, settled: Any) -> None:
    rule, slots = round_.rule, round_.slots
    from fl_platform.aggregation.weights import capped_stakes

    split = split_pot(
        pot=rule.pot, fee_bps=rule.fee_bps, base_bps=rule.base_bps if rule.measured else 10_000,
        pots_before=rule.pots_before,
        scores=[s.score_sum + score for s, score in zip(slots, settled.scores, strict=True)],
        paid_scored=[s.paid_scored for s in slots],
        stakes=capped_stakes([s.stake for s in slots], cap_bps=rule.stake_cap_bps),
        admitted=[code == ADMITTED for code in settled.codes],
        present=[code in (ADMITTED, NOT_SELECTED) for code in settled.codes],
    )  # fmt: skip
    assert (split.fee, split.base, split.scored) == (settled.fee, settled.base, settled.scored)
    assert (split.scored_pot, split.dust) == (settled.scored_pot, settled.dust)
    for slot, code, score, after in zip(slots, settled.codes, settled.scores, settled.reputations, strict=True):
        good = score > 0 if rule.measured else code == ADMITTED
        assert after == (next_reputation(slot.reputation, good=good) if slot.rostered else slot.reputation)


def test_given_scores_stand_in_where_the_circuit_proves_none() -> None:
    round_ = made_round(Shape(4), 7)
    slots = tuple(replace(s, given_score=(i + 1) * 10**10) for i, s in enumerate(round_.slots))
    given = replace(round_, rule=replace(round_.rule, given=1), slots=slots)
    settled = settle_round(given)
    assert [score for score in settled.scores if score] == [
        s.given_score for s, code in zip(slots, settled.codes, strict=True) if code == ADMITTED
    ]
    assert commitment(given) != commitment(round_)


def test_every_number_is_under_the_commitment() -> None:
    round_ = made_round(Shape(4), 7)
    seen = {commitment(round_)}
    slot = round_.slots[1]
    for field in dataclasses.fields(round_.rule):
        seen.add(commitment(replace(round_, rule=replace(round_.rule, **{field.name: 77}))))
    for field in dataclasses.fields(slot):
        changed = replace(slot, **{field.name: getattr(slot, field.name) + 1})
        seen.add(commitment(replace(round_, slots=(round_.slots[0], changed, *round_.slots[2:]))))
    for name in ("reference_squared", "reference_along", "direction_squared"):
        seen.add(commitment(replace(round_, **{name: 77})))
    for index in (0, 3, 5):
        pairs = (*round_.pairs[:index], 77, *round_.pairs[index + 1 :])
        seen.add(commitment(replace(round_, pairs=pairs)))
    seen.add(commitment(replace(round_, pairs=())))
    assert len(seen) == 1 + 21 + 13 + 3 + 3 + 1


def test_poseidon_is_everybody_elses() -> None:
    # circomlib's published vectors, widths 3 and 5
    assert permute_hash([1, 2]) == 7853200120776062878684798364095072458815029376092732009249414926327459813530
    assert permute_hash([1, 2, 3, 4]) == 18821383157269793795438455681495246036402687001665670618754263018637548127333


def test_the_list_carries_the_claims_of_the_seal() -> None:
    round_ = made_round(Shape(4), 7)
    settled = settle_round(round_)
    values = payload(round_, settled)
    assert all(0 <= value < ORDER for value in values)
    claims = claims_of(values)
    assert [address for address, _ in claims] == [s.address for s in round_.slots if s.address]
    before = sum(s.paid_scored + s.paid_base for s in round_.slots)
    assert sum(wei for _, wei in claims) == before + round_.rule.pot - settled.dust
    leaves = [
        Leaf(address.to_bytes(20, "big"), wei, (values[4 + i] >> 20 & 0xFFFFF).to_bytes(32, "big"))
        for i, (address, wei) in enumerate(claims)
    ]
    assert build(leaves).total == sum(wei for _, wei in claims)


def test_another_list_has_another_value_at_its_own_rho() -> None:
    made = statement(made_round(Shape(4), 7), CONTEXT)
    root, value, rho = made.public
    assert value == value_at(made.values, rho)
    for index in range(len(made.values)):
        other = list(made.values)
        other[index] += 1
        assert rho_of(CONTEXT, root, other) != rho
        assert value_at(other, rho) != value


@pytest.mark.parametrize("field", ["chain_id", "contract", "task", "round", "claimant"])
def test_rho_depends_on_all_of_the_context(field: str) -> None:
    values = (1, 2, 3)
    other = replace(CONTEXT, **{field: getattr(CONTEXT, field) + 1})
    assert rho_of(CONTEXT, 9, values) != rho_of(other, 9, values)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"alpha_den": 128}, "den"), ({"pot": 1 << 80}, "amount"), ({"base_bps": 10_001}, "share"),
        ({"directions": 2}, "flag"), ({"aggregator": 4}, "aggregator"), ({"size": 1 << 28}, "parameters"),
        ({"rounding": 1 << 49}, "rounding"), ({"stake_cap_bps": 0}, "cap"), ({"measured": 0}, "contradict"),
    ],
)  # fmt: skip
def test_what_the_circuit_cannot_hold_is_refused(change: dict[str, int], word: str) -> None:
    with pytest.raises(DocumentInvalid, match=word):
        settle_round(made_round(Shape(4), 7, **change))


def test_rounds_go_to_the_smallest_layout_that_holds_them() -> None:
    assert [len(made_round(Shape(k), 3).slots) for k in (1, 4, 5, 16, 17, 64)] == [4, 4, 16, 16, 64, 64]
    assert made_round(Shape(17), 3).pairs == ()
    with pytest.raises(DocumentInvalid, match="65 slots"):
        made_round(Shape(65), 3)
    with pytest.raises(DocumentInvalid, match="17 slots"):
        made_round(Shape(17, krum=True), 3)
    assert padded(BASE, (1, 0, 0), (), ()).slots[0].address == 0
