"""Who reads a module finds its tests: by its name, or in its docstring's last line (`Tests: tests/...`)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "tests" / "unit"
MODULES = [
    path
    for package in ("fl_platform", "zk")
    for path in sorted((ROOT / package).rglob("*.py"))
    if not path.name.startswith("__")
]


def by_name(module: Path) -> Path:
    """Return where a module's own test would be."""
    inside = module.relative_to(ROOT)
    room = inside.parent if inside.parts[0] == "zk" else inside.parent.relative_to("fl_platform")
    return UNIT / room / f"test_{module.stem}.py"


def named(module: Path) -> str | None:
    """Return what a module's docstring names as its tests."""
    found = re.search(r"Tests: (\S+)$", (ast.get_docstring(ast.parse(module.read_text())) or "").strip())
    return found[1] if found else None


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_leads_to_its_tests(module: Path) -> None:
    there = named(module)
    if by_name(module).exists():
        assert there is None, f"{by_name(module).relative_to(ROOT)} is found by its name"
    else:
        assert there is not None, "no test of its name, and its docstring names none (`Tests: tests/...`)"
        assert (ROOT / there).exists(), there


def test_the_page_of_what_tests_stand_on_has_every_file() -> None:
    folder = ROOT / "tests" / "support"
    told = re.findall(r"\]\((\w+\.py)\)", (folder / "README.md").read_text())
    assert sorted(told) == sorted(path.name for path in folder.glob("*.py") if path.name != "__init__.py")


def test_modules_are_looked_at() -> None:
    assert len(MODULES) > 250
