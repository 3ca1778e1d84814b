"""Escrow: who may move what, and that the packed words are the structs the getters show.

Every module function reverts for everybody but its module. Amounts are bounded. Money of one task never pays another.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts.conftest import Reverts
from tests.support.contracts import RESIDUAL, TOKENS, TRAINER, Run, World, escrow_balance
from tests.support.evm import account

LIMIT = 2**79 - 1
A, B = b"\xaa" * 20, b"\xbb" * 20
CALLS: dict[str, tuple[Any, ...]] = {
    "fund": (1, A, B, 1),
    "admit": (1, A, 1, 9),
    "lock": (1, A, 1, 1, 0),
    "beginUnbonding": (1, A, 1, 0),
    "lockBond": (1, A, 1),
    "payBond": (1, A, 1, B),
    "slash": (1, A, 1, B, 0),
    "creditClaim": (1, A, 1, 1),
    "release": (1, A, 1, 0),
}
ALLOWED = {
    "fund": {"registry"},
    "admit": {"registry"},
    "lock": {"ledger"},
    "beginUnbonding": {"registry", "ledger"},
    "lockBond": {"disputes"},
    "payBond": {"disputes"},
    "slash": {"ledger"},
    "creditClaim": {"ledger"},
    "release": {"settlement"},
}


@pytest.mark.parametrize("function", sorted(CALLS))
def test_only_its_modules_move_money(world: World, reverts: Reverts, function: str) -> None:
    Run.start(world)
    modules = {n: getattr(world, n).address for n in ("registry", "ledger", "settlement", "disputes", "reputation")}
    modules |= {"owner": world.owner.address, "guardian": world.guardian.address, "x": account("x").address}
    for name, caller in modules.items():
        if name not in ALLOWED[function]:
            with reverts("Escrow_NotModule", caller):
                world.escrow.send(caller, function, *CALLS[function])


def test_fund_and_lock_refuse(world: World, reverts: Reverts) -> None:
    run = Run.start(world, trainers=0)
    registry, ledger, owner = world.registry.address, world.ledger.address, world.owner.address
    with reverts("Escrow_AlreadyFunded", run.task):
        world.escrow.send(registry, "fund", run.task, world.token.address, owner, 1)
    with reverts("Escrow_TokenNotContract", A):
        world.escrow.send(registry, "fund", 77, A, owner, 1)
    for amount in (0, LIMIT + 1):
        with reverts("Escrow_AmountOutOfBounds", amount, LIMIT):
            world.escrow.send(registry, "fund", 77, world.token.address, owner, amount)
        with reverts("Escrow_AmountOutOfBounds", amount, LIMIT):
            world.escrow.send(registry, "admit", run.task, owner, amount, 9)
        with reverts("Escrow_AmountOutOfBounds", amount, LIMIT):
            world.escrow.send(ledger, "lock", run.task, owner, amount, 1, 0)
    with reverts("Escrow_UnknownTask", 77):
        world.escrow.send(registry, "admit", 77, owner, 1, 9)
    with reverts("Escrow_UnknownTask", 77):
        world.escrow.send(ledger, "lock", 77, owner, 1, 1, 0)
    with reverts("Escrow_UnknownTask", 77):
        world.escrow.send(world.disputes.address, "lockBond", 77, owner, 1)
    for amount in (0, LIMIT + 1):
        with reverts("Escrow_AmountOutOfBounds", amount, LIMIT):
            world.escrow.send(world.disputes.address, "lockBond", run.task, owner, amount)
    assert world.escrow.call("MAX_AMOUNT") == LIMIT


def test_packed_words_are_the_structs(world: World) -> None:
    """A claim writes whole words; every field beside the two it means must keep its value."""
    run = Run.start(world, trainers=1)
    who, ledger = run.trainers[0], world.ledger.address
    stake = run.params.stake
    world.escrow.send(ledger, "creditClaim", run.task, who.address, 7, 100)
    assert run.member(who) == (stake, 7, 7, TRAINER | RESIDUAL)
    assert world.escrow.call("account", run.task) == (run.params.bounty, 7)
    world.escrow.send(ledger, "creditClaim", run.task, who.address, 10, 100)
    assert run.member(who) == (stake, 10, 10, TRAINER | RESIDUAL)
    assert run.withdraw(who) == 10
    assert run.member(who) == (stake, 0, 10, TRAINER | RESIDUAL)
    world.escrow.send(ledger, "slash", run.task, who.address, 4, A, 5_000)
    assert run.member(who) == (stake - 4, 0, 10, TRAINER | RESIDUAL)
    assert run.member(A) == (0, 2, 0, 0)
    assert world.escrow.call("account", run.task) == (run.params.bounty + 2, 10)


def test_a_bond_is_no_stake(world: World, reverts: Reverts) -> None:
    """No slash takes it and no exit pays it; what pays it takes no stake, and never more than is locked."""
    run = Run.start(world, trainers=1)
    who, stake, disputes = run.trainers[0], run.params.stake, world.disputes.address
    done = world.escrow.send(disputes, "lockBond", run.task, who.address, 7)
    assert done.event("BondLocked") == {"task": run.task, "account": who.address, "amount": 7}
    world.escrow.send(world.ledger.address, "slash", run.task, who.address, 2**80, bytes(20), 0)
    assert (run.member(who)[0], run.bond_of(who)) == (0, 7)
    world.registry.send(who, "leaveTask", run.task)
    world.escrow.send(disputes, "lockBond", run.task, who.address, 3)  # also while it leaves
    world.wait(world.evm.now + run.params.windows.unbonding)
    assert world.escrow.send(who, "exit", run.task).output == (0,)
    assert (run.member(who), run.bond_of(who)) == ((0, 0, 0, 0), 10)
    with reverts("Escrow_BondTooSmall", run.task, who.address, 11, 10):
        world.escrow.send(disputes, "payBond", run.task, who.address, 11, who.address)
    paid = world.escrow.send(disputes, "payBond", run.task, who.address, 6, who.address)
    assert paid.event("BondPaid") == {"task": run.task, "account": who.address, "amount": 6, "to": who.address}
    world.escrow.send(disputes, "payBond", run.task, who.address, 4, A)
    assert (run.member(who)[1], run.member(A)[1], run.bond_of(who)) == (6, 4, 0)
    assert world.escrow.call("account", run.task)[0] == run.params.bounty + stake


def test_a_stake_beyond_its_field_reverts(world: World, reverts: Reverts) -> None:
    run = Run.start(world, trainers=0)
    ledger, rich = world.ledger.address, account("rich").address
    for _ in range(3):
        world.fill(rich, 10**24)
    for _ in range(2):
        world.escrow.send(ledger, "lock", run.task, rich, LIMIT, 0, 0)
    assert run.member(rich) == (2 * LIMIT, 0, 0, 0)
    with reverts("Escrow_AmountOutOfBounds", 3 * LIMIT, 2**80 - 1):
        world.escrow.send(ledger, "lock", run.task, rich, LIMIT, 0, 0)


def test_a_tenures_word_is_the_struct(world: World) -> None:
    """Written whole at the join; the other fields of the slot must keep their values when `leftAt` is written."""
    run = Run.start(world, trainers=0)
    who, registry = account("rich").address, world.registry.address
    world.fill(who, 10**24)
    world.escrow.send(registry, "admit", run.task, who, LIMIT, 2**32 - 1)
    joined = world.evm.now
    assert run.tenure(who) == (LIMIT, joined, 0, 2**32 - 1)
    assert run.member(who) == (LIMIT, 0, 0, TRAINER | RESIDUAL)
    world.wait(joined + 5)
    world.escrow.send(registry, "beginUnbonding", run.task, who, 2**40, RESIDUAL)
    assert run.tenure(who) == (LIMIT, joined, joined + 5, 2**32 - 1)


def test_claims_stop_at_the_total_and_at_the_pot(world: World, reverts: Reverts) -> None:
    run = Run.start(world, trainers=1)
    ledger, bounty = world.ledger.address, run.params.bounty
    with reverts("Escrow_ClaimAboveTotal", run.task, 101, 100):
        world.escrow.send(ledger, "creditClaim", run.task, A, 101, 100)
    with reverts("Escrow_PotTooSmall", run.task, bounty + 1, bounty):
        world.escrow.send(ledger, "creditClaim", run.task, A, bounty + 1, 2**128)
    world.escrow.send(ledger, "creditClaim", run.task, A, bounty, bounty)
    with reverts("Escrow_PotTooSmall", run.task, 1, 0):
        world.escrow.send(world.settlement.address, "release", run.task, A, 1, 0)
    with reverts("Escrow_NothingToClaim", run.task, A, bounty, bounty):
        world.escrow.send(ledger, "creditClaim", run.task, A, bounty, bounty)


def test_credit_beyond_its_field_reverts_until_it_is_withdrawn(world: World, reverts: Reverts) -> None:
    run = Run.start(world, trainers=0, pot=LIMIT, rounds=1, bond=LIMIT, bonded=0)
    ledger, rich = world.ledger.address, account("rich").address
    for _ in range(2):
        world.fill(rich, 10**24)
        world.escrow.send(ledger, "lock", run.task, rich, LIMIT, 0, 0)
        world.escrow.send(ledger, "slash", run.task, rich, LIMIT, A, 10_000)
    assert run.member(A)[1] == 2 * LIMIT
    with reverts("Escrow_AmountOutOfBounds", 3 * LIMIT, 2**80 - 1):
        world.escrow.send(ledger, "creditClaim", run.task, A, LIMIT, LIMIT)
    world.escrow.send(A, "withdraw", run.task)
    world.escrow.send(ledger, "creditClaim", run.task, A, LIMIT, LIMIT)
    assert run.member(A)[1:3] == (LIMIT, LIMIT)


def test_withdraw_pays_the_account_whoever_calls(world: World, reverts: Reverts) -> None:
    run = Run.start(world, rounds=1).play()
    last = run.finalize()
    run.claim(last, 0)
    run.claim(last, 1)
    first, second = run.trainers[:2]
    before = world.token.call("balanceOf", first.address)
    done = world.escrow.send(account("thief"), "withdraw", run.task, first.address)
    amount = run.seals[last][1].leaves[0].amount
    assert done.event("CreditWithdrawn") == {"task": run.task, "account": first.address, "amount": amount}
    assert world.token.call("balanceOf", first.address) == before + amount
    assert world.token.call("balanceOf", account("thief").address) == 0
    assert world.escrow.send(second, "withdraw", run.task).output == (run.seals[last][1].leaves[1].amount,)
    with reverts("Escrow_NothingToWithdraw", run.task, first.address):
        world.escrow.send(first, "withdraw", run.task)
    with reverts("Escrow_NothingToWithdraw", 99, first.address):
        world.escrow.send(first, "withdraw", 99, first.address)


def test_one_tasks_money_never_pays_another(world: World, reverts: Reverts) -> None:
    rich, poor = Run.start(world), Run.start(world, rounds=1, trainers=0)
    assert escrow_balance(world) > poor.params.bounty
    with reverts("Escrow_PotTooSmall", poor.task, poor.params.bounty + 1, poor.params.bounty):
        world.escrow.send(world.settlement.address, "release", poor.task, A, poor.params.bounty + 1, 0)
    assert world.escrow.call("account", rich.task) == (rich.params.bounty, 0)


def test_tokens_sent_without_a_call_belong_to_nobody(world: World) -> None:
    run = Run.start(world)
    world.token.send(world.owner, "transfer", world.escrow.address, 5 * TOKENS)
    run.play()
    run.close()
    assert world.escrow.call("account", run.task)[0] <= run.params.bounty
