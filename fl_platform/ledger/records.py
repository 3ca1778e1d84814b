"""The contracts' structs as frozen dataclasses, field by field in Solidity's order, and the digests the ring keeps.

Twins of IRoundLedger, ITaskRegistry and IEscrow. Amounts in wei, times in Unix seconds, addresses 20 bytes.

Tests: tests/unit/ledger/test_events.py
"""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Any, TypeVar

from eth_abi.abi import encode

from fl_platform.chain.abi import plain
from fl_platform.chain.types import Admission, Phase
from fl_platform.errors import IntegrityError
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.merkle_sum import Leaf, Proof
from fl_platform.protocol.spec import Windows

T = TypeVar("T")
LIVES = 256  # of a task: after so many rosters and seals that fell, life 0 comes again


@dataclass(frozen=True)
class TaskParams:
    """Everything that a task fixes at its opening."""

    token: bytes
    bounty: int  # pot * rounds
    pot: int
    stake: int
    bond: int
    rounds: int
    admission: Admission
    fee_bps: int
    allow_root: bytes
    spec: bytes  # sha256
    program: bytes  # root of the program that decides rounds, zero: none
    rules: bytes  # root of the words of the rules, zero: none
    windows: Windows
    aggregators: tuple[bytes, ...]


@dataclass(frozen=True)
class Ticket:
    """What the caller of `join` shows for its admission."""

    proof: tuple[bytes, ...] = ()
    deadline: int = 0
    signature: bytes = b""


@dataclass(frozen=True)
class TaskRecord:
    """What the registry keeps of a task."""

    owner: bytes
    stake: int
    bond: int
    unbonding: int
    members: int
    admission: Admission
    ended: bool
    spec: bytes
    allow_root: bytes
    program: bytes
    rules: bytes


@dataclass(frozen=True)
class Head:
    """The head slot of a task."""

    aggregator: bytes
    time: int  # when the current phase began, less frozen time
    round: int  # being worked on; equals `rounds` when all are sealed
    rounds: int
    index: int
    phase: Phase
    bonded: bool
    takeover: bool
    forced: bool
    challenged: bool
    has_bonus: bool
    closed: bool
    life: int  # how often a roster or a seal of the task fell, modulo 256


@dataclass(frozen=True)
class Member:
    """One account's place in one task."""

    stake: int
    credit: int
    claimed: int
    flags: int  # see MemberFlags


@dataclass(frozen=True)
class Tenure:
    """When an account was a trainer of a task; zeros for one that never was. Every field is written once."""

    joined_stake: int  # wei
    joined_at: int
    left_at: int  # asked to leave, or a slash first left less than the task's stake; 0: neither
    seat: int  # number in the task, from FIRST_SEAT on, in the order of joining


class MemberFlag(IntEnum):
    """Bits of `Member.flags` (contracts/libraries/MemberFlags.sol)."""

    TRAINER = 1
    AGGREGATOR = 2
    LEAVING = 4
    RESIDUAL = 8
    COMPENSATED = 16
    RESIDUAL_PAID = 32


@dataclass(frozen=True)
class Account:
    """One task's pot."""

    funded: int
    paid: int


@dataclass(frozen=True)
class ClosedBooks:
    """Compensation or residual money of a closed task."""

    total: int
    paid: int
    closed_at: int
    per_share: int
    swept: bool
    seats: int  # trainers with a seat below it have a residual share, unless they left before the end


@dataclass(frozen=True)
class RosterRecord:
    """What a roster left on chain."""

    root: bytes
    count: int
    total_stake: int
    seats: int  # of the task when it closed
    rostered_at: int
    aggregator: bytes
    life: int  # in which the round opened

    def digest(self, task: int, round_number: int) -> bytes:
        """Return what the ring keeps: keccak256(abi.encode(task, round, record))."""
        kinds = ["uint256", "uint256", "bytes32", "uint32", "uint128", "uint32", "uint40", "address", "uint8"]
        return keccak256(encode(kinds, [task, round_number, *plain(self)]))


@dataclass(frozen=True)
class SealInput:
    """What an aggregator seals."""

    bundle: bytes  # sha256 in the bundle's CID
    model: bytes  # content root of the new model
    trace: bytes
    as_of: int  # up to when the seal takes note of what was shown against receipts
    claim_root: bytes
    claim_total: int
    claim_count: int


