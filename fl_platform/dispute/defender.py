"""An aggregator's side of disputes (step 9): it shows what is asked for, so that no bond is lost for want of an answer.

What is asked of a seal follows from the round's own bundle and the updates, so a defender that was restarted, or runs
on another machine with the same wallet and store, answers alike. What is asked of a roster that is not sealed yet, only
its maker's own folder tells (`roster_defender`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from fl_platform.dispute.answers import HeldTape
from fl_platform.dispute.disputed_round import DisputedRound, disputed_round, target_of
from fl_platform.dispute.outputs import answer_claims
from fl_platform.dispute.questions import Answer as Shown
from fl_platform.dispute.questions import Node, Question
from fl_platform.dispute.referee import Asked, Referee
from fl_platform.dispute.roster_defender import Kept, RosterBonds, RosterDefender
from fl_platform.dispute.rosters import Rosters
from fl_platform.dispute.targets import answer_entry
from fl_platform.errors import ConfigError, DocumentInvalid, FLError, RetryError, TransactionReverted
from fl_platform.ledger.history import RoundHistory
from fl_platform.ledger.reveals import Reveals
from fl_platform.protocol.bundle import claim_leaves
from fl_platform.task.opening import UpdateOpener
from fl_platform.task.reading import TaskReader

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """One move that the defender made, or could not make."""

    round: int
    what: str  # "shows cells 3.0 of column 7"
    problem: str = ""  # why it could not; empty when it was made

    def __str__(self) -> str:
        """One line for a person."""
        return f"round {self.round}: {self.what}" + (f" FAILED: {self.problem}" if self.problem else "")


class Defender:
    """Answers for one sealer in one task."""

    def __init__(
        self, reader: TaskReader, referee: Referee, *, opener: UpdateOpener,
        watch: Callable[[Answer], None] = lambda _: None, kept: Kept | None = None,
    ) -> None:  # fmt: skip
        """Create a defender; `referee` holds the sealer's wallet, `opener` its key to the updates.

        kept: what the wallet's folder keeps of the rosters that it made; None: nothing is answered about those.
        Raises ConfigError without a wallet.
        """
        if referee.signer is None:
            raise ConfigError("a defender answers with the sealer's wallet; name it (`--wallet`)")
        self._reader, self._referee, self._opener, self._watch = reader, referee, opener, watch
        self._sealer = referee.signer.address
        contracts = referee.contracts
        self._reveals = Reveals(contracts, reader.spec) if Reveals.there(contracts) else None
        self._held: dict[bytes, tuple[DisputedRound, HeldTape]] = {}  # by the seal's key
        rosters = Rosters(contracts, referee.signer)
        self._rosters = None if kept is None else RosterDefender(reader, rosters, self._sealer, kept)
        self._bonds = RosterBonds(reader, rosters)

    def step(self, now: int) -> list[Answer]:
        """Answer all that waits for this sealer at block time `now`, and take its own bonds back.

        Raises RetryError (out of reach: call again).
        """
        answers = [] if self._rosters is None else list(self._about_rosters(self._rosters, now))
        for record in self._reader.history().rounds:
            if record.seal is None or record.seal.aggregator != self._sealer or not record.challenged:
                continue
            target = target_of(self._reader, record)
            found = self._referee.record(target)
            for asked in found.waiting:
                if now < asked.deadline:
                    answers.append(self._try(record, f"answer to {asked.question}", asked))
            if not found.waiting and now >= found.last_at + self._reader.spec.windows.takeover:
                move = partial(self._referee.release, target)
                answers.append(self._attempt(record.number, "end of the last question", move))
        self._bonds.reclaim()
        for answer in answers:
            self._watch(answer)
        return answers

    def _try(self, record: RoundHistory, what: str, asked: Asked) -> Answer:
        return self._attempt(record.number, what, partial(self._answer, record, asked))

    def _about_rosters(self, rosters: RosterDefender, now: int) -> Iterator[Answer]:
        for listed, asked in rosters.waiting(now):
            move = partial(rosters.show, listed, asked.index)
            yield self._attempt(listed.round, f"answer to leaf {asked.index} of its roster", move)

    def _attempt(self, number: int, what: str, move: Callable[[], object]) -> Answer:
        try:
            move()
        except RetryError:
            raise
        except (FLError, OSError) as error:
            logger.warning("round %d: %s failed: %s", number, what, error)
            return Answer(number, what, str(error))
        return Answer(number, what)

    def _answer(self, record: RoundHistory, asked: Asked) -> None:
        """Show a node, or end a question that has no answer: whoever asks may ask anything."""
        target = target_of(self._reader, record)
        try:
            self._referee.show(target, asked.question, self._shown(record, asked.question))
        except RetryError:
            raise
        except Exception as error:  # there is no such node, or none of it can be shown before another
            known = error if isinstance(error, FLError) else DocumentInvalid(f"{type(error).__name__}: {error}")
            try:
                self._referee.dismiss(target, asked)
            except TransactionReverted as answerable:
                logger.warning("round %d: %s", record.number, answerable)
                raise known from error

    def _shown(self, record: RoundHistory, question: Question) -> Shown:
        """Return what shows a node; raises anything where there is none."""
        disputed, held = self._hold(record)
        if question.node is Node.CLAIMS:
            return answer_claims(claim_leaves(self._reader.bundle(record.number).after), question)
        if question.node is Node.ROSTER:
            return answer_entry(disputed.entries[question.index], disputed.signatures[question.index])
        return held.answer(question)

    def _hold(self, record: RoundHistory) -> tuple[DisputedRound, HeldTape]:
        target = target_of(self._reader, record)
        if target.key not in self._held:
            bundle = self._reader.bundle(record.number)
            disputed = disputed_round(self._reader, self._reveals, record, bundle, self._opener)
            if disputed.published is None:
                raise DocumentInvalid(f"round {record.number}: the bundle does not tell of the tape that was sealed")
            self._held[target.key] = disputed, HeldTape(disputed.published, disputed.known.rows)
        return self._held[target.key]
