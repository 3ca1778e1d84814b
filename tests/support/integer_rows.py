"""Rows of integers by their content roots, as a key holder has them, with their trees: what a tape's products are
evaluated from, and what a dispute opens leaves of."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_platform.protocol.arithmetic import Array
from fl_platform.protocol.operations import wrap
from fl_platform.protocol.rows import (
    COORDINATES,
    SUM_BITS,
    UNBLINDED,
    Integers,
    RowLeaf,
    RowShape,
    body_of,
    path_of,
    row_leaf_hash,
    row_levels,
)

Row = npt.NDArray[np.int64]
_SAFE = 2**62  # no partial sum of products may leave int64


@dataclass
class IntegerRows:
    """Rows over blocks of these sizes, of which the first `counting` count."""

    sizes: tuple[int, ...]
    counting: int
    update_bits: int = 8
    closed: frozenset[int] = frozenset()  # roots of rows that do not open: products read them as zeros
    rows: dict[int, Row] = field(default_factory=dict)
    _bits: dict[int, int] = field(default_factory=dict)
    _levels: dict[int, list[list[bytes]]] = field(default_factory=dict)

    @classmethod
    def draw(cls, dice: random.Random, blocks: int) -> IntegerRows:
        """Return three random updates over blocks of one or two leaves."""
        made = cls(tuple(dice.randint(1, 200) for _ in range(blocks)), dice.randint(1, blocks))
        rng = np.random.default_rng(dice.randrange(2**32))
        for _ in range(3):
            made.add(rng.integers(-127, 128, sum(made.sizes)))
        return made

    def copy(self) -> IntegerRows:
        """Return the same rows, to which others can be added."""
        return replace(self, rows=dict(self.rows), _bits=dict(self._bits), _levels=dict(self._levels))

    def beside(self, root: int) -> list[int]:
        """Return the roots of the other rows of the same width."""
        return [other for other, bits in self._bits.items() if bits == self._bits.get(root) and other != root]

    def draw_root(self, dice: random.Random) -> int:
        """Return the root of some update."""
        return dice.choice([root for root, bits in self._bits.items() if bits == self.update_bits])

    @cached_property
    def shape(self) -> RowShape:
        """How rows lie in leaves."""
        starts = [0]
        for size in self.sizes:
            starts.append(starts[-1] + -(-size // COORDINATES))
        return RowShape(tuple(starts), self.counting, self.update_bits)

    def add(self, row: npt.NDArray[Any], *, bits: int = 0) -> int:
        """Keep a row, shape (sum of sizes,), of `bits` bits (0: an update's); return its root as a cell holds it."""
        kept = np.ascontiguousarray(row, dtype="<i8")
        width = bits or self.update_bits
        assert not kept.size or int(np.abs(kept).max()) < 1 << (width - 1), "wider than its codec"
        padded = self._padded(kept)
        leaves = [row_leaf_hash(i, UNBLINDED, body_of(line, width)) for i, line in enumerate(padded)]
        levels = row_levels(leaves)
        root = int.from_bytes(levels[-1][0], "big", signed=True)
        self.rows[root], self._bits[root], self._levels[root] = kept, width, levels
        return root

    def place(self, block: int | None) -> slice:
        """Return where a block stands, or all that count."""
        starts = np.cumsum([0, *self.sizes])
        return slice(0, int(starts[self.counting])) if block is None else slice(*map(int, starts[block : block + 2]))

    def dots(self, left: Sequence[int], right: Sequence[int], block: int | None) -> Array:
        """Return the inner products, exact."""
        place = self.place(block)
        zeros = np.zeros(sum(self.sizes), np.int64)
        first, second = (
            np.array([(zeros if root in self.closed else self.rows[root])[place] for root in roots])
            for roots in (left, right)
        )
        largest = int(np.abs(first).max(initial=0)) * int(np.abs(second).max(initial=0))
        if largest * first.shape[1] >= _SAFE:
            return np.asarray(first.astype(object) @ second.astype(object).T)
        return np.asarray(first @ second.T)

    def combine(self, rows: Sequence[int], weights: Sequence[int]) -> int:
        """Return the root of the weighted sum, which is kept."""
        total = np.zeros(sum(self.sizes), dtype=np.int64)
        for root, weight in zip(rows, weights, strict=True):
            if root and root not in self.closed:
                total += weight * self.rows[root]
        return self.add((total + 2**31) % 2**32 - 2**31, bits=SUM_BITS)

    @cached_property
    def model(self) -> int:
        """Return the root of a model, which is kept: small and large integers of both signs."""
        size = sum(self.sizes)
        drawn = np.random.default_rng(size).integers(-(2**31) + 1, 2**31, size) >> np.arange(size) % 31
        return self.add(drawn, bits=SUM_BITS)

    def has(self, *roots: int) -> bool:
        """Whether these are kept, as rows of 32 bits."""
        return all(self._bits.get(root) == SUM_BITS for root in roots)

    def step(self, model: int, sums: int, factors: Sequence[int]) -> int:
        """Return the root of a model moved by sums, coordinate by coordinate; it is kept. 0: one is not there."""
        if not self.has(model, sums):
            return 0
        new = np.zeros(sum(self.sizes), np.int64)
        for block, packed in enumerate(factors):
            factor, least = packed >> 1, 0 if packed & 1 else 1 - 2**31
            for at in range(*self.place(block).indices(len(new))):
                change = (wrap(int(self.rows[sums][at]) * factor + 2**39)) >> 40
                new[at] = min(max(int(self.rows[model][at]) + change, least), 2**31 - 1)
        return self.add(new, bits=SUM_BITS)

    def integers(self, root: int) -> Integers:
        """Return a row's integers by leaves."""
        return self._padded(self.rows[root])

    def leaf(self, root: int, index: int) -> RowLeaf:
        """Open one leaf."""
        body = body_of(self.integers(root)[index], self._bits[root])
        return RowLeaf(UNBLINDED, body, path_of(self._levels[root], index))

    def _padded(self, row: Row) -> Integers:
        padded = np.zeros((self.shape.leaves, COORDINATES), np.int64)
        for block, start in enumerate(self.shape.starts[:-1]):
            part = row[self.place(block)]
            padded[start : self.shape.starts[block + 1]].reshape(-1)[: len(part)] = part
        return padded
