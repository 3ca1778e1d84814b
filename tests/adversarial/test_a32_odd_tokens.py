"""A32: tokens that keep a fee, say nothing, lie or refuse; and money that comes without a call."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.contracts import TOKENS, Run, World, escrow_balance, fresh_world
from tests.support.evm import Reverted, account


@pytest.fixture
def world() -> World:
    """A fresh platform."""
    return fresh_world()


def token(world: World, name: str) -> Any:
    """Deploy an odd token and give everyone some."""
    made = world.evm.create(account("deployer").address, name)
    for who in (world.owner, *world.aggregators, *(account(f"trainer {i}") for i in range(3))):
        made.send(who, "mint", who.address, 10_000 * TOKENS)
        made.send(who, "approve", world.escrow.address, 2**255)
    return made


def test_a_fee_on_transfer_is_refused_at_the_door(world: World) -> None:
    fee = token(world, "FeeToken")
    params = world.params(token=fee.address)
    with pytest.raises(Reverted) as caught:
        world.registry.send(world.owner, "openTask", params)
    expected = (fee.address, params.bounty, params.bounty - params.bounty // 100)
    assert (caught.value.name, caught.value.values) == ("Escrow_TransferMismatch", expected)
    assert fee.call("balanceOf", world.escrow.address) == 0
    assert world.registry.call("taskCount") == 0


def test_a_token_that_says_nothing_works(world: World) -> None:
    silent = token(world, "SilentToken")
    run = Run.start(world, token=silent.address, rounds=1).play()
    run.claim(run.finalize(), 0)
    before = silent.call("balanceOf", run.trainers[0].address)
    paid = run.withdraw(run.trainers[0])
    assert paid > 0
    assert silent.call("balanceOf", run.trainers[0].address) == before + paid


def test_a_token_that_does_not_move_is_refused(world: World) -> None:
    silent = token(world, "SilentToken")
    silent.send(account("x"), "setStuck", True)
    params = world.params(token=silent.address)
    with pytest.raises(Reverted, match="Escrow_TransferMismatch"):
        world.registry.send(world.owner, "openTask", params)


def test_a_transfer_that_returns_false_keeps_the_credit(world: World) -> None:
    liar = token(world, "RefusingToken")
    run = Run.start(world, token=liar.address, rounds=1).play()
    run.claim(run.finalize(), 0)
    who = run.trainers[0]
    credit = run.member(who)[1]
    liar.send(account("x"), "falsify", who.address, True)
    with pytest.raises(Reverted, match="SafeERC20FailedOperation"):
        run.withdraw(who)
    assert run.member(who)[1] == credit
    liar.send(account("x"), "falsify", who.address, False)
    assert run.withdraw(who) == credit


@pytest.mark.parametrize("address", [bytes(20), b"\5" * 20])
def test_a_token_without_code_is_refused(world: World, address: bytes) -> None:
    with pytest.raises(Reverted, match="Escrow_TokenNotContract"):
        world.registry.send(world.owner, "openTask", world.params(token=address))


def test_a_worthless_tokens_task_cannot_reach_another_tokens_money(world: World) -> None:
    good = Run.start(world)
    held = escrow_balance(world)
    worthless = token(world, "RefusingToken")
    bad = Run.start(world, token=worthless.address, rounds=1).play()
    bad.claim(bad.finalize(), 0)
    bad.withdraw(bad.trainers[0])
    bad.close()
    assert escrow_balance(world) == held
    assert world.escrow.call("account", good.task) == (good.params.bounty, 0)


def test_the_escrow_takes_no_ether(world: World) -> None:
    """No function is payable and there is no receive: ether comes only by force, and nothing reads its balance."""
    for contract in (world.escrow, world.ledger, world.registry, world.settlement, world.reputation):
        with pytest.raises(Reverted):
            world.evm.transact(world.owner.address, contract.address, b"")
