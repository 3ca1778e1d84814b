"""The validation commitment: what is revealed is what was committed, whole and in its turn."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import DocumentInvalid
from fl_platform.judging.validation import (
    RevealedRow,
    ValidationRow,
    check_revealed,
    commit_rows,
    reveal_slice,
    slice_indices,
)


def rows_of(count: int) -> list[ValidationRow]:
    return [ValidationRow(bytes([i]) * 32, f"row {i}".encode()) for i in range(count)]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 8))
def test_slices_partition_the_rows_and_verify(count: int, slices: int) -> None:
    rows = rows_of(count)
    root = commit_rows(rows)
    seen: list[int] = []
    for number in range(slices):
        revealed = reveal_slice(rows, slices=slices, number=number)
        seen += [item.index for item in revealed]
        if revealed:
            check_revealed(revealed, root=root, slices=slices, number=number)
            again = [RevealedRow.from_bytes(item.to_bytes()) for item in revealed]
            assert again == list(revealed)
        else:
            with pytest.raises(DocumentInvalid):
                check_revealed(revealed, root=root, slices=slices, number=number)
    assert sorted(seen) == list(range(count))
    assert slice_indices(count, slices=slices, number=0)[0] == 0


def test_each_change_is_refused() -> None:
    rows = rows_of(11)
    root = commit_rows(rows)
    good = list(reveal_slice(rows, slices=3, number=1))
    first = good[0]
    changed = [
        [replace(first, row=replace(first.row, data=b"other")), *good[1:]],
        [replace(first, row=replace(first.row, salt=bytes(32))), *good[1:]],
        [replace(first, siblings=first.siblings[:-1]), *good[1:]],
        [replace(first, siblings=(*first.siblings, bytes(32))), *good[1:]],
        good[1:],
        good[:-1],
        [*good, good[-1]],
        good[::-1],
        [replace(item, count=8) for item in good][:3],
        list(reveal_slice(rows, slices=3, number=2)),
    ]
    check_revealed(good, root=root, slices=3, number=1)
    for attempt in changed:
        with pytest.raises(DocumentInvalid):
            check_revealed(attempt, root=root, slices=3, number=1)


def test_salts_hide_equal_rows_and_counts_are_bound() -> None:
    same = [ValidationRow(bytes([i]) * 32, b"x") for i in range(4)]
    assert commit_rows(same) != commit_rows([ValidationRow(bytes(32), b"x")] * 4)
    assert commit_rows(same) != commit_rows(same[:3])


@pytest.mark.parametrize("data", [b"", b"\0" * 7, b"\0" * 40, (0).to_bytes(4, "big") + (2**31).to_bytes(4, "big")])
def test_malformed_rows_are_refused_before_anything_is_read(data: bytes) -> None:
    if len(data) == 40:
        data = (0).to_bytes(4, "big") + (2).to_bytes(4, "big") + bytes(32)  # one sibling, no room for a salt
    with pytest.raises(DocumentInvalid):
        RevealedRow.from_bytes(data)


def test_salts_have_32_bytes() -> None:
    with pytest.raises(DocumentInvalid, match="salt"):
        commit_rows([ValidationRow(b"short", b"x")])
