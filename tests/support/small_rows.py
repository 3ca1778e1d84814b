"""Small vectors by their content roots, as a key holder has them: what row operations of a tape are evaluated from."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.operations import Array


@dataclass
class SmallRows:
    """Rows of a few integers a block; a root is a hash of the integers, the tree over leaves is not the matter here."""

    sizes: tuple[int, ...]
    counting: int
    rows: dict[int, list[int]] = field(default_factory=dict)

    @classmethod
    def draw(cls, dice: random.Random, blocks: int) -> SmallRows:
        """Return three rows of random integers."""
        made = cls(tuple(dice.randint(1, 4) for _ in range(blocks)), dice.randint(1, blocks))
        for _ in range(3):
            made.add([dice.randint(-127, 127) for _ in range(sum(made.sizes))])
        return made

    def add(self, row: list[int]) -> int:
        """Keep a row; return its root as a cell holds it."""
        root = int.from_bytes(keccak256(repr(row).encode()), "big", signed=True)
        self.rows[root] = row
        return root

    def draw_root(self, dice: random.Random) -> int:
        """Return the root of some row."""
        return dice.choice(list(self.rows))

    def dots(self, left: Sequence[int], right: Sequence[int], block: int | None) -> Array:
        """Return the inner products."""
        starts = [sum(self.sizes[:b]) for b in range(len(self.sizes) + 1)]
        place = slice(0, starts[self.counting]) if block is None else slice(starts[block], starts[block + 1])
        table = [[sum(a * b for a, b in zip(self.rows[x][place], self.rows[y][place], strict=True)) for y in right]
                 for x in left]  # fmt: skip
        return np.array(table, dtype=object)

    def combine(self, rows: Sequence[int], weights: Sequence[int]) -> int:
        """Return the root of the weighted sum, which is kept."""
        total = [0] * sum(self.sizes)
        for root, weight in zip(rows, weights, strict=True):
            if root:
                total = [t + weight * q for t, q in zip(total, self.rows[root], strict=True)]
        return self.add(total)
