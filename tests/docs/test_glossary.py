"""docs/GLOSSARY.md: sorted, each word once, in one or two sentences, with links to where the code defines it."""

from __future__ import annotations

import re

import pytest

from tests.support.code_links import ROOT, broken_links, named_links

PAGE = (ROOT / "docs" / "GLOSSARY.md").read_text(encoding="utf-8")
ENTRIES = {
    heading: body.strip()
    for heading, body in re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
}


def test_words_are_sorted_and_each_is_there_once() -> None:
    words = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    assert words == sorted(set(words))
    assert len(words) >= 25


def test_every_link_leads_to_where_its_name_is_defined() -> None:
    assert broken_links("docs/GLOSSARY.md") == []


@pytest.mark.parametrize("word", ENTRIES)
def test_a_word_has_one_or_two_sentences_and_a_place_in_the_code(word: str) -> None:
    meaning, _, code = ENTRIES[word].partition("\n\nIn code: ")
    assert 1 <= len(re.findall(r"\.(?:\s|$)", meaning)) <= 2
    assert named_links(code)


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs").glob("*.md")))
def test_pages_link_to_words_that_there_are(page: str) -> None:
    linked = re.findall(r"GLOSSARY\.md#([\w-]+)", (ROOT / "docs" / page).read_text(encoding="utf-8"))
    assert {word.replace("-", " ") for word in linked} <= ENTRIES.keys()
