"""The tree over an update's integers: roots, openings, and what each leaf holds."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.leaves import COORDINATES, LeafTable
from fl_platform.updates import content, pack_update
from fl_platform.updates.codec import HEADER_BYTES
from fl_platform.updates.content import (
    SUM_BITS,
    content_root,
    file_root,
    open_content,
    open_file,
    payload_bytes,
    verify_content_leaf,
)
from tests.support.specs import small_spec

KEY = bytes(range(32))


def integers_of(payload: bytes, bits: int) -> list[int]:
    """The payload's integers, without a sign; at 4 bits there may be one more."""
    if bits == 4:
        return [nibble for byte in payload for nibble in (byte & 15, byte >> 4)]
    width = bits // 8
    return [int.from_bytes(payload[i : i + width], "little") for i in range(0, len(payload), width)]


def slow_bodies(payload: bytes, sizes: list[int], bits: int) -> list[bytes]:
    """Each leaf's bytes, integer by integer."""
    rest, bodies = integers_of(payload, bits), []
    for size in sizes:
        own, rest = rest[:size], rest[size:]
        for first in range(0, size, COORDINATES):
            leaf = own[first : first + COORDINATES]
            word = sum(value << (bits * place) for place, value in enumerate(leaf))
            bodies.append(word.to_bytes(16 * bits, "little"))
    return bodies


def slow_root(bodies: list[bytes], blinds: list[bytes]) -> bytes:
    """The root by one hash after another."""
    pairs = enumerate(zip(bodies, blinds, strict=True))
    level = [keccak256(b"\x00" + k.to_bytes(4, "big") + blind + body) for k, (body, blind) in pairs]
    while len(level) & (len(level) - 1):
        level.append(bytes(32))
    while len(level) > 1:
        level = [keccak256(b"\x01" + level[i] + level[i + 1]) for i in range(0, len(level), 2)]
    return level[0]


@settings(max_examples=80, deadline=None)  # the first example compiles
@given(
    st.lists(st.one_of(st.integers(1, 9), st.integers(1, 700)), min_size=1, max_size=5),
    st.sampled_from([4, 8, 16, SUM_BITS]), st.booleans(), st.integers(1, 8), st.data(),
)  # fmt: skip
def test_root_and_openings_agree_with_a_slow_tree(
    sizes: list[int], bits: int, keyed: bool, at_once: int, data: st.DataObject
) -> None:
    table = LeafTable(tuple(sizes))
    values = np.random.default_rng(table.size).integers(0, 2 ** min(bits, 32), table.size)
    word = sum(int(value) << (bits * place) for place, value in enumerate(values))
    payload = word.to_bytes(payload_bytes(table.size, bits), "little")
    key = KEY if keyed else None
    leaves = [open_content(payload, k, table=table, bits=bits, key=key) for k in range(table.count)]
    assert [leaf.body for leaf in leaves] == slow_bodies(payload, sizes, bits)
    with patch.object(content, "_AT_ONCE", at_once):
        root = content_root(payload, table=table, bits=bits, key=key)
    assert root == slow_root([leaf.body for leaf in leaves], [leaf.blind for leaf in leaves])
    assert all(verify_content_leaf(leaf, root=root, count=table.count, bits=bits) for leaf in leaves)
    leaf = data.draw(st.sampled_from(leaves))
    other = data.draw(st.integers(0, len(leaf.body) - 1))
    body = bytearray(leaf.body)
    body[other] ^= 1
    assert not verify_content_leaf(replace(leaf, body=bytes(body)), root=root, count=table.count, bits=bits)
    assert not verify_content_leaf(replace(leaf, index=leaf.index + 1), root=root, count=table.count, bits=bits)
    assert not verify_content_leaf(replace(leaf, blind=KEY[::-1]), root=root, count=table.count, bits=bits)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=5))
def test_every_coordinate_has_one_place(sizes: list[int]) -> None:
    table = LeafTable(tuple(sizes))
    assert table.size == sum(sizes)
    found = [table.place_of(c) for leaf in range(table.count) for c in range(*table.span(leaf).indices(table.size))]
    assert found == [table.place_of(c) for c in range(table.size)]
    assert found == [
        (leaf, place) for leaf in range(table.count) for place in range(table.span(leaf).stop - table.span(leaf).start)
    ]
    for leaf in (-1, table.count):
        with pytest.raises(IndexError, match="there is no leaf"):
            table.span(leaf)


