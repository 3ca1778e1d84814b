"""`fl-platform rehearse` with one's own task: lines a person reads, a report a program reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fl_platform.cli.main import run
from tests.support.own_task import TASK


def test_own_data_are_rehearsed_by_the_file_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_rehearsed_task.py").write_text(TASK)
    (tmp_path / "federation.toml").write_text(
        '[task.open]\ndata = "my_rehearsed_task:Mine"\nrounds = 2\ntrainers = 3\nepochs = 8\nlearning-rate = 0.1\n'
    )
    assert run(["rehearse", "--json", "report.json"]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert [(line["in_sum"], line["trainers"]) for line in report["rounds"]] == [(3, 3), (3, 3)]
    assert report["rounds"][-1]["value"] > 0.85 > report["before"]["value"]
    assert sum(trainer["earned_wei"] for trainer in report["trainers"]) == pytest.approx(190 * 10**18, abs=10)
    text = capsys.readouterr().out
    assert "round 2: accuracy 0." in text
    assert "3 of 3 in the sum" in text
    assert not (tmp_path / "fl-workspace").exists()
