"""Where a vector's integers lie in the leaves of its content tree: every block starts a leaf.

A block is a tensor. Its last leaf is filled up with zeros, in the tree only and never in a file, so that a leaf has one
step and belongs to one tensor. The table of block sizes follows from the task's specification, and the task's terms
freeze it (`terms.Block`).

Tests: tests/unit/updates/test_content.py
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

COORDINATES = 128  # of a vector, in one leaf (Contents.COORDINATES)


@dataclass(frozen=True)
class LeafTable:
    """Places of d coordinates in the leaves over them."""

    sizes: tuple[int, ...]  # coordinates of each block, in canonical order, each over 0

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """First coordinate of each block; d last."""
        return (0, *accumulate(self.sizes))

    @cached_property
    def firsts(self) -> tuple[int, ...]:
        """First leaf of each block; their number last."""
        return (0, *accumulate(-(-size // COORDINATES) for size in self.sizes))

    @property
    def size(self) -> int:
        """Number of coordinates d."""
        return self.starts[-1]

    @property
    def count(self) -> int:
        """Number of leaves."""
        return self.firsts[-1]

    def span(self, leaf: int) -> slice:
        """Return the coordinates of one leaf, 1 to 128 of them. Raises IndexError where there is no such leaf."""
        if not 0 <= leaf < self.count:
            raise IndexError(f"there is no leaf {leaf} among {self.count}")
        block = bisect_right(self.firsts, leaf) - 1
        first = self.starts[block] + COORDINATES * (leaf - self.firsts[block])
        return slice(first, min(first + COORDINATES, self.starts[block + 1]))

    def place_of(self, coordinate: int) -> tuple[int, int]:
        """Return the leaf of a coordinate (0 .. d - 1), and its place there."""
        block = bisect_right(self.starts, coordinate) - 1
        leaves, place = divmod(coordinate - self.starts[block], COORDINATES)
        return self.firsts[block] + leaves, place
