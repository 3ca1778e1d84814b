"""Orders to the resident trainers of one machine, straight to their sockets: the same wire, and no Flower process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from fl_platform.errors import ConfigError, FLError
from fl_platform.flower.resident import ask
from fl_platform.protocol.messages import RevealOrder, RoundOrder, encode_message

logger = logging.getLogger(__name__)

SUFFIX = ".sock"
MOST_AT_ONCE = 32
_LOOK_S = 0.5


class SocketTransport:
    """A transport for `Aggregator.run`: every socket in a folder is one trainer."""

    def __init__(
        self,
        folder: Path,
        *,
        expected: Callable[[], int],
        timeout_s: float = 3600.0,
        patience_s: float = 60.0,
        watch: Callable[[int, int], None] = lambda *_: None,
    ) -> None:
        """Create a transport.

        expected: how many sockets to wait for before each order, at most `patience_s`; those that are there then are
            asked. timeout_s: how long one trainer may take. watch(answers, asked): called after each answer.
        """
        self._folder, self._expected = folder, expected
        self._timeout_s, self._patience_s, self._watch = timeout_s, patience_s, watch

    def exchange(self, order: RoundOrder) -> Iterable[bytes]:
        """See Transport. Raises ConfigError when no trainer is there."""
        return self._ask_all(encode_message(order))

    def reveal(self, order: RevealOrder) -> Iterable[bytes]:
        """See Transport."""
        return self._ask_all(encode_message(order))

    def _ask_all(self, message: bytes) -> Iterator[bytes]:
        sockets = self._sockets()
        with ThreadPoolExecutor(min(MOST_AT_ONCE, len(sockets))) as pool:
            asked = {pool.submit(self._ask, path, message): path for path in sockets}
            for done, future in enumerate(as_completed(asked), 1):
                self._watch(done, len(sockets))
                try:
                    yield future.result()
                except FLError as error:  # one trainer's trouble is not the round's
                    logger.warning("%s: %s", asked[future].name, error)

    def _ask(self, path: Path, message: bytes) -> bytes:
        return ask(path, message, timeout_s=self._timeout_s, who="trainer")

    def _sockets(self) -> list[Path]:
        deadline = time.monotonic() + self._patience_s
        while len(found := sorted(self._folder.glob(f"*{SUFFIX}"))) < self._expected() and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        if not found:
            raise ConfigError(
                f"no trainer's socket (*{SUFFIX}) is in {self._folder}; start them with `fl-platform trainer run`"
            )
        return found
