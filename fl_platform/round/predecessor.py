"""How a successor comes by the entries of a roster that a predecessor left, or rids the task of it.

    the trainers hand in again what they signed  ->  the entries, if they make the root on chain
    else each leaf is asked for on chain         ->  shown: the entries, from there
                                                     not shown in time: the roster falls, the round is open again
    else, or where there is no time for that     ->  the successor passes

Asking costs the task's ask bond a leaf. It comes back where nobody shows the leaf, with a part of the maker's bond.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from fl_platform.dispute.rosters import (
    LeafAsked,
    Listed,
    Rosters,
    RosterTalk,
    answer_time,
    descends_at,
    drawn_places,
    leaf_of,
    listed_at,
)
from fl_platform.dispute.targets import EntryShown
from fl_platform.errors import (
    AuditDifference,
    CidMismatch,
    RejectedInput,
    StoreMissing,
    TransactionReverted,
    WalletError,
)
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.reveals import NO_PACKAGE
from fl_platform.protocol.bundle import Entry, RoundBundle
from fl_platform.protocol.keypackage import has_package
from fl_platform.protocol.messages import RoundOrder
from fl_platform.protocol.receipt import check_signature
from fl_platform.round.collecting import Collector
from fl_platform.round.key_packages import with_package
from fl_platform.round.waiting import PAUSE_S, Progress, Transport, Watch, margin
from fl_platform.task.reading import TaskReader
from fl_platform.task.stakes import anchor, stake_among

logger = logging.getLogger(__name__)


class RosterNotToBeHad(Exception):
    """Why a roster can neither be put together nor made to fall before the successor's own window ends."""


