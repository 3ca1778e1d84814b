"""Small vectors by their content roots, as a key holder has them: what row operations of a tape are evaluated from."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.operations import Array
from fl_platform.protocol.rows import (
    COORDINATES,
    SUM_BITS,
    UNBLINDED,
    Integers,
    RowLeaf,
    RowShape,
    add_scaled,
    body_of,
    path_of,
    row_leaf_hash,
    row_levels,
)


@dataclass
class _Row:
    integers: Integers
    bits: int
    blinds: list[bytes]
    levels: list[list[bytes]]


@dataclass
class SmallRows:
    """Rows of a few leaves a block, with their real trees."""

    shape: RowShape
    rows: dict[int, _Row] = field(default_factory=dict)

    @classmethod
    def draw(
        cls, dice: random.Random, blocks: int, *, count: int = 3, bits: int = 8, leaves: Sequence[int] = (1, 2)
    ) -> SmallRows:
        """Return rows of random integers; each block has one of `leaves` leaves."""
        starts = [0]
        for _ in range(blocks):
            starts.append(starts[-1] + dice.choice(leaves))
        made = cls(RowShape(tuple(starts), dice.randint(1, blocks), bits))
        for _ in range(count):
            made.draw_update(dice)
        return made

    @property
    def counting(self) -> int:
        """How many blocks count."""
        return self.shape.counting

    def draw_update(self, dice: random.Random) -> int:
        """Add an update of random integers; return its root."""
        limit = 2 ** (self.shape.update_bits - 1) - 1
        rng = np.random.default_rng(dice.randrange(2**32))
        integers = rng.integers(-limit, limit + 1, (self.shape.leaves, COORDINATES))
        blinds = [keccak256(dice.randbytes(8)) for _ in range(self.shape.leaves)]
        return self.add(integers, self.shape.update_bits, blinds)

    def add(self, integers: Integers, bits: int, blinds: list[bytes]) -> int:
        """Keep a row; return its root as a cell holds it."""
        leaves = [
            row_leaf_hash(i, blind, body_of(line, bits))
            for i, (line, blind) in enumerate(zip(integers, blinds, strict=True))
        ]
        levels = row_levels(leaves)
        root = int.from_bytes(levels[-1][0], "big", signed=True)
        self.rows[root] = _Row(integers, bits, blinds, levels)
        return root

    def add_sums(self, integers: Integers) -> int:
        """Keep a row of sums."""
        return self.add(integers, SUM_BITS, [UNBLINDED] * self.shape.leaves)

    def draw_root(self, dice: random.Random) -> int:
        """Return the root of some update."""
        return dice.choice([root for root, row in self.rows.items() if row.bits != SUM_BITS])

    def integers(self, root: int) -> Integers:
        """Return a row's integers."""
        return self.rows[root].integers

    def leaf(self, root: int, index: int) -> RowLeaf:
        """Open one leaf."""
        row = self.rows[root]
        return RowLeaf(row.blinds[index], body_of(row.integers[index], row.bits), path_of(row.levels, index))

    def dots(self, left: Sequence[int], right: Sequence[int], block: int | None) -> Array:
        """Return the inner products."""
        starts = self.shape.starts
        place = slice(0, self.shape.counted_leaves) if block is None else slice(starts[block], starts[block + 1])
        table = [[int((self._of(x, place) * self._of(y, place)).sum()) for y in right] for x in left]
        return np.array(table, dtype=object)

    def _of(self, root: int, place: slice) -> Array:
        return self.rows[root].integers[place].astype(object)

    def combine(self, rows: Sequence[int], weights: Sequence[int]) -> int:
        """Return the root of the weighted sum, which is kept."""
        total = np.zeros((self.shape.leaves, COORDINATES), np.int64)
        for root, weight in zip(rows, weights, strict=True):
            if root:
                total = add_scaled(total, weight, self.rows[root].integers)
        return self.add_sums(total)
