"""Closing the books of an ended task (step 10): never-rostered pots to the owner. Anyone may.

Tests: tests/unit/dispute/test_watcher.py
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fl_platform.dispute.rosters import standing
from fl_platform.errors import TaskClosed
from fl_platform.ledger.contracts import Contracts
from fl_platform.round.membership import WORKING
from fl_platform.task.reading import TaskReader
from fl_platform.task.round_text import at_round


@dataclass(frozen=True)
class Closed:
    """What the closing gave the owner, wei."""

    released: int
    withdrawn: int


def close(reader: TaskReader, contracts: Contracts, *, now: int, forward: Callable[[int], None] | None) -> Closed:
    """Close the books and pay the owner what was released; `forward` moves a local chain's clock to when that can be.

    Raises TaskClosed when rounds are still worked on, the last one is not final yet, or the roster of a compensated one
    can still fall; TransactionReverted.
    """
    history = reader.history()
    if history.head.phase in WORKING:
        raise TaskClosed(
            f"task {reader.task} still works on {at_round(history.head.round, history.opened.rounds)}; its books "
            "close when all rounds are sealed, or when no aggregator is left "
            f"(`fl-platform aggregator advance {reader.task}`)"
        )
    closes_at = history.closes_at()
    if closes_at > now:
        if forward is None:
            roster = f"the roster of round {history.head.round} can be asked for, and fall, for {closes_at - now} s"
            final = f"the last sealed round is final in {closes_at - now} s"
            raise TaskClosed(
                f"task {reader.task}: {roster if closes_at == history.falls_until() else final} of block time; try "
                "again then (a local chain's clock can be moved: --fast-forward)"
            )
        forward(closes_at)
    contracts.close_task(reader.task)
    owner = history.opened.owner
    before = reader.history().withdrawn.get(owner, 0)
    contracts.withdraw(reader.task, owner)
    after = reader.history()
    return Closed(after.released.get(owner, 0), after.withdrawn.get(owner, 0) - before)


def nothing_left(reader: TaskReader, *, now: int) -> bool:
    """Whether no further seal will come, and at block time `now` none can be challenged nor a roster fall any more."""
    history = reader.history()
    going_on = (record.challenged or (history.final_at(record.number) or 0) > now for record in history.rounds)
    head = history.head
    falls = now < history.falls_until() and history.rounds[head.round].roster is not None
    return head.phase not in WORKING and not any(going_on) and not falls


def can_be_asked(reader: TaskReader, account: bytes, *, now: int) -> bool:
    """Whether an account can lose its bond by not answering, at block time `now`: for a roster or a seal of its own."""
    history = reader.history()
    listed = standing(reader)
    seals = (record for record in history.rounds if record.seal is not None and record.seal.aggregator == account)
    sealed = any(record.challenged or (history.final_at(record.number) or 0) > now for record in seals)
    return sealed or (listed is not None and listed.record.aggregator == account)
