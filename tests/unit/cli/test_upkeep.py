"""What `up` starts: our own commands, which run nothing that lies in the folder they are started in."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fl_platform.cli import up
from fl_platform.cli.common import Options
from fl_platform.cli.upkeep import command_words, only_one
from fl_platform.errors import ConfigError
from fl_platform.round import closing
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


@pytest.mark.parametrize(
    ("code", "asked", "left", "says"),
    [
        (None, False, True, "the last roster cannot fall any more, at "),
        (None, True, False, ""),
        (5, True, False, "the aggregator gave up; disputes are answered until nothing that this aggregator rostered"),
        (5, False, True, ""),
    ],
)
def test_who_gave_up_answers_for_what_is_its_own_and_others_to_the_end(
    monkeypatch: pytest.MonkeyPatch, code: int | None, asked: bool, left: bool, says: str
) -> None:
    """One that passed on its own roster can still be asked for it, and would lose its bond."""
    history = SimpleNamespace(rounds=(), falls_until=lambda: 1_700_000_000)
    reader = SimpleNamespace(history=lambda: history)
    own: Any = SimpleNamespace(
        workspace=SimpleNamespace(reader=lambda _: reader, chain=SimpleNamespace(now=lambda: 7)),
        signer=SimpleNamespace(address=bytes(20)),
    )
    monkeypatch.setattr(closing, "can_be_asked", lambda *_, now: asked)
    monkeypatch.setattr(closing, "nothing_left", lambda *_, now: not left)
    waited: list[bool] = []
    monkeypatch.setattr(up, "wait_to_stop", lambda finished, **_: waited.append(finished()))
    told: list[str] = []
    up._outlast_windows(own, 1, code, told.append)
    assert waited == [False] * bool(says)
    assert says in "".join(told)
    assert bool(told) == bool(says)
