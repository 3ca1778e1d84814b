"""A round's rows opened leaf by leaf, as a dispute shows them: updates with a recipient's key, sums and models from the
store.

Tests: tests/unit/dispute/test_watcher_closed_updates.py
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from fl_platform.errors import FLError, RetryError
from fl_platform.judging.model_step import named_step
from fl_platform.judging.round_rows import RoundRows, Row, cell_of
from fl_platform.judging.sums import Sums
from fl_platform.protocol.arithmetic import Array
from fl_platform.protocol.bundle import Entry
from fl_platform.protocol.rows import COORDINATES, Integers, RowLeaf, RowShape, integers_of
from fl_platform.protocol.spec import TaskSpec
from fl_platform.task.decrypting import UpdateOpener
from fl_platform.updates.codec import HEADER_BYTES
from fl_platform.updates.content import SUM_BITS, Bytes2D, content_levels, open_content
from fl_platform.updates.model_row import ModelRow


@dataclass
class OpenUpdates:
    """A round's updates by content root: of several entries with one root the first that opens.

    wanted: which entries should open. opens: an entry's integers; raises what opening raises. shown: updates of which
    every leaf was shown on chain; nobody needs a key to them.
    """

    entries: Sequence[Entry]
    wanted: Sequence[bool]
    opens: Callable[[int], Row]  # (d,)
    shown: Mapping[int, tuple[RowLeaf, ...]] = field(default_factory=dict)

    @cached_property
    def places(self) -> dict[int, list[int]]:
        """The entries with each content root."""
        found: dict[int, list[int]] = {}
        for index, entry in enumerate(self.entries):
            found.setdefault(cell_of(entry.receipt.content_root), []).append(index)
        return found

    @cached_property
    def closed(self) -> frozenset[int]:
        """Roots of which no entry opens, of those that should. Raises RetryError."""
        wanted = {root for root, places in self.places.items() if any(self.wanted[index] for index in places)}
        return frozenset(root for root in wanted if root not in self.shown and not self._is_open(root))

    def entry(self, root: int) -> int:
        """Return the first entry with this root that opens. Raises KeyError: it is no update's."""
        return self._read(root)[0]

    def read(self, root: int) -> Row:
        """Return an update's integers."""
        return self._read(root)[1]

    def _read(self, root: int) -> tuple[int, Row]:
        *others, last = self.places[root]
        for index in others:
            try:
                return index, self.opens(index)
            except RetryError:
                raise
            except FLError:  # whoever copies a root with a key of its own hides nobody's update
                continue
        return last, self.opens(last)

    def _is_open(self, root: int) -> bool:
        try:
            self._read(root)
        except RetryError:
            raise
        except FLError:
            return False
        return True


class PublicRows(ABC):
    """Rows of 32 bits, sums and models: what anybody has. `protocol.tape.ModelStepper`: a step from a row that is not
    there gives 0, and is the sealer's word (`known.is_sealers`)."""

    spec: TaskSpec
    stepped: dict[int, ModelRow]
    trees: dict[int, list[Bytes2D]]  # of the row that was opened last

    @abstractmethod
    def _public(self, root: int) -> Sums | None:
        """Return sums or a model; None: it is not there."""

    def has(self, *roots: int) -> bool:
        """Whether these rows are there."""
        return all(self._public(root) is not None for root in roots)

    def public_leaf(self, root: int, row: Sums, index: int) -> RowLeaf:
        """Open one leaf of sums, or of a model. The tree is kept: who looks for a wrong leaf opens them all."""
        payload = np.ascontiguousarray(row, dtype="<i4").data.cast("B")
        table = self.spec.model.leaves
        if self.trees.keys() != {root}:
            self.trees.clear()
            self.trees[root] = content_levels(payload, table=table, bits=SUM_BITS, key=None)
        opened = open_content(payload, index, table=table, bits=SUM_BITS, key=None, levels=self.trees[root])
        return RowLeaf(opened.blind, opened.body, opened.path)

    def step(self, model: int, sums: int, factors: Sequence[int]) -> int:
        """Return the content root of a model moved by sums."""
        row, moving = self._public(model), self._public(sums)
        if row is None or moving is None:
            return 0
        root, new = named_step(row, moving, factors, self.spec.model)
        self.stepped[root] = new
        return root


