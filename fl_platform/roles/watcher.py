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
from fl_platform.chain.disputes import Disputes, Subject
from fl_platform.chain.evidence import Evidence, Question
from fl_platform.chain.history import RoundHistory
from fl_platform.chain.records import SealRecord
from fl_platform.chain.types import Phase
from fl_platform.contribution.judge import Judgement, judge_round
from fl_platform.errors import FLError, RetryError, TransactionReverted
from fl_platform.protocol.bundle import RoundBundle, claim_leaves
from fl_platform.protocol.merkle_sum import Leaf
from fl_platform.protocol.trace import Kind, Trace
from fl_platform.roles.auditor import Auditor, Difference
from fl_platform.roles.opening import UpdateOpener
from fl_platform.roles.reading import TaskReader
from fl_platform.roles.tracing import NO_TRACE, all_places, differing, sealed_trace
from fl_platform.roles.validating import parse_slice, utility_of
from fl_platform.roles.work import RoundWork
from fl_platform.roles.work_watching import GramChallenger, opened_moves, public_moves

logger = logging.getLogger(__name__)

Move = tuple[Question, Evidence]


@dataclass(frozen=True)
class Finding:
    """A sealed round that is not what it should be, and what was done about it."""

    round: int
    sealer: bytes
    difference: Difference
    question: Question | None  # what the challenge was about; None: no leaf decides it
    upheld: bool  # the seal fell and the sealer was slashed
    demands: tuple[int, ...] = ()  # numbers of demands that wait for an answer or their deadline
    games: tuple[int, ...] = ()  # numbers of games about a Gram entry that go on

    def __str__(self) -> str:
        """One line for a person."""
        if self.upheld and self.question is not None:
            return f"{self.difference}; challenged by {self.question.name}: the seal fell"
        if self.games and self.upheld:
            return f"{self.difference}; a game about the Gram matrix ended at one leaf: the seal fell"
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
        self._reader, self._disputes, self._opener, self._watch = reader, disputes, opener, watch
        self._gram = GramChallenger(reader, Bisections(disputes))
        self._seen: set[SealRecord] = set()

    def step(self, now: int) -> list[Finding]:
        """Look at every sealed round that can still be challenged at block time `now` and was not looked at yet.

        While a dispute about a seal is open it can be challenged, also past its window: a sealer that disputes its own
        seal hides nothing. Stops at the first seal that falls: later rounds fall with it. Raises RetryError.
        """
        findings: list[Finding] = []
        history = self._reader.history()
        for record in history.rounds:
            final = history.final_at(record.number)
            if record.seal is None or final is None or (now >= final and not record.challenged):
                continue
            if record.seal in self._seen:
                continue
            found = self.look(record)
            self._seen.add(record.seal)
            if found is not None:
                findings.append(found)
                self._watch(found)
                if found.upheld:
                    break
        return findings

    def look(self, record: RoundHistory) -> Finding | None:
        """Audit one sealed round and challenge it where it lies; None when it is as it should be."""
        assert record.seal is not None
        difference = self._difference(record)
        if difference is None:
            return None
        logger.warning("round %d: %s", record.number, difference)
        for question, shown in self._moves(record):
            if not self._disputes.refutes(self._reader.task, record.number, question, shown):
                continue
            try:
                self._disputes.challenge(self._reader.task, record.number, question, shown)
            except TransactionReverted as error:  # somebody else was first, or the window closed
                logger.warning("round %d: the challenge failed: %s", record.number, error)
                continue
            return Finding(record.number, record.seal.aggregator, difference, question, upheld=True)
        games = self._play(record)
        demands = () if games else self._demand(record)
        return Finding(
            record.number, record.seal.aggregator, difference, None, upheld=False, demands=demands, games=games
        )

    def follow(self, finding: Finding) -> bool:
        """Go on with a finding's games and demands: make the next move, challenge what an answer shows, end what nobody
        answered in time.

        True when the seal fell. Call it again after every block while games or demands are open.
        """
        now = self._reader.history().block.timestamp
        games = [partial(self._follow_game, finding, number, now) for number in finding.games]
        for move in (*games, *(partial(self._follow_demand, finding, number, now) for number in finding.demands)):
            try:
                if move():
                    return True
            except RetryError:
                raise
            except FLError as error:  # e.g. somebody else was first: the others go on
                logger.warning("round %d: a dispute could not go on: %s", finding.round, error)
        return False

    def _follow_game(self, finding: Finding, number: int, now: int) -> bool:
        if not self._gram.waits(number):
            return False
        work, trace = self._opened(finding.round)
        return work is not None and self._gram.step(number, work, trace, now=now)

    def _follow_demand(self, finding: Finding, number: int, now: int) -> bool:
        made = self._disputes.open_demand(number)
        if made is None:
            return False
        if made.answered:
            return made.subject == Subject.CLAIM and self._challenge_shown(finding, number)
        if now < made.deadline:
            return False
        self._disputes.expire(number)
        return True

    def _challenge_shown(self, finding: Finding, number: int) -> bool:
        shown = self._disputes.shown_claim(number)
        if shown is None:
            return False
        trace = sealed_trace(self._reader, self._reader.bundle(finding.round))
        found = evidence.shown_claim(trace, *shown)
        task = self._reader.task
        if not self._disputes.refutes(task, finding.round, Question.CLAIM, found):
            return False
        self._disputes.challenge(task, finding.round, Question.CLAIM, found)
        return True

    # --- what differs ------------------------------------------------------------------------------------------------

    def _difference(self, record: RoundHistory) -> Difference | None:
        """Audit from this round on; a difference of a later round is that round's matter."""
        assert record.seal is not None
        try:
            bundle = self._reader.bundle(record.number)
            told = sealed_trace(self._reader, bundle).root if self._reader.spec.exact else NO_TRACE
        except RetryError:
            raise
        except FLError as error:
            return Difference(record.number, type(error).__name__, str(error), "a bundle with a trace")
        if told != record.seal.trace:
            return Difference(record.number, "trace on chain", "0x" + record.seal.trace.hex(), "0x" + told.hex())
        found = Auditor(self._reader, opener=self._opener).audit(first=record.number).first_difference
        return found if found is not None and found.round == record.number else None

    def _moves(self, record: RoundHistory) -> Iterator[Move]:
        """Yield challenges that may hold, likeliest first. Nothing is yielded of a trace that is not the sealed one."""
        assert record.seal is not None
        if record.seal.trace == NO_TRACE:
            if self._reader.spec.exact:
                yield Question.UNTRACED, evidence.untraced(self._reader.spec.to_bytes())
            return
        try:
            bundle = self._reader.bundle(record.number)
            trace = sealed_trace(self._reader, bundle)
        except RetryError:
            raise
        except FLError:
            return
        if trace.root != record.seal.trace:
            return
        yield from self._against_roster(record, bundle, trace)
        honest = self._honest_trace(bundle)
        first = differing(trace, honest) if honest is not None else []
        yield from self._about(record, bundle, trace, first)
        yield from self._about_work(record, bundle, trace)
        yield from _obtainable(self._dropped(record, trace))
        rest = [place for place in all_places(trace) if place not in set(first)]
        yield from self._about(record, bundle, trace, rest)

    def _about_work(self, record: RoundHistory, bundle: RoundBundle, trace: Trace) -> Iterator[Move]:
        yield from _obtainable(public_moves(self._reader, record, bundle, trace))
        if self._opener is None:
            return
        try:
            yield from opened_moves(RoundWork(self._reader, bundle, self._opener), trace, self._reader.spec.codec.bits)
        except RetryError:
            raise
        except FLError as error:  # an update that does not open, sums that are not there: no leaf of them to show
            logger.warning("round %d: no leaf of the work can be shown: %s", record.number, error)

    def _opened(self, number: int) -> tuple[RoundWork | None, Trace]:
        bundle = self._reader.bundle(number)
        work = None if self._opener is None else RoundWork(self._reader, bundle, self._opener)
        return work, sealed_trace(self._reader, bundle)

    def _play(self, record: RoundHistory) -> tuple[int, ...]:
        """Open a game about a wrong Gram entry of a trace that is the sealed one."""
        assert record.seal is not None
        try:
            work, trace = self._opened(record.number)
        except RetryError:
            raise
        except FLError:
            return ()
        if work is None or trace.root != record.seal.trace:
            return ()
        number = self._gram.open(work, trace)
        return () if number is None else (number,)

    def _honest_trace(self, bundle: RoundBundle) -> Trace | None:
        """Return the trace that the round should have; None where it cannot be computed."""
        if self._opener is None:
            return None
        try:
            judged = self._judge(bundle, self._opener)
            told = replace(
                bundle, before=self._reader.state_before(bundle.round), verdicts=judged.verdicts,
                rows=judged.gram.names, gram=judged.gram.triangle, direction_roots=judged.direction_roots,
                divisor=judged.divisor, sums_root=judged.sums_root, after=judged.after,
            )  # fmt: skip
            return sealed_trace(self._reader, told)
        except RetryError:
            raise
        except FLError:
            return None

    def _judge(self, bundle: RoundBundle, opener: UpdateOpener) -> Judgement:
        return judge_round(
            self._reader.spec,
            self._reader.round_context(bundle.round, bundle.aggregator),
            self._reader.state_before(bundle.round),
            bundle.entries,
            updates=opener.source(bundle.entries),
            models=self._reader.model,
            keys=opener.keys(bundle.entries),
            validation=parse_slice(bundle.validation),
            utility=utility_of(self._reader.spec),
        )

    # --- from leaves to challenges -----------------------------------------------------------------------------------

    def _about(
        self, record: RoundHistory, bundle: RoundBundle, trace: Trace, places: list[tuple[Kind, int]]
    ) -> Iterator[Move]:
        claims = claim_leaves(bundle.after)
        for kind, index in places:
            if kind is Kind.RULES:
                yield Question.RULES, evidence.rules(trace, self._reader.spec.to_bytes())
            elif kind is Kind.ROUND:
                yield Question.TOTALS, evidence.totals(trace)
                yield Question.ENTRIES, evidence.entries(trace)
                yield Question.SOLUTION, evidence.solution(trace)
                yield from _obtainable(self._carried(record, trace, None))
            elif kind is Kind.ENTRY:
                yield from _about_entry(trace, index)
            elif kind is Kind.STANDING:
                yield Question.STANDING, evidence.standing(trace, index)
                yield from _claim(record, trace, claims, index)
                yield from _obtainable(self._carried(record, trace, index))

    def _carried(self, record: RoundHistory, trace: Trace, index: int | None) -> Iterator[Move]:
        new = index is not None and not trace.standings[index].previous
        if record.number == 0 or new:
            yield Question.CARRIED, evidence.carried(trace, index, None)
        if record.number:
            seal = self._reader.history().rounds[record.number - 1].seal
            old = sealed_trace(self._reader, self._reader.bundle(record.number - 1))
            if seal is not None and old.standings and old.root == seal.trace:
                yield Question.CARRIED, evidence.carried(trace, index, (seal, old))

    def _dropped(self, record: RoundHistory, trace: Trace) -> Iterator[Move]:
        there = {s.trainer for s in trace.standings}
        for i, entry in enumerate(trace.entries):
            if entry.trainer not in there and entry.stake:
                yield Question.DROPPED, evidence.dropped(trace, entry.trainer, i)
        if record.number:
            seal = self._reader.history().rounds[record.number - 1].seal
            old = sealed_trace(self._reader, self._reader.bundle(record.number - 1))
            for standing in old.standings:
                if seal is not None and standing.trainer not in there:
                    yield Question.DROPPED, evidence.dropped(trace, standing.trainer, (seal, old))

    def _against_roster(self, record: RoundHistory, bundle: RoundBundle, trace: Trace) -> Iterator[Move]:
        """Entries against what is on chain: the forced list, and the roster where the bundle knows its leaves."""
        assert record.roster is not None
        links = [(item.chain, item.receipt.trainer, item.receipt.struct_hash()) for item in record.forced]
        for i in range(len(links)):
            yield Question.FORCED, evidence.forced(trace, i, record.roster, links)
        leaves = tuple(entry.leaf for entry in bundle.entries if not entry.forced)
        if not leaves or bundle.roster.digest != record.roster.root:
            return
        members = self._reader.history().members_at_roster(record.number)
        for i, leaf in enumerate(leaves):
            if leaf.amount and leaf.owner not in members:
                yield Question.FOREIGN, evidence.roster(None, i, record.roster, leaves)
        yield Question.ROSTER, evidence.roster(trace, 0, record.roster, leaves)
        for first, second in _pairs(trace):
            yield Question.TWICE, evidence.twice(trace, first, second)

    def _demand(self, record: RoundHistory) -> tuple[int, ...]:
        """Ask for what nobody can derive from the bundle: a leaf of another trace, the leaves of other claims."""
        assert record.seal is not None
        seal, task = record.seal, self._reader.task
        try:
            bundle = self._reader.bundle(record.number)
            told = sealed_trace(self._reader, bundle).root
        except RetryError:
            raise
        except FLError:
            told, bundle = NO_TRACE, None
        if seal.trace not in (told, NO_TRACE):
            return (self._disputes.demand(task, record.number, Subject.LEAF, kind=Kind.ROUND, index=0),)
        if bundle is None or bundle.claims.digest == seal.claim_root:
            return ()
        places = range(seal.claim_count)
        return tuple(self._disputes.demand(task, record.number, Subject.CLAIM, index=i) for i in places)


