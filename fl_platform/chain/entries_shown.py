"""A round's entries as an answer on chain shows them (IDemands.Shown), and back: receipts and key packages.

The contract has checked signatures, the roster and the trace; not whether boxes are for the task's public keys, which
`check_package` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from eth_abi.abi import decode

from fl_platform.chain import evidence
from fl_platform.chain.evidence import Opened, opened
from fl_platform.chain.reveals import Box, boxes_of, keys_of
from fl_platform.protocol.bundle import Entry
from fl_platform.protocol.receipt import Receipt
from fl_platform.protocol.spec import TaskSpec
from fl_platform.protocol.trace import Kind, Trace

AT_ONCE = 32  # entries in one answer: about 2.5 kB each
_RECEIPT = "(uint256,uint64,address,bytes32,bytes32,uint64,bytes32,bytes32,bytes32,bytes32,uint64,bytes32)"
_BOX = "(address,(uint256,uint256),(uint256,uint256),bytes32)"
_SHOWN = f"({_RECEIPT},bytes,{_BOX}[],bytes,(uint32,bytes,bytes32[]),bytes)"


@dataclass(frozen=True)
class ShownEntry:
    """IDemands.Shown."""

    receipt: Receipt
    signature: bytes
    boxes: tuple[Box, ...]
    packageSignature: bytes
    entry: Opened
    siblings: bytes


def shown_from(entries: Sequence[Entry], first: int, trace: Trace, spec: TaskSpec) -> list[ShownEntry]:
    """Return the entries of an answer from `first` on, at most `AT_ONCE`; `entries` are all of the round's."""
    leaves = tuple(entry.leaf for entry in entries if not entry.forced)
    return [
        ShownEntry(
            entry.receipt, entry.signature, boxes_of(entry.keys, spec), entry.keys_signature,
            opened(trace, Kind.ENTRY, first + i),
            evidence.path_of(leaves, first + i) if first + i < len(leaves) else b"",
        )
        for i, entry in enumerate(entries[first : first + AT_ONCE])
    ]  # fmt: skip


def entries_from(content: bytes, trace: Trace) -> dict[int, Entry]:
    """Return the entries that an answer showed, by their place; stakes are the trace's, which the contract compared."""
    first, shown = decode(["uint256", f"{_SHOWN}[]"], content)
    found = {}
    for place, (receipt, signature, boxes, package, _, _) in enumerate(shown, first):
        values = dict(zip((field.name for field in fields(Receipt)), receipt, strict=True))
        told = Receipt(**values | {"trainer": _address(receipt[2])})
        keys = keys_of([(_address(who), key, ephemeral, box) for who, key, ephemeral, box in boxes])
        leaf = trace.entries[place]
        found[place] = Entry(told, signature, leaf.stake, keys, package, forced=bool(leaf.forced))
    return found


def _address(text: str) -> bytes:
    return bytes.fromhex(text[2:])
