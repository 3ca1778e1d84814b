"""Leaves of the updates, directions and sums of a round in memory, as disputes about the work open them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fl_platform.aggregation.products import Products, leaf_products
from fl_platform.chain.records import ContentLeafRecord
from fl_platform.chain.work_evidence import Product
from fl_platform.contribution.judge import Judgement, public_directions
from fl_platform.contribution.tracing import layout_of
from fl_platform.protocol.spec import ModelSpec, TaskSpec, TensorSpec
from fl_platform.protocol.trace import DIRECTION_BITS
from fl_platform.roles.work import record_of
from fl_platform.updates.codec import HEADER_BYTES, decode_update
from fl_platform.updates.content import SUM_BITS, open_content, open_subtree
from fl_platform.updates.tensors import Integers
from tests.support.rounds import Round, anchored_spec, build_round, content_key, ints_like
from tests.support.rounds import address_of as _address


def big_spec(*shapes: tuple[int, ...], offsets: tuple[int, ...]) -> TaskSpec:
    """Return an anchored spec whose model has these tensors."""
    made = anchored_spec()
    model = ModelSpec("big", tuple(TensorSpec(f"t{i}", shape) for i, shape in enumerate(shapes)))
    scale = replace(made.codec.initial_scale, offsets=offsets)
    return replace(made, model=model, codec=replace(made.codec, initial_scale=scale))


def big_round(spec: TaskSpec, trainers: int = 3) -> Round:
    """Return a round of this spec whose trainers go roughly the reference's way."""
    reference = ints_like(spec, 0)
    updates = [ints_like(spec, seed, towards=reference, share=0.7) for seed in range(1, trainers + 1)]
    return build_round(spec, updates, reference=reference)


class Work:
    """What the Gram rows of a judged round are made of."""

    def __init__(self, made: Round, judged: Judgement) -> None:
        self.made, self._judged = made, judged
        self._directions = public_directions(made.spec, made.before, made.models.__getitem__)
        keys = [int.from_bytes(e.receipt.update, "big") for e in made.entries]  # see rounds.make_entry
        numbers = {"0x" + _address(n).hex(): n for n in keys} | {"reference": 0}
        self._number = [numbers.get(name) for name in judged.gram.names]

    def row(self, row: int) -> Integers:
        """Return a row's integers."""
        number = self._number[row]
        if number is None:
            return self._directions[int(self._judged.gram.names[row].split(":")[1]) - 1]
        spec = self.made.spec
        return decode_update(self._payload(number), model=spec.model, bits=spec.codec.bits)

    def leaf(self, row: int, index: int) -> ContentLeafRecord:
        """Open one leaf of a row."""
        number, spec = self._number[row], self.made.spec
        if number is None:
            return _open(self.row(row).astype("<i2").tobytes(), index, spec.model.size, DIRECTION_BITS, None)
        payload = self._payload(number)[HEADER_BYTES:]
        return _open(payload, index, spec.model.size, spec.codec.bits, content_key(number))

    def sums_leaf(self, index: int, sums: np.ndarray | None = None) -> ContentLeafRecord:
        """Open one leaf of the sums (of other sums, where given)."""
        values = self._judged.sums if sums is None else sums
        return _open(values.astype("<i8").tobytes(), index, self.made.spec.model.size, SUM_BITS, None)

    def below_sums(self, node: int) -> tuple[tuple[bytes, ...], ContentLeafRecord]:
        """Return the nodes below an inner node of the tree over the sums, and its way up."""
        payload, size = self._judged.sums.astype("<i8").tobytes(), self.made.spec.model.size
        found = open_subtree(payload, node, size=size, bits=SUM_BITS)
        return found.nodes, ContentLeafRecord(bytes(32), b"", found.path)

    def products(self, row: int, column: int) -> Products:
        """Return the products of all leaves of two rows."""
        spec = self.made.spec
        return leaf_products(self.row(row), self.row(column), model=spec.model, scale=self.made.before.scale)

    def product(self, row: int, column: int, index: int) -> Product:
        """Return the leaves that decide about a part."""
        return Product(self.leaf(row, index), self.leaf(column, index), self.layout)

    @property
    def layout(self) -> bytes:
        """The layout's preimage."""
        return layout_of(self.made.spec, self.made.before.scale)

    def _payload(self, number: int) -> bytes:
        who = _address(number)
        index = next(i for i, e in enumerate(self.made.entries) if e.receipt.trainer == who)
        data = self.made.data[index]
        assert isinstance(data, bytes)
        return data


def _open(payload: bytes, index: int, size: int, bits: int, key: bytes | None) -> ContentLeafRecord:
    leaf = open_content(payload, index, size=size, bits=bits, key=key)
    return record_of(leaf)


