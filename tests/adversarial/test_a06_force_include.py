"""A06: the aggregator leaves a trainer out. The receipt goes on chain, and no seal can ignore it."""

from __future__ import annotations

from dataclasses import astuple

import pytest

from fl_platform.protocol.keccak import keccak256
from tests.support.contracts import Run, Tree, World, fresh_world
from tests.support.evm import Reverted, account


@pytest.fixture
def world() -> World:
    """A fresh platform."""
    return fresh_world()


def encoded(run: Run, number: int) -> bytes:
    """abi.encode(task, round, claim record)."""
    words = (run.task, number, *astuple(run.claim_record(number)))
    return b"".join(w if isinstance(w, bytes) else w.to_bytes(32, "big") for w in words)


@pytest.mark.parametrize("dropped", range(4))
def test_each_trainer_in_turn(world: World, dropped: int) -> None:
    run = Run.start(world, trainers=4)
    everyone = run.roster_tree().leaves
    victim = run.trainers[dropped]
    run.roster(Tree(tuple(leaf for leaf in everyone if leaf.owner != victim.address)))
    receipt = run.receipt(victim)
    world.ledger.send(account("a friend"), "forceInclude", receipt, run.sign(victim, receipt))
    world.wait(run.window()[0])
    run.seal()
    assert run.seals[0][0].forced == 1  # the ledger's count, not the aggregator's word
    assert world.views.call("ringDigest", run.task, 0) == keccak256(encoded(run, 0))


def test_the_list_binds_order_and_content(world: World) -> None:
    run = Run.start(world, trainers=3)
    run.roster()
    lists = []
    mark = world.evm.snapshot()
    for order in ((0, 1), (1, 0), (0, 2)):
        world.evm.restore(mark)
        for index in order:
            receipt = run.receipt(run.trainers[index])
            signature = run.sign(run.trainers[index], receipt)
            world.ledger.send(account("x"), "forceInclude", receipt, signature)
        lists.append(tuple(world.ledger.call("forced", run.task, 0, 0, index) for index in range(3)))
    assert len(set(lists)) == 3
    assert all(bytes(32) not in kept[:2] and kept[2] == bytes(32) for kept in lists)


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
