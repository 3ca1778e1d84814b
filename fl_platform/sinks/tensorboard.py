"""Records as TensorBoard event files: DIR/task-N.ROLE[.WHO]/, a scalar for each number, the round as its step.

Written with the package `tensorboard` alone: neither torch's writer nor TensorFlow is imported, and no thread.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from fl_platform.sinks.record import Record

Place = tuple[int, str, str]  # task, role, who


class EventFiles:
    """One event file for each task, role and party."""

    def __init__(self, folder: Path) -> None:
        """Make the folder and load the package. Raises ImportError, OSError."""
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self.where = f"tensorboard:{folder}"
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._event, self._summary = folder, event_pb2.Event, summary_pb2.Summary
        self._writer: Any = RecordWriter
        self._files: dict[Place, _Whole] = {}

    def write(self, record: Record) -> None:
        """Append one event. Raises OSError; what a full disk cut off is taken back."""
        file = self._file((record.task, record.role, record.who))
        scalars = [
            self._summary.Value(tag=named.path, simple_value=named.number) for named in record if not named.metric.text
        ]
        event = self._event(wall_time=record.time, step=record.round, summary=self._summary(value=scalars))
        self._append(file, event)

    def close(self) -> None:
        """See Sink."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _file(self, place: Place) -> _Whole:
        if place not in self._files:
            task, role, who = place
            run = self._folder / ".".join(filter(None, (f"task-{task}", role, who.replace(":", "_"))))
            run.mkdir(parents=True, exist_ok=True)
            file = _Whole(run / f"events.out.tfevents.{int(time.time()):010d}.{os.getpid()}.{time.monotonic_ns()}")
            self._append(file, self._event(wall_time=time.time(), file_version="brain.Event:2"))
            self._files[place] = file
        return self._files[place]

    def _append(self, file: _Whole, event: Any) -> None:
        self._writer(file).write(event.SerializeToString())


class _Whole:
    """A new file to which pieces are appended whole or not at all: TensorBoard stops reading at a torn record."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb", buffering=0)
        self._size = 0

    def write(self, piece: bytes) -> None:
        try:
            if self._file.write(piece) != len(piece):
                raise OSError(f"not all of {len(piece)} bytes were written: the disk is full")
            self._size += len(piece)
        except OSError:
            self._file.truncate(self._size)
            self._file.seek(self._size)
            raise

    def close(self) -> None:
        self._file.close()
