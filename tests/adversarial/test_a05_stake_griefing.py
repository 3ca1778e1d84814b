"""A05: join, do wrong, leave before the slash; or slash the honest by spam."""

from __future__ import annotations

import pytest

from tests.support.contracts import TOKENS, Run, Windows, World, fresh_world
from tests.support.evm import Reverted, account

WINDOWS = Windows()


@pytest.fixture
def world() -> World:
    """A fresh platform."""
    return fresh_world()


@pytest.mark.parametrize("moment", ["open", "rostered", "sealed"])
def test_leaving_at_any_state_of_the_round_outlasts_its_challenge(world: World, moment: str) -> None:
    run = Run.start(world)
    cheat = run.trainers[0]
    if moment == "open":
        world.registry.send(cheat, "leaveTask", run.task)
    run.roster()
    if moment == "rostered":
        world.registry.send(cheat, "leaveTask", run.task)
    run.seal()
    if moment == "sealed":
        world.registry.send(cheat, "leaveTask", run.task)
    last_second = run.seals[0][0].sealed_at + WINDOWS.challenge - 1
    world.wait(last_second)
    with pytest.raises(Reverted, match="Escrow_StillUnbonding"):
        world.escrow.send(cheat, "exit", run.task)
    slashed = world.disputes.send(account("x"), "slash", run.task, cheat.address, 10**30, account("x").address, 3_000)
    assert slashed.event("StakeSlashed")["amount"] == run.params.stake


def test_the_slowest_round_ends_before_the_fastest_leaver_is_free(world: World) -> None:
    """Leave in the first second of a round that uses every window and every takeover to the last second."""
    run = Run.start(world, bonded=3)
    cheat = run.trainers[0]
    world.registry.send(cheat, "leaveTask", run.task)
    ready = world.escrow.call("readyAt", run.task, cheat.address)
    run.roster(at=run.window()[1] - 1)
    run.advance()
    run.advance()
    run.seal(at=run.window()[1] - 1)
    assert run.seals[0][0].sealed_at + WINDOWS.challenge < ready


def test_an_open_dispute_holds_every_stake(world: World) -> None:
    run = Run.start(world, rounds=2)
    cheat = run.trainers[0]
    world.registry.send(cheat, "leaveTask", run.task)
    run.play(1)
    run.challenge(0)
    world.wait(world.evm.now + 10 * WINDOWS.unbonding)
    with pytest.raises(Reverted, match="Escrow_TaskChallenged"):
        world.escrow.send(cheat, "exit", run.task)
    run.judge(0, False)
    world.escrow.send(cheat, "exit", run.task)


def test_a_false_accuser_pays_and_the_accused_gains(world: World) -> None:
    run = Run.start(world).play(1)
    for number in range(3):
        spammer = account(f"spammer {number}")
        run.challenge(0, bond=TOKENS, who=spammer)
        run.judge(0, False, bond=TOKENS, who=spammer)
        assert run.member(spammer)[:2] == (0, 0)
    assert run.member(run.aggregator)[:2] == (run.params.bond, 3 * TOKENS)
    run.play()
    run.close()


def test_accusing_oneself_never_pays(world: World) -> None:
    run = Run.start(world, bonded=2).play(1)
    crony = account("challenger")
    run.challenge(0)
    run.judge(0, True)
    assert run.member(crony)[1] < run.params.bond // 2
    assert run.member(run.params.aggregators[0])[0] == 0
