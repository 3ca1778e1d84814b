"""What `up` starts: our own commands, which run nothing that lies in the folder they are started in."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from fl_platform.cli.common import Options
from fl_platform.cli.upkeep import command_words, only_one
from fl_platform.errors import ConfigError
from tests.support.cli import ROOT


def test_a_file_of_the_folder_is_no_module_of_a_part(tmp_path: Path) -> None:
    """An invitation puts a stranger's file there."""
    (tmp_path / "json.py").write_text("open('executed', 'w')\n")
    words = command_words(Options(tmp_path / "w", "anvil", "", None), ["--help"])
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, env=environment)
    assert not (tmp_path / "executed").exists()


def test_two_at_once_do_not_share_a_folder(tmp_path: Path) -> None:
    """The second one, before it failed on the port, overwrote where the first one's SuperLink is."""
    with only_one(tmp_path), pytest.raises(ConfigError, match="another `up` works in"), only_one(tmp_path):
        pass
    with only_one(tmp_path):
        pass
