"""A round's money: conserved to the wei, monotone, and by the same rule for everybody."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.contribution.settle import Rostered, settle
from fl_platform.protocol.bundle import Standing, TaskState
from fl_platform.protocol.spec import ScaleSpec
from fl_platform.reputation.ema import REPUTATION_ONE
from tests.support.rounds import STAKE, anchored_spec

SPEC = anchored_spec()
POT = SPEC.money.pot
AGGREGATOR = b"\xaa" * 20
START = TaskState(0, bytes(32), (), ScaleSpec(128, 0, (0, 0)), 0, 0, ())
# (in the sum, passed the screen): what is in the sum has passed
OUTCOMES = st.sampled_from([(True, True), (False, True), (False, False)])
ROSTERED = st.builds(
    lambda number, stake, outcome, score: Rostered(bytes([number]) * 20, stake, *outcome, score),
    st.integers(1, 6), st.integers(1, 10**20), OUTCOMES, st.integers(-(10**12), 10**12),
)  # fmt: skip
ROUND = st.tuples(st.lists(ROSTERED, min_size=1, max_size=6, unique_by=lambda r: r.trainer), st.booleans())


@settings(max_examples=80, deadline=None)
@given(st.lists(ROUND, min_size=1, max_size=6), st.integers(0, 2_000), st.integers(0, 10_000))
def test_money_is_conserved_and_claims_grow(
    rounds: list[tuple[list[Rostered], bool]], fee_bps: int, base_bps: int
) -> None:
    spec = replace(
        SPEC, money=replace(SPEC.money, fee_bps=fee_bps), worth=replace(SPEC.worth, base_bps=base_bps)
    )
    state, earned = START, dict[bytes, int]()
    for number, (roster, measured) in enumerate(rounds, start=1):
        settled = settle(spec, state, AGGREGATOR, roster, measured=measured, pot=POT)
        state = replace(
            state, round=number, standings=settled.standings, dust=state.dust + settled.split.dust,
            scored_pots=state.scored_pots + settled.split.scored_pot,
        )  # fmt: skip
        assert sum(s.earned for s in state.standings) + state.dust == POT * number
        assert settled.split.dust <= 2 * len(settled.trainers)
        for standing in state.standings:
            assert standing.earned >= earned.get(standing.trainer, 0)
            assert 0 <= standing.reputation <= REPUTATION_ONE
        earned = {s.trainer: s.earned for s in state.standings}
        assert [s.trainer for s in state.standings] == sorted(earned)


def test_an_aggregator_that_trains_keeps_one_account() -> None:
    roster = [Rostered(AGGREGATOR, STAKE, True, True, 5), Rostered(b"\x01" * 20, STAKE, True, True, 5)]
    settled = settle(SPEC, START, AGGREGATOR, roster, measured=True, pot=POT)
    assert len(settled.standings) == 2
    own = next(s for s in settled.standings if s.trainer == AGGREGATOR)
    other = next(s for s in settled.standings if s.trainer != AGGREGATOR)
    assert own.earned - other.earned == settled.split.fee


def test_who_is_absent_keeps_its_standing_and_gets_nothing() -> None:
    absent = Standing(b"\x09" * 20, 10**12, 7, 3, 400_000)
    before = replace(START, standings=(absent,), scored_pots=100)
    settled = settle(SPEC, before, AGGREGATOR, [Rostered(b"\x01" * 20, STAKE, True, True, 5)], measured=True, pot=POT)
    assert next(s for s in settled.standings if s.trainer == absent.trainer) == absent


def test_refused_trainers_lose_reputation_and_get_nothing() -> None:
    before = replace(START, standings=(Standing(b"\x01" * 20, 0, 0, 0, REPUTATION_ONE),))
    roster = [Rostered(b"\x01" * 20, STAKE, False, False, 0), Rostered(b"\x02" * 20, STAKE, True, True, 9)]
    settled = settle(SPEC, before, AGGREGATOR, roster, measured=True, pot=POT)
    first, second = settled.standings[:2]
    assert (first.earned, first.reputation) == (0, REPUTATION_ONE * 7 // 8)
    assert second.earned == POT - settled.split.fee - settled.split.dust
    assert second.reputation == REPUTATION_ONE // 8


def test_an_unmeasured_round_goes_by_capped_stake() -> None:
    spec = replace(SPEC, worth=replace(SPEC.worth, stake_cap_bps=5_000), money=replace(SPEC.money, fee_bps=0))
    roster = [Rostered(bytes([n]) * 20, stake * STAKE, True, True, 0) for n, stake in ((1, 8), (2, 1), (3, 1))]
    settled = settle(spec, START, AGGREGATOR, roster, measured=False, pot=POT)
    # stakes 8, 1, 1 of 10, capped at 5: shares 5/7, 1/7, 1/7
    assert [s.earned for s in settled.standings] == [POT * 5 // 7, POT // 7, POT // 7]
    assert settled.split.scored_pot == 0
    assert [s.reputation for s in settled.standings] == [REPUTATION_ONE // 8] * 3
