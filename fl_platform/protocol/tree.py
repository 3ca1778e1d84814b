"""The tree over a round's cells: one root fixes them all, and a cell has one place in it.

    leaf   keccak(0x00, cell int256, blind bytes32)      blind is 0: room for cells that are hidden
    node   keccak(0x01, left, right)
    column keccak(0x02, column u16, depth u8, root)      axes padded to powers of two with cells 0, the first outermost
    tape   the Merkle root over its columns, padded with zero leaves

No depth is anybody's choice: it follows from how long the axes are.

Tests: tests/unit/protocol/test_tape.py
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from fl_platform.protocol.arithmetic import Array
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.program import merkle_root
from zk.keccak import keccak256_many

Nodes = npt.NDArray[np.uint8]  # (..., 32)
_BLIND = bytes(32)
_FEW = 64  # leaves that are hashed sooner one by one


def leaf_of(value: int) -> bytes:
    """Return the leaf of a cell."""
    return keccak256(b"\0" + value.to_bytes(32, "big", signed=True) + _BLIND)


def depth_of(length: int) -> int:
    """Return how many levels an axis of this length has."""
    return max(0, length - 1).bit_length()


def column_root(number: int, cells: Array) -> bytes:
    """Return a column's root: with its number and depth, so that no inner node passes for a leaf."""
    depth = sum(depth_of(length) for length in cells.shape)
    return keccak256(b"\2" + number.to_bytes(2, "big") + bytes([depth]) + column_levels(cells)[-1][0].tobytes())


def tape_root(roots: Sequence[bytes]) -> bytes:
    """Return the root over the columns' roots."""
    return merkle_root(roots)


def climbed(node: bytes, index: int, siblings: Iterable[bytes]) -> bytes:
    """Return the node over place `index` that siblings, from below up, lead to: the root, where they are all of them.

    Untrusted: whoever compares it with a root knows whether they were true.
    """
    for sibling in siblings:
        node = keccak256(b"\1" + (sibling + node if index & 1 else node + sibling))
        index >>= 1
    return node


def column_levels(cells: Array) -> list[Nodes]:
    """Return the nodes over a column's cells, level by level from the leaves, each (2^levels left, 32).

    An axis shorter than a power of two is padded with cells 0, so a place is the same number in every column of its
    shape.
    """
    missing = [(0, (1 << depth_of(length)) - length) for length in cells.shape]
    padded = np.pad(cells, missing) if missing else cells
    level = _leaves(padded.astype(object).reshape(-1).tolist())
    levels = [level]
    while len(level) > 1:
        level = _parents(level)
        levels.append(level)
    return levels


def _leaves(cells: Sequence[int]) -> Nodes:
    """Hash cells; equal ones once, as most columns repeat a few."""
    values = list(map(int, cells))  # some are numpy's own integers
    distinct = {value: place for place, value in enumerate(dict.fromkeys(values))}
    hashed = np.zeros((len(distinct), 65), np.uint8)
    data = b"".join(value.to_bytes(32, "big", signed=True) for value in distinct)
    hashed[:, 1:33] = np.frombuffer(data, np.uint8).reshape(-1, 32)
    return np.asarray(_hash(hashed)[[distinct[value] for value in values]])


def _parents(level: Nodes) -> Nodes:
    pairs = np.empty((len(level) // 2, 65), np.uint8)
    pairs[:, 0] = 1
    pairs[:, 1:] = level.reshape(-1, 64)
    return _hash(pairs)


def _hash(messages: Nodes) -> Nodes:
    if len(messages) < _FEW:
        return np.stack([np.frombuffer(keccak256(row.tobytes()), np.uint8) for row in messages])
    return keccak256_many(messages)


@cache
def zero_node(height: int) -> bytes:
    """Return the node over 2^height cells that are 0."""
    return leaf_of(0) if height == 0 else keccak256(b"\1" + zero_node(height - 1) * 2)
