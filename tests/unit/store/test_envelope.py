"""Sealed updates: the cipher against a slow reference, leaves opened alone, keys that do not fit."""

from __future__ import annotations

import dataclasses
import hashlib
import time

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import EnvelopeInvalid
from fl_platform.protocol.keccak import keccak256
from fl_platform.store import envelope
from fl_platform.store.envelope import LEAF_BYTES, LeafOpening

KEY = bytes(range(32))
lengths = st.one_of(st.integers(1, 5 * LEAF_BYTES), st.sampled_from([1, 1023, 1024, 1025, 2048, 4096]))


def plain_of(length: int) -> bytes:
    """Return a plaintext without short periods."""
    return b"".join(hashlib.sha256(i.to_bytes(4, "big")).digest() for i in range(length // 32 + 1))[:length]


def slow_seal(key: bytes, plain: bytes) -> bytes:
    """AES-ECB over counters, one AES block at a time: counter mode by its definition."""
    encryptor = Cipher(algorithms.AES256(key), modes.ECB()).encryptor()
    out = bytearray()
    for number in range(0, len(plain), 16):
        pad = encryptor.update((number // 16).to_bytes(16, "big"))
        out += bytes(a ^ b for a, b in zip(plain[number : number + 16], pad, strict=False))
    return bytes(out)


def slow_root(data: bytes) -> bytes:
    """The leaves' root, padded as the definition says."""
    leaves = [data[i : i + LEAF_BYTES] for i in range(0, len(data), LEAF_BYTES)]
    level = [hashlib.sha256(b"\0" + i.to_bytes(4, "big") + leaf).digest() for i, leaf in enumerate(leaves)]
    while len(level) & (len(level) - 1):
        level.append(bytes(32))
    while len(level) > 1:
        level = [hashlib.sha256(b"\1" + level[i] + level[i + 1]).digest() for i in range(0, len(level), 2)]
    return level[0]


@given(lengths)
@settings(max_examples=40, deadline=None)
def test_sealing_is_what_its_definition_says(length: int) -> None:
    plain = plain_of(length)
    sealed = envelope.encrypt(plain, key=KEY)
    assert sealed.data == slow_seal(KEY, plain)
    assert sealed.leaves_root == slow_root(sealed.data)
    assert sealed.key_hash == keccak256(KEY)
    assert sealed.length == length
    assert envelope.decrypt(sealed.data, key=KEY, expected_key_hash=sealed.key_hash) == plain


@given(lengths, st.data())
@settings(max_examples=40, deadline=None)
def test_any_leaf_opens_alone(length: int, data: st.DataObject) -> None:
    plain = plain_of(length)
    sealed = envelope.encrypt(plain, key=KEY)
    index = data.draw(st.integers(0, envelope.leaf_count(length) - 1))
    opening = envelope.open_leaf(sealed.data, index)
    envelope.verify_leaf(opening, leaves_root=sealed.leaves_root, length=length)
    assert envelope.decrypt_leaf(KEY, opening) == plain[index * LEAF_BYTES : (index + 1) * LEAF_BYTES]


def test_a_fixed_vector() -> None:
    """Whoever writes a twin (a contract, a circuit) starts here."""
    sealed = envelope.encrypt(bytes(3000), key=KEY)
    assert sealed.data[:16].hex() == "f29000b62a499fd0a9f39a6add2e7780"  # AES-256(key 00..1f, block 0)
    assert sealed.leaves_root == slow_root(sealed.data)
    assert sealed.key_hash.hex() == "8ae1aa597fa146ebd3aa2ceddf360668dea5e526567e92b0321816a4e895bd2d"


LENGTH = 3 * LEAF_BYTES + 100
SEALED = envelope.encrypt(plain_of(LENGTH), key=KEY)
OPENING = envelope.open_leaf(SEALED.data, 2)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"index": 1}, "does not lead"),
        ({"index": -1}, "does not exist"),
        ({"index": 4}, "does not exist"),
        ({"leaf": OPENING.leaf[:-1]}, "not 1024"),
        ({"leaf": bytes([OPENING.leaf[0] ^ 1]) + OPENING.leaf[1:]}, "does not lead"),
        ({"path": OPENING.path[:-1]}, "2 siblings"),
        ({"path": (*OPENING.path, bytes(32))}, "2 siblings"),
        ({"path": (OPENING.path[1], OPENING.path[0])}, "does not lead"),
        ({"path": (OPENING.path[0], OPENING.path[1][:-1])}, "2 siblings of 32 bytes"),
    ],
)
def test_a_wrong_opening_is_refused(changed: dict[str, object], message: str) -> None:
    opening: LeafOpening = dataclasses.replace(OPENING, **changed)  # type: ignore[arg-type]
    with pytest.raises(EnvelopeInvalid, match=message):
        envelope.verify_leaf(opening, leaves_root=SEALED.leaves_root, length=LENGTH)


