"""What a challenger brings about the work itself: leaves of the updates, of the sums, and what a product is made of.

Twin of contracts/disputes/WorkJudge.sol and contracts/interfaces/IBisections.sol. Pure: it proves whatever the trace
says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eth_abi.abi import encode

from fl_platform.chain.abi import plain
from fl_platform.chain.evidence import BEFORE, Evidence, before_of, gather
from fl_platform.chain.records import ContentLeafRecord, SealRecord
from fl_platform.protocol.receipt import Receipt
from fl_platform.protocol.trace import COORDINATES, Kind, Trace

FAN = 128  # parts of a split at most (Bisections.FAN)
_LEAF = "(bytes32,bytes,bytes32[])"
_RECEIPT = "(uint256,uint64,address,bytes32,bytes32,uint64,bytes32,bytes32,bytes32,bytes32,uint64,bytes32)"


@dataclass(frozen=True)
class Statement:
    """IBisections.Statement: what is multiplied."""

    left: bytes
    right: bytes
    tensors: bytes  # layout hash
    leftBits: int
    rightBits: int
    size: int


@dataclass(frozen=True)
class Product:
    """IBisections.Product: the leaves that decide."""

    left: ContentLeafRecord
    right: ContentLeafRecord
    tensors: bytes  # layout, 9 bytes a tensor


def work(trace: Trace, index: int, receipt: Receipt) -> Evidence:
    """Content root and weight of an entry's Gram row, against its receipt and entry."""
    places = [(Kind.WORK, 0), (Kind.ROUND, 0), (Kind.ENTRY, index)]
    return gather(trace, places, extra=encode([_RECEIPT], [plain(receipt)]))


def weight(trace: Trace, row: int) -> Evidence:
    """The weight of a Gram row that is no trainer's."""
    return gather(trace, [(Kind.WORK, 0), (Kind.ROUND, 0)], extra=row.to_bytes(32, "big"))


def coordinate_of_sum(
    trace: Trace, coordinate: int, *, sums: ContentLeafRecord, rows: Sequence[ContentLeafRecord]
) -> Evidence:
    """One coordinate of the sums; `rows`: the same leaf of every Gram row with a weight, in order of rows."""
    index, place = divmod(coordinate, COORDINATES)
    leaves = (b"".join((leaf.blind, leaf.body, *leaf.siblings)) for leaf in (sums, *rows))
    extra = encode(["uint256", "uint256"], [index, place]) + b"".join(leaves)
    return gather(trace, [(Kind.RULES, 0), (Kind.WORK, 0)], extra=extra)


def out_of_range(trace: Trace, row: int, coordinate: int, *, leaf: ContentLeafRecord) -> Evidence:
    """One coordinate of a judged update that no encoder writes."""
    index, place = divmod(coordinate, COORDINATES)
    extra = encode([f"(uint256,uint256,uint256,{_LEAF})"], [(row, index, place, plain(leaf))])
    return gather(trace, [(Kind.RULES, 0), (Kind.WORK, 0), (Kind.ROUND, 0)], extra=extra)


def layout(trace: Trace, document: bytes, tensors: bytes, before: tuple[SealRecord, Trace] | None) -> Evidence:
    """Sizes and offsets against the specification's bytes.

    `tensors`: what the sealed layout hash stands for; `before`: seal and trace of the round before, None in round 0.
    """
    old = before_of(*before, (Kind.WORK, 0)) if before is not None else _NOTHING_BEFORE
    places = (document.find(b'"tensors":['), document.find(b'"offsets":['))
    extra = encode([f"(bytes,uint256,uint256,bytes,{BEFORE})"], [(document, *places, tensors, old)])
    return gather(trace, [(Kind.RULES, 0), (Kind.WORK, 0)], extra=extra)


def gram_entry(trace: Trace, row: int, column: int) -> Evidence:
    """What a game about one entry of the Gram matrix starts from."""
    places = [(Kind.RULES, 0), (Kind.ROUND, 0), (Kind.WORK, 0), (Kind.GRAM, row)]
    return gather(trace, places, extra=column.to_bytes(32, "big"))


def statement_of(trace: Trace, row: int, column: int) -> Statement:
    """Return what the contract reads out of the same leaves."""
    left, right = trace.row_bits(row), trace.row_bits(column)
    roots = [trace.work.rows[number][0].to_bytes(32, "big") for number in (row, column)]
    return Statement(roots[0], roots[1], trace.work.layout.to_bytes(32, "big"), left, right, trace.rules.size)


def parts_of(count: int) -> tuple[int, int]:
    """Return into how many parts a range of `count` leaves is split, and how many leaves each (but the last) has."""
    width = max(1, -(-count // FAN))
    return -(-count // width), width


_NOTHING_BEFORE = (
    (bytes(32),) * 4 + (0, 0, bytes(32)) + (0, 0, 0, "0x" + "00" * 20),
    (0,) * len(Kind),
    (bytes(32),) * len(Kind),
    (0, b"", ()),
)
