"""An aggregator's side of disputes (step 9): it shows what is asked for, so that no bond is lost for want of an answer.

What is asked of a seal follows from the round's own bundle and the updates, so a defender that was restarted, or runs
on another machine with the same wallet and store, answers alike. What is asked of a roster that is not sealed yet, only
its maker's own folder tells (`roster_defender`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from fl_platform.chain.client import Planned
from fl_platform.dispute.answers import HeldTape
from fl_platform.dispute.disputed_round import DisputedRound, disputed_round, target_of
from fl_platform.dispute.outputs import answer_claims
from fl_platform.dispute.questions import Answer, Node, Question
from fl_platform.dispute.referee import Asked, Referee
from fl_platform.dispute.roster_defender import Kept, RosterBonds, RosterDefender
from fl_platform.dispute.rosters import Rosters
from fl_platform.dispute.targets import Target, answer_entry
from fl_platform.errors import ConfigError, DocumentInvalid, FLError, RetryError, TransactionReverted
from fl_platform.ledger.history import RoundHistory
from fl_platform.ledger.reveals import Reveals
from fl_platform.protocol.bundle import claim_leaves
from fl_platform.task.decrypting import UpdateOpener
from fl_platform.task.reading import TaskReader

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answered:
    """One move that the defender made, or could not make."""

    round: int
    what: str  # "shows cells 3.0 of column 7"
    problem: str = ""  # why it could not; empty when it was made

    def __str__(self) -> str:
        """One line for a person."""
        return f"round {self.round}: {self.what}" + (f" FAILED: {self.problem}" if self.problem else "")


@dataclass(eq=False)
class _Due:
    """A question that waits for this sealer."""

    round: int
    what: str
    deadline: int  # seconds of block time
    show: Callable[[], Planned]  # raises what keeps it from being shown
    dismiss: Callable[[], Planned] | None = None  # ends it where it has no answer
    problem: FLError | OSError | None = None  # why it could not be shown, or ended


class Defender:
    """Answers for one sealer in one task."""

    def __init__(
        self, reader: TaskReader, referee: Referee, *, opener: UpdateOpener,
        watch: Callable[[Answered], None] = lambda _: None, kept: Kept | None = None,
    ) -> None:  # fmt: skip
        """Create a defender; `referee` holds the sealer's wallet, `opener` its key to the updates.

        kept: what the wallet's folder keeps of the rosters that it made; None: nothing is answered about those.
        Raises ConfigError without a wallet.
        """
        if referee.signer is None:
            raise ConfigError("a defender answers with the sealer's wallet; name it (`--wallet`)")
        self._reader, self._referee, self._opener, self._watch = reader, referee, opener, watch
        self._signer, self._sealer = referee.signer, referee.signer.address
        contracts = referee.contracts
        self._reveals = Reveals(contracts, reader.spec) if Reveals.there(contracts) else None
        self._held: dict[bytes, tuple[DisputedRound, HeldTape]] = {}  # by the seal's key
        rosters = Rosters(contracts, referee.signer)
        self._rosters = None if kept is None else RosterDefender(reader, rosters, self._sealer, kept)
        self._bonds = RosterBonds(reader, rosters)

    def step(self, now: int) -> list[Answered]:
        """Answer all that waits for this sealer at block time `now`, and take its own bonds back.

        All answers are handed in, what is due first before the others, and then waited for: so it can be asked no
        faster than it answers. Raises RetryError (out of reach: call again).
        """
        due = [] if self._rosters is None else list(self._about_rosters(self._rosters, now))
        ended: list[Target] = []
        for record in self._reader.history().rounds:
            if record.seal is None or record.seal.aggregator != self._sealer or not record.challenged:
                continue
            target = target_of(self._reader, record)
            found = self._referee.record(target)
            due += [self._about_seal(record, target, asked) for asked in found.waiting if now < asked.deadline]
            if not found.waiting and now >= found.last_at + self._reader.spec.windows.takeover:
                ended.append(target)
        answers = self._answer(sorted(due, key=lambda one: one.deadline))
        answers += [self._release(target) for target in ended]
        self._bonds.reclaim()
        for answer in answers:
            self._watch(answer)
        return answers

    def _about_rosters(self, rosters: RosterDefender, now: int) -> Iterator[_Due]:
        for listed, asked in rosters.waiting(now):
            what = f"answer to leaf {asked.index} of its roster"
            yield _Due(listed.round, what, asked.deadline, partial(rosters.showing, listed, asked.index))

    def _about_seal(self, record: RoundHistory, target: Target, asked: Asked) -> _Due:
        show, dismiss = partial(self._showing, record, asked), partial(self._referee.dismissing, target, asked)
        return _Due(record.number, f"answer to {asked.question}", asked.deadline, show, dismiss)

    def _release(self, target: Target) -> Answered:
        what = "end of the last question"
        try:
            self._referee.release(target)
        except RetryError:
            raise
        except FLError as error:
            return self._failed(target.round, what, error)
        return Answered(target.round, what)

    # --- many at once ---

    def _answer(self, due: Sequence[_Due]) -> list[Answered]:
        """Show what can be shown, and end what has no answer: whoever asks may ask anything."""
        left = due
        while left:
            self._send([(one, one.show) for one in left])
            refused = [one for one in left if isinstance(one.problem, TransactionReverted)]
            if len(refused) in (0, len(left)):
                break
            left = refused  # what was just shown may be what they follow from
        unshown = {one: one.problem for one in due if one.problem is not None}
        self._send([(one, one.dismiss) for one in unshown if one.dismiss is not None])
        for one, problem in unshown.items():
            if isinstance(one.problem, TransactionReverted):  # it has an answer
                one.problem = problem
        return [
            Answered(one.round, one.what) if one.problem is None else self._failed(one.round, one.what, one.problem)
            for one in due
        ]

    def _send(self, calls: Sequence[tuple[_Due, Callable[[], Planned]]]) -> None:
        """Make all calls together and note why one is not made. Raises RetryError, once those within reach are made."""
        planned: list[tuple[_Due, Planned]] = []
        out_of_reach: list[RetryError] = []
        for one, call in calls:
            one.problem = None
            try:
                planned.append((one, call()))
            except RetryError as error:
                out_of_reach.append(error)
            except (FLError, OSError) as error:
                one.problem = error
        outcomes = self._referee.contracts.chain.send_all([made for _, made in planned], signer=self._signer)
        for (one, _), outcome in zip(planned, outcomes, strict=True):
            one.problem = outcome if isinstance(outcome, FLError) else None
        if out_of_reach:
            raise out_of_reach[0]

    def _failed(self, number: int, what: str, error: Exception) -> Answered:
        logger.warning("round %d: %s failed: %s", number, what, error)
        return Answered(number, what, str(error))

    def _showing(self, record: RoundHistory, asked: Asked) -> Planned:
        """Return the call that shows a node. Raises DocumentInvalid where there is none, or none before another."""
        target = target_of(self._reader, record)
        try:
            return self._referee.showing(target, asked.question, self._shown(record, asked.question))
        except FLError:
            raise
        except Exception as error:
            raise DocumentInvalid(f"{type(error).__name__}: {error}") from error

    def _shown(self, record: RoundHistory, question: Question) -> Answer:
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
