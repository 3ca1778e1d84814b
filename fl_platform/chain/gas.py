"""What every call cost, by name: the demo and the benchmarks print it.

Tests: tests/unit/chain/test_sender.py
"""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(frozen=True)
class GasUse:
    """Gas of all sends of one name."""

    count: int
    total: int
    least: int
    most: int

    @property
    def mean_up(self) -> int:
        """Mean gas a call, rounded up."""
        return -(-self.total // self.count)


class GasBook:
    """Collects gas by call name; safe to share between threads."""

    def __init__(self) -> None:
        self._used: dict[str, list[int]] = {}
        self._lock = threading.Lock()

    def add(self, name: str, gas: int) -> None:
        """Record one mined transaction."""
        with self._lock:
            self._used.setdefault(name, []).append(gas)

    def by_call(self) -> dict[str, GasUse]:
        """Return the totals, by name in alphabetical order."""
        with self._lock:
            return {n: GasUse(len(g), sum(g), min(g), max(g)) for n, g in sorted(self._used.items())}
