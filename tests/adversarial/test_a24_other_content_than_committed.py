"""A24: the right CID, but other content than the receipt commits to.

Attacker: a trainer that signs a CID of one update and the key, leaves' root or length of another; or that has two
objects ready whose root blocks have one SHA-256. Wants to choose after the roster which of the two it meant. Expected:
the receipt's hashes all have to fit the one object; each that does not is refused with its own words.
"""

from __future__ import annotations

import os

import pytest

from fl_platform.errors import EnvelopeInvalid, FLError, StoreMissing
from fl_platform.store import Cid, MemoryStore, cid_of, envelope, seal, unixfs, unseal
from fl_platform.store.unixfs import LEAF_BYTES

KEY, OTHER_KEY = bytes(range(32)), bytes(32)
MINE, OTHER = seal(b"\x01" * 5000, key=KEY), seal(b"\x02" * 5000, key=OTHER_KEY)


def test_the_committed_object_opens() -> None:
    envelope.check_leaves_root(MINE.data, MINE.leaves_root)
    assert unseal(MINE.data, key=KEY, expected_key_hash=MINE.key_hash) == b"\x01" * 5000


def test_another_objects_leaves_root() -> None:
    with pytest.raises(EnvelopeInvalid, match="its receipt says"):
        envelope.check_leaves_root(MINE.data, OTHER.leaves_root)


def test_another_objects_key() -> None:
    with pytest.raises(EnvelopeInvalid, match="does not open this update"):
        unseal(MINE.data, key=OTHER_KEY, expected_key_hash=MINE.key_hash)


def test_one_ciphertext_does_not_open_in_two_ways() -> None:
    """Without a tag every key decrypts to something: the committed key hash decides which plaintext was meant."""
    second = unseal(MINE.data, key=OTHER_KEY, expected_key_hash=OTHER.key_hash)
    assert second != b"\x01" * 5000
    with pytest.raises(EnvelopeInvalid):
        unseal(MINE.data, key=OTHER_KEY, expected_key_hash=MINE.key_hash)


def test_two_objects_of_one_digest_are_told_apart_by_length() -> None:
    """A file whose bytes are another file's root node: raw and dag-pb CIDs differ, their digests do not."""
    store = MemoryStore()
    tree = store.put(os.urandom(LEAF_BYTES + 1))
    node = next(block for cid, block in unixfs.build_tree(store.open_blocks(tree)).nodes if cid == tree)
    twin = store.put(node)
    assert twin.digest == tree.digest
    assert twin != tree
    assert store.locate(tree.digest, length=LEAF_BYTES + 1) == tree
    assert store.locate(tree.digest, length=len(node)) == twin
    assert store.get(store.locate(tree.digest, length=len(node)), max_bytes=LEAF_BYTES) == node


def test_a_length_that_does_not_fit_finds_nothing() -> None:
    store = MemoryStore()
    cid = store.put(b"small")
    with pytest.raises(StoreMissing):
        store.locate(cid.digest, length=LEAF_BYTES + 1)


def test_one_content_has_one_cid() -> None:
    """The same bytes cut in another way are another DAG: it is refused, so no update comes in twice."""
    data = os.urandom(3 * LEAF_BYTES)
    halves = [data[i : i + LEAF_BYTES // 2] for i in range(0, len(data), LEAF_BYTES // 2)]
    blocks = {Cid.of_block(half): half for half in halves}
    node = unixfs.encode_node([unixfs.Link(cid, len(half), len(half)) for cid, half in blocks.items()])
    root = Cid.of_block(node, 0x70)
    blocks[root] = node
    assert root != cid_of(data)
    with pytest.raises(FLError, match="not cut as profile"):
        list(unixfs.read_leaves(root, blocks.__getitem__, max_bytes=1 << 30))
