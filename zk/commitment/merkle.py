"""The Merkle tree over a commitment's chunk points: what a roster binds and what a dispute about one chunk opens.

leaf = keccak(0x00, index u32, 64-byte point), node = keccak(0x01, left, right), padded with zero digests to a power of
two. The number of leaves is not in the root: it follows from the model's size, which the task's spec fixes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from zk.keccak import keccak256, keccak256_many

EMPTY = bytes(32)
POINT_BYTES = 64


def depth_of(count: int) -> int:
    """Return the number of levels above the leaves."""
    return max(count - 1, 0).bit_length()


def _leaves(points: bytes) -> npt.NDArray[np.uint8]:
    count = len(points) // POINT_BYTES
    messages = np.zeros((count, 1 + 4 + POINT_BYTES), np.uint8)
    messages[:, 1:5] = np.arange(count, dtype=">u4").view(np.uint8).reshape(-1, 4)
    messages[:, 5:] = np.frombuffer(points, np.uint8).reshape(-1, POINT_BYTES)
    level = np.zeros((1 << depth_of(count), 32), np.uint8)
    level[:count] = keccak256_many(messages)
    return level


def levels_above(leaves: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    """Return all levels of the tree over leaf digests (2^depth, 32) uint8, padded by the caller; the root is last."""
    levels = [leaves]
    while len(levels[-1]) > 1:
        pairs = levels[-1].reshape(-1, 64)
        messages = np.ones((len(pairs), 65), np.uint8)
        messages[:, 1:] = pairs
        levels.append(keccak256_many(messages))
    return levels


def _levels(points: bytes) -> list[npt.NDArray[np.uint8]]:
    return levels_above(_leaves(points))


def root(points: bytes) -> bytes:
    """Return the root over at least one 64-byte point. Raises ValueError."""
    if not points or len(points) % POINT_BYTES:
        raise ValueError(f"{len(points)} bytes are no list of {POINT_BYTES}-byte points")
    return bytes(_levels(points)[-1][0])


def path(points: bytes, index: int) -> tuple[bytes, ...]:
    """Return the siblings of one leaf, from the leaf up. Raises ValueError."""
    if not 0 <= index < len(points) // POINT_BYTES:
        raise ValueError(f"there is no chunk {index} among {len(points) // POINT_BYTES}")
    siblings = []
    for level in _levels(points)[:-1]:
        siblings.append(bytes(level[index ^ 1]))
        index >>= 1
    return tuple(siblings)


def root_from_path(point: bytes, index: int, siblings: Sequence[bytes]) -> bytes:
    """Return the root that a leaf and its siblings (untrusted) lead to; the caller compares, and knows the depth."""
    digest = keccak256(b"\x00" + index.to_bytes(4, "big") + point)
    for sibling in siblings:
        pair = sibling + digest if index & 1 else digest + sibling
        digest = keccak256(b"\x01" + pair)
        index >>= 1
    return digest
