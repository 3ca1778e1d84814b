"""Orders to the resident trainers of one machine, straight to their sockets: the same wire, and no Flower process."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fl_platform.errors import FLError, ProcessAbsent
from fl_platform.flower.trainer_server import ask
from fl_platform.protocol.messages import RevealOrder, RoundOrder, encode_message
from fl_platform.round.waiting import Waiting

logger = logging.getLogger(__name__)

SUFFIX = ".sock"
MOST_AT_ONCE = 256  # questions under way; one that hangs takes one of them, and a thread that sleeps
_MOST_APART_S = 60.0  # between two questions to the same socket


@dataclass
class _Asked:
    """How it went with one socket."""

    waits: float  # seconds until it is asked again; doubled each time that it fails
    said: str = ""  # its last error: the same one is not said twice
    under_way: bool = False
    again: float | None = 0.0  # not before (monotonic); None: never, its answer counted


@dataclass
class _Round:
    """One order to all sockets."""

    message: bytes
    sockets: dict[Path, _Asked] = field(default_factory=dict)
    answers: queue.SimpleQueue[tuple[Path, bytes | Exception]] = field(default_factory=queue.SimpleQueue)


class SocketTransport:
    """A transport for `Aggregator.run`: every socket in a folder is one trainer.

    A socket that is not there, that nobody serves or whose trainer fails is an absent trainer: it is asked again until
    nobody is waited for any more. One that never answers holds up nobody else.
    """

    once = False

    def __init__(
        self,
        folder: Path,
        *,
        timeout_s: float = 3600.0,
        watch: Callable[[int, int], None] = lambda *_: None,
        look_s: float = 0.5,
        again_s: float = 2.0,
    ) -> None:
        """Create a transport.

        timeout_s: how long one question may take, at most as long as its answer is waited for. watch(answers, sockets):
            called after each answer. look_s: how often to look for new sockets; again_s: when to ask an absent
            trainer again; one that fails, later and later.
        """
        self._folder, self._timeout_s, self._watch = folder, timeout_s, watch
        self._look_s, self._again_s = look_s, again_s

    def exchange(self, order: RoundOrder, waiting: Waiting) -> Iterable[bytes]:
        """See Transport."""
        return self._ask_all(encode_message(order), waiting)

    def reveal(self, order: RevealOrder, waiting: Waiting) -> Iterable[bytes]:
        """See Transport."""
        return self._ask_all(encode_message(order), waiting)

    def _ask_all(self, message: bytes, waiting: Waiting) -> Iterator[bytes]:
        round_, answered = _Round(message), 0
        while left := waiting.left():
            self._ask_idle(round_, left)
            try:
                path, answer = round_.answers.get(timeout=min(self._look_s, left))
            except queue.Empty:
                continue
            asked = round_.sockets[path]
            asked.under_way = False
            if isinstance(answer, bytes):
                before = waiting.missing()
                answered += 1
                self._watch(answered, len(round_.sockets))
                yield answer
                if waiting.missing() != before:
                    asked.again = None
                    continue
            else:
                self._failed(path, asked, answer)
            asked.again = time.monotonic() + asked.waits
            if not isinstance(answer, ProcessAbsent):  # to look whether it is back costs nothing, to train again does
                asked.waits = min(2 * asked.waits, _MOST_APART_S)

    def _ask_idle(self, round_: _Round, left: float) -> None:
        """Ask every socket whose turn it is."""
        paths = sorted(self._folder.glob(f"*{SUFFIX}"))
        if not paths and not round_.sockets:
            logger.info("no trainer's socket (*%s) is in %s yet", SUFFIX, self._folder)
        free = MOST_AT_ONCE - sum(asked.under_way for asked in round_.sockets.values())
        now = time.monotonic()
        for path in paths:
            asked = round_.sockets.setdefault(path, _Asked(self._again_s))
            if free > 0 and not asked.under_way and asked.again is not None and asked.again <= now:
                asked.under_way = True
                free -= 1
                # A daemon, and not of a pool: nobody waits at the end for one that hangs.
                question = (round_, path, min(self._timeout_s, left))
                threading.Thread(target=self._ask, args=question, name=f"ask:{path.name}", daemon=True).start()

    @staticmethod
    def _ask(round_: _Round, path: Path, timeout_s: float) -> None:
        try:
            answer: bytes | Exception = ask(path, round_.message, timeout_s=timeout_s, who="trainer")
        except Exception as error:  # told where the answers are taken in
            answer = error
        round_.answers.put((path, answer))

    @staticmethod
    def _failed(path: Path, asked: _Asked, error: Exception) -> None:
        if not isinstance(error, FLError):
            raise error
        if str(error) != asked.said:  # one trainer's trouble is not the round's
            asked.said = str(error)
            logger.warning("%s: %s; it is asked again", path.name, error)
