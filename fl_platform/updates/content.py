"""The tree over an update's integers: what a receipt binds besides the ciphertext, so that a contract can read a few of
them without a cipher.

A leaf covers up to 128 coordinates of one tensor as they stand in the update file's payload (4, 8 or 16 bits each); the
last one of a tensor is filled up with zeros, which no file holds (`protocol/leaves.py`):

    leaf = keccak(0x00, k u32, blind_k, 16 * bits bytes)     node = keccak(0x01, left, right)

padded with zero digests to a power of two; the number of leaves follows from the tensors' sizes. Twin of
`contracts/libraries/Contents.sol`. Blinds make an opened leaf tell nothing of its neighbours, whose integers could
otherwise be guessed and compared: they come from the update's key, so that whoever may read the update can recompute
the root. Rows that are public anyway (directions, the sums) have blinds of zero; sums are 32 bits wide.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.leaves import LeafTable
from fl_platform.protocol.tree import climbed
from fl_platform.updates.codec import HEADER_BYTES
from zk.commitment import merkle
from zk.keccak import keccak256_many

BLIND_BYTES = 32
SUM_BITS = 32
BITS = (4, 8, 16, SUM_BITS)

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


def content_root(payload: bytes | memoryview, *, table: LeafTable, bits: int, key: bytes | None) -> bytes:
    """Return the root (32 bytes) over the table's integers of `bits` bits, packed as in a payload.

    `key`: the update's 32-byte key, which the blinds come from; None for public rows. Raises ValueError when the
    payload has not the bytes that size and bits imply: a peer's payload was measured before.
    """
    return bytes(merkle.levels_above(_leaf_digests(payload, table=table, bits=bits, key=key))[-1][0])


def content_levels(
    payload: bytes | memoryview, *, table: LeafTable, bits: int, key: bytes | None
) -> list[Bytes2D]:  # fmt: skip
    """Return the tree's nodes, level by level: what opens many leaves at the price of one. Raises as `content_root`."""
    return merkle.levels_above(_leaf_digests(payload, table=table, bits=bits, key=key))


def open_content(
    payload: bytes | memoryview, index: int, *, table: LeafTable, bits: int, key: bytes | None,
    levels: list[Bytes2D] | None = None,
) -> ContentLeaf:  # fmt: skip
    """Return leaf `index` with its path; `levels`: the tree, if known. Raises DocumentInvalid when there is none."""
    if not 0 <= index < table.count:
        raise DocumentInvalid(f"there is no leaf {index} in a content tree of {table.count}")
    levels = levels or content_levels(payload, table=table, bits=bits, key=key)
    body = _packed(np.frombuffer(payload, np.uint8), table.span(index), bits).tobytes().ljust(16 * bits, b"\0")
    blind = bytes(BLIND_BYTES) if key is None else _blinds(key, table.count)[32 * index : 32 * index + 32]
    return ContentLeaf(index, blind, body, _path(levels, index))


def _path(levels: list[Bytes2D], position: int) -> tuple[bytes, ...]:
    return tuple(bytes(level[(position >> up) ^ 1]) for up, level in enumerate(levels[:-1]))


def verify_content_leaf(leaf: ContentLeaf, *, root: bytes, count: int, bits: int) -> bool:
    """Say whether an opened leaf (untrusted) lies under `root`, in a tree of `count` leaves."""
    shape = (len(leaf.blind), len(leaf.body), len(leaf.path))
    if not 0 <= leaf.index < count or shape != (BLIND_BYTES, 16 * bits, merkle.depth_of(count)):
        return False
    digest = keccak256(b"\x00" + leaf.index.to_bytes(4, "big") + leaf.blind + leaf.body)
    return climbed(digest, leaf.index, leaf.path) == root


def file_root(plain: bytes, *, table: LeafTable, bits: int, key: bytes) -> bytes | None:
    """Return the root over an update file's (untrusted) integers of `bits` bits; None where it has another length."""
    if len(plain) != HEADER_BYTES + payload_bytes(table.size, bits):
        return None
    return content_root(plain[HEADER_BYTES:], table=table, bits=bits, key=key)


