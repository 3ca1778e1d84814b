"""docs/PROTOCOL.md: a box of a drawing is a row whose links hold, windows are the code's, terms are links at first."""

from __future__ import annotations

import re
from dataclasses import asdict

import pytest

from fl_platform.round.offer import WINDOWS
from tests.docs.test_glossary import ENTRIES
from tests.support.code_links import ROOT, broken_links, named_links, table

PAGE = (ROOT / "docs" / "PROTOCOL.md").read_text(encoding="utf-8")
DRAWINGS = {
    heading: re.split(r"\n## ", PAGE.partition(f"\n## {heading}\n")[2])[0] for heading in ("One round", "One dispute")
}
PROSE = re.sub(r"^```.*?^```", "", PAGE, flags=re.DOTALL | re.MULTILINE)
PROSE = re.sub(r"`[^`]*`|^#.*$|^\| [^|\[]+ \|", "", PROSE, flags=re.MULTILINE)  # without code, headings, names of rows
NAMES = {"force": "forceInclude", "min_round": "minRound"}  # in Python, in Solidity


def test_every_link_leads_to_where_its_name_is_defined() -> None:
    assert broken_links("docs/PROTOCOL.md") == []


@pytest.mark.parametrize("heading", DRAWINGS)
def test_each_box_of_a_drawing_is_a_row_and_each_row_a_box(heading: str) -> None:
    drawing = re.findall(r"^```\n(.*?)^```", DRAWINGS[heading], re.DOTALL | re.MULTILINE)
    assert len(drawing) == 1
    rows = [row[0] for row in table(PAGE, heading)]
    assert set(re.findall(r"\[([a-z][a-z ]*)\]", drawing[0])) == set(rows)
    assert len(rows) == len(set(rows))


@pytest.mark.parametrize("heading", DRAWINGS)
def test_each_box_links_to_its_function_and_a_test(heading: str) -> None:
    for box, _, _, code, contract, test in table(PAGE, heading):
        assert all(target.startswith("../fl_platform/") for _, target in named_links(code)), box
        assert named_links(code), box
        assert all(target.startswith("../contracts/") for _, target in named_links(contract)), box
        ((name, target),) = named_links(test)
        assert name.startswith("test_"), box
        assert target.startswith("../tests/"), box


def test_the_windows_are_those_that_an_owner_can_choose() -> None:
    rows = {row[0]: tuple(map(int, row[4:])) for row in table(PAGE, "The windows")}
    sets = {name: asdict(windows) for name, windows in WINDOWS.items()}
    assert list(sets) == ["hourly", "minutes", "seconds"]
    names = next(iter(sets.values()))
    assert rows == {NAMES.get(name, name): tuple(chosen[name] for chosen in sets.values()) for name in names}


@pytest.mark.parametrize("word", ENTRIES)
def test_a_term_is_a_link_the_first_time(word: str) -> None:
    ending = r"(?:s|es)?\b"
    first = re.search(rf"\b{word}{ending}", PROSE)
    linked = re.search(rf"\[{word}(?:s|es)?\]\(GLOSSARY\.md#{word.replace(' ', '-')}\)", PROSE)
    assert first is not None
    assert linked is not None
    assert first.start() == linked.start() + 1
