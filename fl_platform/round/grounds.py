"""What an aggregator does about updates that do not open for it (step 7), so that nobody has to take its word for it.

- the ciphertext is not to be had: the task's witnesses are asked; who gets it hands it over, who does not complains
- the ciphertext does not open as its receipt says: the trainer is convicted on chain (`dispute.key_watcher`)

So every update opens in the end, or has a ground on chain for being left out. Where the time is too short for either,
the aggregator passes: it loses the fee, and no bond.

Tests: tests/unit/round/test_witness.py
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from fl_platform.dispute.key_watcher import KeyWatcher
from fl_platform.errors import FLError, RetryError
from fl_platform.ledger.complaints import Complaints
from fl_platform.ledger.contracts import Contracts
from fl_platform.protocol.bundle import Entry
from fl_platform.task.decrypting import UpdateOpener
from fl_platform.task.reading import TaskReader

logger = logging.getLogger(__name__)


def nobody() -> None:
    """No witness is in this process."""


class Grounds:
    """One aggregator's search for grounds, in one task."""

    def __init__(
        self, reader: TaskReader, contracts: Contracts, opener: UpdateOpener, *,
        witnesses: Callable[[], object] = nobody,
    ) -> None:  # fmt: skip
        """`contracts`: with the wallet that asks and accuses; `witnesses()`: those in this process take a look."""
        self._reader, self._opener, self._witnesses = reader, opener, witnesses
        asks = reader.spec.complaints_needed > 0 and Complaints.there(contracts)
        self._complaints = Complaints(contracts, contracts.signer) if asks else None
        self._keys = KeyWatcher(reader, contracts, contracts.signer, opener)
        self._now = contracts.chain.now
        self.moved = False  # whether the last step accused anybody, or asked for something

    def seek(self, round_number: int, closed: Sequence[Entry]) -> bool:
        """Take the next step about entries of the round being worked on that do not open; say whether all are settled.

        Raises RetryError.
        """
        lacking = [entry for entry in closed if not self._is_there(entry)]
        if lacking and self._complaints is not None:
            self._complaints.want(self._reader.task, round_number, [entry.receipt for entry in lacking])
        self.moved = bool(self._keys.convict([entry for entry in closed if entry not in lacking], self._now()))
        self._witnesses()
        context = self._reader.round_context(round_number, self._opener.recipient, closed, as_of=self._now())
        settled = context.convicted | context.missing
        return all(entry.receipt.struct_hash() in settled or self._opens(entry) for entry in closed)

    def waits_until(self) -> int | None:
        """Return when the last own demand ends, seconds; None where none is open. Raises RetryError."""
        return self._keys.waits_until()

    def _is_there(self, entry: Entry) -> bool:
        try:
            self._opener.sealed(entry.receipt)
        except RetryError:
            raise
        except FLError:
            return False
        return True

    def _opens(self, entry: Entry) -> bool:
        try:
            self._opener.open(entry)
        except RetryError:
            raise
        except FLError:
            return False
        return True
