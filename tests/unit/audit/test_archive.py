"""Every task that a release has left behind is audited, with and without a key, from its chain log and store alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from fl_platform.cli.main import cli
from tests.support.archive import FOLDER, LARGEST, PASSWORD, archives, unpack


def test_there_are_archives_and_they_are_small() -> None:
    assert archives()
    assert all(archive.stat().st_size < LARGEST for archive in archives())
    assert {archive.name for archive in archives()} == {path.name for path in FOLDER.iterdir()}


@pytest.mark.parametrize("archive", archives(), ids=lambda path: path.name.removesuffix(".zip"))
def test_a_past_release_is_audited(archive: Path, tmp_path: Path) -> None:
    workdir = unpack(archive, tmp_path)
    runner = CliRunner(env={"FL_PLATFORM_PASSWORD": PASSWORD})
    for words, code in ((["--key", "auditor"], 0), (["--public"], 3)):
        base = ["--workdir", str(workdir), "--network", "embedded"]
        done = runner.invoke(cli, [*base, "audit", "1", *words, "--verify", "--json", str(tmp_path / "report.json")])
        assert done.exit_code == code, done.output
        assert len(json.loads((tmp_path / "report.json").read_text())["rounds"]) == 2
