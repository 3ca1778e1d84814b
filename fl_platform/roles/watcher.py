"""The watcher: audits every sealed round inside its challenge window and sends the transaction that undoes a lie.

It recomputes the round as the auditor does. Where something differs it takes the trace that the sealer's own bundle
stands for, looks which leaf does not follow from the others (leaves that differ from the recomputed ones first), asks
the judge contract for nothing, and challenges with the first leaf that the judge calls a lie. What no leaf decides is
reported as such: it is told to people, not to the chain.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from fl_platform.chain import evidence
from fl_platform.chain.bisections import Bisections
from fl_platform.chain.demands import Demands, Subject
from fl_platform.chain.disputes import Disputes
from fl_platform.chain.evidence import Question
from fl_platform.chain.history import RoundHistory
from fl_platform.chain.records import SealRecord
from fl_platform.chain.types import Phase
from fl_platform.errors import FLError, RetryError, StoreMissing, StoreUnavailable, TransactionReverted
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.protocol.trace import Kind, Trace
from fl_platform.roles.audit_report import Difference
from fl_platform.roles.auditor import Auditor
from fl_platform.roles.moves import Move, about, about_all, against_roster, obtainable
from fl_platform.roles.opening import UpdateOpener
from fl_platform.roles.patience import Patience
from fl_platform.roles.reading import TaskReader
from fl_platform.roles.recomputing import recomputed
from fl_platform.roles.sealed import Sealed, SealedRounds, readable
from fl_platform.roles.sums_watching import SumsChallenger
from fl_platform.roles.tracing import NO_TRACE, differing, sealed_trace
from fl_platform.roles.work import RoundWork
from fl_platform.roles.work_watching import GramChallenger, opened_moves, public_moves

logger = logging.getLogger(__name__)

@dataclass(frozen=True)
class Finding:
    """A sealed round that is not what it should be, and what was done about it."""

    round: int
    seal: SealRecord
    difference: Difference
    question: Question | None  # what the challenge was about; None: no leaf decides it
    upheld: bool  # the seal fell and the sealer was slashed
    demands: tuple[int, ...] = ()  # numbers of demands that wait for an answer or their deadline
    games: tuple[int, ...] = ()  # numbers of games about a Gram entry that go on

    @property
    def acted(self) -> bool:
        """Whether anything was sent about it."""
        return bool(self.upheld or self.demands or self.games)

    def __str__(self) -> str:
        """One line for a person."""
        if self.upheld and self.question is not None:
            return f"{self.difference}; challenged by {self.question.name}: the seal fell"
        if self.games and self.upheld:
            return f"{self.difference}; a game about the Gram matrix ended at one leaf: the seal fell"
        if self.upheld:
            return f"{self.difference}; the sealer did not show in time what it hides: the seal fell"
        if self.games:
            return f"{self.difference}; game {self.games[0]} about the Gram matrix goes on until one leaf decides"
        if self.demands:
            return f"{self.difference}; the sealer must show what it hides: demands {self.demands} wait for an answer"
        return f"{self.difference}; no leaf of the trace decides it on chain: tell the task's members"


class Watcher:
    """One watcher of one task. Without an opener it judges from public values alone."""

    def __init__(
        self,
        reader: TaskReader,
        disputes: Disputes,
        *,
        opener: UpdateOpener | None,
        watch: Callable[[Finding], None] = lambda _: None,
    ) -> None:
        """Create a watcher; `disputes` holds the wallet that sends, `watch` is told of every finding."""
        self._patience = Patience()
        reader = reader.reading(self._patience.with_(reader.store))
        self._opener = None if opener is None else opener.reading(self._patience.with_)
        self._reader, self._disputes, self._watch = reader, disputes, watch
        self._demands = Demands(disputes)
        self._sealed, self._sums = SealedRounds(reader, self._demands), SumsChallenger(reader, self._demands)
        self._gram = GramChallenger(reader, Bisections(disputes))
        self._due: set[SealRecord] = set()  # those that could be challenged at a look
        self._seen: set[SealRecord] = set()
        self.waiting: tuple[int, ...] = ()  # rounds whose documents no store delivered at the last look

    @property
    def looked(self) -> bool:
        """Whether any seal was looked at."""
        return bool(self._seen)

    def unseen(self) -> tuple[int, ...]:
        """Return the rounds whose seal stands, could be challenged since the first look, and was never looked at."""
        left = self._due - self._seen
        return tuple(record.number for record in self._reader.history().rounds if record.seal in left)

    def step(self, now: int) -> list[Finding]:
        """Look at every sealed round that can still be challenged at block time `now` and was not looked at yet.

        While a dispute about a seal is open it can be challenged, also past its window: a sealer that disputes its own
        seal hides nothing. Stops at the first seal that falls: later rounds fall with it. Raises RetryError.
        """
        findings: list[Finding] = []
        problem: FLError | None = None
        self.waiting = ()
        history = self._reader.history()
        for record in history.rounds:
            final = history.final_at(record.number)
            if record.seal is None or final is None or (now >= final and not record.challenged):
                continue
            if record.seal in self._seen:
                continue
            self._due.add(record.seal)
            self._patience.over, self._patience.guessed = self._hurries(record, now), False
            try:
                if self._may_still_come(record):
                    self.waiting += (record.number,)
                    continue
                found = self.look(record)
            except StoreUnavailable as error:
                logger.warning("round %d: looked at again later: %s", record.number, error)
                self.waiting += (record.number,)
                continue
            except RetryError:
                raise
            except FLError as error:  # e.g. no money for a bond: the other rounds are looked at all the same
                logger.warning("round %d: %s", record.number, error)
                problem = problem or error
                continue
            except Exception:  # a round whose documents break what reads them hides no other round
                logger.exception("round %d cannot be looked at", record.number)
                continue
            absent = self._patience.guessed or (found is not None and found.difference.of_a_store)
            if absent and not (found is not None and found.acted):
                # what a store keeps back, lacks or has damaged may show an honest round, or the leaf that decides a lie
                logger.warning("round %d: looked at again when a store answers: %s", record.number, found or "no lie")
                self.waiting += (record.number,)
                continue
            self._seen.add(record.seal)
            if found is not None:
                findings.append(found)
                self._watch(found)
                if found.upheld:
                    break
        if problem is not None and not findings:
            raise problem
        return findings

    def _hurries(self, record: RoundHistory, now: int) -> bool:
        """Whether a store that has not delivered by now is not waited for: half of the window is over."""
        assert record.seal is not None
        window = self._reader.history().opened.windows.challenge
        return record.challenged or 2 * (now - record.seal.sealed_at) >= window

    def _may_still_come(self, record: RoundHistory) -> bool:
        """Whether a bundle that no store has may be on its way: nobody pays to see it in its window's first half."""
        if self._patience.over:
            return False
        try:
            self._reader.bundle(record.number)
        except StoreMissing:
            return True
        except RetryError:
            raise
        except Exception:  # one that cannot be read is there, and looked at
            return False
        return False

    def look(self, record: RoundHistory) -> Finding | None:
        """Audit one sealed round and challenge it where it lies; None when it is as it should be."""
        assert record.seal is not None
        difference = self._difference(record)
        if difference is None:
            return None
        logger.warning("round %d: %s", record.number, difference)
        return self._contradict(Finding(record.number, record.seal, difference, None, upheld=False))

    def follow(self, finding: Finding) -> Finding:
        """Go on with a finding's games and demands: make the next move, challenge what an answer shows, end what nobody
        answered in time.

        Returns the finding as it then stands. Call it again after every block while games or demands are open.
        """
        history = self._reader.history()
        now = history.block.timestamp
        self._patience.over = not self._stands(finding) or self._hurries(history.rounds[finding.round], now)
        for number in finding.games:
            finding = self._attempt(finding, partial(self._follow_game, finding, number, now))
        for number in finding.demands:
            finding = self._attempt(finding, partial(self._follow_demand, finding, number, now))
        if not self._stands(finding):
            finding = replace(finding, upheld=True)
            for number in finding.demands:  # their bonds come back
                finding = self._attempt(finding, partial(self._end_demand, finding, number))
        return finding

    def _attempt(self, finding: Finding, move: Callable[[], Finding]) -> Finding:
        try:
            return move()
        except StoreUnavailable as error:
            logger.warning("round %d: a dispute goes on when a store answers: %s", finding.round, error)
            return finding
        except RetryError:
            raise
        except FLError as error:  # e.g. somebody else was first: the others go on
            logger.warning("round %d: a dispute could not go on: %s", finding.round, error)
            return finding

    def _stands(self, finding: Finding) -> bool:
        """Whether the seal that a finding is about is still the round's."""
        rounds = self._reader.history().rounds
        return finding.round < len(rounds) and rounds[finding.round].seal == finding.seal

    def _follow_game(self, finding: Finding, number: int, now: int) -> Finding:
        sealed = self._sealed.read(finding.round) if self._gram.waits(number) else None
        work = None if sealed is None else self._work(sealed)
        if sealed is None or work is None:
            return finding
        return replace(finding, upheld=self._gram.step(number, work, sealed.trace, now=now))

    def _follow_demand(self, finding: Finding, number: int, now: int) -> Finding:
        made = self._demands.open_demand(number)
        if not self._stands(finding):
            return finding
        if made is None:  # somebody else ended it when its time was over
            return self._contradict(self._end_demand(finding, number))
        if made.answered:
            finding = self._contradict(finding)
            own = self._disputes.signer is not None and made.challenger == self._disputes.signer.address
            # what it showed was used, or shows no lie: the task need not wait for it
            return self._end_demand(finding, number) if own or now >= made.deadline else finding
        if now >= made.deadline:
            self._demands.expire(number)
            return replace(finding, upheld=True)
        return finding

    def _end_demand(self, finding: Finding, number: int) -> Finding:
        if self._demands.open_demand(number) is not None:
            self._demands.expire(number)
        return replace(finding, demands=tuple(n for n in finding.demands if n != number))

    def _contradict(self, finding: Finding) -> Finding:
        """Challenge a seal; where no leaf that is known decides, play about the Gram matrix or demand what is hidden.
        """
        sealed = self._sealed.read(finding.round)
        work = None if sealed is None else self._work(sealed)
        moves = self._traceless(finding.round) if sealed is None else self._moves(sealed, work)
        question = self._challenge(finding.round, moves)
        if question is not None:
            return replace(finding, question=question, upheld=True)
        games = () if sealed is None or work is None or finding.games else self._play(sealed, work)
        demands = () if games else self._demand(finding, sealed, work)
        return replace(finding, games=finding.games + games, demands=finding.demands + demands)

    def _challenge(self, number: int, moves: Iterator[Move]) -> Question | None:
        for question, shown in moves:
            if not self._disputes.refutes(self._reader.task, number, question, shown):
                continue
            try:
                self._disputes.challenge(self._reader.task, number, question, shown)
            except TransactionReverted as error:  # somebody else was first, or the window closed
                logger.warning("round %d: the challenge failed: %s", number, error)
                continue
            return question
        return None

    # --- what differs ------------------------------------------------------------------------------------------------

    def _difference(self, record: RoundHistory) -> Difference | None:
        """Audit this round alone; a difference of another is that round's matter."""
        assert record.seal is not None
        number, exact = record.number, self._reader.spec.exact
        told = readable(lambda: sealed_trace(self._reader, self._reader.bundle(number)).root) if exact else NO_TRACE
        if told is None:
            return Difference(number, "bundle", "one that cannot be had or read", "a bundle with a trace")
        if told != record.seal.trace:
            return Difference(number, "trace on chain", "0x" + record.seal.trace.hex(), "0x" + told.hex())
        report = readable(lambda: Auditor(self._reader, opener=self._opener).audit(first=number, last=number))
        if report is None:
            return Difference(number, "bundle", "one that breaks its audit", "a bundle that can be judged")
        return report.first_difference

    def _traceless(self, number: int) -> Iterator[Move]:
        seal = self._reader.history().rounds[number].seal
        if seal is not None and seal.trace == NO_TRACE and self._reader.spec.exact:
            yield Question.UNTRACED, evidence.untraced(self._reader.spec.to_bytes())

    def _moves(self, sealed: Sealed, work: RoundWork | None) -> Iterator[Move]:
        """Yield challenges that may hold, likeliest first."""
        if sealed.hidden:  # no number of it was checked by anybody: rules and counts first, the others build on them
            yield from obtainable(about(self._reader, sealed, [(Kind.RULES, 0), (Kind.ROUND, 0)]))
        yield from obtainable(against_roster(self._reader, sealed))
        honest = None if sealed.bundle is None else self._honest_trace(sealed.bundle)
        first = differing(sealed.trace, honest) if honest is not None else []
        yield from obtainable(about(self._reader, sealed, first))
        if sealed.hidden:
            yield from about_all(self._reader, sealed, set(first))
        yield from self._about_work(sealed, work)
        if not sealed.hidden:
            yield from about_all(self._reader, sealed, set(first))

    def _about_work(self, sealed: Sealed, work: RoundWork | None) -> Iterator[Move]:
        yield from obtainable(public_moves(self._reader, sealed))
        if work is not None:
            # an update that does not open, sums that are not there: no leaf of them can be shown
            yield from obtainable(opened_moves(work, sealed.trace, self._reader.spec.codec.bits))
            hidden = self._sums.move(sealed, work)
            if isinstance(hidden, tuple):
                yield hidden

    def _work(self, sealed: Sealed) -> RoundWork | None:
        if self._opener is None or sealed.bundle is None:
            return None
        return RoundWork(self._reader, sealed.bundle, self._opener)

    def _play(self, sealed: Sealed, work: RoundWork) -> tuple[int, ...]:
        """Open a game about a wrong Gram entry."""
        number = self._gram.open(work, sealed.trace)
        return () if number is None else (number,)

    def _honest_trace(self, bundle: RoundBundle) -> Trace | None:
        """Return the trace that the round should have; None where it cannot be computed."""
        if self._opener is None:
            return None
        opener = self._opener
        return readable(lambda: sealed_trace(self._reader, recomputed(self._reader, opener, bundle)))

    def _demand(self, finding: Finding, sealed: Sealed | None, work: RoundWork | None) -> tuple[int, ...]:
        """Ask for what is hidden: the trace, or the claims or sums under the sealed roots."""
        seal, task = self._reader.history().rounds[finding.round].seal, self._reader.task
        if seal is None:
            return ()
        found = self._hidden(finding.round, seal, sealed, work)
        if found is None:
            return ()
        digest = self._disputes.seal_digest(task, finding.round, seal)
        own = None if self._disputes.signer is None else self._disputes.signer.address
        for number, made in self._demands.demands_on(task, seal.aggregator):
            # one's own, of before a restart; another's can end at once, answered, before anybody could use the answer
            same = (made.seal, made.subject, made.challenger) == (digest, found[0], own) and not made.answered
            # of a trace, and of entries, the index tells which is next
            if same and (found[0] in (Subject.TRACE, Subject.ENTRIES) or made.index == found[1]):
                return (number,)
        return (self._demands.demand(task, finding.round, *found),)

    def _hidden(
        self, number: int, seal: SealRecord, sealed: Sealed | None, work: RoundWork | None
    ) -> tuple[Subject, int] | None:
        """Return what of a seal is known to its sealer only, and which part to ask for; None where nothing is."""
        if sealed is None and seal.trace != NO_TRACE:
            return Subject.TRACE, 0
        if (self._sealed.claims(number) if sealed is None else sealed.claims) is None:
            return Subject.CLAIMS, 0
        if sealed is not None and not sealed.whole and self._opener is not None:
            return Subject.ENTRIES, 0
        node = None if sealed is None or work is None else self._sums.move(sealed, work)
        return (Subject.SUMS, node) if isinstance(node, int) else None


def nothing_left(reader: TaskReader, *, now: int) -> bool:
    """Whether no further seal will come, none can be challenged any more at block time `now`, no dispute is open."""
    history = reader.history()
    going_on = (record.challenged or (history.final_at(record.number) or 0) > now for record in history.rounds)
    return history.head.phase not in (Phase.OPEN, Phase.ROSTERED) and not any(going_on)
