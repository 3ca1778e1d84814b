"""An honest seal stands, whatever others hand in: stories in which two readers of a rule once disagreed.

Each cost the sealer its whole bond: the platform judged and sealed, a contract computed something else and refuted.
In each the attacker stands beside a round without it. tests/invariants/test_honest_seals.py searches for more.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fl_platform.dispute.disputed_round import source_column
from fl_platform.dispute.targets import source_claim
from fl_platform.judging.judge import Judgement
from fl_platform.protocol.model_spec import ModelSpec, TensorSpec
from fl_platform.protocol.openings import opened
from fl_platform.protocol.sources import Source
from fl_platform.protocol.spec import TaskSpec
from fl_platform.updates import pack_update
from fl_platform.updates.tensors import Integers
from tests.support.evm import Reverted
from tests.support.judged_rounds import JudgedTask, person
from tests.support.rounds import STAKE, Round, address_of, anchored_spec, ints_like, make_entry

SIX = dict.fromkeys(range(1, 7), STAKE)


def krum_spec() -> TaskSpec:
    """The default of `task open`: multi-Krum against one, a floor of a tenth of the median length."""
    base = anchored_spec()
    rule = replace(base.aggregation, selection="multi-krum", byzantine=1, floor_bps=1_000, reject_bps=40_000)
    return replace(base, aggregation=rule)


def krum_round(task: JudgedTask, *, reference_turned: bool = False) -> Round:
    way = ints_like(task.spec, 0)
    updates = [ints_like(task.spec, seed, towards=way, share=0.7) for seed in range(1, 7)]
    return task.draw(updates, reference=-way if reference_turned else way)


def expect_the_seal_to_stand(task: JudgedTask, made: Round, **options: object) -> Judgement:
    """Seal, and hold everything that the chain knows against it: nothing is refuted, nobody reads it otherwise."""
    bond = task.bond()
    one = task.seal(made, **options)  # type: ignore[arg-type]
    assert list(task.against(one)) == []
    assert list(task.differences(one)) == []
    assert task.bond() == bond > 0
    return one.judged


def silence(made: Round, index: int) -> None:
    """Let an entry's trainer reveal no key."""
    made.entries[index] = replace(made.entries[index], keys=(), keys_signature=b"")


def codes(judged: Judgement) -> set[str]:
    return {verdict.code for verdict in judged.verdicts} - {"reference"}


@pytest.mark.parametrize("attack", [False, True])
def test_trainers_who_all_reveal_nothing_under_multi_krum(attack: bool) -> None:
    task = JudgedTask.open(krum_spec(), trainers=SIX)
    made = krum_round(task)
    for index, entry in enumerate(list(made.entries)):
        if attack and entry.receipt.trainer != address_of(0):
            silence(made, index)
    judged = expect_the_seal_to_stand(task, made)
    assert ("admitted" in codes(judged)) is not attack


@pytest.mark.parametrize("attack", [False, True])
def test_an_owner_who_turns_its_reference_round(attack: bool) -> None:
    task = JudgedTask.open(krum_spec(), trainers=SIX)
    judged = expect_the_seal_to_stand(task, krum_round(task, reference_turned=attack))
    assert (codes(judged) == {"OffReference"}) is attack


