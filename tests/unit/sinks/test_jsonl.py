"""One object a line, whatever happens to the disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fl_platform.sinks.jsonl import JsonLines
from tests.support.records import learned, sealed


def read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_write_is_a_line_that_is_there_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "log.jsonl"
    sink, other = JsonLines(path), JsonLines(path)
    sink.write(learned(0, loss_last=float("nan")))
    assert read(path) == [
        {
            "time": 1_800_000_000.5, "role": "trainer", "who": "alice", "task": 1, "round": 0,
            "values": {"rows": 182, "steps": 120, "training_seconds": 0.4, "loss_mean": 0.75, "loss_last": None},
        }
    ]  # fmt: skip
    other.write(sealed(0))
    sink.write(learned(1))
    assert [(line["role"], line["round"]) for line in read(path)] == [("trainer", 0), ("aggregator", 0), ("trainer", 1)]
    sink.close()
    other.close()


def test_a_line_that_was_cut_off_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"time": 1, "ro')  # a disk was full, or a process killed
    sink = JsonLines(path)
    sink.write(learned(1))
    sink.write(learned(2))
    sink.close()
    torn, *whole = path.read_text().splitlines()
    assert torn == '{"time": 1, "ro'
    assert [json.loads(line)["round"] for line in whole] == [1, 2]


def test_a_full_disk_is_an_error_for_the_caller_to_count() -> None:
    sink = JsonLines(Path("/dev/full"))
    with pytest.raises(OSError, match="No space left"):
        sink.write(learned())
    sink.close()
