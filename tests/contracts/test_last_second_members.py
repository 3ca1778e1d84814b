"""Seats minted in the last second take nothing of a compensation (A46): who had no seat at the roster has no share.

Whoever sees that the last aggregator is late could join with as many accounts as it likes and call `advance` in one
transaction; one forced receipt, of a trainer that the roster names anyhow, makes all of it residual shares.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.contracts.conftest import Reverts
from tests.support.contracts import NO_CLAIMS, NO_ROSTER, Run, Windows, fresh_world
from tests.support.evm import Reverted, account

SYBILS = 27


def test_who_joins_after_the_roster_has_no_residual_share(reverts: Reverts) -> None:
    world = fresh_world()
    run = Run.start(world, aggregators=(world.aggregators[0].address,))
    honest, attacker = run.trainers[:2], run.trainers[2]
    run.roster()
    receipt = run.receipt(attacker)
    world.ledger.send(attacker, "forceInclude", receipt, run.sign(attacker, receipt))
    world.wait(run.window()[1])  # the aggregator is late
    minted = [account(f"sybil {number}") for number in range(SYBILS)]
    for one in minted:
        run.join(one)
    world.registry.send(minted[0], "leaveTask", run.task)  # no leaver of those that share
    run.advance()
    record, _ = run.rosters[0]
    world.wait(run.closable_at)
    for other in (NO_ROSTER, replace(record, seats=record.seats + SYBILS)):
        with pytest.raises(Reverted, match="Settlement_RecordMismatch"):
            world.settlement.send(attacker, "closeTask", run.task, NO_CLAIMS, other)
    run.close()
    for one in minted:
        with reverts("Settlement_NotMember", run.task, one.address):
            world.settlement.send(account("anyone"), "claimResidual", run.task, one.address)
    total = run.params.pot + run.params.bond
    for one in (*honest, attacker):
        world.settlement.send(account("anyone"), "claimResidual", run.task, one.address)
        assert run.withdraw(one) == total // 3


def test_where_no_roster_stands_who_joined_after_the_fall_has_no_share(reverts: Reverts) -> None:
    """Round 1 had a roster, round 0 falls and is sealed again, and nobody rosters round 1 a second time."""
    world = fresh_world()
    windows = Windows(min_round=60, force=0, reveal=0, challenge=300)
    run = Run.start(world, windows=windows, bonded=2, aggregators=world.params().aggregators[:2]).play(1)
    early, leaver, late = account("early"), run.trainers[0], account("late")
    run.roster()
    void, tree = run.rosters[1]
    run.join(early)
    run.challenge(0)
    run.judge(0, True)
    run.seal()
    run.join(late)
    world.registry.send(leaver, "leaveTask", run.task)
    run.advance()
    run.close()
    with pytest.raises(Reverted, match="Settlement_RecordMismatch"):  # a void roster pays nobody
        world.settlement.send(late, "claimCompensation", run.task, 1, void, tree.leaf(1), tree.path(1))
    world.wait(world.evm.now + windows.unbonding)
    swept = world.settlement.send(late, "sweepCompensation", run.task).event("CompensationSwept")
    assert swept["shares"] == 3
    for one in (late, leaver):
        with reverts("Settlement_NotMember", run.task, one.address):
            world.settlement.send(late, "claimResidual", run.task, one.address)
    for one in set(run.trainers) - {late, leaver}:
        world.settlement.send(late, "claimResidual", run.task, one.address)
