"""What an aggregator keeps in its own folder of the rounds it works on: written before anything is sent.

Tests: tests/unit/round/test_aggregator.py
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fl_platform.protocol.bundle import Entry
from fl_platform.protocol.canonical import canonical_json, parse_canonical
from fl_platform.protocol.document import from_json, to_json
from fl_platform.task.atomic_files import write_atomically


@dataclass(frozen=True)
class KeptEntries:
    """The entries of one task's rounds, by round."""

    folder: Path  # of the task

    @classmethod
    def of(cls, workdir: Path, task: int) -> KeptEntries:
        """Return those of a task; `workdir` is the aggregator's own."""
        return cls(workdir / f"task-{task}")

    def there(self, round_number: int) -> bool:
        """Whether any are kept of a round."""
        return self._path(round_number).exists()

    def load(self, round_number: int) -> tuple[Entry, ...]:
        """Return them. Raises FileNotFoundError, DocumentInvalid."""
        data = self._path(round_number).read_bytes()
        entries: tuple[Entry, ...] = from_json(tuple[Entry, ...], parse_canonical(data, what="entries"), "entries")
        return entries

    def save(self, round_number: int, entries: tuple[Entry, ...]) -> None:
        """Keep them, in the place of what was there."""
        write_atomically(self._path(round_number), canonical_json(to_json(entries)))

    def take(self, round_number: int, entries: tuple[Entry, ...]) -> None:
        """Keep those of a predecessor's roster, and that they are."""
        self.save(round_number, entries)
        write_atomically(self._path(round_number, "taken"), b"{}")

    def taken(self, round_number: int) -> bool:
        """Whether a predecessor's were kept once."""
        return self._path(round_number, "taken").exists()

    def _path(self, round_number: int, name: str = "entries") -> Path:
        return self.folder / f"round-{round_number}.{name}.json"
