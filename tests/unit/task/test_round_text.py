from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from fl_platform.task.round_text import at_round, name_round

ROOT = Path(__file__).resolve().parents[3]


def test_rounds_are_named_from_nought_and_counted_from_one() -> None:
    assert name_round(0) == "round 0"
    assert at_round(0, 2) == "round 0 (0 of 2 done)"
    assert at_round(1, 2) == "round 1 (1 of 2 done)"
    assert at_round(2, 2) == "2 of 2 rounds"


def _shifted(tree: ast.AST) -> Iterator[int]:
    """Yield the lines of texts that count rounds: "round {number + 1}", "round {number} of {rounds}"."""
    for text in (node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)):
        for before, value, after in zip(text.values, text.values[1:], [*text.values[2:], None], strict=False):
            named = isinstance(before, ast.Constant) and str(before.value).lower().endswith("round ")
            if not (named and isinstance(value, ast.FormattedValue)):
                continue
            added = isinstance(value.value, ast.BinOp) and isinstance(value.value.op, ast.Add)
            counted = isinstance(after, ast.Constant) and after.value in (" of ", "/")
            if added or counted:
                yield text.lineno


def test_no_text_counts_rounds_from_one() -> None:
    paths = sorted((ROOT / "fl_platform").rglob("*.py"))
    found = [f"{path}:{line}" for path in paths for line in _shifted(ast.parse(path.read_text()))]
    assert not found, "\n".join(found)


def test_the_search_finds_what_it_is_for() -> None:
    for text in ('f"round {number + 1}: done"', 'f"task, round {a.round} of {rounds}"'):
        assert list(_shifted(ast.parse(text)))
    assert not list(_shifted(ast.parse('f"round {number} of task {task}, after round {number - 1}"')))
