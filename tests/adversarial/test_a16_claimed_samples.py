"""A16: claiming 10^9 samples buys nothing; a large stake buys its cap."""

from __future__ import annotations

from dataclasses import replace

from fl_platform.judging.judge import Judgement
from tests.support.rounds import STAKE, Round, anchored_spec, build_round, happy_round, ints_like, place_of


def judged(round_: Round, samples: int) -> Judgement:
    round_.sign(place_of(round_, 1), 1, samples=samples)
    return round_.judge()


def test_claims_change_nothing() -> None:
    few, many = judged(happy_round(), 1), judged(happy_round(), 10**9)
    assert few.verdicts == many.verdicts
    assert few.model_bytes == many.model_bytes
    assert few.split == many.split


def test_a_whale_weighs_no_more_than_its_cap() -> None:
    """Stake cap 20 %: ten trainers, one with a thousand times the stake."""
    spec = anchored_spec()
    spec = replace(spec, worth=replace(spec.worth, stake_cap_bps=2_000))
    updates = [ints_like(spec, seed) for seed in range(1, 11)]
    round_ = build_round(spec, updates, reference=None, stakes=[1000 * STAKE, *[STAKE] * 9])
    judgement = round_.judge()
    whale = judgement.verdicts[place_of(round_, 1)]
    # Its cap is a fifth of the total, which dwarfs the others: the cap bounds stakes, and so what a whale must lock.
    assert whale.weight <= 65_536 * 202 / (202 + 9) + 1
    equal = build_round(spec, updates, reference=None, stakes=[2 * STAKE, *[STAKE] * 9]).judge()
    assert max(v.weight for v in equal.verdicts) <= 65_536 * 2 // 11 + 1
