"""Vectors over a model's parameters as disputes see them: leaves of 128 integers under a content root.

    leaf k = keccak(0x00, k u32, blind, body)      128 integers of 4, 8, 16 or 32 bits, little endian, 16 * bits bytes
    node   = keccak(0x01, left, right)             depth is fixed by the number of leaves, missing ones are 0

Every block of parameters begins a leaf; those that count come first. Twin of contracts/libraries/Rows.sol.

Tests: tests/contracts/test_referee.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.operations import BITS, HALF, wrap
from fl_platform.protocol.sources import Kind
from fl_platform.protocol.tree import depth_of

COORDINATES = 128
SUM_BITS = 32  # of sums, and of a model
STEP_POINT = 40  # bits behind the point of a step's factor
LARGEST_FACTOR = 2**62  # that int64 has room for
LARGEST_WEIGHT = 2**31 - 1  # of a model, in its units: it saturates there
UNBLINDED = bytes(32)
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RowLeaf:
    """One leaf with its path to the content root."""

    blind: bytes
    body: bytes
    siblings: tuple[bytes, ...]


@dataclass(frozen=True)
class RowShape:
    """How rows of a task lie: `starts` has the first leaf of every block, then the number of leaves."""

    starts: tuple[int, ...]
    counting: int  # blocks that count: the first ones
    update_bits: int

    @property
    def leaves(self) -> int:
        """How many leaves a row has."""
        return self.starts[-1]

    @property
    def counted_leaves(self) -> int:
        """How many of them are in blocks that count."""
        return self.starts[self.counting]

    def bits(self, kind: Kind) -> int:
        """Return the width of a row's integers."""
        return self.update_bits if kind is Kind.UPDATE else SUM_BITS

    def block_of(self, leaf: int) -> int:
        """Return the block that a leaf lies in."""
        return int(np.searchsorted(self.starts, leaf, side="right")) - 1


class RowLeaves(Protocol):
    """Rows by their content roots, opened: what a key holder has of updates, and everybody of sums and models."""

    @property
    def shape(self) -> RowShape:
        """How rows lie."""

    @property
    def closed(self) -> frozenset[int]:
        """Roots of the rows that should open, and do not open here."""

    def integers(self, root: int) -> Integers:
        """Return a row's integers, (leaves, 128), padded with zeros. Raises KeyError."""

    def leaf(self, root: int, index: int) -> RowLeaf:
        """Open one leaf of a row. Raises KeyError."""

    def has(self, *roots: int) -> bool:
        """Whether these rows are there, each a model or sums: what anybody can have."""


def body_of(integers: Integers, bits: int) -> bytes:
    """Return the body of 128 integers."""
    if bits != 4:
        return integers.astype(f"<i{bits // 8}").tobytes()
    nibbles = (integers & 0xF).astype(np.uint8)
    return (nibbles[0::2] | nibbles[1::2] << 4).astype(np.uint8).tobytes()


def integers_of(body: bytes, bits: int) -> Integers:
    """Return the 128 integers of a body, as contracts read them: an update's one value outside of its range is 0."""
    if bits == 4:
        packed = np.frombuffer(body, np.uint8)
        nibbles = np.stack([packed & 0xF, packed >> 4], axis=1).reshape(-1).astype(np.int64)
        found = (nibbles ^ 8) - 8
    else:
        found = np.frombuffer(body, f"<i{bits // 8}").astype(np.int64)
    return found if bits == SUM_BITS else np.where(found == -(1 << (bits - 1)), 0, found)


def row_leaf_hash(index: int, blind: bytes, body: bytes) -> bytes:
    """Return a leaf's hash."""
    return keccak256(b"\0" + index.to_bytes(4, "big") + blind + body)


def add_scaled(sums: Integers, weight: int, integers: Integers) -> Integers:
    """Return sums + weight * integers, each as 32 bits hold it."""
    found = (sums.astype(object) + weight * integers.astype(object) + 2**31) % 2**32 - 2**31
    return np.asarray(found, dtype=np.int64)


def step_body(model: Integers, sums: Integers, packed: int) -> Integers:
    """Return a model's integers moved by sums, exact: each w + floor(f s / 2^STEP_POINT + 1/2), saturating.

    packed: 2 f, + 1 where nothing may be below 0; f is the factor of the block that they lie in. model, sums: of one
    shape, within 32 bits. Twin of contracts/libraries/Rows.sol.
    """
    factor, least = packed >> 1, 0 if packed & 1 else -LARGEST_WEIGHT
    if 0 <= factor <= LARGEST_FACTOR:
        high, low = divmod(factor, 1 << 31)  # so that both products stay inside of 63 bits
        below = sums * low + (1 << (STEP_POINT - 1))
        moved = model + ((sums * high + (below >> 31)) >> (STEP_POINT - 31))
        return np.asarray(np.clip(moved, least, LARGEST_WEIGHT), dtype=np.int64)
    # a larger one, or one that no program gives, as a contract takes it
    wide = sums.astype(object) * factor + (1 << (STEP_POINT - 1))
    changed = model + ((wide + HALF) % (1 << BITS) - HALF >> STEP_POINT)
    return np.asarray(np.clip(changed, least, LARGEST_WEIGHT), dtype=np.int64)


def shifted(product: int, by: int) -> int:
    """Return product * 2^by as 256 bits hold it; 0 where `by` is negative or over 255, as a contract shifts."""
    return wrap(product << by) if 0 <= by < BITS else 0


def row_levels(hashes: Sequence[bytes]) -> list[list[bytes]]:
    """Return the nodes over a row's leaves, level by level."""
    level = [*hashes, *[bytes(32)] * ((1 << depth_of(len(hashes))) - len(hashes))]
    levels = [level]
    while len(level) > 1:
        level = [keccak256(b"\1" + left + right) for left, right in zip(level[::2], level[1::2], strict=True)]
        levels.append(level)
    return levels


def path_of(levels: Sequence[Sequence[bytes]], index: int, level: int = 0) -> tuple[bytes, ...]:
    """Return the way up from a node of these levels."""
    return tuple(row[(index >> up) ^ 1] for up, row in enumerate(levels[level:-1]))
