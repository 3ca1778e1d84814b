"""README: its Python runs, its links lead somewhere, its commands exist, its table of a round names what there is."""

from __future__ import annotations

import re

import pytest

from fl_platform.cli.main import COMMANDS
from tests.support.code_links import ROOT, broken_links, named_links, table

README = (ROOT / "README.md").read_text()
PAGES = ("README.md", "SECURITY.md", "CONTRIBUTING.md")
STEPS = table(README, "One round, eleven steps")


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_python_blocks_run(code: str) -> None:
    scope: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), scope)
    task = scope["MyDigits"]()  # type: ignore[operator]
    assert len(task.train_data()) > len(task.validation_data()) > 0


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_headings_and_names(page: str) -> None:
    assert broken_links(page) == []


def test_commands_and_benchmarks_exist() -> None:
    used = set(re.findall(r"fl-platform ([a-z]+)", README))
    assert used <= set(COMMANDS)
    benchmarks = set(re.findall(r"benchmark\.py ([a-z]+)", README))
    assert {name for name in benchmarks if not (ROOT / "scripts" / "bench" / f"{name}.py").exists()} == set()


def test_a_round_has_eleven_steps() -> None:
    assert [step[0].split()[0] for step in STEPS] == [str(number) for number in range(1, 12)]
    assert all(len(step) == 6 for step in STEPS)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step[0])
def test_a_step_links_to_its_functions_and_to_a_test(step: list[str]) -> None:
    """That each name is defined where its link leads is `broken_links`' matter."""
    _, _, _, python, contract, test = step
    assert named_links(python)
    assert named_links(test)
    for cell, folder in ((python, "fl_platform/"), (contract, "contracts/interfaces/I"), (test, "tests/")):
        links = named_links(cell)
        assert re.sub(r"\[`[^`]+`\]\([^)]+\)|, ", "", cell) == ""
        assert all(target.startswith(folder) for _, target in links)
    assert all(name.startswith("test_") for name, _ in named_links(test))


def test_a_contract_function_of_a_step_is_declared_in_its_own_interface() -> None:
    links = [link for step in STEPS for link in named_links(step[4])]
    assert len(links) >= 8
    for name, target in links:
        contract, _, function = name.partition(".")
        assert target == f"contracts/interfaces/I{contract}.sol"
        assert f"function {function}(" in (ROOT / target).read_text()