def _about_entry(trace: Trace, index: int) -> Iterator[Move]:
    yield Question.ENTRY, evidence.entry(trace, index)
    if not trace.entries[index].row:
        return
    yield Question.SCORE, evidence.score(trace, index)
    yield Question.QUALITY, evidence.quality(trace, index)
    yield Question.GROUP, evidence.group(trace, index)
    yield Question.REPLAY, evidence.replay(trace, index)
    yield Question.KRUM, evidence.krum(trace, index)
    for other in range(len(trace.entries)):
        if trace.entries[other].capped and trace.entries[index].capped and other != index:
            yield Question.DUPLICATES, evidence.duplicates(trace, index, other)


def _claim(record: RoundHistory, trace: Trace, claims: tuple[Leaf, ...], index: int) -> Iterator[Move]:
    if index < len(claims):
        yield Question.CLAIM, evidence.claim(trace, index, claims)


def _pairs(trace: Trace) -> Iterator[tuple[int, int]]:
    seen: dict[int, int] = {}
    for i, entry in enumerate(trace.entries):
        if entry.trainer in seen:
            yield seen[entry.trainer], i
        seen.setdefault(entry.trainer, i)


def _obtainable(moves: Iterator[Move]) -> Iterator[Move]:
    """Yield moves as long as what they are made of can be had: the bundle before may be another liar's."""
    try:
        yield from moves
    except RetryError:
        raise
    except FLError as error:
        logger.warning("some evidence cannot be made: %s", error)


def nothing_left(reader: TaskReader, *, now: int) -> bool:
    """Whether no further seal will come, none can be challenged any more at block time `now`, no dispute is open."""
    history = reader.history()
    going_on = (record.challenged or (history.final_at(record.number) or 0) > now for record in history.rounds)
    return history.head.phase not in (Phase.OPEN, Phase.ROSTERED) and not any(going_on)
