"""Records as JSON Lines: one object a line, appended, each with the write that makes it."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

from fl_platform.sinks.record import Record, Value


class JsonLines:
    """Appends to a file; several processes may append to one."""

    def __init__(self, path: Path) -> None:
        """Open the file, made if absent. Raises OSError."""
        self.where = f"jsonl:{path}"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._torn = _ends_inside_a_line(path)

    def write(self, record: Record) -> None:
        """Append one line. Raises OSError; what a full disk cut off ends in a line of its own."""
        line = json.dumps(to_json(record), allow_nan=False).encode() + b"\n"
        whole = b"\n" + line if self._torn else line
        self._torn = True
        written = self._file.write(whole)
        if written != len(whole):
            raise OSError(f"{written} of {len(whole)} bytes were written: the disk is full")
        self._torn = False

    def close(self) -> None:
        """See Sink."""
        self._file.close()


def to_json(record: Record) -> dict[str, object]:
    """Return a record as a JSON object; a number that is not finite becomes null."""
    return {
        "time": record.time,
        "role": record.role,
        "who": record.who,
        "task": record.task,
        "round": record.round,
        "values": {key: _finite(value) for key, value in record.values.items()},
    }


def _finite(value: Value) -> Value | None:
    return value if isinstance(value, str) or math.isfinite(value) else None


def _ends_inside_a_line(path: Path) -> bool:
    if not path.is_file() or path.stat().st_size == 0:
        return False
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) != b"\n"
