"""README: its Python runs, its links lead somewhere, its commands exist, its benchmarks are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fl_platform.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PAGES = ("README.md", "SECURITY.md", "CONTRIBUTING.md")


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_python_blocks_run(code: str) -> None:
    scope: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), scope)
    task = scope["MyDigits"]()  # type: ignore[operator]
    assert len(task.train_data()) > len(task.validation_data()) > 0


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()) if "://" not in link]
    missing = [link for link in links if not (ROOT / link).exists()]
    assert not missing


def test_commands_and_benchmarks_exist() -> None:
    used = set(re.findall(r"fl-platform ([a-z]+)", README))
    assert used <= set(COMMANDS)
    benchmarks = set(re.findall(r"benchmark\.py ([a-z]+)", README))
    assert {name for name in benchmarks if not (ROOT / "scripts" / "bench" / f"{name}.py").exists()} == set()


def test_contract_functions_in_the_round_table_exist() -> None:
    for contract, function in re.findall(r"`(TaskRegistry|RoundLedger|Escrow|Referee)\.([A-Za-z]+)`", README):
        source = (ROOT / "contracts" / "interfaces" / f"I{contract}.sol").read_text()
        assert f"function {function}(" in source, f"{contract}.{function}"
