"""What a terminal shows: nothing that a peer wrote moves its cursor."""

from __future__ import annotations

import logging

import pytest

from fl_platform.cli import main as module
from fl_platform.cli.common import PlainLog, printable
from fl_platform.cli.main import run
from fl_platform.cli.show import bar, console, pairs, table
from fl_platform.errors import DocumentInvalid

EVIL = "\x1b]0;owned\x07 \x1b[2J \u202egnp.exe \x9b31m caf\u00e9"
SHOWN = "?]0;owned? ?[2J ?gnp.exe ?31m caf\u00e9"


def test_letters_of_any_language_and_line_ends_stay() -> None:
    assert printable("caf\u00e9\n\t\u4f60\u597d") == "caf\u00e9\n\t\u4f60\u597d"
    assert printable(EVIL) == SHOWN


def test_no_table_pair_or_line_shows_a_control_character(capsys: pytest.CaptureFixture[str]) -> None:
    out = console()
    pairs(out, EVIL, [("title", EVIL), ("lines", f"one\n{EVIL}")])
    table(out, EVIL, ("heading",), [(EVIL,)])
    out.print(EVIL, markup=False)
    text = capsys.readouterr().out
    assert text.count(SHOWN) == 6
    assert not set(text) & set("\x1b\x07\x9b\u202e")


def test_no_progress_shows_one(capsys: pytest.CaptureFixture[str]) -> None:
    with bar("first", 2) as progress:
        progress.at_text(EVIL)
        progress.say(EVIL)
    assert not set(capsys.readouterr().err) & set("\x07\x9b\u202e")


def test_no_error_or_log_line_shows_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise DocumentInvalid(EVIL)

    monkeypatch.setattr(module.cli, "main", refuses)
    assert run(["task", "list"]) == 7
    assert capsys.readouterr().err == f"error: {SHOWN}\n"
    line = PlainLog("%(message)s").format(logging.LogRecord("x", 30, "", 1, "round %s", (EVIL,), None))
    assert line == f"round {SHOWN}"
