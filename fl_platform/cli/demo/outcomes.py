"""What a task's history says of slashed bonds and compensation, as `demo --json` shows it.

Tests: tests/adversarial/test_a08_lying_aggregator.py
"""

from __future__ import annotations

from dataclasses import dataclass

from fl_platform.ledger import events as ev
from fl_platform.ledger.history import TaskHistory


@dataclass(frozen=True)
class Slashed:
    """One slash, as `--json` shows it."""

    address: str
    role: str
    amount_wei: int
    why: str


@dataclass(frozen=True)
class Compensated:
    """What one address got from a compensation."""

    address: str
    amount_wei: int


def slashed_of(history: TaskHistory, *, why: str) -> tuple[Slashed, ...]:
    """Return every slash of a task. `why`: the watcher's finding, in words."""
    aggregators = history.opened.aggregators
    return tuple(
        Slashed(
            "0x" + event.account.hex(), "aggregator" if event.account in aggregators else "trainer", event.amount, why
        )
        for event in history.events
        if isinstance(event, ev.StakeSlashed) and event.amount
    )


def compensated_of(history: TaskHistory) -> tuple[Compensated, ...]:
    """Return what compensation paid, by address."""
    return tuple(
        Compensated("0x" + event.trainer.hex(), event.amount)
        for event in history.events
        if isinstance(event, ev.CompensationClaimed)
    )