def test_blinds_differ_and_tell_nothing_of_equal_leaves() -> None:
    table = LeafTable((3 * COORDINATES,))
    payload = bytes(table.size)
    leaves = [open_content(payload, k, table=table, bits=8, key=KEY) for k in range(3)]
    assert len({leaf.blind for leaf in leaves}) == 3
    other = content_root(payload, table=table, bits=8, key=bytes(32))
    assert other != content_root(payload, table=table, bits=8, key=KEY)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="100 bytes are no payload of 101 integers of 8 bits"):
        content_root(bytes(100), table=LeafTable((100, 1)), bits=8, key=None)
    with pytest.raises(DocumentInvalid, match="no leaf 1 in a content tree of 1"):
        open_content(bytes(100), 1, table=LeafTable((100,)), bits=8, key=None)


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_an_update_file_is_read_with_the_tasks_width_whatever_its_header_says(bits: int) -> None:
    spec = small_spec()
    plain = pack_update(np.asarray(np.arange(spec.model.size) % 7, np.int8), model=spec.model, bits=bits)
    payload, table = plain[HEADER_BYTES:], spec.model.leaves
    root = file_root(plain, table=table, bits=bits, key=KEY)
    assert root == content_root(payload, table=table, bits=bits, key=KEY)
    for header in (plain[:HEADER_BYTES], bytes(HEADER_BYTES), b"\xff" * HEADER_BYTES):
        told = header + payload
        assert file_root(told, table=table, bits=bits, key=KEY) == root
        for k in range(table.count):
            leaf = open_file(told, k, table=table, bits=bits, key=KEY)
            assert leaf == open_content(payload, k, table=table, bits=bits, key=KEY)
            assert root is not None
            assert verify_content_leaf(leaf, root=root, count=table.count, bits=bits)
        with pytest.raises(DocumentInvalid, match=f"no leaf {table.count} in"):
            open_file(told, table.count, table=table, bits=bits, key=KEY)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 14), st.integers(1, 255), st.sampled_from([8, 16]))
def test_any_changed_integer_is_another_root(place: int, change: int, bits: int) -> None:
    spec = small_spec()
    plain = bytearray(pack_update(np.zeros(spec.model.size, np.int8), model=spec.model, bits=bits))
    root = file_root(bytes(plain), table=spec.model.leaves, bits=bits, key=KEY)
    plain[HEADER_BYTES + place * bits // 8] ^= change
    assert file_root(bytes(plain), table=spec.model.leaves, bits=bits, key=KEY) != root


def test_the_unused_nibble_is_in_no_leaf() -> None:
    spec = small_spec()
    assert spec.model.size % 2
    table, plain = spec.model.leaves, pack_update(np.ones(spec.model.size, np.int8), model=spec.model, bits=4)
    root = file_root(plain, table=table, bits=4, key=KEY)
    told = plain[:-1] + bytes([plain[-1] | 0xF0])
    assert file_root(told, table=table, bits=4, key=KEY) == root
    last = table.count - 1
    assert open_file(told, last, table=table, bits=4, key=KEY) == open_file(plain, last, table=table, bits=4, key=KEY)


@pytest.mark.parametrize("bits", [4, 8, 16])
@pytest.mark.parametrize("length", [0, 4, HEADER_BYTES, 100, -1, 1])
def test_what_has_another_length_is_no_update_file_and_has_no_content(length: int, bits: int) -> None:
    spec = small_spec()
    table, good = spec.model.leaves, pack_update(np.zeros(spec.model.size, np.int8), model=spec.model, bits=bits)
    plain = good[:-1] if length < 0 else good + b"\0" if length == 1 else good.ljust(length, b"\0")[:length]
    assert file_root(plain, table=table, bits=bits, key=KEY) is None
    with pytest.raises(DocumentInvalid, match=f"{len(plain)} bytes are no update file of 15 integers of {bits} bits"):
        open_file(plain, 0, table=table, bits=bits, key=KEY)
    for other in {4, 8, 16} - {bits}:  # a file of another width, or of another model
        assert file_root(good, table=table, bits=other, key=KEY) is None
    assert file_root(good, table=LeafTable((12, 2)), bits=bits, key=KEY) is None or bits == 4
