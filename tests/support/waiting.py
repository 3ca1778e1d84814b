"""Whom a transport waits for, as a test says."""

from __future__ import annotations

from collections.abc import Callable, Collection

from fl_platform.round.waiting import Waiting


def waiting_for(
    *trainers: bytes, answered: Collection[bytes] = (), left: Callable[[], float] = lambda: 1e6
) -> Waiting:
    """Return one that waits for these, `left()` seconds from any moment."""
    return Waiting(lambda: frozenset(trainers), answered, until=left, clock=lambda: 0.0)
