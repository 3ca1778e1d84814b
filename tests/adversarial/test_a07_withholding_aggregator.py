"""A07: the aggregator withholds or equivocates. Anyone moves the task on, and it costs the aggregator."""

from __future__ import annotations

from dataclasses import fields

import pytest

from tests.support.contracts import (
    COMPENSATED,
    REFUNDED,
    Run,
    SealInput,
    World,
    digest,
    escrow_balance,
    fresh_world,
    holdings,
)
from tests.support.evm import Reverted, account


@pytest.fixture
def world() -> World:
    """A fresh platform."""
    return fresh_world()


def test_no_roster_nobody_works_the_owner_is_refunded(world: World) -> None:
    run = Run.start(world, bonded=3)
    for _ in range(3):
        slashed = run.advance().event("AggregatorReplaced")["slashed"]
        assert slashed == -(-run.params.pot // 10)
    assert run.phase == REFUNDED
    run.close()
    assert run.member(world.owner)[1] == run.params.bounty + 3 * slashed


def test_no_seal_nobody_works_the_trainers_are_compensated(world: World) -> None:
    run = Run.start(world, bonded=3)
    run.roster()
    for _ in range(3):
        run.advance()
    assert run.phase == COMPENSATED
    run.close()
    for index in range(3):
        run.compensate(index)
    paid = sum(run.member(t)[1] for t in run.trainers)
    expected = run.params.pot + run.params.bond + 2 * -(-run.params.pot // 10)
    assert expected - 3 <= paid <= expected
    people = [a.address for a in (world.owner, *world.aggregators, *run.trainers)]
    assert holdings(world, [run.task], people) == escrow_balance(world)


def test_a_successor_seals_the_same_roster_and_earns_the_fee(world: World) -> None:
    run = Run.start(world, bonded=2)
    run.roster()
    run.advance()
    successor = run.params.aggregators[1]
    run.seal()
    assert run.seals[0][0].aggregator == successor
    assert run.seals[0][0].roster_digest == world.views.call("rosterDigest", run.task, 0, run.rosters[0][0])


@pytest.mark.parametrize("field", [f.name for f in fields(SealInput)])
def test_a_second_seal_of_one_round_is_impossible(world: World, field: str) -> None:
    """One-field-differs grid: whatever differs, the round is sealed once and the ring keeps the first."""
    run = Run.start(world)
    run.roster()
    run.seal()
    first = world.views.call("ringDigest", run.task, 0)
    seal = run.seals[0][0]
    given = {f.name: getattr(seal, f.name) for f in fields(SealInput)}
    given[field] = digest("other") if isinstance(given[field], bytes) else given[field] - 1
    with pytest.raises(Reverted, match="RoundLedger_WrongPhase"):
        world.ledger.send(run.aggregator, "sealRound", run.task, 0, SealInput(**given))
    assert world.views.call("ringDigest", run.task, 0) == first


def test_a_second_roster_of_one_round_is_impossible(world: World) -> None:
    run = Run.start(world)
    run.roster()
    with pytest.raises(Reverted, match="RoundLedger_WrongPhase"):
        world.ledger.send(run.aggregator, "rosterRound", run.task, 0, digest(1), 1, 1)


def test_an_aggregator_without_a_bond_cannot_stall_for_free_longer_than_a_window(world: World) -> None:
    run = Run.start(world, bonded=0)
    with pytest.raises(Reverted, match="RoundLedger_NotBonded"):
        run.roster()
    run.advance()
    assert run.aggregator == run.params.aggregators[1]
    with pytest.raises(Reverted, match="RoundLedger_TooEarly"):
        world.ledger.send(account("x"), "advance", run.task, run.params.aggregators)
