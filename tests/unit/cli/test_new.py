"""Every template works as it comes: checked, rehearsed, and its file of options is understood."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fl_platform.cli.main import run
from fl_platform.cli.new import TEMPLATES
from fl_platform.errors import ConfigError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A fresh project of the template that the test names; its `task` is imported anew."""
    folder = tmp_path / "mine"
    assert run(["new", str(folder), "--template", request.param]) == 0
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    monkeypatch.delitem(sys.modules, "task", raising=False)
    yield folder
    sys.modules.pop("task", None)


@pytest.mark.parametrize("project", TEMPLATES, indirect=True)
def test_each_template_is_checked_as_it_comes(project: Path) -> None:
    assert run(["task", "check", "--json", "check.json"]) == 0
    report = json.loads((project / "check.json").read_text())
    assert report["warnings"] == []
    assert report["after"]["value"] > report["before"]["value"] + 0.2
    assert (report["frozen_bytes"] > 0) == ("LoRA" in (project / "task.py").read_text())


@pytest.mark.parametrize(
    ("project", "least"), [("tabular", 0.95), ("images", 0.94), ("lora", 0.8)], indirect=["project"]
)
def test_a_template_is_rehearsed_as_it_comes(project: Path, least: float) -> None:
    assert run(["rehearse", "--rounds", "3", "--json", "rehearsed.json"]) == 0
    report = json.loads((project / "rehearsed.json").read_text())
    assert report["rounds"][-1]["value"] > least
    assert len(report["trainers"]) == 4


@pytest.mark.slow
@pytest.mark.parametrize("project", TEMPLATES, indirect=True)
def test_a_template_is_paid_and_audited_as_it_comes(project: Path) -> None:
    assert run(["run", "--rounds", "1", "--json", "report.json"]) == 0
    assert json.loads((project / "report.json").read_text())["audit"]["ok"]


def test_a_folder_that_holds_a_project_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "task.py").write_text("mine\n")
    assert run(["new", str(tmp_path)]) == ConfigError.exit_code
    assert [path.name for path in tmp_path.iterdir()] == ["task.py"]
    assert (tmp_path / "task.py").read_text() == "mine\n"
