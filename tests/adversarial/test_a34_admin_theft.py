"""A34: a thief has every key that the platform knows: guardian, deployer, owner. Escrow and rounds do not notice."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.contracts import NO_CLAIMS, NO_ROSTER, Run, World, fresh_world
from tests.support.evm import Reverted, account

A = b"\xaa" * 20
CONTRACTS = ("escrow", "registry", "ledger", "settlement", "reputation")
HARMLESS = {"transferOwnership", "acceptOwnership", "renounceOwnership", "pause", "unpause"}


def state(world: World, run: Run) -> list[Any]:
    """Every figure a thief could want to move."""
    people = [a.address for a in (world.owner, *world.aggregators, *run.trainers)]
    return [
        world.escrow.call("account", run.task), [run.member(p) for p in people], run.head,
        [world.views.call("ringDigest", run.task, n) for n in range(3)], world.registry.call("task", run.task),
        world.token.call("balanceOf", world.escrow.address),
    ]  # fmt: skip


@pytest.mark.parametrize("thief", ["guardian", "deployer"])
def test_no_admin_call_moves_money_or_rounds(thief: str) -> None:
    world = fresh_world()
    run = Run.start(world).play(2)
    who = account(thief)
    before = state(world, run)
    for name in sorted(HARMLESS):
        arguments = (A,) if name == "transferOwnership" else ()
        try:
            world.registry.send(who, name, *arguments)
        except Reverted:
            continue
    assert state(world, run) == before
    run.roster()
    run.seal()
    run.claim(run.finalize(), 0)


def test_there_is_no_other_admin_function() -> None:
    """The whole surface: whoever adds an owner-only function to a contract on the money path fails here."""
    world = fresh_world()
    admin = {"owner", "pendingOwner", "paused", *HARMLESS}
    assert admin <= set(world.registry.abi.functions())
    for name in ("escrow", "ledger", "settlement", "reputation"):
        functions = set(getattr(world, name).abi.functions())
        assert not functions & admin
        assert not any(word in f.lower() for f in functions for word in ("upgrade", "owner", "admin", "initialize"))


@pytest.mark.parametrize("name", CONTRACTS)
def test_code_cannot_be_swapped(name: str) -> None:
    """No delegatecall, selfdestruct or create in any contract on the money path."""
    world = fresh_world()
    code = world.evm._state.get_code(getattr(world, name).address)
    position, opcodes = 0, set()
    while position < len(code):
        opcode = code[position]
        opcodes.add(opcode)
        position += 1 + (opcode - 0x5F if 0x60 <= opcode <= 0x7F else 0)
    assert not opcodes & {0xF0, 0xF2, 0xF4, 0xF5, 0xFF}


def test_the_owner_of_a_running_task_cannot_take_it_back() -> None:
    world = fresh_world()
    run = Run.start(world, rounds=3).play(1)
    for phase in ("open", "rostered"):
        if phase == "rostered":
            run.roster()
        with pytest.raises(Reverted, match="RoundLedger_WrongPhase"):
            world.settlement.send(world.owner, "closeTask", run.task, NO_CLAIMS, NO_ROSTER)
        with pytest.raises(Reverted, match="RoundLedger_TooEarly"):
            world.ledger.send(world.owner, "advance", run.task, run.params.aggregators)
        with pytest.raises(Reverted, match="Escrow_NothingToWithdraw"):
            world.escrow.send(world.owner, "withdraw", run.task)
