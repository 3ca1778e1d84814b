"""Trees of profile unixfs-v1-2025: against an implementation that is not ours, and against malformed nodes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import CarInvalid, CidMismatch, ObjectTooLarge
from fl_platform.store import unixfs
from fl_platform.store.cid import DAG_PB, RAW, Cid
from fl_platform.store.unixfs import LEAF_BYTES, WIDTH, Link
from fl_platform.store.varint import encode_varint

VECTORS = json.loads((Path(__file__).parent / "unixfs_vectors.json").read_text())["vectors"]


def vector_leaves(size: int) -> Iterator[memoryview]:
    """Yield the content that scripts/node_tools/ipfs/vectors.js describes."""
    index = np.arange(LEAF_BYTES, dtype=np.int64)
    base = (index * 7 + (index >> 8) * 13).astype(np.uint8)
    for start in range(0, max(size, 1), LEAF_BYTES):
        yield memoryview(base[: size - start] + np.uint8((start >> 20) & 255))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["size"]))
def test_cids_are_those_of_the_reference_importer(vector: dict[str, object]) -> None:
    """Up to two levels of nodes, with a node of one child (1 GiB and one byte)."""
    size = int(str(vector["size"]))
    tree = unixfs.build_tree(vector_leaves(size))
    assert str(tree.root) == vector["cid"]
    assert tree.length == size
    assert len(tree.leaves) == unixfs.leaf_count(size)
    assert tree.root.codec == unixfs.root_codec(size)


def test_the_vectors_reach_two_levels() -> None:
    assert max(unixfs.tree_height(vector["size"]) for vector in VECTORS) == 2


@given(st.integers(0, unixfs.MAX_FILE_BYTES))
def test_the_length_alone_gives_the_shape(length: int) -> None:
    height = unixfs.tree_height(length)
    if height == 0:
        assert length <= LEAF_BYTES
        return
    spans = unixfs.child_spans(length, height)
    assert sum(spans) == length
    assert 2 <= len(spans) <= WIDTH
    assert set(spans[:-1]) <= {LEAF_BYTES * WIDTH ** (height - 1)}


@given(st.binary(max_size=3000))
@settings(max_examples=50)
def test_memory_and_leaves_give_one_cid(data: bytes) -> None:
    assert unixfs.cid_of(data) == unixfs.build_tree([data]).root == Cid(RAW, hashlib.sha256(data).digest())


def test_leaves_are_cut_in_one_way_only() -> None:
    builder = unixfs.TreeBuilder()
    with pytest.raises(ValueError):
        builder.add_leaf(bytes(LEAF_BYTES + 1))
    builder.add_leaf(b"short")
    with pytest.raises(ValueError):
        builder.add_leaf(b"behind a short one")
    full = unixfs.TreeBuilder()
    full.add_leaf(bytes(LEAF_BYTES))
    with pytest.raises(ValueError):
        full.add_leaf(b"")


LEAF = Cid.of_block(bytes(LEAF_BYTES))
LAST = Cid.of_block(b"end")


def node(*links: Link) -> bytes:
    """Return an inner block."""
    return unixfs.encode_node(list(links))


GOOD = node(Link(LEAF, LEAF_BYTES, LEAF_BYTES), Link(LAST, 3, 3))


def test_the_happy_node() -> None:
    decoded = unixfs.decode_node(GOOD)
    assert (decoded.length, decoded.height) == (LEAF_BYTES + 3, 1)
    assert [link.cid for link in decoded.children] == [LEAF, LAST]


def with_data(data: bytes) -> bytes:
    """Return the happy node's links with another UnixFS message."""
    links = GOOD[: GOOD.rindex(b"\x0a" + bytes([len(GOOD) - GOOD.rindex(b"\x08\x02")]))]
    return links + b"\x0a" + encode_varint(len(data)) + data


