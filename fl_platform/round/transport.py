"""Orders and answers inside one process: trainers are called one after another. Flower carries them everywhere else.

Tests: tests/unit/round/test_whole_task.py
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

from fl_platform.errors import PolicyRefused, RejectedInput
from fl_platform.protocol.messages import RevealOrder, RoundOrder, encode_message
from fl_platform.round.trainer import Trainer
from fl_platform.round.waiting import Waiting

logger = logging.getLogger(__name__)


class LocalTransport:
    """The aggregator and its trainers in one process (demo, tests): they are asked once, each answers or never will."""

    once = True

    def __init__(self, trainers: Sequence[Trainer], watch: Callable[[int, int], None] = lambda *_: None) -> None:
        """Create a transport; `watch(done, trainers)` is called after each answer."""
        self._trainers, self._watch = trainers, watch

    def exchange(self, order: RoundOrder, waiting: Waiting) -> Iterable[bytes]:
        """See Transport."""
        return self._ask(encode_message(order))

    def reveal(self, order: RevealOrder, waiting: Waiting) -> Iterable[bytes]:
        """See Transport."""
        return self._ask(encode_message(order))

    def _ask(self, message: bytes) -> Iterator[bytes]:
        for done, trainer in enumerate(self._trainers, 1):
            try:
                answer = trainer.handle(message)
            except (RejectedInput, PolicyRefused) as error:
                logger.warning("0x%s refused: %s", trainer.address.hex(), error)
                continue
            finally:
                self._watch(done, len(self._trainers))
            yield answer
