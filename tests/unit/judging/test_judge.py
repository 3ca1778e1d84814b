"""The one function that decides a round: whole rounds with real signatures, and what it may not depend on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fl_platform.errors import (
    DocumentInvalid,
    EnvelopeInvalid,
    RejectedInput,
    StoreMissing,
    UpdateHashMismatch,
    UpdatesNotOpened,
)
from fl_platform.judging.admit import public_refusals
from fl_platform.judging.judge import MODELS_BACK, Judgement, judge_round, refused_of
from fl_platform.protocol.bundle import TaskState
from fl_platform.protocol.model_spec import ScaleSpec, TensorSpec
from fl_platform.protocol.operations import Op
from fl_platform.protocol.seats import OWNER_SEAT
from fl_platform.protocol.sources import Axis, Refused
from fl_platform.store.unixfs import cid_of
from fl_platform.updates import decode_model, decode_update, encode_model, floats_of, pack_update, row_root
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
    return state.earned_by(address)


def place(round_: Round, number: int) -> int:
    return next(i for i, e in enumerate(round_.entries) if e.receipt.trainer == address_of(number))


def replaced(round_: Round, number: int, integers: np.ndarray) -> None:
    round_.data[place(round_, number)] = pack_update(integers, model=round_.spec.model, bits=8)


def play(rounds: int) -> list[Judgement]:
    current = happy_round()
    judged = [current.judge()]
    for number in range(1, rounds):
        reference = ints_like(current.spec, 100 + number)
        updates = [ints_like(current.spec, seed + 200 * number, towards=reference, share=0.7) for seed in range(1, 5)]
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
    assert not any(judgement.tape.named("past"))  # no direction in round 0
    split = judgement.split
    assert split.fee + sum(split.base) + sum(split.scored) + split.dust == round_.spec.money.pot
    assert earned(judgement.after, AGGREGATOR) == split.fee
    assert all(s.reputation > 0 for s in judgement.after.standings[OWNER_SEAT + 1 :])
    assert judgement.after.model == cid_of(judgement.model_bytes).digest
    assert judgement.after.model_root == row_root(judgement.row, round_.spec.model)
    assert judgement.after.previous_models == (round_.before.model,)
    assert decode_model(judgement.model_bytes, round_.spec.model).tolist() == judgement.row.tolist()


def test_products_and_sum_are_those_of_the_bytes() -> None:
    round_ = happy_round()
    judgement = round_.judge()
    order = [place(round_, 0)] + [i for i in range(5) if i != place(round_, 0)]
    integers = [decode_update(round_.updates(i), model=round_.spec.model, bits=8) for i in order]
    told = judgement.tape.named("pairs")
    for a, q in zip(order, integers, strict=True):
        for b, other in zip(order, integers, strict=True):
            assert told[a][b] == int(q.astype(np.int64) @ other.astype(np.int64))
    weights = [judgement.verdicts[i].weight for i in order]
    expected = sum(w * q.astype(np.int64) for w, q in zip(weights, integers, strict=True))
    assert np.array_equal(judgement.sums, expected)
    assert np.frombuffer(judgement.aggregate_bytes, dtype="<i4").tolist() == expected.tolist()


def test_what_does_not_count_is_averaged_and_moves_nothing_else() -> None:
    plain = happy_round()
    model = replace(plain.spec.model, tensors=(*plain.spec.model.tensors, TensorSpec("mean", (4,), counted=False)))
    codec = replace(plain.spec.codec, initial_scale=ScaleSpec((*plain.spec.codec.initial_scale.exponents, -5)))
    spec = replace(plain.spec, model=model, codec=codec)
    order = [place(plain, number) for number in range(5)]
    rows = [decode_update(plain.updates(i), model=plain.spec.model, bits=8) for i in order]
    means = [np.full(4, value, np.int8) for value in (9, 127, -127, 64, 3)]
    more = [np.concatenate((row, mean)) for row, mean in zip(rows, means, strict=True)]
    mixed = build_round(spec, more[1:], reference=more[0])
    without, judged = plain.judge(), mixed.judge()
    assert np.array_equal(judged.tape.named("pairs"), without.tape.named("pairs"))
    assert judged.divisor == without.divisor
    assert judged.verdicts == without.verdicts
    assert judged.after.standings == without.after.standings
    assert judged.after.scale.exponents[:2] == without.after.scale.exponents
    assert np.array_equal(judged.sums[:-4], without.sums)
    weights = {v.trainer: v.weight for v in judged.verdicts}
    exact = sum(weights[address_of(n)] * int(mean[0]) for n, mean in enumerate(means) if n)
    assert judged.sums[-4:].tolist() == [exact] * 4
    assert np.abs(judged.model["mean"] - 2.0**-5 / judged.divisor * exact).max() <= 2.0**-25
    energy = next(
        cells for column, cells in zip(judged.tape.program.columns, judged.tape.columns, strict=True)
        if column.op is Op.DOT and column.axes == (Axis.ENTRY, Axis.BLOCK)
    )  # fmt: skip
    assert energy[place(plain, 0), -1] == 4 * 81


@pytest.mark.parametrize("shift", [-10, 10])
def test_nothing_sees_by_which_power_of_two_a_tensor_is_stored(shift: int) -> None:
    """The same integers, so the same inner products (directions too), verdicts, weights, pay; the model is scaled."""
    plain = happy_round()
    first, *rest = plain.spec.codec.initial_scale.exponents
    codec = replace(plain.spec.codec, initial_scale=ScaleSpec((first + shift, *rest)))
    weight, *others = plain.spec.model.tensors
    model = replace(plain.spec.model, tensors=(replace(weight, point=weight.point - shift), *others))
    shifted = happy_round(codec=codec, model=model)
    for number in range(4):
        one, other = plain.judge(), shifted.judge()
        assert all(
            np.array_equal(a, b) for a, b in zip(other.tape.columns, one.tape.columns, strict=True) if a.ndim > 1
        )
        assert other.verdicts == one.verdicts
        assert other.after.standings == one.after.standings
        assert np.array_equal(other.sums, one.sums)
        assert other.after.scale.exponents[0] == one.after.scale.exponents[0] + shift
        assert np.array_equal(other.row, one.row)
        assert other.after.model_root == one.after.model_root
        assert np.array_equal(other.model["weight"], np.ldexp(one.model["weight"], shift))
        assert np.array_equal(other.model["bias"], one.model["bias"])
        reference = ints_like(plain.spec, 100 + number)
        updates = [ints_like(plain.spec, 7 * seed + number, towards=reference, share=0.7) for seed in range(1, 5)]
        plain = plain.next_round(one, updates, reference=reference)
        shifted = shifted.next_round(other, updates, reference=reference)
    assert any(one.tape.named("past"))


def test_a_task_of_rounds_conserves_money_and_grows_directions() -> None:
    judged = play(MODELS_BACK + 3)
    pot = happy_round().spec.money.pot
    paid: dict[bytes, int] = {}
    for number, judgement in enumerate(judged):
        state = judgement.after
        assert state.round == number + 1
        assert state.allotted == pot * (number + 1)
        assert np.count_nonzero(judgement.tape.named("past")) == min(number, 4)
        assert len(state.sums) == min(number + 1, 4)
        assert len(state.previous_models) == min(number + 1, MODELS_BACK)
        for standing in state.standings:
            assert standing.earned >= paid.get(standing.trainer, 0)  # claims are cumulative
            paid[standing.trainer] = standing.earned


def test_judging_twice_gives_the_same_and_entry_order_is_all_that_matters() -> None:
    round_ = happy_round()
    first, second = round_.judge(), round_.judge()
    assert (first.verdicts, first.tape.root, first.after, first.model_bytes) == (
        second.verdicts, second.tape.root, second.after, second.model_bytes,
    )  # fmt: skip
    turned = happy_round()
    turned.entries.reverse()
    turned.data.reverse()
    other = turned.judge()
    assert replace(other.after, scale_path=()) == replace(first.after, scale_path=())  # the way is another tape's
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
        scale = current.before.scale
        current = current.next_round(judged[-1], updates, reference=reference)
        sums, start = judged[-1].sums.astype(np.float64), 0
        for tensor, then, now in zip(
            current.spec.model.tensors, scale.exponents, current.before.scale.exponents, strict=True
        ):
            sums[start : start + tensor.size] *= 2.0 ** (then - now)
            start += tensor.size
        integers = np.rint(sums / np.abs(sums).max() * 40).astype(np.int8)
        replaced(current, 1, integers)
        judged.append(current.judge())
        assert verdict_of(judged[-1], 1) == "Replay"
    before, after = judged[0].after, judged[-1].after
    assert earned(after, address_of(1)) == earned(before, address_of(1))
    assert earned(after, address_of(2)) > earned(before, address_of(2))


def test_random_hashes_get_nothing() -> None:
    round_ = happy_round()
    round_.data[place(round_, 1)] = StoreMissing("no such object")
    judgement = round_.judge()
    assert verdict_of(judgement, 1) == "Missing"
    assert earned(judgement.after, address_of(1)) == 0
    assert next(s.reputation for s in judgement.after.standings if s.trainer == address_of(1)) == 0


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    "opened", [StoreMissing("gone"), EnvelopeInvalid("no key fits"), UpdateHashMismatch("other integers"), b"FLU1"]
)
def test_what_does_not_open_stops_who_judges_until_the_chain_says_why(
    number: int, opened: bytes | RejectedInput | StoreMissing
) -> None:
    """No party's word alone takes an update out of a round: convicted or not to be had, both are on chain."""
    round_ = happy_round()
    index = place(round_, number)
    round_.data[index] = opened
    with pytest.raises(UpdatesNotOpened) as found:
        judge_round(
            round_.spec, round_.context, round_.before, round_.entries, updates=round_.updates,
            models=round_.parent_row, sums=round_.sums.__getitem__,
        )  # fmt: skip
    assert found.value.reasons.keys() == {index}
    ground = frozenset({round_.entries[index].receipt.struct_hash()})
    for context, code, why in (
        (replace(round_.context, convicted=ground), "Convicted", Refused.CONVICTED),
        (replace(round_.context, missing=ground), "Missing", Refused.MISSING),
        (replace(round_.context, missing=ground, convicted=ground), "Convicted", Refused.CONVICTED),
    ):
        judged = judge_round(
            round_.spec, context, round_.before, round_.entries, updates=round_.updates,
            models=round_.parent_row, sums=round_.sums.__getitem__,
        )  # fmt: skip
        assert (verdict_of(judged, number), judged.verdicts[index].weight) == (code, 0)
        assert judged.tape.named("refused").tolist() == [int(why) if i == index else 0 for i in range(5)]
        assert earned(judged.after, address_of(number)) == (0 if number else judged.split.dust)
        assert judged.measured == (number != 0)
        assert [v.code for v in judged.verdicts].count("admitted") == (3 if number else 4)


