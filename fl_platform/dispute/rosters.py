"""Rosters as targets of their own: what was asked and shown of one that is not sealed, and every move that can be made.

See contracts/interfaces/IRosters.sol. Amounts in wei, times in seconds of block time.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from random import SystemRandom
from typing import Any

from fl_platform.chain.abi import Decoded
from fl_platform.chain.client import Planned
from fl_platform.chain.journal import Step
from fl_platform.chain.signer import Signer, require_signer
from fl_platform.chain.types import Phase, TxReceipt
from fl_platform.dispute.referee import CONTRACT, Referee
from fl_platform.dispute.targets import EntryShown, decoded_entry, encoded_entry
from fl_platform.errors import DocumentInvalid
from fl_platform.judging.program import terms_of
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.evidence import send_evidence
from fl_platform.ledger.history import TaskHistory
from fl_platform.ledger.records import RosterRecord, pack_siblings
from fl_platform.protocol import merkle_sum
from fl_platform.protocol.bundle import Entry
from fl_platform.protocol.spec import Windows
from fl_platform.protocol.terms import Terms
from fl_platform.task.reading import TaskReader

logger = logging.getLogger(__name__)

LEAVES = 32  # asked for at once: a bond each; of many, a maker that hides one is found out with some chance only


@dataclass(frozen=True)
class Listed:
    """A roster as calls name it."""

    task: int
    round: int
    record: RosterRecord
    terms: Terms

    @cached_property
    def digest(self) -> bytes:
        """What the ring keeps and events name it by, 32 bytes."""
        return self.record.digest(self.task, self.round)

    def stands(self, history: TaskHistory) -> bool:
        """Whether it can fall: it is not sealed, or ended its task compensated a short time ago.

        Twin of contracts/dispute/Rosters.sol.
        """
        head = history.head
        if head.round != self.round or history.rounds[self.round].roster != self.record:
            return False
        if head.phase is Phase.COMPENSATED:
            return head.challenged or history.block.timestamp < history.falls_until()
        return head.phase is Phase.ROSTERED


def listed_at(reader: TaskReader, number: int, record: RosterRecord) -> Listed:
    """Return a round's roster as calls name it."""
    return Listed(reader.task, number, record, terms_of(reader.spec))


def standing(reader: TaskReader) -> Listed | None:
    """Return the task's roster that can fall; None where there is none."""
    history = reader.history()
    number = history.head.round
    record = history.rounds[number].roster if number < len(history.rounds) else None
    listed = None if record is None else listed_at(reader, number, record)
    return listed if listed is not None and listed.stands(history) else None


def answer_time(windows: Windows) -> int:
    """Return how long an answer may take, seconds. Twin of contracts/dispute/Rosters.sol."""
    return windows.takeover // 2


@dataclass(frozen=True)
class LeafAsked:
    """A leaf that was asked for."""

    index: int
    life: int  # of the task when it was
    asker: bytes
    deadline: int


@dataclass(frozen=True)
class RosterTalk:
    """What is on chain about one roster."""

    shown: Mapping[int, tuple[EntryShown, bytes]] = field(default_factory=dict)  # by leaf: entry, its signature
    asked: tuple[LeafAsked, ...] = ()  # in order; what a later life asked again is there twice
    answered: frozenset[tuple[int, int]] = frozenset()  # life and leaf: shown in one life says nothing in the next

    def waiting(self, life: int) -> tuple[LeafAsked, ...]:
        """Return what was asked for in a life and not shown."""
        return tuple(asked for asked in self._open() if asked.life == life)

    def unshown(self, asker: bytes) -> tuple[LeafAsked, ...]:
        """Return what an account asked for, in any life, and nobody showed."""
        return tuple(asked for asked in self._open() if asked.asker == asker)

    def _open(self) -> Iterator[LeafAsked]:
        return (asked for asked in self.asked if (asked.life, asked.index) not in self.answered)

    def overdue(self, life: int, now: int) -> tuple[LeafAsked, ...]:
        """Return what nobody showed in time."""
        return tuple(asked for asked in self.waiting(life) if now >= asked.deadline)


