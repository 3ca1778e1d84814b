"""From the words of `--log` to sinks, and the promise that none of them costs a round.

jsonl:FILE  tensorboard:DIR  mlflow:URI  prometheus:[HOST:]PORT
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from fl_platform.errors import ConfigError
from fl_platform.sinks.record import Record, Sink

logger = logging.getLogger(__name__)

FORMS = "jsonl:FILE, tensorboard:DIR, mlflow:URI or prometheus:[HOST:]PORT"
WAITING = 1_000  # records that wait for a slow sink; more are dropped
CLOSE_S = 15.0  # what a slow sink is given at the end


def _jsonl(where: str) -> Sink:
    from fl_platform.sinks.jsonl import JsonLines

    return JsonLines(Path(where))


def _tensorboard(where: str) -> Sink:
    from fl_platform.sinks.tensorboard import EventFiles

    return EventFiles(Path(where))


def _mlflow(where: str) -> Sink:
    from fl_platform.sinks.mlflow import Tracking

    return Tracking(where)


def _prometheus(where: str) -> Sink:
    from fl_platform.sinks.prometheus import Gauges

    return Gauges(where)


_KINDS: Mapping[str, Callable[[str], Sink]] = {
    "jsonl": _jsonl, "tensorboard": _tensorboard, "mlflow": _mlflow, "prometheus": _prometheus,
}  # fmt: skip


def open_sink(words: str) -> Sink:
    """Open one sink. Raises ConfigError for unknown words, a missing package or a taken port, OSError for a path."""
    kind, _, where = words.partition(":")
    if kind not in _KINDS or not where:
        raise ConfigError(f"log {words!r} is unknown; use {FORMS}")
    try:
        return _KINDS[kind](where)
    except ImportError as error:
        raise ConfigError(f"{kind} logs need a package ({error}): pip install 'fl-platform[sinks]'") from error


class Sinks:
    """Several sinks as one. Each runs in a thread of its own: one that fails or hangs costs records, never a round."""

    def __init__(self, sinks: Sequence[Sink] = ()) -> None:
        """Start a thread for each."""
        self._apart = [_Apart(sink) for sink in sinks]

    @property
    def places(self) -> tuple[str, ...]:
        """Where the records go."""
        return tuple(apart.where for apart in self._apart)

    def write(self, record: Record) -> None:
        """Hand a record to all; returns at once and raises nothing of theirs."""
        for apart in self._apart:
            apart.write(record)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write what waits, for CLOSE_S a sink at most, and let go."""
        for apart in self._apart:
            apart.close()


def open_sinks(words: Sequence[str]) -> Sinks:
    """Open all or none. Raises what open_sink raises."""
    opened: list[Sink] = []
    try:
        for one in words:
            opened.append(open_sink(one))
    except BaseException:
        for sink in opened:
            sink.close()
        raise
    return Sinks(opened)


class _Apart:
    """A sink behind a queue."""

    def __init__(self, sink: Sink) -> None:
        self.where = sink.where
        self._sink, self._warned = sink, False
        self._queue: queue.Queue[Record | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._run, name=f"sink:{self.where}", daemon=True)
        self._thread.start()

    def write(self, record: Record) -> None:
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            self._warn("it is too slow; records are dropped")

    def close(self) -> None:
        if self._thread.is_alive():
            try:
                self._queue.put(None, timeout=CLOSE_S)
            except queue.Full:
                return
            self._thread.join(CLOSE_S)
            if self._thread.is_alive():
                self._warn(f"it did not take its last records within {CLOSE_S:g} s")

    def _run(self) -> None:
        while (record := self._queue.get()) is not None:
            self._try(lambda record=record: self._sink.write(record))  # type: ignore[misc]
        self._try(self._sink.close)

    def _try(self, do: Callable[[], None]) -> None:
        try:
            do()
        except Exception as error:  # whatever a library or a disk raises: nobody's round is lost for a log
            self._warn(f"{type(error).__name__}: {error}")

    def _warn(self, text: str) -> None:
        if not self._warned:
            self._warned = True
            logger.warning("log %s: %s; training goes on, further trouble with it is not said", self.where, text)
