"""docs/ATTACKS.md: rows A01 to A60 once each, each with tests that exist or the reason why it is open."""

from __future__ import annotations

import re

import pytest

from tests.support.code_links import ROOT, broken_links, defined, table

PAGE = (ROOT / "docs" / "ATTACKS.md").read_text(encoding="utf-8")
HEADINGS = ("Chain and money", "Learning", "Messages, store, processes", "Found in this platform")
ROWS = {number: row for heading in HEADINGS for number, *row in table(PAGE, heading)}
TEST = re.compile(r"\[`([\w/]+\.py)::(test_\w+)`\]\(\.\./tests/([\w/]+\.py)\)")
OPEN = {number for number, (_, _, tests) in ROWS.items() if tests.startswith("open: ")}


def test_numbers_are_all_there_and_once() -> None:
    numbers = re.findall(r"^\| (A\d\d) \|", PAGE, re.MULTILINE)
    assert sorted(numbers) == [f"A{number:02}" for number in range(1, 61)]
    assert ROWS.keys() == set(numbers)


@pytest.mark.parametrize("number", ROWS)
def test_a_row_has_tests_or_says_why_it_is_open(number: str) -> None:
    attack, stops, tests = ROWS[number]
    assert attack.endswith(".")
    assert bool(TEST.search(tests)) != (number in OPEN)
    assert (stops == "**open**") == (number in OPEN)


def test_each_test_that_is_named_exists() -> None:
    for shown, function, file in TEST.findall(PAGE):
        assert shown == file
        assert function in defined(ROOT / "tests" / file), f"{file}::{function}"
    assert len(TEST.findall(PAGE)) == PAGE.count("::")


def test_links_lead_somewhere() -> None:
    assert broken_links("docs/ATTACKS.md") == []


def test_the_list_of_open_rows_is_that_of_the_tables() -> None:
    ((whole, part),) = re.findall(r"^Open: (.*)\. Open in part: (.*)\.$", PAGE, re.MULTILINE)
    assert set(whole.split(", ")) == OPEN
    rows = {row.split("|")[1].strip(): row for row in PAGE.splitlines() if re.match(r"\| A\d\d \|", row)}
    assert set(part.split(", ")) == {name for name, row in rows.items() if re.search(r"\bOpen\b", row)} - OPEN


def test_every_file_that_is_named_for_a_row_stands_in_it() -> None:
    left = [
        path.name
        for path in sorted((ROOT / "tests" / "adversarial").glob("test_a[0-9][0-9]_*.py"))
        if path.name not in ROWS[path.name[5:8].upper()][2]
    ]
    assert left == []


def test_numbers_that_code_cites_are_on_the_page() -> None:
    cited = {
        number
        for folder in ("fl_platform", "tests", "contracts")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".sol")
        for words in re.findall(r'"""(?s:.*?)"""|///?[^\n]*|# [^\n]*', path.read_text(encoding="utf-8"))
        for number in re.findall(r"\bA\d\d\b", words)
    }
    assert cited
    assert cited <= ROWS.keys()
