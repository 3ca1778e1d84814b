"""The documents say what the code says: every command has help, and docs/CLI.md is what the generator writes."""

from __future__ import annotations

import re

import click
import pytest

from fl_platform.cli.main import COMMANDS, EXIT_CODES, cli
from scripts import generate_docs

ALL = dict(generate_docs.commands(cli))
TEXT = (generate_docs.ROOT / "docs" / "CLI.md").read_text(encoding="utf-8")
WANTED = {
    "demo", "deploy", "wallet new", "wallet list", "wallet show", "wallet fund", "task open", "task show", "task list",
    "task close", "trainer join", "trainer run", "trainer status", "trainer force", "trainer leave", "aggregator bond",
    "aggregator run", "aggregator advance", "rewards show", "rewards claim", "reputation show", "reputation record",
    "audit", "why", "prove", "verify", "watch",
}  # fmt: skip


def test_every_promised_command_is_there() -> None:
    assert {" ".join(words) for words in ALL} >= WANTED


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_a_command_has_help_and_is_documented(words: tuple[str, ...]) -> None:
    command = ALL[words]
    assert command.help, f"{words} has no docstring"
    assert f" fl-platform {' '.join(words)}\n" in TEXT


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_options_whose_names_do_not_say_it_are_explained(words: tuple[str, ...]) -> None:
    obvious = {"help", "rounds", "seed", "data", "worth"}
    silent = [
        parameter.name
        for parameter in ALL[words].params
        if isinstance(parameter, click.Option) and not parameter.help and parameter.name not in obvious
    ]
    assert not silent


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_the_command_itself_says(name: str) -> None:
    first = (ALL[(name,)].help or "").split("\n\n")[0].split(":")[0].rstrip(".").lower()
    if name != "demo":  # its own first line is longer
        assert COMMANDS[name].about.rstrip(".").lower().startswith(first.split(",")[0][:20])


def test_every_exit_code_is_in_the_help_and_in_the_document() -> None:
    shown = cli.epilog or ""
    for code, meaning in EXIT_CODES.items():
        assert re.search(rf"^ +{code}  {re.escape(meaning)}$", shown, re.MULTILINE)
        assert f"| {code} | {meaning} |" in TEXT


def test_the_document_is_what_the_generator_writes() -> None:
    stale = [path.name for path, make in generate_docs.DOCUMENTS.items() if path.read_text(encoding="utf-8") != make()]
    assert not stale, "run `python scripts/generate_docs.py`"
