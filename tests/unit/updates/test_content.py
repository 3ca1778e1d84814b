"""The tree over an update's integers: roots, openings, and what each leaf holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.trace import COORDINATES
from fl_platform.updates import pack_update
from fl_platform.updates.codec import HEADER_BYTES
from fl_platform.updates.content import (
    content_root,
    file_root,
    leaf_count,
    open_content,
    open_file,
    payload_bytes,
    verify_content_leaf,
)
from tests.support.specs import small_spec

KEY = bytes(range(32))


def slow_root(payload: bytes, *, size: int, bits: int, blinds: list[bytes]) -> bytes:
    """The same root by one hash after another."""
    width, count = 16 * bits, leaf_count(size)
    level = [
        keccak256(b"\x00" + k.to_bytes(4, "big") + blinds[k] + payload[k * width : (k + 1) * width].ljust(width, b"\0"))
        for k in range(count)
    ]
    while len(level) & (len(level) - 1):
        level.append(bytes(32))
    while len(level) > 1:
        level = [keccak256(b"\x01" + level[i] + level[i + 1]) for i in range(0, len(level), 2)]
    return level[0]


@settings(max_examples=40, deadline=None)  # the first example compiles
@given(st.integers(1, 2000), st.sampled_from([4, 8, 16, 64]), st.booleans(), st.data())
def test_root_and_openings_agree_with_a_slow_tree(size: int, bits: int, keyed: bool, data: st.DataObject) -> None:
    payload = np.random.default_rng(size).bytes(payload_bytes(size, bits))
    key = KEY if keyed else None
    leaves = [open_content(payload, k, size=size, bits=bits, key=key) for k in range(leaf_count(size))]
    root = content_root(payload, size=size, bits=bits, key=key)
    assert root == slow_root(payload, size=size, bits=bits, blinds=[leaf.blind for leaf in leaves])
    assert all(verify_content_leaf(leaf, root=root, size=size, bits=bits) for leaf in leaves)
    assert b"".join(leaf.body for leaf in leaves)[: len(payload)] == payload
    leaf = data.draw(st.sampled_from(leaves))
    other = data.draw(st.integers(0, len(leaf.body) - 1))
    body = bytearray(leaf.body)
    body[other] ^= 1
    assert not verify_content_leaf(replace(leaf, body=bytes(body)), root=root, size=size, bits=bits)
    assert not verify_content_leaf(replace(leaf, index=leaf.index + 1), root=root, size=size, bits=bits)
    assert not verify_content_leaf(replace(leaf, blind=KEY[::-1]), root=root, size=size, bits=bits)


def test_blinds_differ_and_tell_nothing_of_equal_leaves() -> None:
    size = 3 * COORDINATES
    payload = bytes(size)
    leaves = [open_content(payload, k, size=size, bits=8, key=KEY) for k in range(3)]
    assert len({leaf.blind for leaf in leaves}) == 3
    other = content_root(payload, size=size, bits=8, key=bytes(32))
    assert other != content_root(payload, size=size, bits=8, key=KEY)


def test_leaf_k_holds_coordinates_from_128_k_on() -> None:
    spec = small_spec()
    values = (np.arange(spec.model.size) % 255 - 127).astype(np.int8)
    payload = pack_update(values, model=spec.model, bits=8)[HEADER_BYTES:]
    index = leaf_count(spec.model.size) - 1
    leaf = open_content(payload, index, size=spec.model.size, bits=8, key=KEY)
    own = values[index * COORDINATES :]
    assert list(np.frombuffer(leaf.body, np.int8)[: len(own)]) == list(own)
    assert not any(leaf.body[len(own) :])


def test_refusals() -> None:
    with pytest.raises(ValueError, match="100 bytes are no payload of 101 integers of 8 bits"):
        content_root(bytes(100), size=101, bits=8, key=None)
    with pytest.raises(DocumentInvalid, match="no leaf 1 in a content tree of 1"):
        open_content(bytes(100), 1, size=100, bits=8, key=None)


def test_an_update_file_says_its_own_shape() -> None:
    spec = small_spec()
    plain = pack_update(np.ones(spec.model.size, np.int8), model=spec.model, bits=8)
    payload, size = plain[HEADER_BYTES:], spec.model.size
    root = file_root(plain, key=KEY)
    assert root == content_root(payload, size=size, bits=8, key=KEY)
    leaf = open_file(plain, 0, key=KEY)
    assert leaf == open_content(payload, 0, size=size, bits=8, key=KEY)


@pytest.mark.parametrize("plain", [b"", b"FLU1", bytes(100), b"FLU1" + bytes((1, 8, 0, 0)) + bytes(92)])
def test_what_is_no_update_file_has_no_content(plain: bytes) -> None:
    assert file_root(plain, key=KEY) is None
    with pytest.raises(DocumentInvalid, match=f"{len(plain)} bytes are no update file"):
        open_file(plain, 0, key=KEY)
