"""A10: shouting is bounded: the aggregate moves by no more than weight times the clip, whatever is sent."""

from __future__ import annotations

import numpy as np
import pytest

from fl_platform.attacks import parse_attacks
from fl_platform.attacks.poisoning import Scale
from fl_platform.updates import decode_update, pack_update
from fl_platform.updates.codec import HEADER_BYTES
from tests.support.federations import play_task
from tests.support.rounds import anchored_spec, build_round, ints_like, place_of


@pytest.mark.parametrize("factor", [10.0, 100.0, 1e9])
def test_scaling_changes_neither_accuracy_nor_own_pay(factor: float) -> None:
    honest = play_task(5, [Scale(1.0)], rounds=3)
    loud = play_task(5, [Scale(factor)], rounds=3)
    assert loud.accuracy[-1] >= honest.accuracy[-1] - 0.04
    change = loud.earned(6) - honest.earned(6)  # its louder voice also moves the model
    assert -honest.earned(6) <= 10 * change <= honest.earned(6) // 2


def test_sign_flips_are_refused() -> None:
    task = play_task(5, parse_attacks(["sign-flip"]), rounds=3)
    assert task.hostile_pay() == [0]
    assert set(task.codes(6)) == {"OffReference"}


def test_the_aggregate_moves_by_no_more_than_the_bound() -> None:
    """The attacker's part of the sum is a_i * u_i with |a_i u_i| <= stake share * clip factor * median length."""
    spec = anchored_spec()
    calm = [ints_like(spec, seed) for seed in range(1, 5)]
    median = sorted(float(np.linalg.norm(u.astype(float))) for u in calm)[2]
    for factor in (1, 2, 4, 32):
        shout = np.clip(calm[0].astype(np.int64) * factor, -127, 127).astype(np.int8)
        round_ = build_round(spec, [*calm[1:], shout], reference=None)
        judgement = round_.judge()
        index = place_of(round_, 4)
        verdict = judgement.verdicts[index]
        sent = decode_update(round_.updates(index), model=spec.model, bits=8).astype(float)
        moved = verdict.weight * float(np.linalg.norm(sent))
        clip = spec.aggregation.clip_bps / 10_000
        assert moved <= 65_536 / 4 * clip * median * 1.6  # the median itself moves with one of four
        if factor == 32:
            assert verdict.code == "TooLong"  # no honest encoder gets there
            assert moved == 0


@pytest.mark.parametrize("places", [slice(0, 1), slice(-1, None), slice(3, 9), slice(None)])
def test_a_forged_range_counts_as_nothing(places: slice) -> None:
    """-128, the one integer outside the symmetric range, is 0 to every party and contract: it shouts no louder."""
    spec = anchored_spec()
    updates = [ints_like(spec, seed) for seed in range(1, 4)]
    updates[0] = np.full(spec.model.size, -127, dtype=np.int8)
    forged, twin = build_round(spec, updates, reference=None), build_round(spec, updates, reference=None)
    index = place_of(forged, 1)
    data = forged.data[index]
    assert isinstance(data, bytes)
    body = np.frombuffer(data[HEADER_BYTES:], np.uint8).copy()
    body[places] = 0x80
    forged.data[index] = data[:HEADER_BYTES] + body.tobytes()
    updates[0][places] = 0
    twin.data[index] = pack_update(updates[0], model=spec.model, bits=8)
    judged, wanted = forged.judge(), twin.judge()
    assert decode_update(forged.updates(index), model=spec.model, bits=8).tolist() == updates[0].tolist()
    assert (judged.tape.root, judged.verdicts, judged.after) == (wanted.tape.root, wanted.verdicts, wanted.after)
    assert np.array_equal(judged.sums, wanted.sums)
    if places == slice(None):
        assert judged.verdicts[index].code == "NoWork"
        assert judged.verdicts[index].weight == 0
