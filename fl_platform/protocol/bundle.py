"""The round bundle (step 8): everything the aggregator claims about a round, as one canonical document in the store.

A stranger reads the seal on chain, fetches this document by its digest, and recomputes each field from
the fields before it. Integers only.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol import merkle_sum
from fl_platform.protocol.canonical import canonical_json, parse_canonical
from fl_platform.protocol.commitment_opening import NOTHING_SHOWN, CommitmentOpening
from fl_platform.protocol.document import from_json, to_json
from fl_platform.protocol.model_spec import ScaleSpec, check_scale
from fl_platform.protocol.receipt import Receipt, SignedReceipt
from fl_platform.protocol.sources import RAW
from fl_platform.protocol.spec import TaskSpec

FORMAT = "fl-platform/round/5"
_OPENING, _GROWING = b'{"after":', b',"seats":['
_BY_SEAT = ("score_sum", "paid_scored", "paid_base", "reputation")  # carried columns of every rule
MAX_NUMBER = 2**127  # over any weight, score, or amount


@dataclass(frozen=True)
class WrappedKey:
    """An update's key for one recipient (aggregator or auditor). Unverified until unwrapped."""

    recipient: bytes  # 20-byte address
    ephemeral: bytes  # BN254 G1 point, 64 bytes
    ciphertext: bytes


@dataclass(frozen=True)
class Entry:
    """One committed update: roster leaf i, in the order of trainer addresses."""

    receipt: Receipt
    signature: bytes  # 65 bytes
    stake: int  # wei at roster time; 0 for the owner's reference
    keys: tuple[WrappedKey, ...]  # empty: never revealed
    keys_signature: bytes  # 65 bytes over receipt and keys (protocol/keypackage.py); empty without keys
    forced: bool  # came by `forceInclude`, not by the roster
    shown: CommitmentOpening = NOTHING_SHOWN  # the commitment behind the receipt's hash, in tasks with layer P

    @property
    def signed(self) -> SignedReceipt:
        """The receipt with its signature."""
        return SignedReceipt(self.receipt, self.signature)

    @property
    def leaf(self) -> merkle_sum.Leaf:
        """The roster leaf."""
        return merkle_sum.Leaf(self.receipt.trainer, self.stake, self.receipt.struct_hash())


@dataclass(frozen=True)
class EntryVerdict:
    """What became of entry i: a cell of the tape, in words."""

    trainer: bytes  # 20 bytes
    code: str  # "admitted", "reference", or why it was refused: name of an error class or of a verdict of the rules
    evidence: str  # values and limits, in words; recomputable
    weight: int  # in the sum; 0 unless admitted
    score: int  # of this round, signed fixed point


@dataclass(frozen=True)
class Standing:
    """A seat's running account."""

    trainer: bytes  # 20 bytes: whose seat it is, a trainer or not; zero: nobody's
    score_sum: int  # signed
    paid_scored: int  # wei earned through scores
    paid_base: int  # wei earned by stake, for sealing, and by the owner through rounding
    reputation: int  # fixed point, 10^6 is 1

    @property
    def earned(self) -> int:
        """Cumulative wei: the amount in the claim leaf."""
        return self.paid_scored + self.paid_base

    @property
    def leaf(self) -> merkle_sum.Leaf:
        """The claim leaf."""
        return merkle_sum.Leaf(self.trainer, self.earned, self.reputation.to_bytes(32, "big"))


@dataclass(frozen=True)
class Carried:
    """A column that one round's program hands to the next one's."""

    name: str
    cells: tuple[int, ...]  # row by row


@dataclass(frozen=True)
class RoundStart:
    """What a trainer needs to know of the rounds before its own: the same length however many take part.

    A bundle begins with it (`read_start`): the names of its fields sort before those of all that grows.
    """

    round: int  # the round that starts from this state
    model: bytes  # digest in the CID of the parent model's file: it only finds it
    model_root: bytes  # content root of that model's integers: its name on chain
    previous_models: tuple[bytes, ...]  # parents before it, newest first: algorithms may look back at them
    scale: ScaleSpec
    scale_path: tuple[bytes, ...]  # of the column that has the scale, to the tape's root; none in round 0