@pytest.mark.parametrize("attack", [False, True])
def test_an_update_about_as_long_as_rounding_in_an_int4_task(attack: bool) -> None:
    base = krum_spec()
    model = ModelSpec("small", (TensorSpec("weight", (64, 16)), TensorSpec("bias", (16,))))
    rule = replace(base.aggregation, selection="mean")
    scale = replace(base.codec.initial_scale, exponents=(-3, -3))
    task = JudgedTask.open(
        replace(base, codec=replace(base.codec, bits=4, initial_scale=scale), model=model, aggregation=rule),
        trainers=dict.fromkeys(range(1, 6), STAKE),
    )
    way = np.random.default_rng(5).normal(0, 1, model.size)
    updates = [_coarse(way, seed) for seed in range(1, 6)]
    if attack:  # one step in about as many places as rounding explains: hardly anything is left of its length
        updates[4] = np.zeros_like(updates[4])
        largest = np.argsort(-np.abs(way))[: model.size // 6]
        updates[4][largest] = np.sign(way[largest]).astype(np.int8)
    made = task.draw(updates, reference=_coarse(way, 99))
    judged = expect_the_seal_to_stand(task, made)
    lengths = [int(v) for v, entry in zip(judged.tape.named("clean_length"), made.entries, strict=True) if entry.stake]
    assert (2 * min(lengths) < max(lengths)) is attack


def _coarse(way: np.ndarray, seed: int) -> Integers:
    rng = np.random.default_rng(seed)
    x = 0.44 * (0.7 * way + 0.7 * rng.normal(0, 1, way.size))
    low = np.floor(x)
    return np.clip(low + (rng.random(way.size) < x - low), -7, 7).astype(np.int8)


@pytest.mark.parametrize("attack", [False, True])
def test_who_joins_after_the_roster_forces_no_receipt_into_its_round(attack: bool) -> None:
    """It had no stake when the roster closed: no place in the round, and none among those that multi-Krum drops."""
    task = JudgedTask.open(krum_spec(), trainers=SIX)
    made = krum_round(task)

    def forces() -> None:
        task.join(77)
        late = make_entry(task.spec, made.before, 77, ints_like(task.spec, 1), stake=0, place=task.place)
        with pytest.raises(Reverted, match="NotMember"):
            task.world.ledger.send(person(77), "forceInclude", late.receipt, late.signature)

    judged = expect_the_seal_to_stand(task, made, rostered=forces if attack else lambda: None)
    assert "NotSelected" in codes(judged)


@pytest.mark.parametrize("attack", [False, True])
def test_a_rostered_stranger_who_takes_a_seat_after_the_seal(attack: bool) -> None:
    """Who wrote the roster can list anybody: what one is in a round does not change once it is sealed."""
    task = JudgedTask.open(krum_spec(), trainers=SIX)
    made, update = krum_round(task), ints_like(task.spec, 1)
    stranger = make_entry(task.spec, made.before, 78, update, stake=0, place=task.place)
    data = pack_update(update, model=task.spec.model, bits=task.spec.codec.bits)
    listed = [*zip(made.entries, made.data, strict=True), (stranger, data)]
    listed.sort(key=lambda item: item[0].receipt.trainer)
    made.entries, made.data = [entry for entry, _ in listed], [item for _, item in listed]
    one = task.seal(made)
    if attack:
        task.join(78)
    number, place = source_column(one.target, Source.SEAT_OF), (made.entries.index(stranger),)
    assert number is not None
    cell = opened(one.sealed, number, place)
    assert not task.refutes(one, source_claim(one.target, number, place, cell, entries=one.entries, parent=None))
    assert list(task.against(one)) == []
    assert "ReceiptForeign" in codes(one.judged)
    assert task.bond() > 0


@pytest.mark.parametrize("attack", [False, True])
def test_an_owner_who_keeps_its_reference_to_itself_under_multi_krum(attack: bool) -> None:
    """The reference is nobody's update: without it multi-Krum withstands as many as before."""
    task = JudgedTask.open(krum_spec(), trainers=SIX)
    made = krum_round(task)
    if attack:
        silence(made, next(i for i, e in enumerate(made.entries) if e.receipt.trainer == address_of(0)))
    judged = expect_the_seal_to_stand(task, made)
    assert "NotSelected" in codes(judged)
    assert judged.measured is not attack


@pytest.mark.parametrize("attack", [False, True])
def test_an_owner_who_forces_a_second_receipt_of_its_reference_in(attack: bool) -> None:
    """Its party joined with a stake, so the ledger takes the receipt: the first one is row 0, the second counts for
    nothing."""
    task = JudgedTask.open(krum_spec(), trainers={**SIX, 0: STAKE})
    made = krum_round(task)
    if attack:
        task.force(made, 0, ints_like(task.spec, 1), salt=b"\1" * 32)
    judged = expect_the_seal_to_stand(task, made)
    assert judged.measured
    assert sum(verdict.code == "reference" for verdict in judged.verdicts) == 1
    assert ("Duplicate" in codes(judged)) is attack


@pytest.mark.parametrize("wei", [0, 1, STAKE + 5])
def test_a_predecessor_that_wrote_a_stake_down_wrong(wei: int) -> None:
    """Its successor has to seal the roster as it is; the chain reads stakes from the escrow, and so does the judge."""
    task = JudgedTask.open(krum_spec(), trainers=SIX)
    made = krum_round(task)
    victim = next(i for i, entry in enumerate(made.entries) if entry.receipt.trainer == address_of(3))
    made.entries[victim] = replace(made.entries[victim], stake=wei)
    judged = expect_the_seal_to_stand(task, made)
    assert judged.verdicts[victim].code in ("admitted", "NotSelected")


def test_a_second_round_on_what_the_first_one_handed_on() -> None:
    task = JudgedTask.open(krum_spec(), trainers=SIX)
    expect_the_seal_to_stand(task, krum_round(task))
    judged = expect_the_seal_to_stand(task, krum_round(task))
    assert any(judged.tape.named("past"))
