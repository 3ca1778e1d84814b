"""The tree over an update's integers: what a receipt binds besides the ciphertext, so that a contract can read a few of
them without a cipher.

Leaf k covers coordinates [128 k, 128 k + 128) as they stand in the update file's payload (4, 8 or 16 bits each; the
last leaf is filled up with zeros):

    leaf = keccak(0x00, k u32, blind_k, 16 * bits bytes)     node = keccak(0x01, left, right)

padded with zero digests to a power of two; the number of leaves follows from the model's size. Twin of
`contracts/libraries/Contents.sol`. Blinds make an opened leaf tell nothing of its neighbours, whose integers could
otherwise be guessed and compared: they come from the update's key, so that whoever may read the update can recompute
the root. Rows that are public anyway (directions, the sums) have blinds of zero; sums are 64 bits wide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.trace import COORDINATES
from fl_platform.updates.codec import HEADER_BYTES, claimed_shape
from zk import merkle
from zk.keccak import keccak256_many

BLIND_BYTES = 32
SUM_BITS = 64
BITS = (4, 8, 16, SUM_BITS)
LEVELS = 7  # of a tree, in one answer (Contents.LEVELS)

_BLIND_DOMAIN = b"fl-platform/content-blind/v1"
_AT_ONCE = 1 << 13  # leaves hashed at once: a few MiB of work space however large the model

Bytes2D = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ContentLeaf:
    """One opened leaf (unverified until `verify_content_leaf`)."""

    index: int
    blind: bytes  # 32 bytes
    body: bytes  # 16 * bits bytes
    path: tuple[bytes, ...]  # siblings, from the leaf up


def leaf_count(size: int) -> int:
    """Return how many leaves a vector of `size` coordinates has."""
    return -(-size // COORDINATES)


def content_root(payload: bytes | memoryview, *, size: int, bits: int, key: bytes | None) -> bytes:
    """Return the root (32 bytes) over `size` integers of `bits` bits, packed as in a payload.

    `key`: the update's 32-byte key, which the blinds come from; None for public rows. Raises ValueError when the
    payload has not the bytes that size and bits imply: a peer's payload was measured before.
    """
    return bytes(merkle.levels_above(_leaf_digests(payload, size=size, bits=bits, key=key))[-1][0])


def open_content(payload: bytes | memoryview, index: int, *, size: int, bits: int, key: bytes | None) -> ContentLeaf:
    """Return leaf `index` with its path. Raises DocumentInvalid when there is none."""
    count = leaf_count(size)
    if not 0 <= index < count:
        raise DocumentInvalid(f"there is no leaf {index} in a content tree of {count}")
    levels = merkle.levels_above(_leaf_digests(payload, size=size, bits=bits, key=key))
    body = bytes(memoryview(payload)[index * 16 * bits : (index + 1) * 16 * bits]).ljust(16 * bits, b"\0")
    blind = bytes(BLIND_BYTES) if key is None else _blinds(key, count)[32 * index : 32 * index + 32]
    return ContentLeaf(index, blind, body, _path(levels, index))


@dataclass(frozen=True)
class Subtree:
    """What a tree over public integers has below one node: 1 is the root, 2 i and 2 i + 1 are the children of i."""

    nodes: tuple[bytes, ...]  # `LEVELS` further down or on the bottom row; none for a node of the bottom row itself
    path: tuple[bytes, ...]  # siblings, from the node up


def place_of(node: int) -> int:
    """Return a node's place in its row."""
    return node - (1 << (node.bit_length() - 1))


def is_leaf(node: int, size: int) -> bool:
    """Whether a node (untrusted) stands on the bottom row of a tree over `size` integers."""
    return node.bit_length() - 1 == merkle.depth_of(leaf_count(size))


def is_in_tree(node: int, size: int) -> bool:
    """Whether a node (untrusted) of a tree over `size` integers is there and has leaves below it."""
    down = merkle.depth_of(leaf_count(size)) - (node.bit_length() - 1)
    return node > 0 and down >= 0 and (node << down) - (1 << merkle.depth_of(leaf_count(size))) < leaf_count(size)


