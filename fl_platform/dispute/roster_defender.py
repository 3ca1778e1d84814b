"""A roster maker's side of disputes: it shows the leaves that it is asked for, from the entries that it kept.

Without its own folder nothing of a roster can be shown: the chain has its root alone.

Tests: tests/adversarial/test_x_hidden_roster.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from fl_platform.chain.client import Planned
from fl_platform.dispute.rosters import LeafAsked, Listed, Rosters, RosterTalk, leaf_of, listed_at, standing
from fl_platform.errors import AuditDifference, TransactionReverted
from fl_platform.protocol.bundle import Entry
from fl_platform.task.reading import TaskReader, roster_root

Kept = Callable[[int], Sequence[Entry]]  # a round's entries as rostered, from the maker's folder; raises OSError


@dataclass(frozen=True)
class RosterDefender:
    """Answers for the rosters that one wallet made in one task."""

    reader: TaskReader
    rosters: Rosters
    maker: bytes
    kept: Kept

    def waiting(self, now: int) -> Iterator[tuple[Listed, LeafAsked]]:
        """Return the leaves that wait to be shown at block time `now`. Raises RetryError."""
        listed = standing(self.reader)
        if listed is None or listed.record.aggregator != self.maker:
            return
        life = self.reader.history().head.life
        for asked in self.rosters.record(listed).waiting(life):
            if now < asked.deadline:
                yield listed, asked

    def showing(self, listed: Listed, index: int) -> Planned:
        """Return the call that shows a leaf.

        Raises AuditDifference where the folder's entries are not the roster's, OSError without any.
        """
        entries = [entry for entry in self.kept(listed.round) if not entry.forced]
        root, record = roster_root(tuple(entries)), listed.record
        if (root.digest, root.total, len(entries)) != (record.root, record.total_stake, record.count):
            raise AuditDifference(f"round {listed.round}: this folder's entries are not those of the roster on chain")
        return self.rosters.showing(listed, index, leaf_of(entries, index), entries[index].signature)


class RosterBonds:
    """The bonds that one wallet locked for leaves; without a wallet there are none."""

    def __init__(self, reader: TaskReader, rosters: Rosters) -> None:
        """`rosters`: with the wallet that asked."""
        self._reader, self._rosters = reader, rosters
        self._done: set[tuple[bytes, int, int]] = set()  # digest, leaf, life

    def reclaim(self) -> None:
        """Take back those whose rosters are sealed, fell, or stand in another life. Raises RetryError."""
        history = self._reader.history()
        if self._rosters.signer is None or not self._rosters.locked(history.task):
            return
        talks = self._rosters.records(self._reader.task)
        for number, record in history.rosters:
            listed = listed_at(self._reader, number, record)
            for asked in talks.get(listed.digest, RosterTalk()).unshown(self._rosters.signer.address):
                name = listed.digest, asked.index, asked.life
                if name in self._done or (listed.stands(history) and asked.life == history.head.life):
                    continue
                with suppress(TransactionReverted):  # that which lapsed is paid back by that
                    self._rosters.reclaim(listed, asked)
                self._done.add(name)
