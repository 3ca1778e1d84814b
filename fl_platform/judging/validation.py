"""Validation rows that were fixed before anyone trained: a salted Merkle root on chain, one slice revealed per round.

leaf = sha256(0x00 || index u32 BE || salt || row), node = sha256(0x01 || left || right), padded with 32 zero bytes to a
power of two; root = sha256(0x02 || count u32 BE || top), so that nobody can cut a slice short. The salt (32 random
bytes a row) keeps a row from being guessed before its turn. Slice t holds rows t, t + slices, t + 2 * slices, ...:
disjoint, so a revealed row is never used again.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from fl_platform.errors import DocumentInvalid

SALT_BYTES = 32
EMPTY = bytes(32)
MAX_ROWS = 1 << 20


@dataclass(frozen=True)
class ValidationRow:
    """One committed row: what the utility reads (its meaning is the data set's: features, then label)."""

    salt: bytes  # 32 bytes
    data: bytes


@dataclass(frozen=True)
class RevealedRow:
    """A row with its place and the siblings up to the root (leaf level first)."""

    index: int
    count: int  # rows of the whole commitment
    row: ValidationRow
    siblings: tuple[bytes, ...]

    def to_bytes(self) -> bytes:
        """Return index u32, count u32, siblings, salt, data: one entry of a bundle's `validation`."""
        return struct.pack(">II", self.index, self.count) + b"".join(self.siblings) + self.row.salt + self.row.data

    @classmethod
    def from_bytes(cls, value: bytes) -> RevealedRow:
        """Read an entry (peer input, unproven). Raises DocumentInvalid."""
        index, count = struct.unpack(">II", value[:8]) if len(value) >= 8 else (0, 0)
        end = 8 + 32 * depth_of(count)
        if len(value) < end + SALT_BYTES:
            raise DocumentInvalid(f"validation row of {len(value)} bytes is too short for one of {count} rows")
        siblings = tuple(value[i : i + 32] for i in range(8, end, 32))
        return cls(index, count, ValidationRow(value[end : end + SALT_BYTES], value[end + SALT_BYTES :]), siblings)


def depth_of(count: int) -> int:
    """Return the tree's depth for `count` rows. Raises DocumentInvalid."""
    if not 1 <= count <= MAX_ROWS:
        raise DocumentInvalid(f"a validation commitment of {count} rows, allowed 1 to {MAX_ROWS}")
    return (count - 1).bit_length()


def leaf_digest(index: int, row: ValidationRow) -> bytes:
    """Return the bottom node of a row. Raises DocumentInvalid on a salt of another width."""
    if len(row.salt) != SALT_BYTES or not 0 <= index < MAX_ROWS:
        raise DocumentInvalid(f"validation row {index}: its salt has {len(row.salt)} bytes, not {SALT_BYTES}")
    return hashlib.sha256(b"\x00" + struct.pack(">I", index) + row.salt + row.data).digest()


def _levels(rows: Sequence[ValidationRow]) -> list[list[bytes]]:
    width = 1 << depth_of(len(rows))
    level = [leaf_digest(index, row) for index, row in enumerate(rows)]
    level += [EMPTY] * (width - len(rows))
    levels = [level]
    while len(level) > 1:
        level = [_node(level[i], level[i + 1]) for i in range(0, len(level), 2)]
        levels.append(level)
    return levels


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def commit_rows(rows: Sequence[ValidationRow]) -> bytes:
    """Return the root (32 bytes) that the task spec freezes."""
    return _root(len(rows), _levels(rows)[-1][0])


def _root(count: int, top: bytes) -> bytes:
    return hashlib.sha256(b"\x02" + struct.pack(">I", count) + top).digest()


def slice_indices(count: int, *, slices: int, number: int) -> tuple[int, ...]:
    """Return the row numbers of slice `number` (0 <= number < slices) of `count` rows."""
    return tuple(range(number, count, slices))


def reveal_slice(rows: Sequence[ValidationRow], *, slices: int, number: int) -> tuple[RevealedRow, ...]:
    """Open slice `number` (what the owner publishes after roster `number` is on chain)."""
    levels = _levels(rows)
    return tuple(_reveal(levels, rows, index) for index in slice_indices(len(rows), slices=slices, number=number))


def _reveal(levels: Sequence[Sequence[bytes]], rows: Sequence[ValidationRow], index: int) -> RevealedRow:
    siblings = tuple(level[(index >> depth) ^ 1] for depth, level in enumerate(levels[:-1]))
    return RevealedRow(index, len(rows), rows[index], siblings)


def check_revealed(revealed: Sequence[RevealedRow], *, root: bytes, slices: int, number: int) -> None:
    """Demand exactly the committed rows of slice `number`, in order: none foreign, twice or left out.

    Peer input. Raises DocumentInvalid naming the first row that is wrong.
    """
    count = revealed[0].count if revealed else 0
    wanted = slice_indices(count, slices=slices, number=number)
    if [item.index for item in revealed] != list(wanted) or not revealed:
        raise DocumentInvalid(f"validation slice {number} of {slices} has {len(revealed)} rows, not its {len(wanted)}")
    for item in revealed:
        if item.count != count or len(item.siblings) != depth_of(count) or _root(count, _climb(item)) != root:
            raise DocumentInvalid(f"validation row {item.index} is not in the task's committed root")


def _climb(item: RevealedRow) -> bytes:
    digest = leaf_digest(item.index, item.row)
    for depth, sibling in enumerate(item.siblings):
        left_first = (item.index >> depth) & 1 == 0
        digest = _node(digest, sibling) if left_first else _node(sibling, digest)
    return digest