@dataclass(frozen=True)
class Predecessor:
    """One successor's work about the roster of one round."""

    reader: TaskReader
    contracts: Contracts
    collector: Collector
    wait_until: Callable[[int], None]
    watch: Watch
    pause: Callable[[float], None]

    def entries(self, order: RoundOrder, transport: Transport) -> tuple[Entry, ...] | None:
        """Return the entries of the roster on chain, each signed; None once it fell. Raises RosterNotToBeHad."""
        record = self.reader.history().rounds[order.round].roster
        assert record is not None
        answers: Mapping[bytes, Entry] = {}
        try:
            made, answers = self._handed_in_again(order, transport)
            return self._checked(order.round, made)
        except (AuditDifference, RejectedInput, StoreMissing, CidMismatch) as error:
            why = f"the roster that a predecessor left is not to be had: {error}"
        if not Rosters.there(self.contracts) or record.aggregator == self.contracts.address:
            raise RosterNotToBeHad(why)  # an own one would fall by the own question
        return self._asked(listed_at(self.reader, order.round, record), answers, why, once=transport.once)

    # --- from the trainers ---

    def _handed_in_again(
        self, order: RoundOrder, transport: Transport
    ) -> tuple[tuple[Entry, ...], Mapping[bytes, Entry]]:
        """Ask the trainers for what they handed in; return entries with all that they answered.

        Who was on the roster, a seal that fell tells if there is one.
        """
        history = self.reader.history()
        record, stakes = history.rounds[order.round], history.members_at_roster(order.round)
        forced = {item.receipt.trainer for item in record.forced}
        listed: Sequence[Entry] = ()
        among = frozenset(stakes.keys() - forced) | anchor(self.reader.spec)
        told = self._tells(order.round)
        if told:
            listed = RoundBundle.from_bytes(self.reader.object(record.overturned[-1].bundle)).entries
            among = frozenset(entry.receipt.trainer for entry in listed if not entry.forced)
        rostered = len(among) if record.roster is None else record.roster.count
        answers = self.collector.rostered(order, transport, among, rostered)
        if told:
            entries = [self._with_keys(old, answers.get(old.receipt.trainer)) for old in listed if not old.forced]
        else:
            entries = [
                replace(answers[who], stake=stake_among(self.reader, stakes, who))
                for who in sorted(answers.keys() - forced)
            ]
        return tuple(entries), answers

    def _tells(self, round_number: int) -> bool:
        """Whether a seal that fell is of the roster that stands: another's bundle tells of other trainers."""
        record = self.reader.history().rounds[round_number]
        if not record.overturned or record.roster is None:
            return False
        return record.overturned[-1].roster_digest == record.roster.digest(self.reader.task, round_number)

    def _with_keys(self, old: Entry, answer: Entry | None) -> Entry:
        """An entry that others tell, with keys that its trainer signed: those sent again, else those there."""
        if answer is not None and answer.receipt == old.receipt and answer.keys:
            return with_package(old, (answer.keys, answer.keys_signature), answer.shown)
        return old if has_package(old, self.reader.domain, self.reader.spec) else with_package(old, NO_PACKAGE)

    def _checked(self, round_number: int, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        """Return entries that are the roster's. Who seals it answers for every leaf of it."""
        self.reader.check_roster(round_number, entries)
        for entry in entries:
            check_signature(entry.signed, self.reader.domain)
        return entries

    # --- on chain ---

    def _asked(
        self, listed: Listed, answers: Mapping[bytes, Entry], why: str, *, once: bool
    ) -> tuple[Entry, ...] | None:
        """Ask for leaves and wait for what comes of it."""
        rosters = Rosters(self.contracts, self.contracts.signer)
        drawn = drawn_places(listed.record.count, rosters.record(listed).shown.keys())
        self._ask(rosters, listed, drawn, why)
        while listed.stands(history := self.reader.history()):
            talk, life = rosters.record(listed), history.head.life
            if overdue := talk.overdue(life, history.block.timestamp):
                self._try(partial(rosters.lapse, listed, overdue[0].index))
                if listed.stands(self.reader.history()):
                    self._rest(f"{why}; it does not fall now", once=once)
                continue
            waiting = talk.waiting(life)
            if not waiting:
                return self._shown(rosters, listed, talk, answers, why)
            self._await(waiting, why, once=once)
        self.watch(Progress(listed.round, "wait", "the roster that a predecessor left fell; the round is open again"))
        return None

    def _ask(self, rosters: Rosters, listed: Listed, drawn: Sequence[int], why: str) -> None:
        """Ask for leaves that nobody asked for yet, as long as the wallet pays for it."""
        talk, history = rosters.record(listed), self.reader.history()
        waiting = talk.waiting(history.head.life)
        known = {*talk.shown, *(asked.index for asked in waiting)}
        if self._now() + answer_time(self.reader.spec.windows) >= self._last():
            if waiting:
                return  # it may be in time what others asked for
            raise RosterNotToBeHad(f"{why}; no answer about it would be due before this window ends")
        told = f"{why}; asking for {len(drawn)} of its {listed.record.count} leaves on chain"
        self.watch(Progress(listed.round, "wait", told))
        for place, index in enumerate(drawn):
            try:
                if index not in known:
                    self._try(partial(rosters.ask, listed, index))
            except WalletError as error:
                if place == 0 and not waiting:
                    raise RosterNotToBeHad(f"{why}; nothing can be asked about it: {error}") from error
                logger.warning("round %d: %d leaves were asked for, no more: %s", listed.round, place, error)
                return

    def _shown(
        self, rosters: Rosters, listed: Listed, talk: RosterTalk, answers: Mapping[bytes, Entry], why: str
    ) -> tuple[Entry, ...] | None:
        """Put together what was shown, with what the trainers sent where the chain has not all."""
        entries = {index: self._entry(*leaf, answers) for index, leaf in talk.shown.items()}
        if len(entries) == listed.record.count:
            told = tuple(entries[index] for index in range(listed.record.count))
            if (place := descends_at(told)) is not None:
                self._refute(rosters, listed, told, place)
                return None
        else:
            on_chain = {entry.receipt.trainer: entry for entry in entries.values()}
            stakes = self.reader.history().members_at_roster(listed.round)
            sent = {who: replace(e, stake=stake_among(self.reader, stakes, who)) for who, e in answers.items()}
            both = {**sent, **on_chain}
            told = tuple(both[who] for who in sorted(both))
        try:
            return self._checked(listed.round, told)
        except (AuditDifference, RejectedInput) as error:
            raise RosterNotToBeHad(f"{why}; what was asked for is shown, and the rest is not: {error}") from error

    def _entry(self, shown: EntryShown, signature: bytes, answers: Mapping[bytes, Entry]) -> Entry:
        told = Entry(shown.receipt, signature, shown.stake, (), b"", forced=False)
        return self._with_keys(told, answers.get(shown.receipt.trainer))

    def _refute(self, rosters: Rosters, listed: Listed, told: Sequence[Entry], place: int) -> None:
        first, second = leaf_of(told, place), leaf_of(told, place + 1)
        self._try(partial(rosters.refute, listed, place, first, second))
        if listed.stands(self.reader.history()):
            raise RosterNotToBeHad("its leaves do not ascend, and it did not fall by that")

    # --- waiting ---

    def _await(self, waiting: Sequence[LeafAsked], why: str, *, once: bool) -> None:
        """Wait for the next block that may change anything. Raises RosterNotToBeHad where none comes in time."""
        due, last = min(asked.deadline for asked in waiting), self._last()
        if due >= last or self._now() >= last:
            raise RosterNotToBeHad(f"{why}; no answer about it is due before this window ends")
        if once:  # nobody else is here to answer
            self.wait_until(due)
        else:
            self.pause(PAUSE_S)

    def _rest(self, why: str, *, once: bool) -> None:
        """Try again later: a dispute about an earlier seal keeps every roster from falling until it is decided."""
        if once or self._now() >= self._last():
            raise RosterNotToBeHad(why)
        self.pause(PAUSE_S)

    def _now(self) -> int:
        return self.contracts.chain.next_time()

    def _last(self) -> float:
        """When the successor passes at the latest, seconds of block time."""
        first, due = self.contracts.window(self.reader.task)
        return due - margin(due - first)

    def _try(self, move: Callable[[], object]) -> None:
        """Make a move that somebody else may make first."""
        try:
            move()
        except TransactionReverted as error:
            logger.info("%s", error)