@dataclass(frozen=True)
class SealRecord:
    """What a seal left on chain."""

    roster_digest: bytes
    bundle: bytes
    model: bytes
    trace: bytes
    as_of: int
    forced: int  # how many receipts were forced into the round
    claim_root: bytes
    claim_total: int
    claim_count: int
    sealed_at: int
    aggregator: bytes

    def claim_record(self, round_number: int, windows: Windows) -> ClaimRecord:
        """Return what claims need of this seal. Twin of RoundLedger.claimRecord."""
        digests = [self.roster_digest, self.bundle, self.model, self.trace]
        kinds = [*["bytes32"] * 4, "uint40", "uint32", "address"]
        return ClaimRecord(
            content=keccak256(encode(kinds, [*digests, self.as_of, self.forced, self.aggregator])),
            claim_root=self.claim_root,
            claim_total=self.claim_total,
            claim_count=self.claim_count,
            final_at=self.sealed_at + windows.challenge,
            slot=round_number % ring_size(windows),
        )


@dataclass(frozen=True)
class ClaimRecord:
    """What claims must know of a seal, and what the ring keeps the digest of."""

    content: bytes
    claim_root: bytes
    claim_total: int
    claim_count: int
    final_at: int  # first second at which the round is final
    slot: int

    def digest(self, task: int, round_number: int) -> bytes:
        """Return what the ring keeps: keccak256(abi.encode(task, round, record))."""
        kinds = ["uint256", "uint256", "bytes32", "bytes32", "uint128", "uint32", "uint40", "uint8"]
        return keccak256(encode(kinds, [task, round_number, *plain(self)]))


def ring_size(windows: Windows) -> int:
    """Return how many rounds' digests the ledger keeps: ceil(challenge / minRound) + 1."""
    return -(-windows.challenge // windows.min_round) + 1


NO_SEAL = SealRecord(bytes(32), bytes(32), bytes(32), bytes(32), 0, 0, bytes(32), 0, 0, 0, bytes(20))
NO_ROSTER = RosterRecord(bytes(32), 0, 0, 0, 0, bytes(20), 0)  # where none stands
NO_CLAIMS = ClaimRecord(bytes(32), bytes(32), 0, 0, 0, 0)  # where no round is sealed


@dataclass(frozen=True)
class ContentLeafRecord:
    """Contents.Leaf: 128 integers with their way to a content root."""

    blind: bytes  # 32 bytes
    body: bytes
    siblings: tuple[bytes, ...]


@dataclass(frozen=True)
class LeafRecord:
    """One leaf of a Merkle-sum tree, as calls carry it."""

    index: int
    owner: bytes
    amount: int
    data: bytes

    @classmethod
    def of(cls, index: int, leaf: Leaf) -> LeafRecord:
        """Return leaf number `index`."""
        return cls(index, leaf.owner, leaf.amount, leaf.data)


def pack_siblings(proof: Proof) -> bytes:
    """Return a proof's path from the bottom, 48 bytes a sibling: sum (u128), then hash."""
    return b"".join(node.total.to_bytes(16, "big") + node.digest for node in proof.siblings)


def pack_leaves(leaves: tuple[Leaf, ...]) -> bytes:
    """Return claim leaves in tree order, 52 bytes each: owner, amount (u128), reputation (u128)."""
    return b"".join(leaf.owner + leaf.amount.to_bytes(16, "big") + leaf.data[16:] for leaf in leaves)


def struct(kind: type[T], values: tuple[Any, ...]) -> T:
    """Build a dataclass from a decoded struct (from the chain). Raises IntegrityError when ABI and class differ."""
    hints = _hints(typing.cast(Any, kind))
    if len(hints) != len(values):
        raise IntegrityError(f"{kind.__name__} has {len(hints)} fields, the chain's has {len(values)}; reinstall")
    return kind(*(_value(hint, value) for hint, value in zip(hints, values, strict=True)))


def _value(hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return struct(hint, value)
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return hint(value)
    return value


@cache
def _hints(kind: Any) -> tuple[Any, ...]:
    hints = typing.get_type_hints(kind)
    return tuple(hints[field.name] for field in dataclasses.fields(kind))
