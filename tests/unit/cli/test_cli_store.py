"""`store serve` and `store gc` given wrong words: one line each, with what to do, and nothing listens or is removed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from fl_platform.cli.common import Options
from fl_platform.cli.main import run
from fl_platform.cli.upkeep import command_words
from fl_platform.store import cid_of
from fl_platform.store.served import ServedStore
from tests.support.cli import ROOT

LISTED = "0x" + "00" * 19 + "07"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["serve"], 5, "name the task's owner with --allow, or tasks with --task"),
        (["serve", "--allow", "nobody-here"], 5, "neither an address"),
        (["serve", "--allow", LISTED, "--bind", "8790"], 2, "is no HOST:PORT"),
        (["serve", "--allow", LISTED, "--bind", "127.0.0.1:70000"], 2, "is no HOST:PORT"),
        (["serve", "--allow", LISTED, "--bind", "0.0.0.0:0"], 5, "say with --url which one clients use"),
        (["serve", "--allow", LISTED, "--bind", "192.0.2.1:0"], 5, "cannot listen at 192.0.2.1:0"),
        (["serve", "--task", "1"], 5, "name addresses (--allow)"),
        (["gc"], 2, "TASK"),
        (["gc", "1", "--keep", "0"], 2, "--keep"),
    ],
)
def test_wrong_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: Sequence[str], code: int, said: str
) -> None:
    assert run(["--workdir", str(tmp_path / "w"), "store", *words]) == code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("command", [["serve", "--allow", LISTED], ["gc", "1"]])
@pytest.mark.parametrize("where", ["http://127.0.0.1:1", "ipfs", "disk,http://127.0.0.1:1"])
def test_only_a_folder_is_served_or_cleaned_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Sequence[str], where: str
) -> None:
    assert run(["--workdir", str(tmp_path / "w"), "--store", where, "store", *command]) == 5
    assert "is no folder of this machine: give disk or disk:FOLDER" in capsys.readouterr().err


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_server_says_where_it_is_and_ends_when_it_is_told(tmp_path: Path, stop: signal.Signals) -> None:
    """The list comes from a file with comments; killed softly it ends with 0, its folder as it was."""
    allowed = tmp_path / "allowed"
    allowed.write_text(f"# who may\n\n{LISTED}  # the owner\n")
    # what a shell starts in the background ignores SIGINT, and so do its children
    heard = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    start = heard + "runpy.run_module('fl_platform', run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-c", start, "--workdir", str(tmp_path / "w"), "store", "serve"]
    with subprocess.Popen(
        [*command, "--allow-file", str(allowed), "--bind", "127.0.0.1:0", "--json", "-"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        lines = ""
        while not lines.endswith("}\n"):
            lines += process.stdout.readline()
        told = json.loads(lines)
        assert told["allowed"] == [LISTED]
        store = ServedStore(told["url"])
        assert not store.has(cid_of(b"never stored"))
        process.send_signal(stop)
        said = process.stderr.read()
        assert process.wait(60) == 0
    assert f"others name it with --store {told['url']}" in " ".join(said.split())
    assert "stopped; what was stored stays" in said
    assert "Traceback" not in said


def test_what_up_starts_writes_as_many_copies(tmp_path: Path) -> None:
    """The process that `up` starts is given the stores and the number of copies that it was given itself."""
    several = Options(tmp_path, "anvil", "http://a,http://b", None, copies=2)
    words = command_words(several, [])
    assert words[words.index("--store") : words.index("--store") + 4] == ["--store", several.store, "--copies", "2"]
    assert "--copies" not in command_words(Options(tmp_path, "anvil", "", None), [])
