"""The watcher: audits every sealed round inside its challenge window and sends the transaction that undoes a lie.

It recomputes the round as the auditor does, and asks `dispute.next_moves` what to do about the seal: refute a cell, a
source or a claim, ask for what its sealer hides, or end what nobody answered. What no cell decides (a float model, a
sealer's own word) is told to people, not to the chain.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from fl_platform.audit.audit_report import Difference
from fl_platform.audit.auditor import Auditor
from fl_platform.dispute.claims import CellClaim, CombineClaim, DotClaim, PaddingClaim
from fl_platform.dispute.disputed_round import (
    DisputedRound,
    disputed_round,
    roster_shown,
    signed_bundle,
    source_column,
    target_of,
)
from fl_platform.dispute.known import closed_reads, shown_row
from fl_platform.dispute.next_moves import Ask, GivenDiffers, Lapse, Move, Refute, believed, next_moves
from fl_platform.dispute.outputs import OutputClaim, next_claims
from fl_platform.dispute.patience import Patience
from fl_platform.dispute.questions import Node, Question, draw_leaves, top_of
from fl_platform.dispute.referee import Record, Referee
from fl_platform.dispute.roster_defender import RosterBonds
from fl_platform.dispute.rosters import Rosters
from fl_platform.dispute.targets import SourceClaim, Target, source_claim
from fl_platform.errors import FLError, RetryError, StoreMissing, StoreUnavailable, TransactionReverted
from fl_platform.judging.admit import CACHE_BYTES
from fl_platform.judging.tapes import place_in_words
from fl_platform.ledger.history import RoundHistory
from fl_platform.ledger.records import SealRecord
from fl_platform.ledger.reveals import Reveals
from fl_platform.protocol.openings import opened
from fl_platform.protocol.program import Output
from fl_platform.protocol.sources import Source
from fl_platform.protocol.tape import Tape
from fl_platform.task.accepting import require_accepted
from fl_platform.task.decrypting import UpdateOpener
from fl_platform.task.reading import TaskReader
from fl_platform.task.taping import NO_TAPE

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finding:
    """A sealed round that is not what it should be, and what was done about it."""

    round: int
    seal: SealRecord
    difference: Difference
    move: str = ""  # what was refuted, in words; empty: nothing yet
    upheld: bool = False  # the seal fell and the sealer was slashed
    asked: tuple[Question, ...] = ()  # what waits for an answer or its deadline

    @property
    def acted(self) -> bool:
        """Whether anything was sent about it."""
        return self.upheld or bool(self.asked)

    def __str__(self) -> str:
        """One line for a person."""
        if self.upheld:
            return f"{self.difference}; {self.move or 'its sealer did not show in time what it hides'}: the seal fell"
        if self.asked:
            return f"{self.difference}; the sealer must show what it hides: {len(self.asked)} questions wait"
        return f"{self.difference}; no cell decides it on chain: tell the task's members"


class Watcher:
    """One watcher of one task. Without an opener it judges from public values alone."""

    def __init__(
        self, reader: TaskReader, referee: Referee, *, opener: UpdateOpener | None,
        watch: Callable[[Finding], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """Create a watcher; `referee` holds the wallet that sends, `watch` is told of every finding."""
        self._patience = Patience()
        reader = reader.reading(self._patience.with_(reader.store))
        self._opener = None if opener is None else opener.reading(self._patience.with_)
        self._reader, self._referee, self._watch = reader, referee, watch
        contracts = referee.contracts
        self._reveals = Reveals(contracts, reader.spec) if Reveals.there(contracts) else None
        self._due: set[SealRecord] = set()  # those that could be challenged at a look
        self._seen: set[SealRecord] = set()
        self._reclaimed: set[SealRecord] = set()  # those that fell, and whose bonds were taken back
        self._roster_bonds = RosterBonds(reader, Rosters(contracts, referee.signer))
        self._drawn: dict[bytes, tuple[Question, ...]] = {}  # by the seal's key: leaves of closed updates to ask for
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
        seal hides nothing. Stops at the first seal that falls: later rounds fall with it. Raises RetryError,
        ProgramNotAccepted.
        """
        require_accepted(self._reader)
        findings: list[Finding] = []
        problem: FLError | None = None
        self.waiting = ()
        self._reclaim()
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
        """Audit one sealed round and contradict it where it lies; None when it is as it should be."""
        assert record.seal is not None
        if self._opener is not None:  # what the audit opens a challenge reads again
            self._opener = self._opener.keeping(CACHE_BYTES)
        difference = self._difference(record)
        if difference is None:
            return None
        logger.warning("%s", difference)
        return self._contradict(Finding(record.number, record.seal, difference), record)

    def follow(self, finding: Finding) -> Finding:
        """Go on with what was asked: use what an answer shows, end what nobody answered in time.

        Returns the finding as it then stands. Call it again after every block while questions are open.
        """
        history = self._reader.history()
        if not finding.asked:
            return finding
        rounds = history.rounds
        stands = finding.round < len(rounds) and rounds[finding.round].seal == finding.seal
        if not stands:
            self._reclaim()
            return replace(finding, upheld=True, asked=())
        record = rounds[finding.round]
        self._patience.over = self._hurries(record, history.block.timestamp)
        try:
            after = self._contradict(finding, record)
            if after.upheld:
                self._reclaim()
            return after
        except StoreUnavailable as error:
            logger.warning("round %d: a dispute goes on when a store answers: %s", finding.round, error)
        except RetryError:
            raise
        except FLError as error:  # e.g. somebody else was first
            logger.warning("round %d: a dispute could not go on: %s", finding.round, error)
        return finding

    # --- what differs -------------------------------------------------------------------------------------------------

    def _difference(self, record: RoundHistory) -> Difference | None:
        """Audit this round alone; a difference of another is that round's matter."""
        try:
            audit = Auditor(self._reader, opener=self._opener).audit(first=record.number, last=record.number)
        except RetryError:
            raise
        except Exception:  # a bundle may break what reads it, but not the watcher
            logger.exception("round %d: its bundle breaks its audit", record.number)
            return Difference(record.number, "bundle", "one that breaks its audit", "a bundle that can be judged")
        return audit.first_difference

    # --- what to do about it ------------------------------------------------------------------------------------------

    def _contradict(self, finding: Finding, record: RoundHistory) -> Finding:
        """Make the next move about a seal; a finding is upheld once the seal fell."""
        now = self._reader.history().block.timestamp
        target = target_of(self._reader, record)
        if target.record.trace == NO_TAPE and not self._reader.spec.exact:
            return finding
        chain = self._referee.record(target)
        if overdue := chain.overdue(now):
            self._referee.lapse(target, overdue[0])
            return replace(finding, upheld=True, asked=())
        if target.record.trace == NO_TAPE:  # it has no nodes: whatever is asked of it, nobody can show
            return self._ask(finding, target, chain, (top_of(target.program),))
        disputed = self._disputed(record, target, chain)
        if isinstance(disputed, tuple):
            return self._ask(finding, target, chain, disputed)
        if (miscounted := _miscounted(disputed)) is not None:
            return self._make(finding, disputed, chain, miscounted)
        if disputed.fitting is None and self._opener is None:
            # who cannot open updates cannot tell where a hidden tape differs; one that is shown to nobody falls
            return self._ask(finding, target, chain, _unshown(chain, (top_of(target.program),)))
        move = _next(disputed, chain)
        if move is None and disputed.known.rows.closed:
            move, disputed = self._opening(finding, disputed, chain)
        return self._make(finding, disputed, chain, move)

    def _opening(
        self, finding: Finding, disputed: DisputedRound, chain: Record
    ) -> tuple[Move | None, DisputedRound]:  # fmt: skip
        """Have the sealer show leaves of updates that do not open here: who sealed a product over them has them.

        One that has every leaf shown is an update like any other.
        """
        reads = closed_reads(disputed.known, _tape_of(disputed, chain))
        count, shown = disputed.known.rows.shape.leaves, chain.shown
        rows = {root: row for root, question in reads.items() if (row := shown_row(question, count, shown)) is not None}
        if rows:
            disputed = disputed.showing(rows)
            if (move := _next(disputed, chain)) is not None:
                return move, disputed
        if finding.difference.of_a_store and not self._patience.over:
            return None, disputed  # a store may have them yet
        left = [question for root, question in reads.items() if root not in rows]
        wanted = self._drawn.setdefault(disputed.target.key, draw_leaves(left, count)) if left else ()
        asked = _unshown(chain, wanted)
        return (Ask(asked) if asked else None), disputed

    def _make(self, finding: Finding, disputed: DisputedRound, chain: Record, move: Move | None) -> Finding:
        target = disputed.target
        if isinstance(move, GivenDiffers):
            claim = source_claim(
                target, move.column, move.place, move.claimed, entries=disputed.entries, parent=disputed.parent
            )
            move = Refute(claim)
        if isinstance(move, Refute):
            return self._refute(finding, disputed, move)
        if isinstance(move, Lapse):
            self._referee.lapse(target, move.question)
            return replace(finding, upheld=True, asked=())
        return self._ask(finding, target, chain, move.questions if isinstance(move, Ask) else ())

    def _ask(self, finding: Finding, target: Target, chain: Record, questions: tuple[Question, ...]) -> Finding:
        waiting = {asked.question for asked in chain.waiting}
        for question in questions:
            if question not in waiting:
                self._referee.ask(target, question, chain)
        return replace(finding, asked=questions)

    def _reclaim(self) -> None:
        """Take back the own bonds of questions about rosters and seals that fell."""
        signer = self._referee.signer
        self._roster_bonds.reclaim()
        for record in self._reader.history().rounds:
            for seal in record.overturned:
                if seal in self._reclaimed or signer is None or record.roster is None:
                    continue
                target = target_of(self._reader, replace(record, seal=seal))
                for asked in self._referee.record(target).waiting:
                    if asked.asker == signer.address:
                        with suppress(TransactionReverted):  # that which lapsed is paid back by that
                            self._referee.reclaim(target, asked.question)
                self._reclaimed.add(seal)

    def _refute(self, finding: Finding, disputed: DisputedRound, move: Refute) -> Finding:
        blocks = (move.claim.block,) if isinstance(move.claim, DotClaim) else ()
        words = self._in_words(disputed, move)
        try:
            self._referee.refute(disputed.target, move.claim, blocks, hurried=self._is_last_moment(finding.round))
        except TransactionReverted as error:  # somebody else was first, or the window closed
            logger.warning("round %d: the challenge failed: %s", finding.round, error)
            return replace(finding, asked=())
        return replace(finding, move=words, upheld=True, asked=())

    def _is_last_moment(self, round_number: int) -> bool:
        """Whether a seal may be final before a second transaction is mined: in the last quarter of its window."""
        history = self._reader.history()
        final, window = history.final_at(round_number), history.opened.windows.challenge
        return final is not None and 0 < 4 * (final - history.block.timestamp) < window

    def _in_words(self, disputed: DisputedRound, move: Refute) -> str:
        claim = move.claim
        if isinstance(claim, OutputClaim):
            seat = f" of seat {claim.seat}" if claim.output in (Output.EARNED, Output.REPUTATION) else ""
            return f"refuted {claim.output.name.lower()}{seat}"
        if isinstance(claim, PaddingClaim):
            return "refuted what lies behind its last column"
        if isinstance(claim, CellClaim | SourceClaim):
            number, place = claim.refutation.column, claim.refutation.place
        else:
            assert isinstance(claim, DotClaim | CombineClaim)
            number, place = claim.column, claim.place
        receipts = [entry.receipt for entry in disputed.entries]
        return "refuted " + place_in_words(disputed.target.program, number, place, receipts, disputed.seats)

    def _disputed(
        self, record: RoundHistory, target: Target, chain: Record
    ) -> DisputedRound | tuple[Question, ...]:  # fmt: skip
        """Return the round as disputes know it, or what its sealer must show first of the entries that it judged."""
        bundle, entries, wanted = None, None, tuple[Question, ...]()
        try:
            bundle = self._reader.bundle(record.number)
            self._reader.check_roster(record.number, bundle.entries)
            bundle, wanted = signed_bundle(bundle, self._reader.domain, chain.shown)
        except RetryError:
            raise
        except FLError as error:
            logger.warning("round %d: no bundle says what was sealed: %s", record.number, error)
            bundle, entries = None, roster_shown(target, chain.shown)
            if entries is None:
                every = (Question(Node.ROSTER, index=index) for index in range(target.roster.count))
                wanted = _unshown(chain, every)
        if wanted:
            return wanted
        return disputed_round(self._reader, self._reveals, record, bundle, self._opener, rostered=entries or ())


def _unshown(chain: Record, questions: Iterable[Question]) -> tuple[Question, ...]:
    return tuple(question for question in questions if question not in chain.shown)


def _miscounted(disputed: DisputedRound) -> GivenDiffers | None:
    """Return the cell of a published tape by which it has not as many entries as the chain."""
    number = source_column(disputed.target, Source.COUNT)
    if disputed.published is None or number is None:
        return None
    told = opened(disputed.published, number, ())
    return None if told.value == disputed.target.lengths.entries else GivenDiffers(number, (), told)


def _tape_of(disputed: DisputedRound, chain: Record) -> Tape:
    """Return the sealed tape, about whose cells there is nothing to do."""
    return disputed.fitting or believed(disputed.known, disputed.target.record.trace, chain.shown)


def _next(disputed: DisputedRound, chain: Record) -> Move | None:
    """Return what to do about a seal: about its tape, then about its claims."""
    known, target = disputed.known, disputed.target
    moves = next_moves(known, target.record.trace, published=disputed.fitting, shown=chain.shown)
    if moves:
        return moves[0]
    return next_claims(target, _tape_of(disputed, chain), disputed.seats, published=disputed.claims, shown=chain.shown)
