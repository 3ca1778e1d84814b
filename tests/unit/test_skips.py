"""A test that is skipped without being on the list fails a run of CI, in one process and in several."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PASSING = "def test_passes(): pass\n"
SKIPS = {
    "inside": "import pytest\ndef test_skips(): pytest.skip('not today')\n" + PASSING,
    "mark": "import pytest\n@pytest.mark.skip(reason='no')\ndef test_skips(): pass\n",
    "whole": "import pytest\npytest.skip('nothing here', allow_module_level=True)\n",
}


def run(folder: Path, workers: int, *, ci: str = "true") -> subprocess.CompletedProcess[str]:
    """Run a folder's tests under this repository's rule, without the plugins that have no part in it."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "xdist", "-p", "tests.conftest", "-n", str(workers), "."]
    environment = {**os.environ, "CI": ci, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def write(folder: Path, tests: dict[str, str]) -> Path:
    (folder / "pytest.ini").write_text("[pytest]\n")
    for name, text in tests.items():
        (folder / f"test_{name}.py").write_text(text)
    return folder


@pytest.mark.parametrize("workers", [0, 2])
def test_every_skip_that_is_not_listed_is_named_and_fails(tmp_path: Path, workers: int) -> None:
    done = run(write(tmp_path, SKIPS), workers)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    said = re.findall(r"skipped, but not on .ci/allowed-skips.txt: (.*)", done.stdout)
    assert said == ["test_inside.py::test_skips, test_mark.py::test_skips, test_whole.py"]


def test_outside_of_ci_a_skip_is_no_failure(tmp_path: Path) -> None:
    assert run(write(tmp_path, SKIPS), 0, ci="").returncode == pytest.ExitCode.OK


def test_without_a_skip_ci_passes(tmp_path: Path) -> None:
    assert run(write(tmp_path, {"passing": PASSING}), 2).returncode == pytest.ExitCode.OK
