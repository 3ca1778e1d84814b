"""The settlement circuit's twin on the format of rounds before programs: its numbers, the list and its binding."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.merkle_sum import Leaf, build
from tests.support.settlements import BASE, Shape, made_round
from zk.curve.bn254 import ORDER
from zk.settlement.inputs import Context, claims_of, commitment, padded, payload, rho_of, statement, value_at
from zk.settlement.statement import ADMITTED, NOT_HERE, settle_round

CONTEXT = Context(31337, 0x1234, 5, 6, 0x77)


def shapes() -> st.SearchStrategy[Shape]:
    return st.builds(
        Shape, trainers=st.integers(1, 12), krum=st.booleans(), byzantine=st.integers(0, 3),
        directions=st.integers(0, 1), reference=st.booleans(), spread=st.sampled_from([10, 40, 60]),
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(shape=shapes(), seed=st.integers(0, 10**6), clip=st.sampled_from([8_000, 15_000]))
def test_the_twin_splits_every_wei_and_weighs_who_is_admitted(shape: Shape, seed: int, clip: int) -> None:
    round_ = made_round(shape, seed, clip_bps=clip)
    rule, slots = round_.rule, round_.slots
    try:
        settled = settle_round(round_)
    except DocumentInvalid:  # too few for multi-Krum, or near-duplicates: the circuit holds neither
        return
    assert settled.fee + sum(settled.base) + sum(settled.scored) + settled.dust == rule.pot
    assert all((weight > 0) == (code == ADMITTED) for weight, code in zip(settled.weights, settled.codes, strict=True))
    assert all((code == NOT_HERE) != bool(slot.candidate) for slot, code in zip(slots, settled.codes, strict=True))
    assert all(score == 0 for score, code in zip(settled.scores, settled.codes, strict=True) if code != ADMITTED)
    assert all(
        after == slot.reputation
        for slot, after in zip(slots, settled.reputations, strict=True)
        if not slot.rostered
    )


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
