"""Every command that a page shows is typed by some test: the hour, the strangers, the examples or README's own."""

from __future__ import annotations

import re
import shlex

import pytest

from tests.docs.test_examples import OURS, TYPED_FROM_PAGES, examples
from tests.docs.test_readme_commands import LINES
from tests.e2e import test_hour, test_strangers
from tests.support.pages import DOCS, sections

PAGES = sorted(path.name for path in DOCS.glob("*.md") if path.name != "CLI.md")  # that one is generated
TYPED = {(page, name) for run in (test_hour.RUN, test_strangers.RUN) for page, names in run.items() for name in names}
ELSEWHERE = {shlex.join(shlex.split(line, comments=True)) for line in LINES} | {
    line for command in OURS.values() for line in examples(command)
}
ROLES = ("owner.md", "data-owner.md", "aggregator.md", "auditor.md")


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_is_typed_by_a_test(page: str) -> None:
    left = [
        line
        for heading, lines in sections(page).items()
        if (page, heading) not in TYPED
        for line in lines
        if line not in ELSEWHERE
    ]
    assert left == []


@pytest.mark.parametrize("page", ROLES)
def test_each_role_has_a_page_with_commands(page: str) -> None:
    assert any(line.startswith("fl-platform ") for lines in sections(page).values() for line in lines)
    assert page in (DOCS.parent / "README.md").read_text()


def test_what_is_typed_stands_on_the_pages() -> None:
    assert {(page, heading) for page, heading in TYPED if heading not in sections(page)} == set()


@pytest.mark.parametrize("name", TYPED_FROM_PAGES)
def test_the_example_of_a_command_of_several_parties_is_its_pages(name: str) -> None:
    page = TYPED_FROM_PAGES[name]
    (line,) = re.findall(rf"Example: (fl-platform {name} .*)", _help(name))
    assert any(line in lines for heading, lines in sections(page).items() if (page, heading) in TYPED)


def _help(name: str) -> str:
    from tests.docs.test_examples import LEAVES

    return LEAVES[name].help or ""
