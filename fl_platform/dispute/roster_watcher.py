"""A trainer's side of a roster that ended its task compensated: it asks for leaves, and lets fall what nobody shows.

The last aggregator of the list can make a roster and pass before any answer is due, and no successor is there to ask.
So whoever had a seat at that roster asks in the takeover window that follows, before the books can be closed: a leaf
that its trainer never signed costs the maker its bond, and the pot goes to all seats.

Tests: tests/adversarial/test_x_hidden_roster.py
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from fl_platform.chain.signer import require_signer
from fl_platform.chain.types import Phase
from fl_platform.dispute.roster_defender import RosterBonds
from fl_platform.dispute.rosters import Listed, Rosters, RosterTalk, answer_time, drawn_places, standing
from fl_platform.errors import TransactionReverted, WalletError
from fl_platform.task.reading import TaskReader

logger = logging.getLogger(__name__)


class RosterWatcher:
    """One wallet's look at the roster by which one task ended."""

    def __init__(self, reader: TaskReader, rosters: Rosters, *, watch: Callable[[str], None] = lambda _: None) -> None:
        """Create a watcher; `rosters` holds the wallet that pays, `watch` is told of every move. Raises ConfigError."""
        self._reader, self._rosters, self._watch = reader, rosters, watch
        self._account = require_signer(rosters.signer).address
        self._bonds = RosterBonds(reader, rosters)
        self._asked: set[bytes] = set()  # digests

    def step(self, now: int) -> None:
        """Ask at block time `now`, let fall what is overdue, and take own bonds back. Raises RetryError."""
        listed = standing(self._reader)
        if listed is not None and self._reader.history().head.phase is Phase.COMPENSATED:
            self._look(listed, self._rosters.record(listed), now)
        self._bonds.reclaim()

    def _look(self, listed: Listed, talk: RosterTalk, now: int) -> None:
        history = self._reader.history()
        if overdue := talk.overdue(history.head.life, now):
            index = overdue[0].index
            self._try(partial(self._rosters.lapse, listed, index), f"leaf {index} was not shown: the roster falls")
        elif now + answer_time(history.opened.windows) < history.falls_until() and self._shares(listed):
            self._ask(listed, talk, history.head.life)

    def _shares(self, listed: Listed) -> bool:
        """Whether this wallet had a seat at that roster. A forced receipt has the pot divided by seats anyway."""
        history = self._reader.history()
        seat = history.seats.get(self._account, listed.record.seats)
        return seat < listed.record.seats and not history.rounds[listed.round].forced

    def _ask(self, listed: Listed, talk: RosterTalk, life: int) -> None:
        if listed.digest in self._asked:
            return
        self._asked.add(listed.digest)
        known = {*talk.shown, *(asked.index for asked in talk.waiting(life))}
        for index in drawn_places(listed.record.count, known):
            try:
                self._try(partial(self._rosters.ask, listed, index), f"asks for leaf {index} of the roster")
            except WalletError as error:
                logger.warning("round %d: nothing more is asked of its roster: %s", listed.round, error)
                return

    def _try(self, move: Callable[[], object], what: str) -> None:
        """Make a move that somebody else may make first."""
        try:
            move()
        except TransactionReverted as error:
            logger.info("%s", error)
        else:
            self._watch(what)
