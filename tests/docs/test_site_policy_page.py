"""The page for a data protection officer: its example is a policy, and its words are all that there are."""

from __future__ import annotations

import re
from pathlib import Path

from fl_platform.cli.main import COMMANDS
from fl_platform.round.site import FILE, MACHINE_FILE, VARIABLE
from fl_platform.round.site_policy import WORDS, parse_policy

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "SITE_POLICY.md").read_text(encoding="utf-8")


def test_the_table_has_every_word_with_a_value_that_is_read() -> None:
    rows = re.findall(r"^\| `((\w+) = [^`]*)`", PAGE, re.MULTILINE)
    assert {name for _, name in rows} == set(WORDS)
    for text, name in rows:
        if "..." not in text:
            assert list(parse_policy(text, Path(FILE)).said()) == [name]


def test_the_example_is_complete_but_for_what_refuses_everything() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert set(parse_policy(example, Path(FILE)).said()) == set(WORDS) - {"epsilon"}


def test_places_commands_and_links_are_there() -> None:
    assert VARIABLE in PAGE
    assert f"`{MACHINE_FILE}`" in PAGE
    assert set(re.findall(r"fl-platform ([a-z]+)", PAGE)) <= set(COMMANDS)
    assert all((ROOT / "docs" / link).exists() for link in re.findall(r"\]\(([^)#]+)\)", PAGE))