@dataclass
class RoundLeaves(PublicRows):
    """`protocol.tape.RowSource` and `protocol.rows.RowLeaves` over one round's rows.

    Products and sums read updates that do not open as zeros (`closed`). Raises KeyError for a row that is none of the
    round's, and what opening an update raises.
    """

    spec: TaskSpec
    shape: RowShape
    updates: OpenUpdates
    opener: UpdateOpener
    past: Mapping[int, Sums]
    sealed: Mapping[int, Sums] = field(default_factory=dict)  # sums and models that sealers published
    stepped: dict[int, ModelRow] = field(default_factory=dict)
    trees: dict[int, list[Bytes2D]] = field(default_factory=dict)

    @cached_property
    def source(self) -> RoundRows:
        """What multiplies and adds."""
        roots = list(self.updates.places)
        return RoundRows(
            self.spec.model, self.spec.codec.bits, updates={root: i for i, root in enumerate(roots)},
            read=lambda index: self._update(roots[index]), past={**self.past, **self.sealed},
        )  # fmt: skip

    def showing(self, rows: Mapping[int, tuple[RowLeaf, ...]]) -> RoundLeaves:
        """Return the same with updates whose leaves were all shown."""
        return replace(self, updates=replace(self.updates, shown={**self.updates.shown, **rows}))

    @property
    def closed(self) -> frozenset[int]:
        """Roots of the updates that should open, and do not open here."""
        return self.updates.closed

    @property
    def counting(self) -> int:
        """How many blocks count: the first ones."""
        return self.source.counting

    def dots(self, left: Sequence[int], right: Sequence[int], block: int | None) -> Array:
        """Return inner products, (left, right)."""
        if self.closed.isdisjoint({*left, *right}):
            return self.source.dots(left, right, block)
        at, other = ([i for i, root in enumerate(roots) if root not in self.closed] for roots in (left, right))
        found: Array = np.zeros((len(left), len(right)), dtype=object)
        if at and other:
            found[np.ix_(at, other)] = self.source.dots([left[i] for i in at], [right[i] for i in other], block)
        return found

    def combine(self, rows: Sequence[int], weights: Sequence[int]) -> int:
        """Return the content root of a weighted sum."""
        return self.source.combine([0 if root in self.closed else root for root in rows], weights)

    def integers(self, root: int) -> Integers:
        """Return a row's integers, (leaves, 128), padded with zeros."""
        return padded(self.spec, self._row(root))

    def leaf(self, root: int, index: int) -> RowLeaf:
        """Open one leaf of a row."""
        public = self._public(root)
        if public is not None:
            return self.public_leaf(root, public, index)
        if root in self.updates.shown:
            return self.updates.shown[root][index]
        entry, table = self.updates.entries[self.updates.entry(root)], self.spec.model.leaves
        payload = bytes(self.opener.open(entry))[HEADER_BYTES:]
        key = self.opener.unwrap(entry.receipt, entry.keys)
        opened = open_content(payload, index, table=table, bits=self.spec.codec.bits, key=key)
        return RowLeaf(opened.blind, opened.body, opened.path)

    def _row(self, root: int) -> Row:
        public = self._public(root)
        return public if public is not None else self._update(root)

    def _update(self, root: int) -> Row:
        leaves = self.updates.shown.get(root)
        return self.updates.read(root) if leaves is None else row_of(self.spec, leaves)

    def _public(self, root: int) -> Sums | None:
        for known in (self.past, self.source.made, self.sealed, self.stepped):
            if root in known:
                return known[root]
        return None


@dataclass
class PublicLeaves(PublicRows):
    """The rows that anybody can read: sums and models, not updates. Raises KeyError for any other."""

    spec: TaskSpec
    shape: RowShape
    past: Mapping[int, Sums]
    sealed: Mapping[int, Sums]
    closed: frozenset[int] = frozenset()
    stepped: dict[int, ModelRow] = field(default_factory=dict)
    trees: dict[int, list[Bytes2D]] = field(default_factory=dict)

    def integers(self, root: int) -> Integers:
        """Return a row's integers, (leaves, 128), padded with zeros."""
        return padded(self.spec, self._there(root))

    def leaf(self, root: int, index: int) -> RowLeaf:
        """Open one leaf of a row."""
        return self.public_leaf(root, self._there(root), index)

    def _there(self, root: int) -> Sums:
        found = self._public(root)
        if found is None:
            raise KeyError(root)
        return found

    def _public(self, root: int) -> Sums | None:
        return next((known[root] for known in (self.past, self.sealed, self.stepped) if root in known), None)


def padded(spec: TaskSpec, row: Row) -> Integers:
    """Return a row leaf by leaf, (leaves, 128)."""
    table = spec.model.leaves
    found = np.zeros((table.count, COORDINATES), dtype=np.int64)
    for index in range(table.count):
        part = row[table.span(index)]
        found[index, : len(part)] = part
    return found


def row_of(spec: TaskSpec, leaves: Sequence[RowLeaf]) -> Row:
    """Return an update's integers, (d,), from all of its leaves."""
    table, bits = spec.model.leaves, spec.codec.bits
    found: Row = np.zeros(spec.model.size, dtype=np.int16 if bits == 16 else np.int8)
    for index, leaf in enumerate(leaves):
        part = table.span(index)
        found[part] = integers_of(leaf.body, bits)[: part.stop - part.start]
    return found
