"""Who reads a module finds its tests: by its name, or in its docstring's last line (`Tests: tests/...`)."""

from __future__ import annotations

import ast
import re
from functools import cache
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
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("fl_platform", "zk", "tests", "scripts")
    for path in (ROOT / package).rglob("*.py")
    if "node_modules" not in path.parts
}


def by_name(module: Path) -> Path:
    """Return where a module's own test would be."""
    inside = module.relative_to(ROOT)
    room = inside.parent if inside.parts[0] == "zk" else inside.parent.relative_to("fl_platform")
    return UNIT / room / f"test_{module.stem}.py"


def named(module: Path) -> str | None:
    """Return what a module's docstring names as its tests."""
    found = re.search(r"Tests: (\S+)$", (ast.get_docstring(ast.parse(module.read_text())) or "").strip())
    return found[1] if found else None


def dotted(path: Path) -> str:
    """Return a module's name."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def names_in(path: Path) -> frozenset[Path]:
    """Return the files of ours that a file imports, or names in a text as a module (commands are loaded by name)."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= set(re.findall(r"\b(?:fl_platform|zk)(?:\.\w+)+", node.value))
            if node.value == "fl_platform":  # python -m fl_platform
                found.add("fl_platform.__main__")
            if node.value == "templates":  # `new` copies them, a folder each
                found |= {name for name in FILES if name.startswith("fl_platform.templates.")}
    return frozenset(FILES[name] for name in found if name in FILES)


@cache
def reached(test: Path) -> frozenset[str]:
    """Return the modules that a test leads to, by imports of imports; what runs the command line, to all commands."""
    seen: set[Path] = set()
    left = sorted(test.rglob("*.py")) if test.is_dir() else [test]
    while left:
        path = left.pop()
        if path not in seen:
            seen.add(path)
            left += names_in(path)
    return frozenset(map(dotted, seen))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_leads_to_its_tests(module: Path) -> None:
    there = named(module)
    if by_name(module).exists():
        assert there is None, f"{by_name(module).relative_to(ROOT)} is found by its name"
    else:
        assert there is not None, "no test of its name, and its docstring names none (`Tests: tests/...`)"
        assert (ROOT / there).exists(), there
        assert dotted(module) in reached(ROOT / there), f"{there} does not lead to it"


def test_the_page_of_what_tests_stand_on_has_every_file() -> None:
    folder = ROOT / "tests" / "support"
    told = re.findall(r"\]\((\w+\.py)\)", (folder / "README.md").read_text())
    assert sorted(told) == sorted(path.name for path in folder.glob("*.py") if path.name != "__init__.py")


def test_modules_are_looked_at() -> None:
    assert len(MODULES) > 250
