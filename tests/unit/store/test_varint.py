"""Varints: minimal, bounded, never read behind the end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_platform.errors import CarInvalid
from fl_platform.store.varint import decode_varint, encode_varint


@given(st.integers(0, (1 << 63) - 1), st.binary(max_size=3))
def test_values_are_read_back(value: int, tail: bytes) -> None:
    data = encode_varint(value)
    assert decode_varint(b"?" + data + tail, 1) == (value, 1 + len(data))


@pytest.mark.parametrize("value", [-1, 1 << 63])
def test_values_outside_the_range_have_no_encoding(value: int) -> None:
    with pytest.raises(ValueError):
        encode_varint(value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "truncated"),
        (b"\x80", "truncated"),
        (b"\x80\x00", "shortest"),
        (b"\xff" * 8 + b"\x80\x01", "more than 9"),
        (b"\xff" * 10, "more than 9"),
    ],
)
def test_bad_encodings_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(CarInvalid, match=message):
        decode_varint(data)