class Rosters:
    """The contract as one wallet uses it; without a signer it only reads."""

    def __init__(self, contracts: Contracts, signer: Signer | None = None) -> None:
        """Raises ConfigError where the deployment has no disputes."""
        self._contracts, self._signer = contracts, signer
        self._contract = contracts.deployment.contract(CONTRACT)

    @staticmethod
    def there(contracts: Contracts) -> bool:
        """Whether the deployment has disputes."""
        return Referee.there(contracts)

    @property
    def signer(self) -> Signer | None:
        """Who sends; None: reads only."""
        return self._signer

    # --- reading ---

    def record(self, listed: Listed) -> RosterTalk:
        """Return what was asked and shown about a roster."""
        return self.records(listed.task).get(listed.digest, RosterTalk())

    def records(self, task: int) -> Mapping[bytes, RosterTalk]:
        """Return it of all rosters that anything was asked about since a task's opening, by digest."""
        first = self._contracts.history(task).opened.place.block
        found: dict[bytes, list[Decoded]] = {}
        names = ("RosterAsked", "RosterShown")
        for event in self._contracts.chain.events([self._contract], first=first, names=names):
            found.setdefault(bytes(event.values["roster"]), []).append(event)
        return {digest: _talk(events) for digest, events in found.items()}

    def locked(self, task: int) -> int:
        """Return what the wallet's bonds in a task's disputes sum to, wei."""
        asker = require_signer(self._signer).address
        return int(self._contracts.chain.read(self._contracts.escrow, "bondOf", task, asker))

    # --- moves ---

    def ask(self, listed: Listed, index: int) -> TxReceipt | None:
        """Ask for a leaf; the wallet's ask bond is the maker's once it is shown. Raises WalletError without as much."""
        life = self._contracts.history(listed.task).head.life
        step = self._step(listed, f"ask leaf {index} in life {life}")
        self._contracts.approve(self._contracts.token_of(listed.task), listed.terms.ask_bond, step)
        return self._send(listed, "askRoster", index, step=step)

    def show(self, listed: Listed, index: int, entry: EntryShown, signature: bytes) -> TxReceipt | None:
        """Show a leaf, with its trainer's signature; the asker's bond becomes the maker's credit."""
        return self._sent(self.showing(listed, index, entry, signature))

    def showing(self, listed: Listed, index: int, entry: EntryShown, signature: bytes) -> Planned:
        """Return the call by which `show` shows a leaf, to be sent with others."""
        life = self._contracts.history(listed.task).head.life
        step = self._step(listed, f"show leaf {index} in life {life}")
        return self._planned(listed, "showRoster", index, encoded_entry(entry), signature, step=step)

    def lapse(self, listed: Listed, index: int) -> TxReceipt | None:
        """End a question that nobody answered in time: the roster falls."""
        aggregators = self._contracts.history(listed.task).opened.aggregators
        life = self._contracts.history(listed.task).head.life
        step = self._step(listed, f"lapse leaf {index} in life {life}")
        return self._send(listed, "lapseRoster", index, aggregators, step=step)

    def reclaim(self, listed: Listed, asked: LeafAsked) -> TxReceipt | None:
        """Give the bond of a question back to its asker, whose roster stands no more."""
        step = self._step(listed, f"reclaim leaf {asked.index} of life {asked.life}")
        return self._send(listed, "reclaimRoster", asked.index, asked.life, step=step)

    def refute(self, listed: Listed, index: int, first: EntryShown, second: EntryShown) -> TxReceipt | None:
        """Show that leaves `index` and `index + 1` do not ascend by trainer: the roster falls.

        Raises TransactionReverted (trial run, nothing paid) where they do.
        """
        signer, step = require_signer(self._signer), self._step(listed, f"refute leaf {index}")
        arguments = (
            listed.task, listed.round, listed.record, index, encoded_entry(first), encoded_entry(second),
            self._contracts.history(listed.task).opened.aggregators,
        )  # fmt: skip
        chain = self._contracts.chain
        return send_evidence(
            chain, self._contract, self._contract, "refuteRoster", *arguments, signer=signer, step=step
        )

    def _send(self, listed: Listed, function: str, *arguments: Any, step: Step) -> TxReceipt | None:
        return self._sent(self._planned(listed, function, *arguments, step=step))

    def _planned(self, listed: Listed, function: str, *arguments: Any, step: Step) -> Planned:
        named = listed.task, listed.round, listed.record, listed.terms.facts()
        return Planned(self._contract, function, (*named, *arguments), step)

    def _sent(self, one: Planned) -> TxReceipt | None:
        signer = require_signer(self._signer)
        return self._contracts.chain.send(one.contract, one.function, *one.arguments, signer=signer, step=one.step)

    @staticmethod
    def _step(listed: Listed, name: str) -> Step:
        """Name what is done once about a roster; a leaf is asked for once a life."""
        return Step(listed.task, listed.round, f"{name} of roster 0x{listed.digest.hex()[:16]}")


def _talk(events: Sequence[Decoded]) -> RosterTalk:
    shown: dict[int, tuple[EntryShown, bytes]] = {}
    asked: list[LeafAsked] = []
    answered: set[tuple[int, int]] = set()
    lives: dict[int, int] = {}  # by leaf, in which it was asked for last: what is shown answers that
    for event in events:
        values, index = event.values, int(event.values["index"])
        if event.name != "RosterShown":
            lives[index] = int(values["life"])
            asked.append(LeafAsked(index, lives[index], bytes(values["asker"]), int(values["deadline"])))
            continue
        answered.add((lives[index], index))
        try:
            shown[index] = decoded_entry(bytes(values["entry"])), bytes(values["signature"])
        except DocumentInvalid as error:  # anybody may show a leaf, in bytes that the chain does not look at
            logger.warning("leaf %d: %s", index, error)
    return RosterTalk(shown, tuple(asked), frozenset(answered))


def leaf_of(entries: Sequence[Entry], index: int) -> EntryShown:
    """Return leaf `index` of a roster of these entries, with its way to the root."""
    leaves = tuple(entry.leaf for entry in entries)
    return EntryShown(entries[index].receipt, entries[index].stake, pack_siblings(merkle_sum.prove(leaves, index)))


def descends_at(entries: Sequence[Entry]) -> int | None:
    """Return the first place whose trainer's address is not below the next one's; None where all ascend."""
    owners = [entry.receipt.trainer for entry in entries]
    return next((i for i in range(len(owners) - 1) if owners[i] >= owners[i + 1]), None)


def drawn_places(count: int, known: Collection[int] = ()) -> tuple[int, ...]:
    """Draw the leaves to ask for, of those not `known`: all of few, else at random, so that nobody knows which need not
    be there."""
    left = [index for index in range(count) if index not in known]
    return tuple(left) if len(left) <= LEAVES else tuple(sorted(SystemRandom().sample(left, LEAVES)))
