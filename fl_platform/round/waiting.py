"""Who is missing in a round and how long it is waited for, said in one place: whatever carries orders looks here."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

from fl_platform.errors import RetryError
from fl_platform.protocol.messages import RevealOrder, RoundOrder

logger = logging.getLogger(__name__)

MARGIN_S = 30.0  # before a deadline on chain: for the roster's document and transaction
MARGIN_SHARE = 20  # or this part of the window, where that is longer
PAUSE_S = 5.0  # between two rounds of asking
LOOK_S = 10.0  # the chain is looked at no more often while waiting
TELL_S = 60.0  # the same line is not said again sooner


@dataclass(frozen=True)
class Progress:
    """Where a round stands, for whoever watches."""

    round: int
    step: str  # "train", "wait", "refuse" (an answer, `detail` is the error's name), "roster", "judge", "seal"
    detail: str


Watch = Callable[[Progress], None]


class Transport(Protocol):
    """What carries orders to trainers and their answers back: Flower, or the process itself. Answers are unverified."""

    @property
    def once(self) -> bool:
        """Whether all parties are in this process: asking again brings nothing, and nobody is waited for."""

    def exchange(self, order: RoundOrder, waiting: Waiting) -> Iterable[bytes]:
        """Send the round's order to who is missing; return encoded Submissions as they come, in any order."""

    def reveal(self, order: RevealOrder, waiting: Waiting) -> Iterable[bytes]:
        """Strict rounds: send the second message; return encoded Reveals, in any order."""


class Waiting:
    """Whom a transport still waits for, and for how long. It changes while answers are taken in."""

    def __init__(
        self,
        expected: Callable[[], frozenset[bytes]],
        answered: Collection[bytes],
        *,
        until: Callable[[], float],
        clock: Callable[[], float],
        tell: Callable[[Waiting], None] = lambda _: None,
        more: Callable[[Waiting], bool] = lambda _: False,
    ) -> None:
        """`answered` is a live view of who has answered; `until` and `clock` are in the chain's seconds.

        more: whether parties that are not expected yet are waited for, too.
        """
        self._expected, self._answered, self._until, self._clock, self._tell = expected, answered, until, clock, tell
        self._more, self._among, self._looked = more, expected(), clock()

    def missing(self) -> frozenset[bytes]:
        """Return who is expected and has not answered, 20 bytes each."""
        return self._among.difference(self._answered)

    def expected(self) -> frozenset[bytes]:
        """Return everybody who is waited for, answered or not."""
        return self._among

    def left(self) -> float:
        """Return for how many seconds to wait on; 0.0: nobody is missing or yet to come, or the time is up."""
        now = self._clock()
        if now - self._looked >= LOOK_S:
            self._looked = now
            try:
                self._among = self._expected()
            except RetryError as error:
                logger.warning("the members cannot be read now: %s", error)
        if not self.missing() and not self._more(self):
            return 0.0
        self._tell(self)
        return max(0.0, self._until() - now)


class BlockClock:
    """The chain's time between its blocks: what its next block would say, and what has passed here since."""

    def __init__(self, next_time: Callable[[], int], *, passing: Callable[[], float] = time.monotonic) -> None:
        self._next_time, self._passing = next_time, passing
        self._time: float | None = None  # the chain's, when it was last looked at
        self._looked = 0.0

    def __call__(self) -> float:
        """Return the chain's time, seconds; it never goes back. A chain that does not answer now is reckoned on."""
        here = self._passing()
        if self._time is None:
            self._time, self._looked = float(self._next_time()), here
        reckoned = self._time + here - self._looked
        if here - self._looked >= LOOK_S:
            self._time, self._looked = reckoned, here
            try:
                self._time = max(reckoned, float(self._next_time()))
            except RetryError as error:
                logger.warning("the chain's clock cannot be read now: %s", error)
            return self._time
        return reckoned


def margin(window: float) -> float:
    """Return how long before a deadline nobody is waited for any more, given the whole window; seconds."""
    return min(max(MARGIN_S, window / MARGIN_SHARE), window / 2)


def span(seconds: float) -> str:
    """Say when something is that far ahead: "in 11 min", "in 40 s", "now"."""
    if seconds < 1:
        return "now"
    return f"in {seconds / 60:.0f} min" if seconds >= 120 else f"in {seconds:.0f} s"
