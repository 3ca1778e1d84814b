"""README's paid task, line by line, as somebody would type it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from fl_platform.cli.main import run

ROOT = Path(__file__).resolve().parents[2]
SECTION = (ROOT / "README.md").read_text().partition("## A paid task")[2].partition("\n## ")[0]
LINES = re.findall(r"^\$ (.*)$", SECTION, re.MULTILINE)
NOT_ALL_CHECKED = {"audit", "verify"}  # without a key; they say so and exit with 3


@pytest.mark.slow
def test_each_line_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(LINES) > 12
    for line in LINES:
        words = shlex.split(line, comments=True)
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            monkeypatch.setenv(name, value)
            continue
        assert words[0] == "fl-platform"
        assert run(words[1:]) == (3 if words[1] in NOT_ALL_CHECKED else 0), line
    assert (tmp_path / "model.safetensors").stat().st_size > 4 * 4_810
    assert list((tmp_path / "out").iterdir())
