"""Bonds of demands and questions are apart from stakes: a seal's bond is whole when the seal falls.

A listed aggregator that is not current bonds, demands leaves of a friend's twenty receipts (together as much as its
bond), asks for its stake and exits. It bonds again, takes a round over and seals a lie; then the demands expire, as
anybody may let them at any time. They pay back what was locked for them, and nothing of the bond that it sealed with.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from fl_platform.dispute.next_moves import KnownRound, Refute, next_moves
from fl_platform.ledger.reveals import show_model
from fl_platform.protocol.tape import Tape
from tests.support.bound_rounds import BoundTask, RefereeWorld
from tests.support.contracts import Params, Windows
from tests.support.evm import account
from tests.support.referee import lie
from tests.support.reveals import told

CHALLENGER = account("challenger")
DEMANDS = 20


class Opened(RefereeWorld):
    def params(self, **changes: Any) -> Params:
        windows = Windows(unbonding=1_771)  # the least that the ledger takes
        return replace(super().params(**(changes | {"rounds": 20})), windows=windows)


def test_the_bond_of_a_liar_is_there_when_its_lie_falls() -> None:
    world = Opened()
    world.fill(CHALLENGER)
    task = BoundTask(random.Random(3), world)
    run, liar, friend = task.run, world.aggregators[1], task.people[0]
    task.play()
    shown = show_model(task.terms, 0)
    receipts = [run.receipt(friend, round=0, length=length) for length in range(DEMANDS)]
    demands = [
        told(world.reveals.send(liar, "demandContent", (one, run.sign(friend, one)), 0, shown)) for one in receipts
    ]
    assert sum(made.bond for made in demands) == run.params.bond
    world.ledger.send(liar, "unbondAggregator", run.task)
    ready = world.evm.now + run.params.windows.unbonding
    while world.evm.now < ready:  # the task goes on
        task.play()
    world.escrow.send(liar, "exit", run.task)
    assert run.withdraw(liar) == run.params.bond
    assert run.bond_of(liar) == run.params.bond  # the demands'
    run.bond(1)  # again

    def lying(known: KnownRound, honest: Tape) -> Tape:
        number = known.program.column("weight")
        return lie(known, honest, number, (0,), honest.cell(number, (0,)) + 1)

    run.advance()  # the first aggregator was late
    sealed = task.play(lying)
    assert sealed.target.record.aggregator == liar.address
    assert run.member(liar)[0] == run.params.bond
    for made in demands:
        world.reveals.send(liar, "expire", made)
    assert (run.member(liar)[0], run.bond_of(liar)) == (run.params.bond, 0)

    (move,) = next_moves(sealed.known, sealed.sealed.root, published=sealed.sealed, shown={})
    assert isinstance(move, Refute)
    done = world.disputes.show(CHALLENGER, move.claim.function, sealed.target.encoded(), *move.claim.encoded())
    assert [name for name, _ in done.events].count("Fell") == 1
    assert run.member(CHALLENGER)[1] == run.params.bond * 3_000 // 10_000
