"""A24: the right CID, but other content than the receipt commits to.

Attacker: a trainer that signs a CID of one update and the key, leaves' root or length of another; or that has two
objects ready whose root blocks have one SHA-256. Wants to choose after the roster which of the two it meant. Expected:
the receipt's hashes all have to fit the one object; each that does not is named in its own words, and is no verdict by
itself. What a contract can see of it costs the stake, and then the update is refused: integers that the ciphertext does
not hold, a box with another key; and an honest trainer is convicted of nothing, whatever a recipient says.
"""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from fl_platform.errors import EnvelopeInvalid, FLError, StoreMissing, UpdateHashMismatch, UpdatesNotOpened
from fl_platform.judging.admit import OpenedUpdates, admit_entries
from fl_platform.ledger.reveals import CipherLeaf
from fl_platform.store import Cid, MemoryStore, cid_of, decrypt, encrypt, envelope, unixfs
from fl_platform.store.unixfs import LEAF_BYTES
from fl_platform.task.decrypting import check_content
from fl_platform.updates import pack_update
from fl_platform.updates.codec import HEADER_BYTES
from fl_platform.updates.content import file_root
from tests.support.evm import Reverted
from tests.support.reveals import KEY as UPDATE_KEY
from tests.support.reveals import Scene, garbled
from tests.support.rounds import anchored_spec, happy_round, place_of

KEY, OTHER_KEY = bytes(range(32)), bytes(32)
MINE, OTHER = encrypt(b"\x01" * 5000, key=KEY), encrypt(b"\x02" * 5000, key=OTHER_KEY)


def test_the_committed_object_opens() -> None:
    envelope.check_leaves_root(MINE.data, MINE.leaves_root)
    assert decrypt(MINE.data, key=KEY, expected_key_hash=MINE.key_hash) == b"\x01" * 5000


def test_another_objects_leaves_root() -> None:
    with pytest.raises(EnvelopeInvalid, match="its receipt says"):
        envelope.check_leaves_root(MINE.data, OTHER.leaves_root)


def test_another_objects_key() -> None:
    with pytest.raises(EnvelopeInvalid, match="does not open this update"):
        decrypt(MINE.data, key=OTHER_KEY, expected_key_hash=MINE.key_hash)


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_other_integers_than_the_receipt_binds_are_named_and_a_header_binds_nothing(bits: int) -> None:
    spec = anchored_spec()
    spec = replace(spec, codec=replace(spec.codec, bits=bits))
    plain = pack_update(np.full(spec.model.size, 3, np.int8), model=spec.model, bits=bits)
    root = file_root(plain, table=spec.model.leaves, bits=bits, key=KEY)
    assert root is not None
    entry = happy_round().entries[0]
    receipt = replace(entry.receipt, content_root=root)
    for header in (plain[:HEADER_BYTES], bytes(HEADER_BYTES), OTHER.data[:HEADER_BYTES]):
        check_content(header + plain[HEADER_BYTES:], receipt, spec=spec, key=KEY)
    others = [plain[:i] + bytes([plain[i] ^ 1]) + plain[i + 1 :] for i in range(HEADER_BYTES, len(plain))]
    for other in (*others, plain[:-1], plain + b"\0", b""):
        with pytest.raises(UpdateHashMismatch, match="not those that its receipt binds"):
            check_content(other, receipt, spec=spec, key=KEY)
    with pytest.raises(UpdateHashMismatch):  # the right integers under another key have other blinds
        check_content(plain, receipt, spec=spec, key=OTHER_KEY)


def test_who_finds_other_content_has_no_verdict_before_the_chain_has_convicted_its_trainer() -> None:
    round_ = happy_round()
    index = place_of(round_, 2)
    round_.data[index] = UpdateHashMismatch("the integers are not those that its receipt binds")
    with pytest.raises(UpdatesNotOpened) as found:
        admit_entries(
            round_.entries, OpenedUpdates(round_.updates, round_.spec), spec=round_.spec, context=round_.context
        )
    assert {i: type(reason) for i, reason in found.value.reasons.items()} == {index: UpdateHashMismatch}
    convicted = frozenset({round_.entries[index].receipt.struct_hash()})
    round_.context = replace(round_.context, convicted=convicted)
    codes = [verdict.code for verdict in round_.judge().verdicts]
    assert (codes[index], codes.count("admitted")) == ("Convicted", 3)


def test_one_ciphertext_does_not_open_in_two_ways() -> None:
    """Without a tag every key decrypts to something: the committed key hash decides which plaintext was meant."""
    second = decrypt(MINE.data, key=OTHER_KEY, expected_key_hash=OTHER.key_hash)
    assert second != b"\x01" * 5000
    with pytest.raises(EnvelopeInvalid):
        decrypt(MINE.data, key=OTHER_KEY, expected_key_hash=MINE.key_hash)


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


def test_a_content_root_of_other_integers_costs_the_stake_and_the_honest_twin_nothing() -> None:
    scene = Scene.start()
    at = scene.table.size - 1
    other, (last, place) = scene.changed(at), scene.table.place_of(at)
    root = scene.root(other)
    with pytest.raises(Reverted, match="Reveals_OpeningIsGood"):
        scene.accuse_opening(last, place)
    scene.accuse_opening(last, place, receipt=scene.receipt(content_root=root), content=scene.content(last, other))
    assert scene.stake == 0


def test_a_challenger_cannot_pass_another_ciphertext_or_key_off_as_the_trainers() -> None:
    scene = Scene.start()
    forged = encrypt(scene.plain[:-1] + b"\x00", key=UPDATE_KEY).data
    leaf = envelope.open_leaf(forged, len(forged) // envelope.LEAF_BYTES)
    last, place = scene.table.place_of(scene.table.size - 1)
    with pytest.raises(Reverted, match="CipherLeaves_LeafMismatch"):
        scene.accuse_opening(last, place, cipher=CipherLeaf(leaf.leaf, leaf.path))
    with pytest.raises(Reverted, match="Reveals_KeyMismatch"):
        scene.accuse_opening(last, place, key=OTHER_KEY)
    assert scene.stake == scene.run.params.stake


def test_a_box_with_another_key_costs_the_stake_and_its_honest_twin_nothing() -> None:
    scene = Scene.start()
    with pytest.raises(Reverted, match="Reveals_WrapIsGood"):
        scene.accuse_wrap(scene.keys())
    scene.accuse_wrap(garbled(scene.keys(), 0, ciphertext=bytes(32)))
    assert scene.stake == 0
