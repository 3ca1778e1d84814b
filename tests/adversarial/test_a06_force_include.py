"""A06: the aggregator leaves a trainer out. The receipt goes on chain, and no seal can ignore it."""

from __future__ import annotations

import pytest

from tests.support.contracts import Run, Tree, World, fresh_world
from tests.support.evm import Reverted, account


@pytest.fixture
def world() -> World:
    """A fresh platform."""
    return fresh_world()


@pytest.mark.parametrize("dropped", range(4))
def test_each_trainer_in_turn(world: World, dropped: int) -> None:
    run = Run.start(world, trainers=4)
    everyone = run.roster_tree().leaves
    victim = run.trainers[dropped]
    run.roster(Tree(tuple(leaf for leaf in everyone if leaf.owner != victim.address)))
    receipt = run.receipt(victim)
    world.ledger.send(account("a friend"), "forceInclude", receipt, run.sign(victim, receipt))
    world.wait(run.window()[0])
    stubborn = run.seal_input(run.claims(run.params.pot), forced=bytes(32))
    with pytest.raises(Reverted, match="RoundLedger_ForcedMismatch"):
        world.ledger.send(run.aggregator, "sealRound", run.task, 0, stubborn)
    run.seal()
    assert run.seals[0][0].forced != bytes(32)


def test_the_list_binds_order_and_content(world: World) -> None:
    run = Run.start(world, trainers=3)
    run.roster()
    chains = []
    mark = world.evm.snapshot()
    for order in ((0, 1), (1, 0), (0, 2)):
        world.evm.restore(mark)
        for index in order:
            receipt = run.receipt(run.trainers[index])
            signature = run.sign(run.trainers[index], receipt)
            world.ledger.send(account("x"), "forceInclude", receipt, signature)
        chains.append(world.ledger.call("forcedList", run.task))
    assert len({chain for chain, _count in chains}) == 3
    assert [count for _chain, count in chains] == [2, 2, 2]


def test_strangers_cannot_fill_the_list(world: World) -> None:
    """Only members with a stake at risk can append, once a round: its length is at most the number of members."""
    run = Run.start(world, trainers=2)
    run.roster()
    for number in range(3):
        stranger = account(f"stranger {number}")
        receipt = run.receipt(stranger)
        with pytest.raises(Reverted, match="RoundLedger_NotMember"):
            world.ledger.send(stranger, "forceInclude", receipt, run.sign(stranger, receipt))
    for trainer in run.trainers:
        for salt in (b"\1" * 32, b"\2" * 32):
            receipt = run.receipt(trainer, salt=salt)
            call = ("forceInclude", receipt, run.sign(trainer, receipt))
            if salt == b"\1" * 32:
                world.ledger.send(trainer, *call)
            else:
                with pytest.raises(Reverted, match="RoundLedger_AlreadyForced"):
                    world.ledger.send(trainer, *call)