def open_subtree(payload: bytes | memoryview, node: int, *, size: int, bits: int) -> Subtree:
    """Return what lies below a node of a tree over public integers. Raises DocumentInvalid when there is none."""
    if not is_in_tree(node, size):
        raise DocumentInvalid(f"there is no node {node} in a content tree of {leaf_count(size)}")
    levels = merkle.levels_above(_leaf_digests(payload, size=size, bits=bits, key=None))
    up = len(levels) - node.bit_length()  # of the node, from the bottom row
    down = min(LEVELS, up)
    position = place_of(node)
    row = levels[up - down][position << down : (position + 1) << down] if down else ()
    return Subtree(tuple(map(bytes, row)), _path(levels[up:], position))


def _path(levels: list[Bytes2D], position: int) -> tuple[bytes, ...]:
    return tuple(bytes(level[(position >> up) ^ 1]) for up, level in enumerate(levels[:-1]))


def verify_content_leaf(leaf: ContentLeaf, *, root: bytes, size: int, bits: int) -> bool:
    """Say whether an opened leaf (untrusted) lies under `root`."""
    count = leaf_count(size)
    shape = (len(leaf.blind), len(leaf.body), len(leaf.path))
    if not 0 <= leaf.index < count or shape != (BLIND_BYTES, 16 * bits, merkle.depth_of(count)):
        return False
    digest = keccak256(b"\x00" + leaf.index.to_bytes(4, "big") + leaf.blind + leaf.body)
    position = leaf.index
    for sibling in leaf.path:
        digest = keccak256(b"\x01" + (sibling + digest if position & 1 else digest + sibling))
        position >>= 1
    return digest == root


def file_root(plain: bytes, *, key: bytes) -> bytes | None:
    """Return the root over the integers of an update file (untrusted); None when its header does not fit its length."""
    shape = claimed_shape(plain)
    return None if shape is None else content_root(plain[HEADER_BYTES:], size=shape.size, bits=shape.bits, key=key)


def open_file(plain: bytes, index: int, *, key: bytes) -> ContentLeaf:
    """Return leaf `index` of an update file. Raises DocumentInvalid when it is none, or has no such leaf."""
    shape = claimed_shape(plain)
    if shape is None:
        raise DocumentInvalid(f"{len(plain)} bytes are no update file: header and length do not fit each other")
    return open_content(plain[HEADER_BYTES:], index, size=shape.size, bits=shape.bits, key=key)


def payload_bytes(size: int, bits: int) -> int:
    """Return the bytes of a payload of `size` integers of `bits` bits (4-bit ones lie two to a byte)."""
    return (size * bits + 7) // 8


def _leaf_digests(payload: bytes | memoryview, *, size: int, bits: int, key: bytes | None) -> Bytes2D:
    if bits not in BITS or len(payload) != payload_bytes(size, bits):
        raise ValueError(f"{len(payload)} bytes are no payload of {size} integers of {bits} bits")
    count, width = leaf_count(size), 16 * bits
    blinds = None if key is None else np.frombuffer(_blinds(key, count), np.uint8).reshape(count, BLIND_BYTES)
    digests = np.zeros((1 << merkle.depth_of(count), 32), np.uint8)
    raw = np.frombuffer(payload, np.uint8)
    for start in range(0, count, _AT_ONCE):
        stop = min(start + _AT_ONCE, count)
        messages = np.zeros((stop - start, 5 + BLIND_BYTES + width), np.uint8)
        messages[:, 1:5] = np.arange(start, stop, dtype=">u4").view(np.uint8).reshape(-1, 4)
        if blinds is not None:
            messages[:, 5 : 5 + BLIND_BYTES] = blinds[start:stop]
        _fill(messages[:, 5 + BLIND_BYTES :], raw[start * width : stop * width], width)
        digests[start:stop] = keccak256_many(messages)
    return digests


def _fill(target: Any, part: npt.NDArray[np.uint8], width: int) -> None:
    """Lay a payload out leaf by leaf; the last leaf may be shorter."""
    whole = len(part) // width
    target[:whole] = part[: whole * width].reshape(whole, width)
    if whole < len(target):
        target[whole, : len(part) - whole * width] = part[whole * width :]


def _blinds(key: bytes, count: int) -> bytes:
    """Return 32 bytes a leaf: a key stream under a key of its own, which tells nothing of the update's."""
    own = keccak256(_BLIND_DOMAIN + key)
    encryptor = Cipher(algorithms.AES256(own), modes.CTR(bytes(16))).encryptor()
    return encryptor.update(bytes(BLIND_BYTES * count)) + encryptor.finalize()
