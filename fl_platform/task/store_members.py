"""Who may fill a store that one party serves: the members of the tasks it is for, and who is on its list.

A task's members are its owner, aggregators, trainers with a stake in it, and whoever signs its reference updates.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection

from fl_platform.chain.types import ZERO_ADDRESS
from fl_platform.errors import FLError, RetryError
from fl_platform.ledger.history import TaskHistory
from fl_platform.ledger.views import Views
from fl_platform.protocol.spec import MAX_SPEC_BYTES, TaskSpec
from fl_platform.store.interface import Store

logger = logging.getLogger(__name__)

LOOK_S = 2.0  # between looks at the chain: strangers' requests cost no more calls than this, and wait for the next one
KNOWN_S = 60.0  # how long a member counts as one without a look


class StoreMembers:
    """Answers whether an address may upload. Safe for several threads."""

    def __init__(
        self,
        views: Views | None,
        store: Store,
        *,
        allowed: Collection[bytes],
        tasks: Collection[int] = (),
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Watch `tasks`, and every task that an address on the list opens.

        views: the chain; None: the list alone decides. store: where the tasks' rules lie once their owner put them.
        allowed: addresses, 20 bytes each.
        """
        self._views, self._store = views, store
        self._allowed, self._tasks = frozenset(allowed), frozenset(tasks)
        self._clock, self._pause = clock, pause
        self._lock = threading.Lock()
        self._members: frozenset[bytes] = frozenset()
        self._looked = float("-inf")
        self._references: dict[bytes, bytes] = {}  # of a task, by the digest of its rules

    def __call__(self, account: bytes) -> bool:
        """Tell whether the account may upload now; while the chain does not answer, who could before still may.

        Raises RetryError when only the chain could tell, and does not.
        """
        if account in self._allowed or self._views is None:
            return account in self._allowed
        arrived = self._clock()
        if account in self._members and arrived < self._looked + KNOWN_S:
            return True
        with self._lock:
            if self._looked < arrived:  # else somebody looked while this one waited
                wait = self._looked + LOOK_S - arrived
                if wait > 0:
                    self._pause(wait)
                looked = self._clock()
                try:
                    self._members = frozenset().union(*map(self._members_of, self._watched(self._views)))
                except RetryError as error:
                    if account not in self._members:
                        raise
                    logger.warning("members are those of %.0f s ago: %s", looked - self._looked, error)
                    return True
                self._looked = looked
            return account in self._members

    def _watched(self, views: Views) -> list[TaskHistory]:
        return [one for one in views.histories() if one.task in self._tasks or one.opened.owner in self._allowed]

    def _members_of(self, history: TaskHistory) -> frozenset[bytes]:
        opened = history.opened
        found = {opened.owner, *opened.aggregators, *history.members, self._reference(opened.spec)}
        return frozenset(found - {ZERO_ADDRESS, b""})

    def _reference(self, spec: bytes) -> bytes:
        """Return who signs a task's reference updates, by the rules in the store; empty while they are not there."""
        if spec not in self._references:
            try:
                data = self._store.get(self._store.locate(spec), max_bytes=MAX_SPEC_BYTES)
                self._references[spec] = TaskSpec.from_bytes(data).reference.address
            except FLError:  # not there yet, or no rules: whoever wrote them is not believed
                return b""
        return self._references[spec]
