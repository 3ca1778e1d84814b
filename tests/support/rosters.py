"""Rosters on the real ledger and referee, with what their makers keep of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fl_platform.dispute.targets import EntryShown, encoded_entry
from fl_platform.protocol.merkle_sum import Leaf
from fl_platform.protocol.receipt import Receipt
from tests.support.bound_rounds import CHALLENGER, BoundTask, RefereeWorld
from tests.support.contracts import RosterRecord, Run, Tree, World, escrow_balance, holdings
from tests.support.evm import Account, Outcome, account


@dataclass
class Listed:
    """A round that is rostered on the real ledger, with what its maker keeps of it."""

    task: BoundTask
    receipts: tuple[Receipt, ...]
    signatures: tuple[bytes, ...]
    tree: Tree
    record: RosterRecord

    @property
    def run(self) -> Run:
        """The task's driver."""
        return self.task.run

    @property
    def world(self) -> World:
        """Where it runs."""
        return self.task.world

    def about(self, index: int) -> tuple[Any, ...]:
        """Return what names a question."""
        return (self.run.task, self.number, self.record, self.task.terms.facts(), index)

    @property
    def number(self) -> int:
        """The round's."""
        return self.receipts[0].round

    def entry(self, index: int) -> bytes:
        """Return a leaf as calls carry it."""
        return encoded_entry(EntryShown(self.receipts[index], self.tree.leaves[index].amount, self.tree.path(index)))

    # --- moves ---

    def ask(self, index: int, who: Account = CHALLENGER) -> Outcome:
        """Ask for a leaf."""
        return self.world.disputes.send(who, "askRoster", *self.about(index))

    def show(self, index: int, who: bytes | None = None) -> Outcome:
        """Show it, as its maker unless said."""
        call = (*self.about(index), self.entry(index), self.signatures[index])
        return self.world.disputes.send(who or self.record.aggregator, "showRoster", *call)

    def lapse(self, index: int, who: Account | None = None) -> Outcome:
        """End a question that nobody answered."""
        listed = self.run.params.aggregators
        call = (who or account("anyone"), "lapseRoster", *self.about(index), listed)
        return self.world.disputes.send(*call)

    def reclaim(self, index: int, life: int = 0) -> Outcome:
        """Take a bond back for its asker."""
        call = (account("anyone"), "reclaimRoster", *self.about(index), life)
        return self.world.disputes.send(*call)

    def refute(self, index: int, *, commit: bool = False) -> Outcome:
        """Show that two neighbours do not ascend."""
        listed = self.run.params.aggregators
        first, second = self.entry(index), self.entry(index + 1)
        call = ("refuteRoster", self.run.task, self.number, self.record, index, first, second, listed)
        move = self.world.disputes.show if commit else self.world.disputes.send
        return move(CHALLENGER, *call)

    def credit(self, who: bytes) -> int:
        """What an account can withdraw, wei."""
        return int(self.run.member(who)[1])

    def conserves(self) -> None:
        """Demand that what the escrow holds is what it owes."""
        run, world = self.run, self.world
        people = {who.address for who in (world.owner, *world.aggregators, *run.trainers, CHALLENGER)}
        assert escrow_balance(world) == holdings(world, [run.task], [*people, bytes(20)])


def rostered(world: RefereeWorld, task: BoundTask | None = None, order: Sequence[int] | None = None) -> Listed:
    """Roster a round honestly, or with the trainers at these places in another order."""
    task = task or BoundTask(random.Random(1), world)
    run = task.run
    people = sorted(task.people, key=lambda who: who.address)
    people = [people[i] for i in order or range(len(people))]
    receipts = tuple(run.receipt(who) for who in people)
    tree = Tree(tuple(
        Leaf(who.address, int(run.member(who)[0]), one.struct_hash()) for who, one in zip(people, receipts, strict=True)
    ))  # fmt: skip
    number = run.round
    run.roster(tree)
    signatures = tuple(run.sign(who, one) for who, one in zip(people, receipts, strict=True))
    return Listed(task, receipts, signatures, tree, run.rosters[number][0])