SIZES = b"\x18" + encode_varint(LEAF_BYTES + 3) + b"\x20" + encode_varint(LEAF_BYTES) + b"\x20\x03"


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (b"", "no UnixFS data"),
        (b"\x0a\x00", "that of a file"),
        (GOOD[:-1], "trailing bytes|truncated"),
        (GOOD + b"\x00", "trailing bytes"),
        (GOOD[:20], "truncated"),
        (b"\x12\x05\x0a\x24\x01\x55\x12", "plain file link"),
        (with_data(b"\x08\x01" + SIZES), "that of a file"),  # a directory
        (with_data(b"\x08\x02" + SIZES + b"\x12\x01x"), "only block sizes"),  # inline data
        (with_data(b"\x08\x02" + SIZES + b"\x20\x03"), "must match"),
        (with_data(b"\x08\x02\x18\x05" + SIZES[4:]), "truncated|canonical|more than|only block sizes"),
        (node(Link(LAST, 3, 3), Link(LAST, 3, 3)), "not cut"),  # leaves of three bytes
        (node(Link(LAST, 3, 3)), "not cut"),  # one leaf needs no node
        (node(Link(LEAF, LEAF_BYTES, LEAF_BYTES), Link(LAST, 3, LEAF_BYTES + 1)), "not cut"),
        (node(Link(Cid(DAG_PB, bytes(32)), LEAF_BYTES, LEAF_BYTES), Link(LAST, 3, 3)), "wrong codec"),
        (node(*[Link(LEAF, LEAF_BYTES, LEAF_BYTES)] * (WIDTH + 1)), "more than 1024"),
        (node(Link(LEAF, 1, 1 << 61), Link(LAST, 3, 3)), "over the limit"),
    ],
)
def test_malformed_nodes_are_refused(block: bytes, message: str) -> None:
    with pytest.raises(CarInvalid, match=message):
        unixfs.decode_node(block)


def test_a_length_in_a_longer_form_is_refused() -> None:
    """Non-minimal varints would give one node several encodings."""
    links, data = GOOD[:-1], GOOD[-1:]
    with pytest.raises(CarInvalid):
        unixfs.decode_node(links + bytes([data[0] | 0x80, 0x00]))


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_random_bytes_are_refused_with_our_error(block: bytes) -> None:
    with pytest.raises((CarInvalid,)):
        unixfs.decode_node(b"\x12" + block)


def test_a_reader_checks_hash_size_and_limit() -> None:
    blocks = {LEAF: bytes(LEAF_BYTES), LAST: b"end", Cid.of_block(GOOD, DAG_PB): GOOD}
    root = Cid.of_block(GOOD, DAG_PB)
    assert (
        b"".join(unixfs.read_leaves(root, blocks.__getitem__, max_bytes=LEAF_BYTES + 3)) == bytes(LEAF_BYTES) + b"end"
    )
    fetched: list[Cid] = []

    def recording(cid: Cid) -> bytes:
        fetched.append(cid)
        return blocks[cid]

    with pytest.raises(ObjectTooLarge):
        list(unixfs.read_leaves(root, recording, max_bytes=LEAF_BYTES + 2))
    assert fetched == [root]
    with pytest.raises(CidMismatch, match=str(LAST)):
        list(unixfs.read_leaves(root, {**blocks, LAST: b"eNd"}.__getitem__, max_bytes=1 << 30))


def test_a_parent_that_lies_about_a_leaf_is_caught() -> None:
    """The parent says 4 bytes, the leaf (whose hash is right) has 3: the file would be shorter than it claims."""
    lying = node(Link(LEAF, LEAF_BYTES, LEAF_BYTES), Link(LAST, 3, 4))
    root = Cid.of_block(lying, DAG_PB)
    blocks = {LEAF: bytes(LEAF_BYTES), LAST: b"end", root: lying}
    with pytest.raises(CarInvalid, match="where its parent says 4"):
        list(unixfs.read_leaves(root, blocks.__getitem__, max_bytes=1 << 30))


def test_a_raw_root_larger_than_a_leaf_is_refused() -> None:
    data = bytes(LEAF_BYTES + 1)
    cid = Cid.of_block(data)
    with pytest.raises(CarInvalid, match="over the limit"):
        list(unixfs.read_leaves(cid, {cid: data}.__getitem__, max_bytes=1 << 30))
