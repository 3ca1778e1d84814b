"""One byte string per document."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.canonical import canonical_json, parse_canonical

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(documents)
def test_parse_returns_what_was_written(value: object) -> None:
    data = canonical_json(value)  # type: ignore[arg-type]
    assert parse_canonical(data, what="test") == value


@pytest.mark.parametrize(
    "data",
    [
        b'{"b":1,"a":2}',
        b'{ "a":1}',
        b'{"a":1.0}',
        b'{"a":NaN}',
        b'{"a":1,"a":1}',
        b"\xff",
        b"",
        b'{"a":1}\n',
    ],
)
def test_other_spellings_are_refused(data: bytes) -> None:
    with pytest.raises(DocumentInvalid):
        parse_canonical(data, what="test")


def test_length_is_checked_before_parsing() -> None:
    with pytest.raises(DocumentInvalid, match="11 bytes, limit 10"):
        parse_canonical(b"not JSON at", what="test", max_bytes=10)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'["]",', b'["\\"]",'])
def test_deep_nesting_is_refused_before_the_parser_recurses(opening: bytes) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10**6)  # as py-evm does: without our own check the C parser overflows its stack
    try:
        with pytest.raises(DocumentInvalid, match="nested deeper"):
            parse_canonical(opening * 100_000, what="test")
    finally:
        sys.setrecursionlimit(limit)


@pytest.mark.parametrize("value", [1.0, {"a": b"x"}, {1: 2}, [float("nan")]])
def test_inexact_values_are_our_own_mistake(value: object) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)  # type: ignore[arg-type]
