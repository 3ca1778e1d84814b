"""How an aggregator collects: it asks who is missing again until near what the chain allows, and takes answers in.

What was accepted is kept in the role's folder: one that was killed and started again waits for the others only.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fl_platform.errors import (
    NotEnoughTrainers,
    ReceiptDuplicate,
    ReceiptForeign,
    ReceiptParentMismatch,
    ReceiptReplayed,
    RejectedInput,
    RetryError,
)
from fl_platform.judging.admit import is_reference, is_reference_party
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.history import TaskHistory
from fl_platform.protocol.bundle import Entry
from fl_platform.protocol.keypackage import check_package
from fl_platform.protocol.messages import RevealOrder, RoundOrder, Submission, decode_message
from fl_platform.protocol.receipt import Receipt, check_signature
from fl_platform.protocol.spec import TaskSpec
from fl_platform.round.key_packages import KeyPackages, fitting
from fl_platform.round.waiting import (
    LOOK_S,
    PAUSE_S,
    TELL_S,
    BlockClock,
    Progress,
    Transport,
    Waiting,
    Watch,
    margin,
    span,
)
from fl_platform.task.atomic_files import write_atomically
from fl_platform.task.reading import TaskReader
from fl_platform.task.stakes import anchor, parties, stake_among

logger = logging.getLogger(__name__)

NAMED = 5  # absent parties in one line


class Collector:
    """Takes the answers of a task's parties in, for its aggregator."""

    def __init__(
        self,
        reader: TaskReader,
        contracts: Contracts,
        folder: Path,
        *,
        watch: Watch,
        clock: Callable[[], float] | None,
        pause: Callable[[float], None],
        patience_s: float,
        trainers: int = 0,
    ) -> None:
        """`folder` keeps accepted answers; `clock` is the chain's (None: read it), `pause` waits between questions.

        patience_s: how long to wait for who is absent once the rule has enough, at most. trainers: so many must have
        joined before the first round goes on with those that answered.
        """
        self._trainers = trainers
        self._reader, self._contracts, self._folder, self._watch = reader, contracts, folder, watch
        self._given, self._pause, self._patience_s = clock, pause, patience_s
        self._clock = self._looked_at()
        self._told: tuple[frozenset[bytes], float] = frozenset(), 0.0
        self._refused: set[bytes] = set()  # who is asked again says the same again: it counts once

    def submissions(self, order: RoundOrder, transport: Transport) -> dict[bytes, Entry]:
        """Ask members and reference for their updates; return who answered with a receipt for the order, by trainer.

        Once there are enough for the rule, the others are waited for until a margin before the roster is due, or
        until patience is over; else until it is due.
        """
        self._clock = self._looked_at()
        due, start = self._due, self._clock()
        soft = due - margin(due - self._reader.history().head.time)
        least, entries = least_trainers(self._reader.spec), dict[bytes, Entry]()

        def until() -> float:
            stay = sum(1 for who in waiting.expected() if who in entries and entries[who].stake > 0)
            return min(max(soft, (start + due) / 2), start + self._patience_s) if stay >= least else due

        wanted = max(least, 0 if order.round else self._trainers)
        last = _Due(order.round, "roster", due, joined=wanted)
        waiting = self._waiting(lambda: parties(self._reader), entries, until, last)
        self._take_entries(order, transport, waiting, entries)
        if waiting.missing():
            self._say(order.round, self._without(waiting.missing()))
        return entries

    def rostered(
        self, order: RoundOrder, transport: Transport, among: frozenset[bytes], count: int
    ) -> dict[bytes, Entry]:
        """Ask these again for what a predecessor rostered, until `count` have answered or a sixth of the time is over.

        They hand in what they signed before; a leaf that is asked for on chain then takes half of the time.
        """
        self._clock, entries = self._looked_at(), dict[bytes, Entry]()
        now, due = self._clock(), self._due
        waiting = self._waiting(
            lambda: among, entries,
            lambda: now + (due - now) / 6 if len(among.intersection(entries)) < count else now,
            _Due(order.round, "seal", due),
        )  # fmt: skip
        self._take_entries(order, transport, waiting, entries)
        return entries

    def reveals(
        self, order: RevealOrder, transport: Transport, wanted: Sequence[Receipt], packages: KeyPackages
    ) -> None:
        """Ask for the keys of a strict round's receipts until their time on chain is over."""
        waiting = self._for_keys(order.round, wanted, packages)
        folder = self._folder / f"round-{order.round}.keys-{order.roster.hex()[:16]}"
        packages.take_reveals(_kept(folder), order, wanted)
        answers = self._asked(lambda: transport.reveal(order, waiting), transport, waiting, order.round)
        packages.take_reveals(_keeping(answers, packages.kept, None if transport.once else folder), order, wanted)

    def resent(self, order: RoundOrder, transport: Transport, wanted: Sequence[Receipt], packages: KeyPackages) -> None:
        """Ask the trainers of a standard round's receipts again for what they have signed before, keys among it."""
        waiting = self._for_keys(order.round, wanted, packages)
        answers = self._asked(lambda: transport.exchange(order, waiting), transport, waiting, order.round)
        packages.take_submissions(answers, wanted)

    def require_enough(self, order: RoundOrder, entries: Sequence[Entry]) -> None:
        """Raise NotEnoughTrainers when these are fewer than the rule needs."""
        trainers, rule = sum(1 for entry in entries if entry.stake > 0), self._reader.spec.aggregation
        if trainers >= (needed := least_trainers(self._reader.spec)):
            return
        over = self._clock() >= self._due
        way_on = (
            f"its roster deadline is over: `fl-platform aggregator advance {order.task}` hands over to the next "
            "aggregator, or ends the task"
            if over
            else "the round stays open until its roster deadline: start the trainers and run again"
        )
        raise NotEnoughTrainers(
            f"round {order.round}: {trainers} trainers answered, {rule.selection} with f={rule.byzantine} needs "
            f"{needed}; {way_on}"
        )

    def stake_of(self, trainer: bytes) -> int:
        """Return a trainer's stake now, wei; the reference has none."""
        return stake_among(self._reader, self._reader.history().members, trainer)

    def _looked_at(self) -> Callable[[], float]:
        """Return the chain's clock, to be read anew: a development chain's may have been moved since."""
        return self._given or BlockClock(self._contracts.chain.next_time)

    @property
    def _due(self) -> int:
        return self._contracts.window(self._reader.task)[1]

    def _for_keys(self, round_number: int, wanted: Sequence[Receipt], packages: KeyPackages) -> Waiting:
        """Keys are due when sealing begins; where that is over (a takeover), a tenth of what is left is for them."""
        self._clock = self._looked_at()
        first, due = self._contracts.window(self._reader.task)
        now, whom = self._clock(), frozenset(receipt.trainer for receipt in wanted)
        last = max(float(first), now + (due - now) / 10)
        return self._waiting(lambda: whom, packages.kept, lambda: last, _Due(round_number, "keys", last))

    def _waiting(
        self, expected: Callable[[], frozenset[bytes]], answered: Collection[bytes], until: Callable[[], float],
        due: _Due,
    ) -> Waiting:  # fmt: skip
        self._told, self._refused = (frozenset(), self._clock()), set()

        def tell(waiting: Waiting) -> None:
            missing, now = waiting.missing(), self._clock()
            before, at = self._told
            if now - at < (LOOK_S if missing != before else TELL_S):
                return
            self._told = missing, now
            among, few = len(waiting.expected()), more(waiting)
            whom = [self._names(missing)] if missing else []
            whom += [f"{few} more to join"] if few else []
            self._say(due.round, (
                f"waiting for {' and '.join(whom)}; {among - len(missing)} of {among} answered; "
                f"{due.what} due {span(due.at - now)}"
            ))  # fmt: skip

        def more(waiting: Waiting) -> int:
            return max(0, due.joined - len(waiting.expected() - anchor(self._reader.spec)))

        return Waiting(expected, answered, until=until, clock=self._clock, tell=tell, more=lambda w: more(w) > 0)

    def _take_entries(
        self, order: RoundOrder, transport: Transport, waiting: Waiting, entries: dict[bytes, Entry]
    ) -> None:
        folder = self._folder / f"round-{order.round}.answers-{order.parent.hex()[:16]}"
        for answer in _kept(folder):
            self._take(answer, order, entries)
        answers = self._asked(lambda: transport.exchange(order, waiting), transport, waiting, order.round)
        for answer in _keeping(answers, entries.keys(), None if transport.once else folder):
            self._take(answer, order, entries)

    def _take(self, answer: bytes, order: RoundOrder, entries: dict[bytes, Entry]) -> None:
        try:
            entry = self._entry(answer, order, entries)
        except RejectedInput as error:
            mark = hashlib.sha256(answer).digest()
            if mark not in self._refused:
                self._refused.add(mark)
                logger.warning("round %d: refused an answer: %s", order.round, error)
                self._watch(Progress(order.round, "refuse", type(error).__name__))
            return
        entries[entry.receipt.trainer] = entry

    def _entry(self, answer: bytes, order: RoundOrder, known: Mapping[bytes, Entry]) -> Entry:
        """Turn an answer into a roster entry, or refuse it: who and what. A malformed update is rostered and judged."""
        submission = decode_message(answer, expected=Submission)
        assert isinstance(submission, Submission)
        receipt = submission.receipt
        if receipt.trainer in known:
            raise ReceiptDuplicate(f"0x{receipt.trainer.hex()} answered twice; its first receipt counts")
        if (receipt.task, receipt.round) != (order.task, order.round):
            raise ReceiptReplayed(f"0x{receipt.trainer.hex()}: receipt of task {receipt.task} round {receipt.round}")
        if receipt.life != (life := self._reader.history().life_of(order.round)):
            raise ReceiptReplayed(f"0x{receipt.trainer.hex()}: receipt of life {receipt.life}, the round is of {life}")
        if receipt.parent != order.parent:
            raise ReceiptParentMismatch(f"0x{receipt.trainer.hex()}: receipt for model 0x{receipt.parent.hex()}")
        entry = Entry(
            receipt, submission.signature, self.stake_of(receipt.trainer), submission.keys, submission.keys_signature,
            forced=False, shown=fitting(submission.shown, self._reader.spec),
        )  # fmt: skip
        if entry.stake == 0 and not is_reference(entry, self._reader.spec):
            raise ReceiptForeign(f"0x{receipt.trainer.hex()} is not a member of task {order.task}")
        check_signature(entry.signed, self._reader.domain)
        if entry.keys:
            check_package(receipt, entry.keys, entry.keys_signature, self._reader.domain, self._reader.spec)
        return entry

    def _asked(
        self, ask: Callable[[], Iterable[bytes]], transport: Transport, waiting: Waiting, round_number: int
    ) -> Iterator[bytes]:
        """Ask until nobody is missing or the time is up; whoever is in this process, once."""
        while transport.once or waiting.left():
            try:
                yield from ask()
            except RetryError as error:
                if transport.once:
                    raise
                self._say(round_number, f"asking failed and is tried again: {error}")
            if transport.once:
                return
            if left := waiting.left():
                self._pause(min(PAUSE_S, left))

    def _say(self, round_number: int, text: str) -> None:
        logger.info("round %d: %s", round_number, text)
        self._watch(Progress(round_number, "wait", text))

    def _names(self, parties_: frozenset[bytes]) -> str:
        spec = self._reader.spec
        trainers = sorted(who for who in parties_ if not is_reference_party(who, spec))
        names = [f"0x{who.hex()[:8]}… (trainer)" for who in trainers[:NAMED]]
        names += [f"{len(trainers) - NAMED} more trainers"] if len(trainers) > NAMED else []
        return ", ".join(names + ["the owner's reference"] * (len(trainers) < len(parties_)))

    def _without(self, missing: frozenset[bytes]) -> str:
        absent = any(is_reference_party(who, self._reader.spec) for who in missing)
        by_stake = "; without the reference this round will be paid by stake" if absent else ""
        return f"going on without {self._names(missing)}{by_stake}"


