"""An honest seal stands, whatever others hand in: six stories in which two readers of a rule once disagreed.

Each cost the sealer its whole bond: the platform judged and sealed, the contract computed something else and refuted.
In each the attacker stands beside a round without it. tests/invariants/test_honest_seals.py searches for more.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fl_platform.aggregation.rules import clean_energy, rounding_energy
from fl_platform.chain.evidence import Question
from fl_platform.contribution.judge import Judgement
from fl_platform.errors import UpdateLengthMismatch
from fl_platform.protocol.bundle import Entry
from fl_platform.protocol.spec import ModelSpec, TaskSpec, TensorSpec
from fl_platform.updates import pack_update
from fl_platform.updates.tensors import Integers
from tests.support.disputes import Stage
from tests.support.evm import Account, Reverted, account
from tests.support.rounds import (
    STAKE,
    Place,
    Round,
    address_of,
    anchored_spec,
    build_round,
    ints_like,
    make_entry,
    private_key,
)


def krum_spec() -> TaskSpec:
    """The default of `task open`: multi-Krum against one, a floor of a tenth of the median length."""
    base = anchored_spec()
    rule = replace(base.aggregation, name="multi-krum", byzantine=1, floor_bps=1_000, reject_bps=40_000)
    return replace(base, aggregation=rule)


def krum_round(*, reference_turned: bool = False) -> Round:
    spec = krum_spec()
    way = ints_like(spec, 0)
    updates = [ints_like(spec, seed, towards=way, share=0.7) for seed in range(1, 7)]
    return build_round(spec, updates, reference=-way if reference_turned else way)


def expect_the_seal_to_stand(stage: Stage, made: Round, *, forced: int = 0) -> Judgement:
    """Seal, ask every question, and let an accomplice try each: none holds, and no wei of the bond moves."""
    sealer = stage.run.params.aggregators[0]
    bond = stage.run.member(sealer)[0]
    judged = stage.seal(made, forced=forced)
    assert stage.found(0) == set()
    for question, shown in stage.everything(0):
        if question in (Question.ENTRIES, Question.ENTRY, Question.KRUM):
            with pytest.raises(Reverted, match="NotRefuted"):
                stage.challenge(0, question, shown)
    assert stage.run.member(sealer)[0] == bond > 0
    assert stage.run.member(account("challenger"))[1] == 0
    return judged


def placed_round(joined: range, *, forced: int, attack: bool) -> tuple[Stage, Round, Entry]:
    """Open a task with the `joined` as members and build its first round; an attack adds the entry of key `forced`."""
    spec = krum_spec()
    stage = Stage.open(spec, stake=STAKE)
    for number in joined:
        stage.run.join(Account(private_key(number), address_of(number)), STAKE)
    place = Place(stage.world.domain, stage.run.task)
    way = ints_like(spec, 0)
    updates = [ints_like(spec, seed, towards=way, share=0.7) for seed in range(1, 7)]
    made = build_round(spec, updates, reference=way, place=place)
    entry = replace(make_entry(spec, made.before, forced, updates[0], stake=0, place=place), forced=True)
    if attack:
        made.entries.append(entry)
        made.data.append(pack_update(updates[0], model=spec.model, bits=spec.codec.bits))
    return stage, made, entry


def codes(judged: Judgement) -> set[str]:
    return {verdict.code for verdict in judged.verdicts} - {"reference"}


@pytest.mark.parametrize("attack", [False, True])
def test_trainers_who_all_hand_in_rubbish_under_multi_krum(attack: bool) -> None:
    made = krum_round()
    if attack:
        made.data = [
            data if entry.receipt.trainer == address_of(0) else UpdateLengthMismatch("rubbish")
            for entry, data in zip(made.entries, made.data, strict=True)
        ]
    judged = expect_the_seal_to_stand(Stage.start(made), made)
    assert ("admitted" in codes(judged)) is not attack


@pytest.mark.parametrize("attack", [False, True])
def test_an_owner_who_turns_its_reference_round(attack: bool) -> None:
    made = krum_round(reference_turned=attack)
    judged = expect_the_seal_to_stand(Stage.start(made), made)
    assert (codes(judged) == {"OffReference"}) is attack


@pytest.mark.parametrize("attack", [False, True])
def test_an_update_about_as_long_as_rounding_in_an_int4_task(attack: bool) -> None:
    base = krum_spec()
    model = ModelSpec("small", (TensorSpec("weight", (64, 16)), TensorSpec("bias", (16,))))
    rule = replace(base.aggregation, name="fedavg")
    spec = replace(base, codec=replace(base.codec, bits=4), model=model, aggregation=rule)
    way = np.random.default_rng(5).normal(0, 1, spec.model.size)
    updates = [_coarse(way, seed) for seed in range(1, 6)]
    share = rounding_energy(spec.model, spec.codec.initial_scale, "stochastic")
    if attack:  # one step in as many places as rounding explains: an eighth of its length is all that is left of it
        updates[4] = np.zeros_like(updates[4])
        largest = np.argsort(-np.abs(way))[:share]
        updates[4][largest] = np.sign(way[largest]).astype(np.int8)
    made = build_round(spec, updates, reference=_coarse(way, 99))
    judged = expect_the_seal_to_stand(Stage.start(made), made)
    squared = [judged.gram.at(row, row) for row in range(1, 6)]
    assert any(clean_energy(s, share) > max(0, s - share) for s in squared) is attack


def _coarse(way: np.ndarray, seed: int) -> Integers:
    rng = np.random.default_rng(seed)
    x = 0.44 * (0.7 * way + 0.7 * rng.normal(0, 1, way.size))
    low = np.floor(x)
    return np.clip(low + (rng.random(way.size) < x - low), -7, 7).astype(np.int8)


@pytest.mark.parametrize("attack", [False, True])
def test_somebody_who_joins_after_the_roster_and_forces_a_receipt_in(attack: bool) -> None:
    """It had no stake when the roster closed: no place in the round, and none among those that multi-Krum drops."""
    late = Account(private_key(77), address_of(77))
    stage, made, entry = placed_round(range(1, 7), forced=77, attack=attack)

    def include() -> None:
        if attack:
            stage.run.join(late, STAKE)
            stage.world.ledger.send(late, "forceInclude", entry.receipt, entry.signature)

    sealer = stage.run.params.aggregators[0]
    bond = stage.run.member(sealer)[0]
    judged = stage.seal(made, forced=int(attack), rostered=include)
    assert stage.found(0) == set()
    assert stage.run.member(sealer)[0] == bond > 0
    assert ("ReceiptForeign" in codes(judged)) is attack
    assert "NotSelected" in codes(judged), "the stranger took the place of the one that multi-Krum withstands"


@pytest.mark.parametrize("attack", [False, True])
def test_an_owner_whose_reference_does_not_open_under_multi_krum(attack: bool) -> None:
    """The reference is nobody's update: without it multi-Krum withstands as many as before."""
    made = krum_round()
    if attack:
        made.data = [
            UpdateLengthMismatch("gone") if entry.receipt.trainer == address_of(0) else data
            for entry, data in zip(made.entries, made.data, strict=True)
        ]
    judged = expect_the_seal_to_stand(Stage.start(made), made)
    assert "NotSelected" in codes(judged)
    assert judged.measured is not attack


@pytest.mark.parametrize("attack", [False, True])
def test_an_owner_who_forces_a_second_receipt_of_its_reference_in(attack: bool) -> None:
    """Its party joined with a stake, so the ledger takes the receipt: the first one is row 0, the second counts for
    nothing."""
    owner = Account(private_key(0), address_of(0))
    stage, made, entry = placed_round(range(7), forced=0, attack=attack)

    def include() -> None:
        if attack:
            stage.world.ledger.send(owner, "forceInclude", entry.receipt, entry.signature)

    judged = stage.seal(made, forced=int(attack), rostered=include)
    assert stage.found(0) == set()
    assert judged.measured
    assert ("ReceiptDuplicate" in codes(judged)) is attack
