"""A01: reentrancy. An ERC-777-like token calls the attacker while money moves; the second entry must gain nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.contracts import TOKENS, ClaimRecord, Run, Ticket, World, digest, escrow_balance, holdings, split
from tests.support.evm import Contract, Reverted, account


@pytest.fixture(scope="module")
def deployed() -> tuple[World, tuple[bytes, int]]:
    """The platform with a token that calls back, and an attacker contract with money."""
    world = World("HookToken")
    return world, world.evm.snapshot()


@pytest.fixture
def world(deployed: tuple[World, tuple[bytes, int]]) -> World:
    """A fresh copy."""
    world, mark = deployed
    world.evm.restore(mark)
    return world


def attacker(world: World) -> Contract:
    """A contract that reenters once from the token's hook."""
    made = world.evm.create(account("attacker").address, "ReentrantClaimer")
    world.token.send(made.address, "mint", made.address, 1_000 * TOKENS)
    act(made, world.token, "approve", world.escrow.address, 2**256 - 1)
    return made


def act(mallory: Contract, target: Contract, function: str, *arguments: Any) -> None:
    """Let the attacker call."""
    mallory.send(account("attacker"), "act", target.address, target.abi.encode(function, *arguments))


def arm(mallory: Contract, target: Contract, function: str, *arguments: Any) -> None:
    """Let the next hook call back."""
    mallory.send(account("attacker"), "arm", target.address, target.abi.encode(function, *arguments))


def paid_run(world: World, mallory: Contract) -> Run:
    """A finished task in which the attacker earned something honestly."""
    run = Run.start(world, rounds=1, trainers=2)
    run.roster()
    run.seal(split(run.params.pot, [mallory.address, run.trainers[0].address]))
    run.finalize()
    run.claim(0, 0)
    return run


def people(run: Run, mallory: Contract) -> list[bytes]:
    """Everyone with money."""
    world = run.world
    return [a.address for a in (world.owner, *world.aggregators, *run.trainers)] + [mallory.address]


@pytest.mark.parametrize("named", [False, True])
def test_withdraw_pays_once(world: World, named: bool) -> None:
    mallory = attacker(world)
    run = paid_run(world, mallory)
    before, credit = world.token.call("balanceOf", mallory.address), run.member(mallory.address)[1]
    arm(mallory, world.escrow, "withdraw", *((run.task, mallory.address) if named else (run.task,)))
    act(mallory, world.escrow, "withdraw", run.task)
    assert mallory.call("entries") == 1
    assert not mallory.call("succeeded")
    assert world.escrow.abi.decode_revert(mallory.call("answer")).name == "Escrow_NothingToWithdraw"
    assert world.token.call("balanceOf", mallory.address) == before + credit
    assert holdings(world, [run.task], people(run, mallory)) == escrow_balance(world)


def test_a_claim_from_inside_a_withdrawal_credits_once(world: World) -> None:
    """Reentering with a different call is allowed where it is harmless: the credit is the attacker's own."""
    mallory = attacker(world)
    run = paid_run(world, mallory)
    tree = run.seals[0][1]
    again: tuple[Any, ...] = (run.task, 0, run.claim_record(0), tree.leaf(0), tree.path(0))
    assert isinstance(again[2], ClaimRecord)
    arm(mallory, world.ledger, "claim", *again)
    act(mallory, world.escrow, "withdraw", run.task)
    assert not mallory.call("succeeded")
    assert holdings(world, [run.task], people(run, mallory)) == escrow_balance(world)


@pytest.mark.parametrize("inner", ["join", "openTask", "withdraw"])
def test_a_deposit_that_reenters_is_not_counted_twice(world: World, inner: str) -> None:
    """The hook runs between the two balance readings of a deposit; a nested deposit or withdrawal must not pass."""
    mallory = attacker(world)
    run, other = paid_run(world, mallory), Run.start(world, rounds=1, trainers=0)
    calls: dict[str, tuple[Contract, tuple[Any, ...]]] = {
        "join": (world.registry, (other.task, other.params.stake, digest(1), Ticket())),
        "openTask": (world.registry, (world.params(rounds=1),)),
        "withdraw": (world.escrow, (run.task,)),
    }
    target, arguments = calls[inner]
    arm(mallory, target, inner, *arguments)
    before, mine = escrow_balance(world), world.token.call("balanceOf", mallory.address)
    try:
        act(mallory, world.registry, "join", run.task, run.params.stake, digest(1), Ticket())
    except Reverted:
        assert (escrow_balance(world), world.token.call("balanceOf", mallory.address)) == (before, mine)
    else:
        assert mallory.call("entries") == 1
        assert not mallory.call("succeeded")
    assert holdings(world, [run.task, other.task], people(run, mallory)) == escrow_balance(world)


def test_settlement_calls_do_not_touch_the_token(world: World) -> None:
    """Slash, finalize, compensation, residual share: money becomes credit, nobody is called, nothing can reenter."""
    mallory = attacker(world)
    act(mallory, world.token, "approve", world.escrow.address, 2**256 - 1)
    listed = world.params().aggregators[:1]
    run = Run.start(world, rounds=2, trainers=2, aggregators=listed)
    act(mallory, world.registry, "join", run.task, run.params.stake, digest(1), Ticket())
    run.joins += 1
    arm(mallory, world.escrow, "withdraw", run.task)
    run.roster()
    run.advance()
    run.close()
    run.compensate(0)
    world.wait(world.evm.now + run.params.windows.unbonding)
    world.settlement.send(account("x"), "sweepCompensation", run.task)
    world.settlement.send(account("x"), "claimResidual", run.task, mallory.address)
    assert mallory.call("entries") == 0
    assert holdings(world, [run.task], people(run, mallory)) == escrow_balance(world)
