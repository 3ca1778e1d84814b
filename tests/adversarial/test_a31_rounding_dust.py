"""A31: rounding dust. Claims are the bounty, to the wei: what a rule rounds off is a claim, too."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.contracts import Run, escrow_balance, fresh_world
from tests.support.evm import account


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    pot=st.integers(10_000, 10**24),
    weights=st.lists(st.one_of(st.just(0), st.just(1), st.integers(0, 2**100)), min_size=1, max_size=9),
)
def test_payouts_are_the_bounty(pot: int, weights: list[int]) -> None:
    shares = weights if any(weights) else [1] * len(weights)
    world = fresh_world()
    pot //= 10
    run = Run.start(world, trainers=len(shares), rounds=2, pot=pot, bond=pot)
    for number in (1, 2):
        run.roster()
        run.seal(run.claims(number * pot, shares))
    last = run.finalize()
    owed = [leaf.amount for leaf in run.seals[last][1].leaves]
    for index, amount in enumerate(owed):
        if amount:
            run.claim(last, index)
    run.close()
    assert (sum(owed), run.member(world.owner)[1]) == (run.params.bounty, 0)
    for who in run.trainers:
        if run.member(who)[1]:
            run.withdraw(who)
    assert escrow_balance(world) == run.params.bond + len(shares) * run.params.stake


def test_a_fine_is_never_rounded_to_nothing() -> None:
    world = fresh_world()
    run = Run.start(world, bonded=1, pot=1, bond=1)
    assert run.advance().event("AggregatorReplaced")["slashed"] == 1


def test_a_challengers_share_rounds_down_and_the_rest_stays() -> None:
    world = fresh_world()
    run = Run.start(world, bonded=2, pot=101, bond=101)
    run.roster()
    run.seal(run.claims(101))
    run.challenge(0)
    run.judge(0, True)
    assert run.member(account("challenger"))[1] == 101 * 3_000 // 10_000 == 30
    assert world.views.call("bonus", run.task) == 71