def test_an_opening_for_another_length_is_refused() -> None:
    last = envelope.open_leaf(SEALED.data, 3)
    envelope.verify_leaf(last, leaves_root=SEALED.leaves_root, length=LENGTH)
    with pytest.raises(EnvelopeInvalid):
        envelope.verify_leaf(last, leaves_root=SEALED.leaves_root, length=LENGTH + 1)
    with pytest.raises(EnvelopeInvalid):
        envelope.verify_leaf(last, leaves_root=SEALED.leaves_root, length=LENGTH + LEAF_BYTES)


def test_an_inner_node_cannot_pass_for_a_leaf() -> None:
    """Leaves and nodes are hashed under different first bytes; 64 bytes do not collide with a pair of hashes."""
    pair = plain_of(64)
    assert envelope.leaves_root(pair) != hashlib.sha256(b"\1" + pair).digest()


def test_the_wrong_key_is_told() -> None:
    with pytest.raises(EnvelopeInvalid, match="the key does not open this update"):
        envelope.decrypt(SEALED.data, key=bytes(32), expected_key_hash=SEALED.key_hash)
    with pytest.raises(EnvelopeInvalid, match="a key has 32 bytes, not 31"):
        envelope.decrypt(SEALED.data, key=bytes(31), expected_key_hash=SEALED.key_hash)


def test_another_ciphertext_than_committed_is_told() -> None:
    envelope.check_leaves_root(SEALED.data, SEALED.leaves_root)
    with pytest.raises(EnvelopeInvalid, match="its receipt says"):
        envelope.check_leaves_root(SEALED.data[:-1] + b"\0", SEALED.leaves_root)


@pytest.mark.parametrize("length", [0, -1, (1 << 32) * LEAF_BYTES + 1])
def test_lengths_no_envelope_has(length: int) -> None:
    with pytest.raises(EnvelopeInvalid, match="cannot have"):
        envelope.leaf_count(length)


def test_an_empty_update_cannot_be_sealed() -> None:
    with pytest.raises(EnvelopeInvalid, match="cannot have 0 bytes"):
        envelope.encrypt(b"", key=KEY)


def test_a_leaf_that_is_not_there_cannot_be_opened() -> None:
    with pytest.raises(EnvelopeInvalid, match="leaf 4 of an update with 4 leaves"):
        envelope.open_leaf(SEALED.data, 4)


def test_keys_follow_from_secret_context_and_plaintext() -> None:
    """The same update again gives the same envelope; anything else never the same key stream."""
    base = {"secret": b"s" * 32, "context": b"round 1", "plain": b"update"}
    key = envelope.derive_update_key(**base)
    assert key == envelope.derive_update_key(**base)
    others = [
        envelope.derive_update_key(**{**base, name: value})
        for name, value in (("secret", b"t" * 32), ("context", b"round 2"), ("plain", b"update!"))
    ]
    assert len({key, *others}) == 4
    with pytest.raises(ValueError, match="at least 32"):
        envelope.derive_update_key(secret=b"short", context=b"", plain=b"")


def test_sealing_an_update_takes_milliseconds() -> None:
    """1.66 MB in about 5 ms of CPU; the limit is ten times that, so that only another order of magnitude fails."""
    plain = bytes(1_663_402)
    envelope.encrypt(plain, key=KEY)
    start = time.process_time()
    envelope.encrypt(plain, key=KEY)
    assert time.process_time() - start < 0.05
