"""Trace trees: one place a leaf, no leaf left out, words of any sign; a proof proves nothing else."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.trace import (
    EntryLeaf,
    Header,
    Kind,
    RoundLeaf,
    RulesLeaf,
    StandingLeaf,
    Trace,
    WorkLeaf,
    depth_of,
    encode_words,
    layout_bytes,
    leaf_hash,
    node_hash,
    verify,
)


def leaf(kind: type, start: int) -> object:
    return kind(*range(start, start + len(fields(kind))))


def trace(entries: int = 3, standings: int = 2, rows: int = 5) -> Trace:
    return Trace(
        rules=leaf(RulesLeaf, 1),  # type: ignore[arg-type]
        round=leaf(RoundLeaf, 2),  # type: ignore[arg-type]
        entries=tuple(leaf(EntryLeaf, 10 * i) for i in range(entries)),  # type: ignore[misc]
        gram=tuple(tuple(i - j for j in range(rows)) for i in range(rows)),
        standings=tuple(leaf(StandingLeaf, -i) for i in range(standings)),  # type: ignore[misc]
        work=WorkLeaf(7, 8, 9, tuple((i, -i) for i in range(rows))),
    )


def slow_root(kind: Kind, leaves: tuple[bytes, ...]) -> bytes:
    """The same root by recursion, as the docstring says it."""

    def node(first: int, width: int) -> bytes:
        if width == 1:
            return leaf_hash(kind, first, leaves[first]) if first < len(leaves) else bytes(32)
        return node_hash(node(first, width // 2), node(first + width // 2, width // 2))

    return node(0, 1 << depth_of(len(leaves)))


@settings(max_examples=30, deadline=None)
@given(entries=st.integers(0, 9), standings=st.integers(0, 9), rows=st.integers(0, 6))
def test_every_leaf_of_every_size_proves_itself_at_its_place_alone(entries: int, standings: int, rows: int) -> None:
    made = trace(entries, standings, rows)
    header = made.header
    assert header.roots == tuple(slow_root(Kind(k), leaves) for k, leaves in enumerate(made.leaves))
    for kind in Kind:
        for index in range(header.counts[kind]):
            opening = made.open(kind, index)
            assert verify(header, opening)
            assert not verify(header, replace(opening, index=index + 1))
            assert not verify(header, replace(opening, words=opening.words + bytes(32)))
            assert not verify(header, replace(opening, siblings=(*opening.siblings, bytes(32))))
            other = Kind((kind + 1) % len(Kind))
            assert not verify(header, replace(opening, kind=other))
        with pytest.raises(DocumentInvalid):
            made.open(kind, header.counts[kind])


def test_a_layout_has_nine_bytes_a_tensor() -> None:
    assert layout_bytes([5, 2**33], [0, 4]).hex() == "0000000000000005" + "00" + "0000000200000000" + "04"


def test_the_root_binds_counts_and_kinds() -> None:
    made = trace()
    header = made.header
    packed = b"\x02" + b"".join(c.to_bytes(4, "big") for c in header.counts) + b"".join(header.roots)
    assert made.root == header.root == keccak256(packed)
    assert Header((*header.counts[:4], 3, 1), header.roots).root != header.root
    assert trace(entries=4).root != made.root


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-(2**255), 2**256 - 1), max_size=8))
def test_words_keep_value_and_sign(values: list[int]) -> None:
    words = encode_words(values)
    read = [int.from_bytes(words[i : i + 32], "big") for i in range(0, len(words), 32)]
    assert read == [value % 2**256 for value in values]


@pytest.mark.parametrize("value", [2**256, -(2**255) - 1])
def test_what_no_word_holds_is_refused_and_not_wrapped(value: int) -> None:
    with pytest.raises(DocumentInvalid, match="256 bits"):
        encode_words([value])
