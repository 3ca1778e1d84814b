"""A round's rows opened leaf by leaf, as a dispute shows them: updates with a recipient's key, sums from the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fl_platform.aggregation.round_rows import RoundRows, Row, cell_of
from fl_platform.aggregation.sums import Sums
from fl_platform.protocol.arithmetic import Array
from fl_platform.protocol.bundle import Entry
from fl_platform.protocol.rows import COORDINATES, Integers, RowLeaf, RowShape
from fl_platform.protocol.spec import TaskSpec
from fl_platform.roles.opening import UpdateOpener
from fl_platform.updates.codec import HEADER_BYTES
from fl_platform.updates.content import SUM_BITS, open_content


@dataclass
class RoundLeaves:
    """`protocol.tape.RowSource` and `protocol.rows.RowLeaves` over one round's rows.

    Raises KeyError for a row that is none of the round's, and what opening an update raises.
    """

    spec: TaskSpec
    shape: RowShape
    source: RoundRows
    entries: Sequence[Entry]
    opener: UpdateOpener
    read: Callable[[int], Row]  # an entry's integers, (d,)
    past: Mapping[int, Sums]
    sealed: Mapping[int, Sums] = field(default_factory=dict)  # sums that the sealer published

    @property
    def counting(self) -> int:
        """How many blocks count: the first ones."""
        return self.source.counting

    def dots(self, left: Sequence[int], right: Sequence[int], block: int | None) -> Array:
        """Return inner products, (left, right)."""
        return self.source.dots(left, right, block)

    def combine(self, rows: Sequence[int], weights: Sequence[int]) -> int:
        """Return the content root of a weighted sum."""
        return self.source.combine(rows, weights)

    def integers(self, root: int) -> Integers:
        """Return a row's integers, (leaves, 128), padded with zeros."""
        return padded(self.spec, self._row(root))

    def leaf(self, root: int, index: int) -> RowLeaf:
        """Open one leaf of a row."""
        sums = self._sums(root)
        if sums is not None:
            return sums_leaf(self.spec, sums, index)
        entry, table = self.entries[self._entry(root)], self.spec.model.leaves
        payload = bytes(self.opener.open(entry))[HEADER_BYTES:]
        key = self.opener.unwrap(entry.receipt, entry.keys)
        opened = open_content(payload, index, table=table, bits=self.spec.codec.bits, key=key)
        return RowLeaf(opened.blind, opened.body, opened.path)

    def _row(self, root: int) -> Row:
        sums = self._sums(root)
        return sums if sums is not None else self.read(self._entry(root))

    def _sums(self, root: int) -> Sums | None:
        for known in (self.past, self.source.made, self.sealed):
            if root in known:
                return known[root]
        return None

    def _entry(self, root: int) -> int:
        for index, entry in enumerate(self.entries):
            if cell_of(entry.receipt.content_root) == root:
                return index
        raise KeyError(root)


@dataclass
class PublicLeaves:
    """The rows that anybody can read: sums, not updates. Raises KeyError for any other."""

    spec: TaskSpec
    shape: RowShape
    past: Mapping[int, Sums]
    sealed: Mapping[int, Sums]

    def integers(self, root: int) -> Integers:
        """Return a sum's integers, (leaves, 128), padded with zeros."""
        return padded(self.spec, self._sums(root))

    def leaf(self, root: int, index: int) -> RowLeaf:
        """Open one leaf of a sum."""
        return sums_leaf(self.spec, self._sums(root), index)

    def _sums(self, root: int) -> Sums:
        return self.past[root] if root in self.past else self.sealed[root]


def padded(spec: TaskSpec, row: Row) -> Integers:
    """Return a row leaf by leaf, (leaves, 128)."""
    table = spec.model.leaves
    found = np.zeros((table.count, COORDINATES), dtype=np.int64)
    for index in range(table.count):
        part = row[table.span(index)]
        found[index, : len(part)] = part
    return found


def sums_leaf(spec: TaskSpec, sums: Sums, index: int) -> RowLeaf:
    """Open one leaf of sums."""
    opened = open_content(sums.astype("<i4").tobytes(), index, table=spec.model.leaves, bits=SUM_BITS, key=None)
    return RowLeaf(opened.blind, opened.body, opened.path)