def test_why_an_entry_is_refused_is_what_anybody_can_check() -> None:
    """One cell an entry; what the program sees of a receipt by itself it says by itself."""
    round_ = happy_round(trainers=7)
    entries = [place(round_, number) for number in range(8)]
    honest = round_.entries[entries[1]]
    round_.sign(entries[2], 2, parent=b"\x01" * 32)
    round_.sign(entries[3], 3, length=honest.receipt.length + 1)
    round_.sign(entries[4], 4, round=1)
    round_.entries[entries[5]] = replace(round_.entries[entries[5]], keys=(), keys_signature=b"")
    round_.entries[entries[6]] = replace(round_.entries[entries[6]], keys=round_.entries[entries[6]].keys * 2)
    hashes = [entry.receipt.struct_hash() for entry in round_.entries]
    round_.context = replace(round_.context, convicted=frozenset({hashes[entries[7]]}))
    judged = round_.judge()
    wanted = {
        0: ("reference", Refused.NO), 1: ("admitted", Refused.NO), 2: ("ReceiptParentMismatch", Refused.NO),
        3: ("UpdateLengthMismatch", Refused.NO), 4: ("ReceiptReplayed", Refused.NO),
        5: ("EnvelopeInvalid", Refused.WITHHELD), 6: ("EnvelopeInvalid", Refused.WITHHELD),
        7: ("Convicted", Refused.CONVICTED),
    }  # fmt: skip
    told = judged.tape.named("refused").tolist()
    assert {n: (verdict_of(judged, n), Refused(int(told[entries[n]]))) for n in range(8)} == wanted
    refusals = public_refusals(round_.entries, spec=round_.spec, context=round_.context)
    assert refused_of(round_.spec, round_.context.domain, round_.entries, refusals) == told


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
    assert not any(s.paid_scored for s in judgement.after.standings)


