"""Closing the books of an ended task (step 10): never-rostered pots to the owner. Anyone may.

Tests: tests/unit/dispute/test_watcher.py
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
    """Close the books and pay the owner what was released; `forward` moves a local chain's clock to finality.

    Raises TaskClosed when rounds are still worked on or the last one is not final yet, TransactionReverted.
    """
    history = reader.history()
    if history.head.phase in WORKING:
        raise TaskClosed(
            f"task {reader.task} still works on {at_round(history.head.round, history.opened.rounds)}; its books "
            "close when all rounds are sealed, or when no aggregator is left "
            f"(`fl-platform aggregator advance {reader.task}`)"
        )
    final_at = history.final_at(history.head.round - 1) if history.head.round else None
    if final_at is not None and final_at > now:
        if forward is None:
            raise TaskClosed(
                f"task {reader.task}: the last sealed round is final in {final_at - now} s of block time; try again "
                "then (a local chain's clock can be moved: --fast-forward)"
            )
        forward(final_at)
    contracts.close_task(reader.task)
    owner = history.opened.owner
    before = reader.history().withdrawn.get(owner, 0)
    contracts.withdraw(reader.task, owner)
    after = reader.history()
    return Closed(after.released.get(owner, 0), after.withdrawn.get(owner, 0) - before)


def nothing_left(reader: TaskReader, *, now: int) -> bool:
    """Whether no further seal will come, none can be challenged any more at block time `now`, no dispute is open."""
    history = reader.history()
    going_on = (record.challenged or (history.final_at(record.number) or 0) > now for record in history.rounds)
    return history.head.phase not in WORKING and not any(going_on)
