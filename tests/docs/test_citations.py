"""No file cites a page that is not in the repository, and no page a file that is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.code_links import ROOT, broken_links
from tests.unit.test_repository import texts

PAGE = re.compile(r"(?<![\w/.*<>{}-])((?:\.\./)*[\w./-]+\.md)\b")
FILE = re.compile(
    r"(?<![\w/.*{}-])((?:benchmarks|contracts|docs|fl_platform|scripts|tests|zk)/[\w./-]*\w\.(?:py|sol|json|toml))\b"
)
# Of a page by its name alone: a word in capitals with the number of a section, a row or a trap.
SECTION = re.compile(r"\b[A-Z][A-Z_]{2,},? (?:\d[a-z]\b|A\d\d\b|trap \d|§ ?\d)")
PLACEHOLDERS = {"FILE.md"}  # what a command's help calls its option's value
GENERATED = (".json", ".txt", ".lock")


def written() -> Iterator[tuple[Path, str]]:
    """Yield (path, text) of every tracked file that people write."""
    for name, text in texts():
        if not name.endswith(GENERATED):
            yield ROOT / name, text


def is_there(cited: str, by: Path) -> bool:
    """Whether a citation is a path from the root, from docs/ or tests/, or from where it stands."""
    return any((base / cited).exists() for base in (ROOT, ROOT / "docs", ROOT / "tests", by.parent))


def test_every_page_that_is_cited_exists() -> None:
    missing = {
        f"{path.relative_to(ROOT)}: {cited}"
        for path, text in written()
        for cited in PAGE.findall(text)
        if cited not in PLACEHOLDERS and not is_there(cited, path)
    }
    assert missing == set()


def test_no_page_is_cited_by_its_name_alone() -> None:
    found = {f"{path.relative_to(ROOT)}: {hit[0]}" for path, text in written() for hit in SECTION.finditer(text)}
    assert found == set(), "write the page's path, or say it in words"


@pytest.mark.parametrize("part", ["docs", "fl_platform", "scripts", "zk", "."])
def test_every_file_that_a_page_or_docstring_names_exists(part: str) -> None:
    pages = {".": ("README.md", "SECURITY.md", "CONTRIBUTING.md", "benchmarks/", "tests/invariants/")}.get(
        part, (part + "/",)
    )
    missing = {
        f"{path.relative_to(ROOT)}: {cited}"
        for path, text in written()
        if path.relative_to(ROOT).as_posix().startswith(pages)
        for cited in FILE.findall(text)
        if "NAME" not in cited and not is_there(cited, path)
    }
    assert missing == set()


@pytest.mark.parametrize(
    "page", sorted(path.relative_to(ROOT).as_posix() for path, _ in written() if path.suffix == ".md")
)
def test_links_of_a_page_lead_to_files_headings_and_names(page: str) -> None:
    assert broken_links(page) == []


@pytest.mark.parametrize(
    "link",
    [
        "[`Owner.close`](../fl_platform/round/owner.py)", "[`Owner`](../fl_platform/round/none.py)",
        "[`RoundLedger.roster`](../contracts/interfaces/IRoundLedger.sol)", "[words](GLOSSARY.md#no-such-word)",
    ],
)  # fmt: skip
def test_a_link_that_leads_nowhere_is_found(link: str) -> None:
    assert broken_links("docs/PROTOCOL.md", link) != []
    assert broken_links("docs/PROTOCOL.md", "[`Owner.open`](../fl_platform/round/owner.py)") == []
