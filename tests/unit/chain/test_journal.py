"""The journal: what survives, what is cut off, what stops."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from fl_platform.chain.journal import TASKLESS, Attempt, Journal, Progress, Step
from fl_platform.errors import ConfigError, IntegrityError

CHAIN = b"\x01" * 32
KEY = Step(1, 2, "seal").key(b"\x02" * 20)
ATTEMPT = Attempt(7, b"\x03" * 32, b"\x04" * 100)


def written(path: Path) -> Journal:
    journal = Journal(path, CHAIN)
    journal.intend(KEY, ATTEMPT)
    journal.finish(KEY, ATTEMPT.transaction, ok=True)
    journal.close()
    return journal


def test_what_was_written_is_read(tmp_path: Path) -> None:
    written(tmp_path / "j")
    again = Journal(tmp_path / "j", CHAIN)
    assert again.progress(KEY) == Progress([ATTEMPT], "done", ATTEMPT.transaction)
    assert again.signed(b"\x02" * 20, 7) == ATTEMPT.raw
    assert again.signed(b"\x02" * 20, 8) is None
    again.close()


def test_a_failed_or_lost_step_starts_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", CHAIN)
    for end in (lambda: journal.finish(KEY, ATTEMPT.transaction, ok=False), lambda: journal.forget(KEY)):
        journal.intend(KEY, ATTEMPT)
        assert journal.progress(KEY).attempts == [ATTEMPT]
        end()
        assert journal.progress(KEY).attempts == []
    journal.close()


def test_steps_of_wallets_tasks_and_rounds_are_apart() -> None:
    keys = {
        Step(task, number, name).key(sender)
        for task in (TASKLESS, 1, 11)
        for number in (TASKLESS, 1)
        for name in ("a", "b")
        for sender in (b"\x01" * 20, b"\x02" * 20)
    }
    assert len(keys) == 24


def test_without_a_file_it_is_in_memory() -> None:
    journal = Journal(None, CHAIN)
    journal.intend(KEY, ATTEMPT)
    journal.close()
    assert Journal(None, CHAIN).progress(KEY).attempts == []


def test_another_chain_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "j")
    with pytest.raises(ConfigError, match="another chain"):
        Journal(tmp_path / "j", bytes(32))


def test_what_another_process_wrote_is_read_before_the_next_entry(tmp_path: Path) -> None:
    first, second = Journal(tmp_path / "j", CHAIN), Journal(tmp_path / "j", CHAIN)
    first.intend(KEY, ATTEMPT)
    with second.held():
        assert second.progress(KEY).attempts == [ATTEMPT]
        assert second.last(b"\x02" * 20) == ATTEMPT
        assert second.last(b"\x03" * 20) is None
        second.finish(KEY, ATTEMPT.transaction, ok=True)
    first.intend("0x/other", Attempt(8, b"\x05" * 32, b"\x06"))
    assert first.progress(KEY).outcome == "done"
    second.close()
    first.close()
    whole = Journal(tmp_path / "j", CHAIN)
    assert whole.progress(KEY).outcome == "done"
    assert whole.progress("0x/other").attempts != []
    whole.close()


def test_a_line_that_another_process_was_killed_over_is_cut_off(tmp_path: Path) -> None:
    alive = Journal(tmp_path / "j", CHAIN)
    with (tmp_path / "j").open("ab") as stream:
        stream.write(b'{"nonce":1,"ra')
    alive.intend(KEY, ATTEMPT)
    alive.close()
    again = Journal(tmp_path / "j", CHAIN)
    assert again.progress(KEY).attempts == [ATTEMPT]
    again.close()


def test_a_file_that_shrank_stops(tmp_path: Path) -> None:
    alive = Journal(tmp_path / "j", CHAIN)
    alive.intend(KEY, ATTEMPT)
    with (tmp_path / "j").open("r+b") as stream:
        stream.truncate(200)
    with pytest.raises(IntegrityError, match="cut from"):
        alive.forget(KEY)
    alive.close()


def test_processes_that_write_at_once_leave_one_whole_journal(tmp_path: Path) -> None:
    """Each line's digest covers the one before: two that do not wait for each other break the file."""
    code = """
import sys
from pathlib import Path
from fl_platform.chain.journal import Attempt, Journal
journal, name = Journal(Path(sys.argv[1]), b"\\x01" * 32), sys.argv[2]
for number in range(60):
    journal.intend(f"0x{name}/{number}", Attempt(number, bytes(32), name.encode()))
"""
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "j"), name]) for name in ("a", "b", "c")]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    again = Journal(tmp_path / "j", CHAIN)
    for name in ("a", "b", "c"):
        assert [len(again.progress(f"0x{name}/{number}").attempts) for number in range(60)] == [1] * 60
    again.close()


def test_every_flipped_byte_stops_and_every_cut_is_survived(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    written(tmp_path / "j")
    data = (tmp_path / "j").read_bytes()
    lines = data.splitlines(keepends=True)
    for at in range(0, len(data), 7):
        (tmp_path / "x").write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises((IntegrityError, ConfigError)):
            Journal(tmp_path / "x", CHAIN)
    for at in (*range(0, len(data), 5), len(data) - 1):
        (tmp_path / "x").write_bytes(data[:at])
        journal = Journal(tmp_path / "x", CHAIN)
        whole = sum(1 for i in range(1, 3) if at >= sum(map(len, lines[: i + 1])))
        assert journal.progress(KEY).outcome == ("done" if whole == 2 else "")
        assert len(journal.progress(KEY).attempts) == min(whole, 1)
        journal.finish(KEY, ATTEMPT.transaction, ok=True)
        journal.close()
        Journal(tmp_path / "x", CHAIN).close()


def test_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    journal = written(tmp_path / "j")
    with pytest.raises(ConfigError, match="closed"):
        journal.forget(KEY)


def test_a_full_disk_stops_before_anything_is_sent(tmp_path: Path) -> None:
    """Under RLIMIT_FSIZE in a process of its own: the kernel refuses to let the journal grow."""
    written(tmp_path / "j")
    code = """
import resource, signal, sys
from pathlib import Path
from fl_platform.chain.journal import Attempt, Journal
from fl_platform.errors import IntegrityError
path = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
size = path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 60, size + 60))
try:
    Journal(path, b"\\x01" * 32).intend("key", Attempt(1, bytes(32), bytes(100)))
except IntegrityError as error:
    print("free space" in str(error))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "j")], capture_output=True, text=True, check=False
    )
    assert done.stdout == "True\n", done.stderr
    again = Journal(tmp_path / "j", CHAIN)
    assert again.progress(KEY).outcome == "done"
    assert again.progress("key") == Progress()
    again.close()