@dataclass(frozen=True)
class TaskState(RoundStart):
    """All that round r needs to know of the rounds before it; recomputable from their bundles."""

    seats: tuple[bytes, ...]  # whose each seat is: listed aggregators, the owner, trainers in order of joining
    state: tuple[Carried, ...]  # what the round's program handed on, in the order of its columns; none in round 0
    sums: tuple[bytes, ...]  # files of the earlier rounds' sums that are directions, newest first: they only find them

    @classmethod
    def first(cls, spec: TaskSpec) -> TaskState:
        """Return the state that round 0 starts from: a function of the rules alone."""
        return cls(
            round=0, model=spec.initial_model, model_root=spec.initial_root, previous_models=(),
            scale=spec.codec.initial_scale, scale_path=(), seats=(), state=(), sums=(),
        )  # fmt: skip

    @cached_property
    def standings(self) -> tuple[Standing, ...]:
        """The accounts, by seat. Raises DocumentInvalid where some lack: the state is read from a peer's document."""
        columns = {column.name: column.cells for column in self.state}
        named = [columns.get(name, ()) for name in _BY_SEAT]
        if not self.state:
            return ()
        if any(len(cells) != len(self.seats) for cells in named):
            raise DocumentInvalid(
                f"the state before round {self.round} has {len(self.seats)} seats, and other accounts"
            )
        return tuple(Standing(*each) for each in zip(self.seats, *named, strict=True))

    def earned_by(self, account: bytes) -> int:
        """Wei that an account has earned in all of its seats."""
        return sum(standing.earned for standing in self.standings if standing.trainer == account)

    @property
    def allotted(self) -> int:
        """Wei that all claims add up to."""
        return sum(standing.earned for standing in self.standings)


@dataclass(frozen=True)
class RoundBundle:
    """Everything claimed about one round."""

    chain_id: int
    ledger: bytes  # 20-byte address of RoundLedger
    task: int
    round: int
    life: int  # of the task when the round opened
    spec: bytes  # digest of the task spec
    aggregator: bytes  # 20 bytes
    before: TaskState
    entries: tuple[Entry, ...]
    verdicts: tuple[EntryVerdict, ...]  # one per entry, same order
    tape: bytes  # root of the round's cells
    columns: tuple[tuple[int, ...], ...]  # cells of the columns that a bundle tells (judging.tapes), row by row
    validation: tuple[str, ...]  # revealed validation slice as 0x rows, when worth is evaluated
    measured: bool  # whether worth was measured; if not, the pot went by stake
    divisor: int  # sum of unclipped weights: what the sum is divided by
    aggregate: bytes  # sha256 of the int32 little-endian sums' CID
    sums_root: bytes  # content root of the same sums
    after: TaskState
    blindings: tuple[int, ...] = ()  # layer P: sum of weight * blinding modulo r, one a chunk of the model

    def to_bytes(self) -> bytes:
        """Return the canonical document."""
        body = to_json(self)
        assert isinstance(body, dict)
        return canonical_json({"format": FORMAT, **body})

    @classmethod
    def from_bytes(cls, data: bytes) -> RoundBundle:
        """Read a document from the store (hash-checked, but written by the aggregator). Raises DocumentInvalid."""
        value = parse_canonical(data, what="round bundle")
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            raise DocumentInvalid(f"round bundle: format must be {FORMAT}; was it written by another version?")
        bundle: RoundBundle = from_json(cls, {k: v for k, v in value.items() if k != "format"}, "round bundle")
        if len(bundle.verdicts) != len(bundle.entries):
            raise DocumentInvalid("round bundle: verdicts do not match entries in number")
        check_ranges(bundle)
        return bundle

    @cached_property
    def roster(self) -> merkle_sum.Node:
        """Root and total stake of the entries that the aggregator rostered."""
        return merkle_sum.build(tuple(e.leaf for e in self.entries if not e.forced))

    def with_verdict(self, code: str) -> frozenset[bytes]:
        """Struct hashes of the receipts with this verdict."""
        pairs = zip(self.entries, self.verdicts, strict=True)
        return frozenset(entry.receipt.struct_hash() for entry, verdict in pairs if verdict.code == code)

    @cached_property
    def claims(self) -> merkle_sum.Node:
        """Root and total of the cumulative claims."""
        return merkle_sum.build(claim_leaves(self.after))


