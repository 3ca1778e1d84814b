"""What a command that only reads leaves unimported. How long it takes is `scripts/benchmark.py start`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import PASSWORD, ROOT, CliInside

HEAVY = (
    "torch", "web3", "flwr", "sklearn", "scipy", "numba", "llvmlite", "mclbn256.mclbn256", "py_ecc.optimized_bls12_381",
    "httpx",
)  # fmt: skip
ADMITTING = "fl_platform.judging.admit"
JUDGING = ("numpy", ADMITTING)  # not even these where no round is judged


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an open task: the commands start, read it, and have nothing to recompute."""
    cli = CliInside(tmp_path_factory.mktemp("start"))
    cli("wallet", "new", "--light", "owner", "watcher")
    cli("deploy", "--wallet", "owner")
    cli("wallet", "fund", "owner", "--tokens", "100")
    cli(
        "task", "open", "--wallet", "owner", "--trainers", "2", "--rounds", "1", "--pot", "10", "--epochs", "1",
        "--worth", "equal", "--aggregator", "owner",
    )  # fmt: skip
    return cli.folder


@pytest.mark.parametrize(
    ("command", "unwanted"),
    [
        ("wallet list", (*HEAVY, *JUDGING)),
        ("task list", (*HEAVY, *JUDGING)),
        ("task show 1", (*HEAVY, ADMITTING)),  # composes the program that the chain must name
        ("rewards show 1", (*HEAVY, *JUDGING)),
        ("reputation show 1", (*HEAVY, *JUDGING)),
        ("why owner", HEAVY),
        ("audit 1 --public", HEAVY),
        ("verify 1", HEAVY),
        ("watch 1 --once --public --wallet watcher", HEAVY),
    ],
)
def test_reading_needs_nothing_that_trains_proves_or_talks(
    folder: Path, command: str, unwanted: tuple[str, ...]
) -> None:
    code = f"""
import sys
from fl_platform.cli.main import run
code = run({command.split()!r})
print("HEAVY", sorted(set({unwanted!r}) & set(sys.modules)))
sys.exit(code)
"""
    environment = {
        "PYTHONPATH": str(ROOT), "FL_PLATFORM_WORKDIR": str(folder / "w"), "FL_PLATFORM_PASSWORD": PASSWORD,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 3), done.stderr
    assert done.stdout.splitlines()[-1] == "HEAVY []"
