"""The integers behind a sealed round's Gram rows, opened again when a dispute asks for some of them.

Sealer and watcher read them alike: from the store, with a recipient's key, held against the bundle's receipts.
"""

from __future__ import annotations

from functools import cached_property

from fl_platform.aggregation.admit import is_reference
from fl_platform.aggregation.products import Products, leaf_products
from fl_platform.aggregation.sums import Sums, weighted_sum
from fl_platform.chain.records import ContentLeafRecord
from fl_platform.chain.work_evidence import Product
from fl_platform.contribution.judge import address_text, public_directions
from fl_platform.contribution.tracing import layout_of
from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.bundle import Entry, RoundBundle
from fl_platform.protocol.trace import DIRECTION_BITS
from fl_platform.roles.opening import UpdateOpener
from fl_platform.roles.reading import TaskReader
from fl_platform.updates.codec import HEADER_BYTES, raw_integers
from fl_platform.updates.content import SUM_BITS, ContentLeaf, is_in_tree, is_leaf, open_content, open_subtree, place_of
from fl_platform.updates.tensors import Integers


class RoundWork:
    """One sealed round's work, by Gram row. Rows are read when asked for and kept."""

    def __init__(self, reader: TaskReader, bundle: RoundBundle, opener: UpdateOpener) -> None:
        self._reader, self.bundle, self._opener = reader, bundle, opener
        self._plain: dict[int, bytes] = {}

    def integers(self, row: int) -> Integers:
        """Return a row's integers, shape (d,); of an update they may leave the codec's range.

        Raises what opening an update raises, UpdateLengthMismatch, DocumentInvalid (no such row).
        """
        entry = self._entry(row)
        if entry is None:
            return self._direction(row)
        spec = self._reader.spec
        return raw_integers(self._opened(row, entry), model=spec.model, bits=spec.codec.bits)

    def leaf(self, row: int, index: int) -> ContentLeafRecord:
        """Open one leaf of a row. Raises as `integers`."""
        entry, size = self._entry(row), self._reader.spec.model.size
        if entry is None:
            payload = self._direction(row).astype("<i2").tobytes()
            return record_of(open_content(payload, index, size=size, bits=DIRECTION_BITS, key=None))
        payload, key = self._opened(row, entry)[HEADER_BYTES:], self._opener.unwrap(entry.receipt, entry.keys)
        return record_of(open_content(payload, index, size=size, bits=self._reader.spec.codec.bits, key=key))

    def products(self, row: int, column: int) -> Products:
        """Return the products of all leaves of two rows, int64."""
        model, scale = self._reader.spec.model, self.bundle.before.scale
        return leaf_products(self.integers(row), self.integers(column), model=model, scale=scale)

    def product(self, row: int, column: int, index: int) -> Product:
        """Return the leaves that decide about one part."""
        tensors = layout_of(self._reader.spec, self.bundle.before.scale)
        return Product(self.leaf(row, index), self.leaf(column, index), tensors)

    @cached_property
    def told_sums(self) -> Sums:
        """The sums that the bundle names, int64 (d,). Raises StoreMissing, CidMismatch, DocumentInvalid."""
        return self._reader.sums(self.bundle)

    def sums_leaf(self, index: int) -> ContentLeafRecord:
        """Open one leaf of the sums that the bundle names."""
        size = self._reader.spec.model.size
        return record_of(open_content(self.told_sums.tobytes(), index, size=size, bits=SUM_BITS, key=None))

    def below_sums(self, node: int) -> tuple[tuple[bytes, ...], ContentLeafRecord]:
        """Return the nodes below a node of the tree over the sums, and the leaf, as an answer on chain has them.

        A node that is nowhere (whoever asks may ask for one) has nothing below it.
        """
        size = self._reader.spec.model.size
        if not is_in_tree(node, size):
            return (), ContentLeafRecord(bytes(32), b"", ())
        if is_leaf(node, size):
            return (), self.sums_leaf(place_of(node))
        found = open_subtree(self.told_sums.tobytes(), node, size=size, bits=SUM_BITS)
        return found.nodes, ContentLeafRecord(bytes(32), b"", found.path)

    def sums_by(self, weights: dict[int, int]) -> Sums:
        """Return the weighted sum of rows, int64 (d,). `weights`: row -> weight."""
        spec = self._reader.spec
        rows = sorted(weights)
        values = [weights[row] for row in rows]
        return weighted_sum(rows, values, self.integers, size=spec.model.size, bits=spec.codec.bits)

    def _entry(self, row: int) -> Entry | None:
        """Return the entry that a row stands for; None for a public direction."""
        if not 0 <= row < len(self.bundle.rows):
            raise DocumentInvalid(f"round {self.bundle.round} has no Gram row {row} among {len(self.bundle.rows)}")
        name = self.bundle.rows[row]
        for entry in self.bundle.entries:
            own = "reference" if is_reference(entry, self._reader.spec) else address_text(entry.receipt.trainer)
            if own == name:
                return entry
        return None

    def _opened(self, row: int, entry: Entry) -> bytes:
        if row not in self._plain:
            self._plain[row] = self._opener.open(entry)
        return self._plain[row]

    def _direction(self, row: int) -> Integers:
        name = self.bundle.rows[row]
        number = name.removeprefix("direction:")
        if number == name or not number.isdecimal() or not 1 <= int(number) <= len(self._directions):
            raise DocumentInvalid(f"round {self.bundle.round}: nothing is known of the Gram row {name!r}")
        return self._directions[int(number) - 1]

    @cached_property
    def _directions(self) -> list[Integers]:
        return public_directions(self._reader.spec, self.bundle.before, self._reader.model)


def record_of(leaf: ContentLeaf) -> ContentLeafRecord:
    """Return an opened leaf as calls carry it."""
    return ContentLeafRecord(leaf.blind, leaf.body, leaf.path)
