"""What binds a seal to the chain: which seal it is, and what shows that a source or a carried cell is another.

Twin of the structs of contracts/interfaces/ISources.sol, which says what every source must be.

Tests: tests/contracts/test_referee_bound.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError

from fl_platform.chain.abi import plain
from fl_platform.dispute.claims import CellClaim
from fl_platform.dispute.questions import NO_CELL, Answer, encoded_cell
from fl_platform.errors import DocumentInvalid
from fl_platform.ledger.records import RosterRecord, SealRecord
from fl_platform.ledger.reveals import ShownKey
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.openings import Opened, Refutation, instruction_path, opened
from fl_platform.protocol.operations import Op
from fl_platform.protocol.program import Column, Program
from fl_platform.protocol.receipt import RECEIPT_ABI, Receipt
from fl_platform.protocol.rows import path_of, row_levels
from fl_platform.protocol.sources import SOURCES, Axis, Refused, Source
from fl_platform.protocol.tape import Lengths, Place, Tape
from fl_platform.protocol.terms import WORD_LEAVES, Terms

SEAL = "(bytes32,bytes32,bytes32,bytes32,uint40,uint32,bytes32,uint128,uint32,uint40,address)"
_ROSTER = "(bytes32,uint32,uint128,uint32,uint40,address,uint8)"
_TERMS = f"({'uint256,' * 6}bytes32,address,bytes32,bytes32,bytes32,uint256,bytes32,bytes32)"
_BLOCK = "(uint256,int256[8],bytes32[])"
_TARGET = f"(uint256,uint256,{SEAL},{_ROSTER},{_TERMS},uint16,bytes32,address[],address[],address[],{_BLOCK}[])"
_BOX = "(address,(uint256,uint256),(uint256,uint256),bytes32)"
_ENTRY = f"({RECEIPT_ABI},uint128,bytes,{_BOX}[])"
WORD = 32  # bytes
RECEIPT_BYTES = WORD * RECEIPT_ABI.count(",") + WORD  # all its fields are words
_CELL = "(int256,bytes32[])"
_PARENT = f"({SEAL},{_ROSTER},{_CELL})"
_OF_ENTRY = frozenset({
    Source.SEAT_OF, Source.STAKE, Source.ENTRY_PARENT, Source.LENGTH, Source.SAMPLES, Source.CONTENT, Source.REFUSED,
})  # fmt: skip
_OF_BLOCK = frozenset(source for source, given in SOURCES.items() if given.axes == (Axis.BLOCK,))


@dataclass(frozen=True)
class Target:
    """A seal with what binds it."""

    task: int
    round: int
    record: SealRecord
    roster: RosterRecord
    terms: Terms
    program: Program
    aggregators: tuple[bytes, ...]

    @cached_property
    def key(self) -> bytes:
        """What questions and answers name the seal by, 32 bytes."""
        return keccak256(encode(["uint256", "uint256", SEAL], [self.task, self.round, plain(self.record)]))

    @property
    def lengths(self) -> Lengths:
        """How long the round's axes are."""
        entries = self.roster.count + self.record.forced
        return Lengths(entries, self.roster.seats, len(self.terms.blocks), self.terms.word("directions"))

    def encoded(self, blocks: Sequence[int] = ()) -> bytes:
        """Return the bytes that calls name the seal by; `blocks`: those that the call is about."""
        fields = (
            self.task, self.round, plain(self.record), plain(self.roster), self.terms.facts(),
            len(self.program.columns), self.program.levels[-1][0], self.aggregators, self.terms.auditors,
            self.terms.witnesses, [self.terms.shown_block(block) for block in blocks],
        )  # fmt: skip
        return encode([_TARGET], [fields])


@dataclass(frozen=True)
class EntryShown:
    """An entry of a round; of a forced one `siblings` is empty."""

    receipt: Receipt
    stake: int = 0  # wei, as the roster leaf says
    siblings: bytes = b""  # of the roster leaf, packed
    boxes: tuple[ShownKey, ...] = ()  # of the first package that its trainer forced out


@dataclass(frozen=True)
class ParentSeal:
    """The seal before, and its tape."""

    record: SealRecord
    roster: RosterRecord
    tape: Tape


@dataclass(frozen=True)
class SourceClaim:
    """A source or a carried cell is not what the chain says."""

    refutation: Refutation
    evidence: bytes
    function = "refuteSource"

    def encoded(self) -> tuple[object, ...]:
        """Return the call's arguments behind the target."""
        return (*CellClaim(self.refutation).encoded(), self.evidence)


