"""Event files that TensorBoard's own reader reads."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fl_platform.sinks.record import Record
from fl_platform.sinks.tensorboard import EventFiles
from tests.support.records import learned, sealed


def read(run: Path) -> EventAccumulator:
    return EventAccumulator(str(run)).Reload()


def points(run: Path, tag: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in read(run).Scalars(tag)]


def test_scalars_come_back_by_task_role_and_party(tmp_path: Path) -> None:
    sink = EventFiles(tmp_path / "tb")
    for number in range(3):
        sink.write(learned(number, loss_last=1.0 / (number + 1)))
        sink.write(sealed(number))
    sink.close()
    trainer, aggregator = tmp_path / "tb" / "task-1.trainer.alice", tmp_path / "tb" / "task-1.aggregator.bob"
    assert points(trainer, "loss_last") == [(0, 1.0), (1, 0.5), (2, pytest.approx(1 / 3))]
    assert read(trainer).Scalars("rows")[0].wall_time == 1_800_000_000.5
    assert points(aggregator, "refused/NotSelected") == [(0, 1.0), (1, 1.0), (2, 1.0)]
    assert "model" not in read(aggregator).Tags()["scalars"]


def test_a_party_s_name_leads_out_of_no_folder(tmp_path: Path) -> None:
    sink = EventFiles(tmp_path / "tb")
    sink.write(Record("trainer", 1, 0, {"rows": 1}, who="../../x"))
    sink.close()
    assert [path.name for path in (tmp_path / "tb").iterdir()] == ["task-1.trainer...?..?x"]
    assert [path.name for path in tmp_path.iterdir()] == ["tb"]


def test_what_a_full_disk_cut_off_hides_nothing_that_follows(tmp_path: Path) -> None:
    sink = EventFiles(tmp_path)
    sink.write(learned(0))
    kept = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    size = next((tmp_path / "task-1.trainer.alice").iterdir()).stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, limits[1]))  # a disk with 20 bytes left
    try:
        with pytest.raises(OSError):
            sink.write(learned(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, kept)
    sink.write(learned(2))
    sink.close()
    assert [step for step, _ in points(tmp_path / "task-1.trainer.alice", "rows")] == [0, 2]


def test_neither_torch_nor_tensorflow_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from fl_platform.sinks.opening import open_sinks\n"
        f"open_sinks(['tensorboard:{tmp_path}']).close()\n"
        "assert not {'torch', 'tensorflow', 'numba', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
