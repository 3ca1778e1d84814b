"""A33: one receiver that cannot be paid blocks only itself."""

from __future__ import annotations

import pytest

from tests.support.contracts import TOKENS, Run, fresh_world
from tests.support.evm import Reverted, account


def test_one_refused_receiver_among_ten() -> None:
    world = fresh_world()
    token = world.evm.create(account("deployer").address, "RefusingToken")
    people = [account(f"trainer {i}") for i in range(10)]
    for who in (world.owner, *world.aggregators, *people):
        token.send(who, "mint", who.address, 10_000 * TOKENS)
        token.send(who, "approve", world.escrow.address, 2**255)
    run = Run.start(world, trainers=10, rounds=1, token=token.address).play()
    last = run.finalize()
    blocked = run.trainers[4]
    token.send(account("x"), "refuse", blocked.address, True)
    for index in range(10):
        run.claim(last, index)  # claims are credits: nobody is called
    run.close()
    for trainer in run.trainers:
        if trainer is not blocked:
            assert run.withdraw(trainer) == run.params.pot // 10
    with pytest.raises(Reverted, match="RefusingToken_Refused"):
        run.withdraw(blocked)
    token.send(account("x"), "refuse", blocked.address, False)
    assert run.withdraw(blocked) == run.params.pot // 10


def test_a_refused_owner_does_not_block_the_closing() -> None:
    world = fresh_world()
    token = world.evm.create(account("deployer").address, "RefusingToken")
    for who in (world.owner, *world.aggregators, *(account(f"trainer {i}") for i in range(3))):
        token.send(who, "mint", who.address, 10_000 * TOKENS)
        token.send(who, "approve", world.escrow.address, 2**255)
    run = Run.start(world, rounds=2, token=token.address, aggregators=world.params().aggregators[:1]).play(1)
    token.send(account("x"), "refuse", world.owner.address, True)
    run.advance()
    run.close()
    run.claim(0, 0)
    run.withdraw(run.trainers[0])