def source_claim(
    target: Target, number: int, place: Place, claimed: Opened, *, entries: Sequence[EntryShown],
    parent: ParentSeal | None,
) -> SourceClaim:  # fmt: skip
    """Return what fells a seal by one of its sources or carried cells.

    entries: of the round, in order. parent: None in round 0. Places are inside of the column.
    """
    column = target.program.columns[number]
    path = instruction_path(target.program, number)
    made = Refutation(number, place, column.words(), path, claimed, ())
    return SourceClaim(made, _evidence(target, column, place, entries, parent))


def _evidence(
    target: Target, column: Column, place: Place, entries: Sequence[EntryShown], parent: ParentSeal | None
) -> bytes:
    if column.op is Op.PREV:
        return b"" if parent is None else _parent(parent, _carried_cell(parent, column, place))
    source, index = Source(column.immediate & 0xFF), column.immediate >> 8
    if source is Source.WORD:
        path = path_of(row_levels(target.terms.word_leaves), index)
        assert index < WORD_LEAVES
        return encode(["int256", "bytes32[]"], [target.terms.words[index], path])
    if source in _OF_ENTRY:
        return encode([_ENTRY], [_entry(entries[place[0]])])
    if source in _OF_BLOCK:
        return encode([_BLOCK], [target.terms.shown_block(place[0])])
    if source in (Source.POT, Source.PARENT) and parent is not None:
        return _parent(parent, NO_CELL)
    return b""


def answer_entry(shown: EntryShown, signature: bytes) -> Answer:
    """Return what shows a roster's entry."""
    return Answer(claims=encoded_entry(shown), above=signature)


def encoded_entry(shown: EntryShown) -> bytes:
    """Return an entry as calls carry it: abi.encode({ISources.Entry})."""
    return encode([_ENTRY], [_entry(shown)])


def shown_entry(answer: Answer) -> tuple[EntryShown, bytes]:
    """Return the entry that an answer showed, without its path, and its trainer's signature (65 bytes): the chain has
    checked both. Raises DocumentInvalid."""
    return decoded_entry(answer.claims), answer.above


def decoded_entry(data: bytes) -> EntryShown:
    """Return the receipt and stake of an entry that a call carried and the chain has checked, without its path.

    Read where the contract reads them (`SourceEntries._shown`): it looks neither at the first word nor at what comes
    behind, so whoever sent it may have put anything there. Raises DocumentInvalid.
    """
    fields, stake = data[WORD : WORD + RECEIPT_BYTES], data[WORD + RECEIPT_BYTES :][:WORD]
    try:
        ((task, round_number, life, base_round, trainer, *rest),) = decode([RECEIPT_ABI], fields)
        receipt = Receipt(task, round_number, life, base_round, bytes.fromhex(trainer.removeprefix("0x")), *rest)
        return EntryShown(receipt, decode(["uint128"], stake)[0])
    except (DecodingError, OverflowError, ValueError, TypeError) as error:
        raise DocumentInvalid(f"a leaf of a roster was shown on chain in {len(data)} bytes that say nothing") from error


def _entry(shown: EntryShown) -> tuple[object, ...]:
    return plain(shown.receipt), shown.stake, shown.siblings, plain(shown.boxes)


def _parent(parent: ParentSeal, cell: Opened) -> bytes:
    return encode([_PARENT], [(plain(parent.record), plain(parent.roster), encoded_cell(cell))])


def _carried_cell(parent: ParentSeal, column: Column, place: Place) -> Opened:
    """The cell that was handed on; none where the column was shorter then."""
    handed, lengths = column.operands[0], parent.tape.lengths
    inside = all(at < lengths.of(axis) for at, axis in zip(place, handed.axes, strict=True))
    return opened(parent.tape, handed.column, place) if inside else NO_CELL


def allowed_refusals(*, convicted: bool, revealed: bool, missing: bool) -> frozenset[int]:
    """Return what a sealer may say of an entry's update (`Refused`); the least is what others take it to say.

    By the seal's time: whether its receipt was convicted, and whether enough witnesses had complained of it; revealed:
    whether its key was ever forced out. Twin of the source `refused` in contracts/dispute/Sources.sol.
    """
    if convicted:
        return frozenset({int(Refused.CONVICTED)})
    withheld = frozenset() if revealed else frozenset({int(Refused.WITHHELD)})
    return frozenset({int(Refused.NO)}) | withheld | (frozenset({int(Refused.MISSING)}) if missing else frozenset())
