"""Rows of integers by their content roots, as a key holder has them: what a tape's products are evaluated from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_platform.protocol.operations import Array
from fl_platform.updates.content import SUM_BITS, content_root

Row = npt.NDArray[np.int64]
_SAFE = 2**62  # no partial sum of products may leave int64


@dataclass
class IntegerRows:
    """Rows over blocks of these sizes, of which the first `counting` count."""

    sizes: tuple[int, ...]
    counting: int
    rows: dict[int, Row] = field(default_factory=dict)

    def add(self, row: npt.NDArray[Any]) -> int:
        """Keep a row, shape (sum of sizes,); return its content root as a cell holds it."""
        kept = np.ascontiguousarray(row, dtype="<i8")
        root = content_root(kept.tobytes(), size=len(kept), bits=SUM_BITS, key=None)
        number = int.from_bytes(root, "big", signed=True)
        self.rows[number] = kept
        return number

    def place(self, block: int | None) -> slice:
        """Return where a block stands, or all that count."""
        starts = np.cumsum([0, *self.sizes])
        return slice(0, int(starts[self.counting])) if block is None else slice(*map(int, starts[block : block + 2]))

    def dots(self, left: Sequence[int], right: Sequence[int], block: int | None) -> Array:
        """Return the inner products, exact."""
        place = self.place(block)
        first, second = (np.array([self.rows[root][place] for root in roots]) for roots in (left, right))
        largest = int(np.abs(first).max(initial=0)) * int(np.abs(second).max(initial=0))
        if largest * first.shape[1] >= _SAFE:
            return np.asarray(first.astype(object) @ second.astype(object).T)
        return np.asarray(first @ second.T)

    def combine(self, rows: Sequence[int], weights: Sequence[int]) -> int:
        """Return the root of the weighted sum, which is kept."""
        total = np.zeros(sum(self.sizes), dtype=np.int64)
        for root, weight in zip(rows, weights, strict=True):
            if root:
                total += weight * self.rows[root]
        return self.add(total)
