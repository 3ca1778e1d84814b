"""What a role says of a round, as a record for `sinks`: made beside the work, sent to nobody."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from fl_platform.aggregation.admit import ADMITTED, REFERENCE
from fl_platform.roles.aggregator import Progress, SealedRound
from fl_platform.roles.reading import TaskReader
from fl_platform.sinks.names import AGGREGATOR
from fl_platform.sinks.record import Record, Value, labelled

_TIMED = ("train", "roster", "judge", "seal")


class RoundsSealed:
    """Watches an aggregator and makes one record of each round it seals."""

    def __init__(self, reader: TaskReader, *, who: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self._reader, self._who, self._clock = reader, who, clock
        self._refused: Counter[str] = Counter()
        self._seconds: dict[str, float] = {}
        self._since: tuple[str, float] | None = None

    def step(self, progress: Progress) -> None:
        """Take one step of the round: an aggregator's `Watch`."""
        if progress.step == "refuse":
            self._refused[progress.detail] += 1
        elif progress.step in _TIMED:
            now = self._clock()
            if self._since is not None:
                name, start = self._since
                self._seconds[name] = self._seconds.get(name, 0.0) + now - start
            self._since = None if progress.step == "seal" else (progress.step, now)

    def record(self, sealed: SealedRound) -> Record:
        """Return what became of a round, and start counting anew."""
        bundle, judged = sealed.bundle, sealed.judgement
        members = self._reader.history().members_at_roster(bundle.round).keys()
        answered = {entry.receipt.trainer for entry in bundle.entries} & members
        codes = Counter(verdict.code for verdict in bundle.verdicts)
        refused = self._refused + Counter({c: n for c, n in codes.items() if c not in (ADMITTED, REFERENCE)})
        values: dict[str, Value] = {
            "members": len(members),
            "answered": len(answered),
            "absent": len(members - answered),
            "in_sum": codes[ADMITTED],
            "worth_measured": bundle.measured,
            "update_bytes": sum(entry.receipt.length for entry in bundle.entries),
            "sealed_bytes": len(judged.model_bytes) + len(judged.aggregate_bytes),
            "model": "0x" + bundle.after.model.hex(),
        }
        values |= {labelled("absent_member", f"0x{who.hex()}"): 1 for who in sorted(members - answered)}
        values |= {labelled("refused", code): count for code, count in sorted(refused.items())}
        values |= {labelled("step_seconds", name): seconds for name, seconds in self._seconds.items()}
        self._refused, self._seconds = Counter(), {}
        return Record(AGGREGATOR, self._reader.task, bundle.round, values, who=self._who)
