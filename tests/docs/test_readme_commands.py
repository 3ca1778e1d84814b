"""README's paid task, line by line, as somebody would type it, and the demo's end as it is shown."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fl_platform.cli.main import run

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
SECTION = README.partition("## A paid task")[2].partition("\n## ")[0]
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


def shape(line: str) -> str:
    """Return a line of the demo without its numbers, which differ in the last digits from processor to processor."""
    return re.sub(r"0x[0-9A-Fa-f]+|\d[\d.]*", "N", line).replace("█", "").strip()


@pytest.mark.slow
def test_the_demo_ends_as_shown(tmp_path: Path) -> None:
    shown = README.partition("```\naccuracy ")[2].partition("```")[0]
    done = subprocess.run(
        [sys.executable, "-m", "fl_platform", "demo"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "COLUMNS": "100", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    ended = re.sub(r" +", " ", "\n".join(map(shape, done.stdout.splitlines())))
    lines = f"accuracy {shown}".splitlines()
    assert len(lines) > 12
    for cell in (cell for line in lines for cell in re.split("[│┃]", line)):  # a pipe folds them otherwise
        assert re.sub(r" +", " ", shape(cell).removesuffix("…").strip()) in ended, cell
