"""A task's whole life, rebuilt from the events of the surviving chain: what every role and the auditor start from.

Nothing is remembered across a reorganisation: a history is a pure function of the events up to one block, and of the
head slot at that block. `folding.fold` turns events into it; `contracts.Contracts.history` fetches them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fl_platform.chain.types import Admission, BlockRef, Phase, RoundState
from fl_platform.ledger import events as ev
from fl_platform.ledger.records import ClaimRecord, Head, RosterRecord, SealRecord
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.receipt import Receipt
from fl_platform.protocol.spec import BASIS, Windows

LATENESS_BPS = 1_000  # of a round's pot, rounded up: what a missed deadline costs. Twin of Succession.LATENESS_BPS


@dataclass(frozen=True)
class OpenedTask:
    """What the owner fixed, as the contracts enforce it."""

    owner: bytes
    token: bytes
    pot: int  # wei a round
    rounds: int
    stake: int  # wei, least of a trainer
    bond: int  # wei, least of an aggregator
    fee_bps: int
    admission: Admission
    allow_root: bytes
    spec: bytes  # sha256 of the task spec
    program: bytes  # root of the program that judges its rounds
    rules: bytes  # root of the terms that the program reads
    windows: Windows
    aggregators: tuple[bytes, ...]
    opened_at: int  # seconds
    place: ev.Place

    @property
    def bounty(self) -> int:
        """Wei in escrow at the opening."""
        return self.pot * self.rounds


@dataclass(frozen=True)
class Forced:
    """A receipt that a trainer put on chain itself."""

    receipt: Receipt
    signature: bytes
    seat: int  # the trainer's

    @property
    def digest(self) -> bytes:
        """What the ledger keeps of it: keccak256(abi.encode(seat, trainer, receipt struct hash))."""
        words = (self.seat.to_bytes(32, "big"), self.receipt.trainer.rjust(32, b"\0"), self.receipt.struct_hash())
        return keccak256(b"".join(words))


@dataclass(frozen=True)
class RoundHistory:
    """One round as the chain tells it."""

    number: int
    opened_at: int | None = None  # seconds; None: not reached (or void and not reached again)
    roster: RosterRecord | None = None
    seal: SealRecord | None = None
    sealed_at_place: ev.Place | None = None
    forced: tuple[Forced, ...] = ()
    # by trainer that had joined and not left when the roster closed: what it joined with, wei
    stakes: Mapping[bytes, int] = field(default_factory=dict)
    challenged: bool = False
    void: bool = False  # its roster or seal fell with an earlier round's
    fallen: tuple[RosterRecord, ...] = ()  # rosters of it that fell before a seal stood on them, oldest first
    overturned: tuple[SealRecord, ...] = ()  # seals that a dispute or an earlier round's dispute voided, oldest first


@dataclass(frozen=True)
class Replacement:
    """A missed deadline, or a round that an aggregator passed on."""

    round: int
    late: bytes
    successor: bytes  # zero: nobody was left
    slashed: int
    passed: bool = False


@dataclass(frozen=True)
class TaskHistory:
    """A task up to one block."""

    task: int
    block: BlockRef
    opened: OpenedTask
    head: Head
    rounds: tuple[RoundHistory, ...]  # every round reached so far, and the head's
    members: Mapping[bytes, int]  # trainers whose stake is locked: what each joined with, wei
    bindings: Mapping[bytes, bytes]  # trainer -> digest of its two-sided binding
    seats: Mapping[bytes, int]  # of everybody that ever joined: its number in the task
    leaving: frozenset[bytes]  # accounts that asked for their stake
    bonded: frozenset[bytes]  # aggregators with a bond
    stakes: Mapping[bytes, int]  # everybody's locked wei
    bonus: int  # slashed wei that seals allot
    voids: int  # how many rosters and seals fell
    replacements: tuple[Replacement, ...]
    claimed: Mapping[bytes, int]  # wei credited by claims, cumulative
    withdrawn: Mapping[bytes, int]  # wei
    released: Mapping[bytes, int]  # wei from the pot that are no claims: refunds, compensation, residual shares
    reputation_rounds: tuple[int, ...]
    closed: ev.TaskClosed | None
    ended: bool
    events: tuple[ev.Event, ...]
    rosters: tuple[tuple[int, RosterRecord], ...] = ()  # all that there ever were, with their rounds, oldest first

    def members_at_roster(self, round_number: int) -> Mapping[bytes, int]:
        """Return trainers and stakes (wei) when the round's roster closed; those of now while it is open.

        Of a closed one what the escrow's tenures say (`ISources`): whoever asked to leave before has none, though its
        stake is still locked.
        """
        if round_number < len(self.rounds) and self.rounds[round_number].roster is not None:
            return self.rounds[round_number].stakes
        return self.members

    def joined_at_roster(self, round_number: int) -> tuple[bytes, ...]:
        """Return all trainers with a seat when the round's roster closed, in order; of now while it is open."""
        roster = self.rounds[round_number].roster if round_number < len(self.rounds) else None
        ordered = sorted(self.seats, key=self.seats.__getitem__)
        return tuple(who for who in ordered if roster is None or self.seats[who] < roster.seats)

    def life_of(self, round_number: int) -> int:
        """Return the life in which a round opened: its roster says it; the head's while there is none."""
        roster = self.rounds[round_number].roster if round_number < len(self.rounds) else None
        return self.head.life if roster is None else roster.life

    def allotted(self, round_number: int) -> int:
        """Return what the seal of a round allots in all rounds up to it, wei; of one without a seal, what it would now.

        A seal may leave what was slashed in its window to the next one, so only the seal says what it allotted.
        """
        seal = self.rounds[round_number].seal if round_number < len(self.rounds) else None
        return self.opened.pot * (round_number + 1) + self.bonus if seal is None else seal.claim_total

    def successor(self) -> bytes:
        """Return who takes over when the current aggregator is late, 20 bytes; empty when nobody is left."""
        place = self.head.index + 1
        return self.opened.aggregators[place] if place < len(self.opened.aggregators) else b""

    def fine_if_late(self) -> int:
        """Return what a missed deadline costs the current aggregator now, wei. Twin of Succession.advance."""
        bond = self.stakes.get(self.head.aggregator, 0) if self.head.aggregator in self.bonded else 0
        whole = not self.successor() and self.head.phase is Phase.ROSTERED
        return bond if whole else min(bond, -(-self.opened.pot * LATENESS_BPS // BASIS))

    def claim_record(self, round_number: int) -> ClaimRecord | None:
        """Return what claims from a round bring along, None when it is not sealed."""
        seal = self.rounds[round_number].seal if 0 <= round_number < len(self.rounds) else None
        return None if seal is None else seal.claim_record(round_number, self.opened.windows)

    def final_at(self, round_number: int) -> int | None:
        """Return when the round's challenge window ends (seconds), None when it is not sealed."""
        seal = self.rounds[round_number].seal if round_number < len(self.rounds) else None
        return None if seal is None else seal.sealed_at + self.opened.windows.challenge

    def falls_until(self) -> int:
        """Return until when the roster of a task that ended compensated can fall, seconds; 0 where none ended one.

        A dispute that is open makes it longer. Twin of LedgerState._closableFrom.
        """
        return self.head.time + self.opened.windows.takeover if self.head.phase is Phase.COMPENSATED else 0

    def closes_at(self) -> int:
        """Return from when the books of a task that has ended can be closed, seconds; a dispute makes it longer."""
        final = self.final_at(self.head.round - 1) if self.head.round else None
        return max(final or 0, self.falls_until())

    def last_final(self, now: int) -> RoundHistory | None:
        """Return the latest round that is final at block time `now`: the one to claim from."""
        blocked = next((r.number for r in self.rounds if r.challenged), len(self.rounds))
        final = (r for r in self.rounds[:blocked] if r.seal and r.seal.sealed_at + self.opened.windows.challenge <= now)
        return max(final, key=lambda r: r.number, default=None)

    def state(self, round_number: int, now: int) -> RoundState:
        """Return a round's state at block time `now`. Twin of RoundLedger.roundState."""
        if round_number >= self.opened.rounds:
            return RoundState.NONE
        if round_number == self.head.round:
            return _HEAD_STATES[self.head.phase]
        if round_number >= len(self.rounds):
            return RoundState.NONE
        found = self.rounds[round_number]
        if round_number > self.head.round:
            return RoundState.VOID if found.void else RoundState.NONE
        if found.challenged:
            return RoundState.CHALLENGED
        last = self.last_final(now)
        return RoundState.FINAL if last is not None and round_number <= last.number else RoundState.SEALED


_HEAD_STATES = (
    RoundState.NONE,
    RoundState.OPEN,
    RoundState.ROSTERED,
    RoundState.NONE,
    RoundState.REFUNDED,
    RoundState.COMPENSATED,
)