def open_file(plain: bytes, index: int, *, table: LeafTable, bits: int, key: bytes) -> ContentLeaf:
    """Return leaf `index` of an update file. Raises DocumentInvalid when it has another length, or no such leaf."""
    if len(plain) != HEADER_BYTES + payload_bytes(table.size, bits):
        raise DocumentInvalid(f"{len(plain)} bytes are no update file of {table.size} integers of {bits} bits")
    return open_content(plain[HEADER_BYTES:], index, table=table, bits=bits, key=key)


def payload_bytes(size: int, bits: int) -> int:
    """Return the bytes of a payload of `size` integers of `bits` bits (4-bit ones lie two to a byte)."""
    return (size * bits + 7) // 8


def _leaf_digests(payload: bytes | memoryview, *, table: LeafTable, bits: int, key: bytes | None) -> Bytes2D:
    if bits not in BITS or len(payload) != payload_bytes(table.size, bits):
        raise ValueError(f"{len(payload)} bytes are no payload of {table.size} integers of {bits} bits")
    count, width = table.count, 16 * bits
    blinds = None if key is None else np.frombuffer(_blinds(key, count), np.uint8).reshape(count, BLIND_BYTES)
    digests = np.zeros((1 << merkle.depth_of(count), 32), np.uint8)
    raw = np.frombuffer(payload, np.uint8)
    for start in range(0, count, _AT_ONCE):
        stop = min(start + _AT_ONCE, count)
        messages = np.zeros((stop - start, 5 + BLIND_BYTES + width), np.uint8)
        messages[:, 1:5] = np.arange(start, stop, dtype=">u4").view(np.uint8).reshape(-1, 4)
        if blinds is not None:
            messages[:, 5 : 5 + BLIND_BYTES] = blinds[start:stop]
        _lay_out(messages[:, 5 + BLIND_BYTES :], raw, start, table=table, bits=bits)
        digests[start:stop] = keccak256_many(messages)
    return digests


def _lay_out(target: Any, raw: npt.NDArray[np.uint8], start: int, *, table: LeafTable, bits: int) -> None:
    """Lay a payload's leaves from `start` on out, one a row of `target`, which holds zeros."""
    stop = start + len(target)
    block = bisect_right(table.firsts, start) - 1
    while start < stop:
        end = min(stop, table.firsts[block + 1])
        part = slice(table.span(start).start, table.span(end - 1).stop)
        _fill(target[start - stop : end - stop or None], _packed(raw, part, bits), 16 * bits)
        start, block = end, block + 1


def _packed(raw: npt.NDArray[np.uint8], part: slice, bits: int) -> npt.NDArray[np.uint8]:
    """Return the bytes of some coordinates of a payload, packed from their first one on."""
    if bits != 4:
        return raw[part.start * bits // 8 : part.stop * bits // 8]
    if part.start % 2 == 0 and part.stop % 2 == 0:
        return raw[part.start // 2 : part.stop // 2]
    pairs = raw[part.start // 2 : (part.stop + 1) // 2]
    nibbles = np.stack((pairs & 0x0F, pairs >> 4), axis=1).reshape(-1)[part.start % 2 :][: part.stop - part.start]
    nibbles = np.append(nibbles, np.zeros(len(nibbles) % 2, np.uint8))
    return np.asarray(nibbles[0::2] | (nibbles[1::2] << np.uint8(4)), dtype=np.uint8)


def _fill(target: Any, part: npt.NDArray[np.uint8], width: int) -> None:
    """Lay the bytes of one block out leaf by leaf; the last leaf may be shorter."""
    whole = len(part) // width
    target[:whole] = part[: whole * width].reshape(whole, width)
    if whole < len(target):
        target[whole, : len(part) - whole * width] = part[whole * width :]


def _blinds(key: bytes, count: int) -> bytes:
    """Return 32 bytes a leaf: a key stream under a key of its own, which tells nothing of the update's."""
    own = keccak256(_BLIND_DOMAIN + key)
    encryptor = Cipher(algorithms.AES256(own), modes.CTR(bytes(16))).encryptor()
    return encryptor.update(bytes(BLIND_BYTES * count)) + encryptor.finalize()
