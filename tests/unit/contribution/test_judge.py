"""The one function that decides a round: whole rounds with real signatures, and what it may not depend on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fl_platform.aggregation.gram import reference_gram
from fl_platform.contribution.judge import DIRECTIONS, NO_GROUP, Judgement
from fl_platform.errors import DocumentInvalid, NotEnoughTrainers, StoreMissing
from fl_platform.protocol.bundle import TaskState
from fl_platform.updates import decode_model, decode_update, encode_model, encode_update, model_digest, pack_update
from tests.support.rounds import (
    AGGREGATOR,
    STAKE,
    Round,
    address_of,
    anchored_spec,
    build_round,
    happy_round,
    ints_like,
)


def verdict_of(judgement: Judgement, number: int) -> str:
    return next(v.code for v in judgement.verdicts if v.trainer == address_of(number))


def earned(state: TaskState, address: bytes) -> int:
    return next(s.earned for s in state.standings if s.trainer == address)


def place(round_: Round, number: int) -> int:
    return next(i for i, e in enumerate(round_.entries) if e.receipt.trainer == address_of(number))


def replaced(round_: Round, number: int, integers: np.ndarray) -> None:
    round_.data[place(round_, number)] = pack_update(integers, model=round_.spec.model, bits=8)


def play(rounds: int) -> list[Judgement]:
    current = happy_round()
    judged = [current.judge()]
    for number in range(1, rounds):
        reference = ints_like(current.spec, 100 + number)
        updates = [
            ints_like(current.spec, seed + 200 * number, towards=reference, share=0.7) for seed in range(1, 5)
        ]
        current = current.next_round(judged[-1], updates, reference=reference)
        judged.append(current.judge())
    return judged


def test_a_happy_round() -> None:
    round_ = happy_round()
    judgement = round_.judge()
    assert [v.code for v in judgement.verdicts].count("admitted") == 4
    assert verdict_of(judgement, 0) == "reference"
    assert judgement.measured
    assert judgement.divisor == 65_536
    assert judgement.gram.names[0] == "reference"
    assert len(judgement.gram.names) == 5  # no direction in round 0
    split = judgement.split
    assert split.fee + sum(split.base) + sum(split.scored) + split.dust == round_.spec.money.pot
    assert earned(judgement.after, AGGREGATOR) == split.fee
    assert all(s.reputation > 0 for s in judgement.after.standings if s.trainer != AGGREGATOR)
    assert judgement.after.model == model_digest(judgement.model_bytes)
    assert judgement.after.previous_models == (round_.before.model,)
    assert decode_model(judgement.model_bytes, round_.spec.model).keys() == judgement.model.keys()


def test_gram_and_sum_are_those_of_the_bytes() -> None:
    round_ = happy_round()
    judgement = round_.judge()
    order = [place(round_, 0)] + [i for i in range(5) if i != place(round_, 0)]
    integers = [decode_update(round_.updates(i), model=round_.spec.model, bits=8) for i in order]
    assert [list(v) for v in judgement.gram.values] == reference_gram(
        integers, model=round_.spec.model, scale=round_.before.scale
    )
    weights = [judgement.verdicts[i].weight for i in order]
    expected = sum(w * q.astype(np.int64) for w, q in zip(weights, integers, strict=True))
    assert np.array_equal(judgement.sums, expected)
    assert np.frombuffer(judgement.aggregate_bytes, dtype="<i8").tolist() == expected.tolist()


def test_a_task_of_rounds_conserves_money_and_grows_directions() -> None:
    judged = play(DIRECTIONS + 3)
    pot = happy_round().spec.money.pot
    paid: dict[bytes, int] = {}
    for number, judgement in enumerate(judged):
        state = judgement.after
        assert state.round == number + 1
        assert sum(s.earned for s in state.standings) + state.dust == pot * (number + 1)
        names = [name for name in judgement.gram.names if name.startswith("direction")]
        assert len(names) == min(number, DIRECTIONS)
        for standing in state.standings:
            assert standing.earned >= paid.get(standing.trainer, 0)  # claims are cumulative
            paid[standing.trainer] = standing.earned
        assert [s.trainer for s in state.standings] == sorted(s.trainer for s in state.standings)


def test_judging_twice_gives_the_same_and_entry_order_is_all_that_matters() -> None:
    round_ = happy_round()
    first, second = round_.judge(), round_.judge()
    assert (first.verdicts, first.gram, first.after, first.model_bytes) == (
        second.verdicts, second.gram, second.after, second.model_bytes,
    )  # fmt: skip
    turned = happy_round()
    turned.entries.reverse()
    turned.data.reverse()
    other = turned.judge()
    assert other.after == first.after
    assert set(other.verdicts) != set()
    assert {v.trainer: (v.code, v.weight, v.score) for v in other.verdicts} == {
        v.trainer: (v.code, v.weight, v.score) for v in first.verdicts
    }


def test_a_replay_earns_nothing_and_others_are_paid() -> None:
    current = happy_round()
    # 15 parameters are few, and rounding them is coarse: the bound is lower here.
    rule = replace(current.spec.aggregation, duplicate_bps=9_300)
    current.spec = replace(current.spec, aggregation=rule)
    judged = [current.judge()]
    for number in range(1, 4):
        reference = ints_like(current.spec, 100 + number)
        updates = [ints_like(current.spec, 7 * seed + number, towards=reference, share=0.7) for seed in range(1, 5)]
        current = current.next_round(judged[-1], updates, reference=reference)
        parent, old = (current.models[d] for d in (current.before.model, current.before.previous_models[0]))
        replay = encode_update(
            {name: parent[name] - old[name] for name in parent}, model=current.spec.model, scale=current.before.scale,
            bits=8, seed=bytes(32), rounding="nearest",
        )  # fmt: skip
        current.data[place(current, 1)] = replay.data
        judged.append(current.judge())
        assert verdict_of(judged[-1], 1) == "Replay"
    before, after = judged[0].after, judged[-1].after
    assert earned(after, address_of(1)) == earned(before, address_of(1))
    assert earned(after, address_of(2)) > earned(before, address_of(2))


def test_random_hashes_get_nothing() -> None:
    round_ = happy_round()
    round_.data[place(round_, 1)] = StoreMissing("no such object")
    judgement = round_.judge()
    assert verdict_of(judgement, 1) == "StoreMissing"
    assert earned(judgement.after, address_of(1)) == 0
    assert next(v.group for v in judgement.verdicts if v.trainer == address_of(1)) == NO_GROUP
    assert next(s.reputation for s in judgement.after.standings if s.trainer == address_of(1)) == 0


def test_without_the_reference_the_round_is_paid_by_stake() -> None:
    spec = anchored_spec()
    updates = [ints_like(spec, seed) for seed in range(1, 4)]
    round_ = build_round(spec, updates, reference=None, stakes=[STAKE, STAKE, 2 * STAKE])
    judgement = round_.judge()
    assert not judgement.measured
    assert all(v.score == 0 for v in judgement.verdicts)
    assert judgement.split.scored_pot == 0
    pays = [earned(judgement.after, address_of(n)) for n in (1, 2, 3)]
    assert min(pays) > 0
    assert judgement.after.scored_pots == 0


@pytest.mark.parametrize("kind", ["forged", "zero"])
def test_a_reference_that_fails_is_no_anchor(kind: str) -> None:
    round_ = happy_round()
    if kind == "forged":
        round_.sign(place(round_, 0), 5)  # somebody else signs as the owner
    else:
        replaced(round_, 0, np.zeros(round_.spec.model.size, dtype=np.int8))
    judgement = round_.judge()
    assert not judgement.measured
    assert sum(judgement.split.base) > 0
    # The reference is no trainer: it has no standing, whatever became of it.
    assert all(s.trainer != address_of(0) for s in judgement.after.standings)


def test_nobody_delivers_and_the_model_stays() -> None:
    round_ = happy_round()
    for number in range(1, 5):
        round_.data[place(round_, number)] = StoreMissing("gone")
    judgement = round_.judge()
    assert judgement.divisor == 0
    assert judgement.after.model == round_.before.model
    assert judgement.after.scale == round_.before.scale
    assert sum(judgement.split.base) + judgement.split.fee + judgement.split.dust == round_.spec.money.pot


def test_multi_krum_refuses_too_few() -> None:
    spec = anchored_spec()
    spec = replace(spec, aggregation=replace(spec.aggregation, name="multi-krum", byzantine=1))
    updates = [ints_like(spec, seed) for seed in range(1, 5)]
    with pytest.raises(NotEnoughTrainers):
        build_round(spec, updates, reference=None).judge()
    updates.append(ints_like(spec, 9))
    judgement = build_round(spec, updates, reference=None).judge()
    assert [v.code for v in judgement.verdicts].count("NotSelected") == 1


def test_claimed_samples_change_nothing() -> None:
    """A16: whatever a trainer claims, its weight and pay come from its stake and its integers."""
    base = happy_round().judge()
    round_ = happy_round()
    round_.sign(place(round_, 1), 1, samples=1)
    judgement = round_.judge()
    assert [(v.weight, v.score) for v in judgement.verdicts] == [(v.weight, v.score) for v in base.verdicts]
    assert judgement.after == base.after


def test_context_and_state_must_belong_together() -> None:
    round_ = happy_round()
    round_.context = replace(round_.context, parent=b"\x05" * 32)
    with pytest.raises(DocumentInvalid):
        round_.judge()


def test_the_new_model_is_the_parent_plus_the_weighted_mean() -> None:
    round_ = happy_round()
    judgement = round_.judge()
    step = 128 * 2.0**-12
    flat = np.concatenate([judgement.model[t.name].reshape(-1) for t in round_.spec.model.tensors])
    assert np.allclose(flat, judgement.sums / 65_536 * step, rtol=1e-6)
    assert encode_model(judgement.model, round_.spec.model) == judgement.model_bytes
