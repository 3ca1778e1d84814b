"""A trace in pages and back: whatever its words are, from wherever it goes on; the signs are those of Traces.sol."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol import trace_pages
from fl_platform.protocol.trace import EntryLeaf, Kind, RoundLeaf, RulesLeaf, StandingLeaf, Trace, WorkLeaf
from fl_platform.protocol.trace_pages import SIGNED, leaves_of, pages, rebuilt

SOURCE = Path(__file__).parents[3] / "contracts/libraries/Traces.sol"


def numbers(kind: type, rng: Random) -> tuple[int, ...]:
    """Words that a liar might pick: small, huge, negative where the field has a sign."""
    made = (rng.choice((0, 1, rng.getrandbits(255), 2**255 - 1)) for _ in fields(kind))
    return tuple(
        -n if f.name in SIGNED and rng.random() < 0.5 else n | rng.getrandbits(1) << 255 if f.name not in SIGNED else n
        for f, n in zip(fields(kind), made, strict=True)
    )


def wild(entries: int, standings: int, rows: int, seed: int) -> Trace:
    rng = Random(seed)
    signed = lambda: rng.choice((-1, 1)) * rng.getrandbits(250)  # noqa: E731
    return Trace(
        rules=RulesLeaf(*numbers(RulesLeaf, rng)),
        round=RoundLeaf(*numbers(RoundLeaf, rng)),
        entries=tuple(EntryLeaf(*numbers(EntryLeaf, rng)) for _ in range(entries)),
        gram=tuple(tuple(signed() for _ in range(rows)) for _ in range(rows)),
        standings=tuple(StandingLeaf(*numbers(StandingLeaf, rng)) for _ in range(standings)),
        work=WorkLeaf(
            rng.getrandbits(256), 2**256 - 1, 0, tuple((rng.getrandbits(256), signed()) for _ in range(rows))
        ),
    )


def all_leaves(made: Trace) -> dict[tuple[Kind, int], bytes]:
    """What the pages of a trace show, leaf by leaf."""
    found: dict[tuple[Kind, int], bytes] = {}
    for page in pages(made):
        found |= leaves_of(made.header, page.kind, page.first, page.words)
    return found


@settings(max_examples=40, deadline=None)
@given(
    entries=st.integers(0, 9), standings=st.integers(0, 9), rows=st.integers(0, 6), seed=st.integers(0, 2**32),
    room=st.sampled_from((1, 700, 1500, 48 * 1024)), start=st.integers(0, 5), index=st.integers(0, 9),
)  # fmt: skip
def test_what_was_shown_is_the_trace_again(
    entries: int, standings: int, rows: int, seed: int, room: int, start: int, index: int
) -> None:
    made = wild(entries, standings, rows, seed)
    limit, trace_pages.PAGE_BYTES = trace_pages.PAGE_BYTES, room
    try:
        whole = list(pages(made))
        later = list(pages(made, start, index))
    finally:
        trace_pages.PAGE_BYTES = limit
    shown = all_leaves(made)
    assert rebuilt(made.header, shown) == made
    for page in (*whole, *later):
        assert page.first % (1 << page.level) == 0
        assert len(page.words) <= max(room, len(made.leaves[page.kind][0]))
        assert page.siblings == made.path(page.kind, page.first, page.level)
    covered = [(p.kind, i) for p in later for i in range(p.first, p.first + (1 << p.level))]
    wanted = [(k, i) for k in Kind for i in range(len(made.leaves[k])) if (k, i) >= (start, index)]
    assert len(set(covered)) == len(covered)
    assert set(wanted) <= set(covered)
    assert all(p in whole for p in later)
    assert not later or (later[0].kind, later[0].first + (1 << later[0].level)) > (start, index)
    for lost in shown:
        if shown[lost]:
            with pytest.raises(DocumentInvalid):
                rebuilt(made.header, {place: words for place, words in shown.items() if place != lost})


def test_a_word_too_many_or_too_few_is_refused() -> None:
    made = wild(2, 2, 2, 1)
    shown = all_leaves(made)
    for place, words in shown.items():
        for bad in (words[:-32], words + bytes(32)):
            with pytest.raises(DocumentInvalid):
                rebuilt(made.header, shown | {place: bad})
    with pytest.raises(DocumentInvalid):
        rebuilt(replace(made.header, counts=(1, 1, 2, 3, 2, 1)), shown)


@pytest.mark.parametrize("leaf", [RulesLeaf, RoundLeaf, EntryLeaf, StandingLeaf])
def test_the_signed_words_are_those_of_the_contract(leaf: type) -> None:
    struct = re.search(rf"struct {leaf.__name__} {{(.*?)}}", SOURCE.read_text(), re.DOTALL)
    assert struct is not None
    signs: list[bool] = []
    for kind, count in re.findall(r"(u?int256|bytes32)(?:\[(\d)\])? \w+;", struct[1]):
        signs += [kind == "int256"] * int(count or 1)
    assert [field.name in SIGNED for field in fields(leaf)] == signs