def test_a_round_whose_reference_somebody_else_signed_is_not_judged() -> None:
    """Whoever seals its roster answers for a leaf that nobody signed: collected receipts are checked before that."""
    round_ = happy_round()
    round_.sign(place(round_, 0), 5)
    with pytest.raises(DocumentInvalid, match="is signed by"):
        round_.judge()


def test_a_reference_that_fails_is_no_anchor() -> None:
    round_ = happy_round()
    replaced(round_, 0, np.zeros(round_.spec.model.size, dtype=np.int8))
    judgement = round_.judge()
    assert not judgement.measured
    assert sum(judgement.split.base) > 0
    # The reference is no trainer: it earns nothing, whatever became of it; its seat's account is the owner's.
    assert earned(judgement.after, address_of(0)) == judgement.split.dust


def test_nobody_delivers_and_the_model_stays() -> None:
    round_ = happy_round()
    for number in range(1, 5):
        round_.data[place(round_, number)] = StoreMissing("gone")
    judgement = round_.judge()
    assert {verdict_of(judgement, number) for number in range(1, 5)} == {"Missing"}
    assert judgement.divisor == 0
    assert judgement.after.model == round_.before.model
    assert judgement.after.scale == round_.before.scale
    assert sum(judgement.split.base) + judgement.split.fee + judgement.split.dust == round_.spec.money.pot


def test_multi_krum_selects_nobody_of_too_few() -> None:
    spec = anchored_spec()
    spec = replace(spec, aggregation=replace(spec.aggregation, selection="multi-krum", byzantine=1))
    updates = [ints_like(spec, seed) for seed in range(1, 5)]
    few = build_round(spec, updates, reference=None).judge()
    assert {v.code for v in few.verdicts} == {"TooFew"}
    assert few.divisor == 0
    assert sum(few.split.base) + few.split.fee + few.split.dust == spec.money.pot
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
    assert np.allclose(flat, judgement.sums / 65_536 * step, rtol=1e-6, atol=2.0**-25)  # points are 24
    assert encode_model(judgement.row, round_.spec.model) == judgement.model_bytes
    floats = floats_of(judgement.row, round_.spec.model)
    assert all(np.array_equal(floats[name], judgement.model[name]) for name in floats)