@dataclass(frozen=True)
class _Due:
    """What is waited for, for the line that says so."""

    round: int
    what: str
    at: float  # the chain's seconds
    joined: int = 0  # so many trainers are waited for to join


def least_trainers(spec: TaskSpec) -> int:
    """Return with how many trainers' updates a round can be judged at all."""
    rule = spec.aggregation
    return 2 * rule.byzantine + 3 if rule.selection == "multi-krum" else 1


def others_turn(history: TaskHistory, account: bytes) -> str:
    """Say why an aggregator cannot work now, and what it can do."""
    task, listed = history.task, history.opened.aggregators
    said = f"task {task}: 0x{history.head.aggregator.hex()} is the current aggregator; 0x{account.hex()} "
    if account in listed and listed.index(account) < history.head.index:
        return f"{said}missed a deadline and was replaced: `fl-platform aggregator leave {task}` asks for its bond"
    return (
        f"{said}can take over only after a missed deadline, by `fl-platform aggregator advance {task}`: `fl-platform "
        "status` says when"
    )


def _kept(folder: Path) -> list[bytes]:
    """Return the answers that were taken in before this process began."""
    return [path.read_bytes() for path in sorted(folder.glob("*.json"))]


def _keeping(answers: Iterable[bytes], taken: Collection[bytes], folder: Path | None) -> Iterator[bytes]:
    """Pass answers on, and keep each that whoever takes them in counted: then `taken` grew by its trainer."""
    for answer in answers:
        before = set(taken)
        yield answer
        if folder is not None:
            for who in set(taken) - before:
                write_atomically(folder / f"{who.hex()}.json", answer)
