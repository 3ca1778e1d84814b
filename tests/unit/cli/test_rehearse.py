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
    text, notes = capsys.readouterr()
    assert "public data" not in notes
    assert "round 0: accuracy 0." in text
    assert "round 1: accuracy 0." in text
    assert "round 2" not in text  # counted from 0
    assert "3 of 3 in the sum" in text
    assert not (tmp_path / "fl-workspace").exists()


def test_what_nobody_chose_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["rehearse", "--rounds", "1", "--trainers", "2", "--epochs", "1"]
    assert run(words) == 0
    assert "no --data and no federation.toml in this folder: this is about digits" in capsys.readouterr().err
    assert run([*words, "--data", "digits"]) == 0
    assert "this is about" not in capsys.readouterr().err


def test_what_was_refused_is_explained_and_a_dead_task_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    dies = "    def loss(self, outputs, targets):\n        return outputs.relu().sum()\n"  # all below 0 once stepped
    (tmp_path / "my_dead_task.py").write_text(TASK + dies)
    words = ["rehearse", "--data", "my_dead_task:Mine", "--rounds", "2", "--trainers", "3", "--learning-rate", "100"]
    assert run(words) == 0
    text = capsys.readouterr().out
    assert "trainers' own loss 0.000; 0 of 3 in the sum" in text
    assert "NoWork: it is too short to be work" in text
    assert "nothing was learned in the last round" in text


def test_momentum_is_of_sgd_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rehearse", "--data", "digits", "--optimizer", "adam", "--momentum", "0.9"]) == 5
    assert "momentum 0.9 is of sgd" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_says_where_its_model_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_run_task.py").write_text(TASK)
    words = ["run", "--data", "my_run_task:Mine", "--rounds", "1", "--trainers", "2", "--no-commitments"]
    assert run([*words, "--workdir", "kept"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("the model: "))
    assert run(line.removeprefix("the model: `fl-platform ").rstrip("`").split()) == 0
    assert (tmp_path / "model.safetensors").stat().st_size


def test_an_interrupted_run_does_not_promise_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_stopped_task.py").write_text(TASK)

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fl_platform.cli.demo.command.run_demo", stopped)
    words = ["run", "--data", "my_stopped_task:Mine", "--rounds", "1", "--trainers", "2"]
    assert run(words) == 130
    assert capsys.readouterr().err == "interrupted; nothing is kept\n"
    assert run([*words, "--workdir", "half"]) == 130
    assert "half is of no further use" in capsys.readouterr().err


def test_what_own_code_prints_is_no_part_of_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_loud_task.py").write_text(TASK + "print('loaded')\n")
    words = ["rehearse", "--data", "my_loud_task:Mine", "--rounds", "1", "--trainers", "2", "--json", "-"]
    assert run(words) == 0
    out, notes = capsys.readouterr()
    assert len(json.loads(out)["rounds"]) == 1
    assert "loaded\n" in notes
