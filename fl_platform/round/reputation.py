"""Trainers' reputations (step 10): read from the newest sealed bundle, written to the chain from a final one.

Tests: tests/docs/test_examples.py
"""

from __future__ import annotations

from dataclasses import dataclass

from fl_platform.ledger.contracts import Contracts
from fl_platform.protocol.bundle import claim_leaves
from fl_platform.protocol.seats import FIRST_SEAT
from fl_platform.round.rewards import final_bundle, last_sealed
from fl_platform.task.reading import TaskReader


@dataclass(frozen=True)
class Repute:
    """One trainer's reputation; fixed point, 10^6 is 1."""

    trainer: bytes  # 20 bytes
    value: int  # by the newest sealed round
    recorded: int | None  # on chain; None: never recorded
    recorded_round: int | None


@dataclass(frozen=True)
class Recorded:
    """What was written."""

    round: int
    trainers: int


def reputations(reader: TaskReader, contracts: Contracts) -> tuple[Repute, ...]:
    """Return every trainer's reputation, by address. Raises StoreMissing, CidMismatch, DocumentInvalid."""
    sealed = last_sealed(reader)
    standings = reader.bundle(sealed).after.standings[FIRST_SEAT:] if sealed is not None else ()
    found = []
    for standing in standings:
        known = contracts.reputation_of(reader.task, standing.trainer)
        recorded = (known.value, known.round) if known.known else (None, None)
        found.append(Repute(standing.trainer, standing.reputation, *recorded))
    return tuple(found)


def record(reader: TaskReader, contracts: Contracts, *, now: int) -> Recorded:
    """Write the reputations of the newest final round to the chain. Raises TaskClosed (none is final yet)."""
    bundle = final_bundle(reader, now=now)
    leaves = claim_leaves(bundle.after)
    contracts.record_reputation(reader.task, bundle.round, leaves)
    return Recorded(bundle.round, max(0, len(leaves) - FIRST_SEAT))
