"""What an owner's earlier tasks paid: ranges for whoever thinks of joining the next one.

Read from the sealed accounts alone. They say what happened, and promise nothing: an owner can have been its own
trainer.
"""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable
from dataclasses import dataclass

from fl_platform.errors import FLError
from fl_platform.ledger.views import Views
from fl_platform.protocol.seats import FIRST_SEAT
from fl_platform.task.reading import TaskReader

logger = logging.getLogger(__name__)
LONGEST = 10  # of an owner's newest tasks are read


@dataclass(frozen=True)
class TrackRecord:
    """An owner's earlier tasks that have a final round."""

    tasks: int
    unread: int  # whose accounts no store here has
    rounds: int
    pay: tuple[int, ...]  # of each trainer with a share in a task, wei a round, ascending

    @property
    def median(self) -> int:
        """Half of the trainers got at most this a round, wei (rounded down)."""
        return int(statistics.median_low(self.pay))


def track_record(
    views: Views, read: Callable[[int], TaskReader], *, owner: bytes, before: int, now: int
) -> TrackRecord:
    """Return what the owner's tasks numbered under `before` paid their trainers in final rounds.

    The aggregators' fees are left out. What cannot be read is counted, and raises nothing.
    """
    earlier = [one for one in views.histories() if one.task < before and one.opened.owner == owner]
    tasks = unread = rounds = 0
    pay: list[int] = []
    for history in earlier[-LONGEST:]:
        final = history.last_final(now)
        if final is None:
            continue
        tasks += 1
        try:
            bundle = read(history.task).bundle(final.number)
        except FLError as error:
            logger.info("task %d: %s", history.task, error)
            unread += 1
            continue
        worked = final.number + 1
        rounds += worked
        pay += [
            one.earned // worked
            for one in bundle.after.standings[FIRST_SEAT:]
            if one.trainer not in history.opened.aggregators
        ]
    return TrackRecord(tasks, unread, rounds, tuple(sorted(pay)))