def check_ranges(bundle: RoundBundle) -> None:
    """Refuse numbers that no round can have, before anybody computes with them (its author is not trusted).

    A scale out of bounds alone would make its reader shift by it and ask for any amount of memory. Raises
    DocumentInvalid with the value and the limit.
    """
    for state in (bundle.before, bundle.after):
        check_scale(state.scale, what="round bundle: scale")
        for column in state.state:
            _check_cells(column.cells, column.name)
        for standing in state.standings:
            amounts = (standing.paid_scored, standing.paid_base, standing.reputation)
            if not all(0 <= value < MAX_NUMBER for value in amounts) or abs(standing.score_sum) >= MAX_NUMBER:
                raise DocumentInvalid(f"round bundle: standing of 0x{standing.trainer.hex()} is outside 127 bits")
    for number, cells in enumerate(bundle.columns):
        _check_cells(cells, f"told column {number}")
    numbers = (bundle.divisor, *(n for v in bundle.verdicts for n in (v.weight, v.score)))
    if not all(0 <= blinding < 2**256 for blinding in bundle.blindings):
        raise DocumentInvalid("round bundle: a blinding sum is outside 256 bits")
    if any(abs(number) >= MAX_NUMBER for number in numbers):
        raise DocumentInvalid("round bundle: a weight, score or divisor is outside 127 bits")


def _check_cells(cells: tuple[int, ...], name: str) -> None:
    if cells and not (RAW[0] <= min(cells) and max(cells) <= RAW[1]):
        raise DocumentInvalid(f"round bundle: a cell of {name} is outside 256 bits")


def read_start(data: bytes) -> RoundStart:
    """Read the state after a round from the first bytes of its bundle (hash-checked, but written by the aggregator).

    What `RoundBundle.from_bytes` takes has this state; a bundle that it refuses may have one, too. Raises
    DocumentInvalid.
    """
    end = data.find(_GROWING)
    if not data.startswith(_OPENING) or end < 0:
        raise DocumentInvalid("round bundle: it does not begin with the state after the round; was it cut short?")
    value = parse_canonical(data[len(_OPENING) : end] + b"}", what="round bundle: state after")
    start: RoundStart = from_json(RoundStart, value, "round bundle: state after")
    check_scale(start.scale, what="round bundle: scale")
    return start


def by_account(state: TaskState) -> dict[bytes, Standing]:
    """Return the account of everybody with a seat; of who has several the richest one, which is what it can claim.

    The escrow counts what an account claimed, not what its seats did.
    """
    found: dict[bytes, Standing] = {}
    for standing in state.standings:
        known = found.get(standing.trainer)
        if any(standing.trainer) and (known is None or known.earned < standing.earned):
            found[standing.trainer] = standing
    return found


def claim_leaves(state: TaskState) -> tuple[merkle_sum.Leaf, ...]:
    """Return the claim leaves of a state, by seat."""
    return tuple(standing.leaf for standing in state.standings)


def parse_roster(data: bytes) -> tuple[Entry, ...]:
    """Read the roster document of a strict round (unverified). Raises DocumentInvalid."""
    value = parse_canonical(data, what="roster")
    entries: tuple[Entry, ...] = from_json(tuple[Entry, ...], value, "roster")
    return entries


def roster_bytes(entries: tuple[Entry, ...]) -> bytes:
    """Return the canonical roster document: entries without their keys and what they show of their commitments."""
    bare = (replace(e, keys=(), keys_signature=b"", shown=NOTHING_SHOWN) for e in entries)
    return canonical_json(to_json(tuple(bare)))


def sha256(data: bytes) -> bytes:
    """Return the 32-byte digest that chain records and CIDs carry."""
    return hashlib.sha256(data).digest()
