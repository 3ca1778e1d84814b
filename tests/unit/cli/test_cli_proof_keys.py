"""`task open --proofs` and `prove` with keys as people give them: none, another one's, a file that is no key."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import CliInside
from tests.support.settlements import provable
from zk.groth16 import files

OPEN = (
    "task", "open", "--trainers", "2", "--rounds", "1", "--pot", "10", "--epochs", "1", "--worth", "equal",
    "--aggregator", "owner", "--windows", "minutes",
)  # fmt: skip


@pytest.fixture
def cli(tmp_path: Path) -> CliInside:
    made = CliInside(tmp_path)
    made("wallet", "new", "--light", "owner")
    made("deploy")
    made("wallet", "fund", "owner", "--tokens", "100")
    return made


def test_a_key_file_of_nobody_says_for_how_many(cli: CliInside) -> None:
    file = cli.folder / "a.zkey"
    file.write_bytes(files.write_zkey(provable().parameters))
    assert "say how many (`--proofs N`)" in cli(*OPEN, "--proof-key", str(file), code=5).stderr
    for data in (b"", b"zkey", files.write_zkey(provable().parameters)[:-9]):
        file.write_bytes(data)
        assert "error: " in cli(*OPEN, "--proofs", "2", "--proof-key", str(file), code=7).stderr
    assert "is not in the range" in cli(*OPEN, "--proofs", "-1", code=2).stderr


def test_without_the_extra_a_task_opens_without_proofs_alone(
    cli: CliInside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fl_platform.judging.circuits.FAST", ("no_such_module",))
    assert "pip install 'fl-platform[fast]'" in cli(*OPEN, "--proofs", "2", code=5).stderr
    assert cli.report(*OPEN)["task"] == 1
