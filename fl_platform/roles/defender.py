"""The sealer's side of disputes (step 9): it shows what a demand asks for and splits its Gram entries, so that no bond
is lost for want of an answer.

All of it follows from the round's own bundle and the updates, so a defender that was restarted, or runs on another
machine with the same wallet and store, answers alike.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from fl_platform.aggregation.products import split_range
from fl_platform.chain import work_evidence
from fl_platform.chain.bisections import Bisections, OpenGame
from fl_platform.chain.demands import Demand, Demands, Subject
from fl_platform.chain.disputes import Disputes
from fl_platform.contribution.tracing import layout_of
from fl_platform.errors import ConfigError, FLError, RetryError
from fl_platform.protocol.bundle import claim_leaves
from fl_platform.roles.opening import UpdateOpener
from fl_platform.roles.reading import TaskReader
from fl_platform.roles.tracing import sealed_trace
from fl_platform.roles.work import RoundWork

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """One move that the defender made, or could not make."""

    round: int
    what: str  # "split of game 3", "answer to demand 2"
    problem: str = ""  # why it could not; empty when it was made

    def __str__(self) -> str:
        """One line for a person."""
        return f"round {self.round}: {self.what}" + (f" FAILED: {self.problem}" if self.problem else "")


class Defender:
    """Answers for one sealer in one task."""

    def __init__(
        self,
        reader: TaskReader,
        disputes: Disputes,
        *,
        opener: UpdateOpener,
        watch: Callable[[Answer], None] = lambda _: None,
    ) -> None:
        """Create a defender; `disputes` holds the sealer's wallet, `opener` its key to the updates.

        Raises ConfigError without a wallet.
        """
        if disputes.signer is None:
            raise ConfigError("a defender answers with the sealer's wallet; name it (`--wallet`)")
        self._reader, self._demands, self._opener, self._watch = reader, Demands(disputes), opener, watch
        self._games, self._sealer = Bisections(disputes), disputes.signer.address

    def step(self, now: int) -> list[Answer]:
        """Answer all that waits for this sealer at block time `now`. Raises RetryError (out of reach: call again)."""
        made = self._demands.demands_on(self._reader.task, self._sealer)
        answers = [self._answer(n, d) for n, d in made if not d.answered]
        answers += [self._end(n, d) for n, d in made if d.answered and now >= d.deadline]
        for found in self._games.open_games(self._reader.task):
            seal = self._reader.history().rounds[found.game.round].seal
            if seal is None or seal.aggregator != self._sealer:
                continue
            if now < found.game.deadline and not found.game.answered:
                what = f"split of game {found.number}"
                answers.append(self._try(found.game.round, what, partial(self._split, found)))
            elif now >= found.game.deadline and found.game.answered:  # its challenger left it: the task goes on
                what = f"end of game {found.number}"
                answers.append(self._try(found.game.round, what, partial(self._games.expire, found.number)))
        for answer in answers:
            self._watch(answer)
        return answers

    def _answer(self, number: int, demand: Demand) -> Answer:
        return self._try(demand.round, f"answer to demand {number}", partial(self._show, number, demand))

    def _end(self, number: int, demand: Demand) -> Answer:
        """Nobody challenged what was shown: the task goes on."""
        return self._try(demand.round, f"end of demand {number}", partial(self._demands.expire, number))

    def _try(self, round_number: int, what: str, move: Callable[[], object]) -> Answer:
        try:
            move()
        except RetryError:
            raise
        except FLError as error:
            logger.warning("round %d: %s failed: %s", round_number, what, error)
            return Answer(round_number, what, str(error))
        return Answer(round_number, what)

    def _split(self, found: OpenGame) -> None:
        bundle = self._reader.bundle(found.game.round)
        work = RoundWork(self._reader, bundle, self._opener)
        _, width = work_evidence.parts_of(found.game.count)
        products = work.products(found.row, found.column)
        parts = split_range(products, first=found.game.first, count=found.game.count, width=width)
        statement = work_evidence.statement_of(sealed_trace(self._reader, bundle), found.row, found.column)
        self._games.split(found.number, statement, parts, layout_of(self._reader.spec, bundle.before.scale))

    def _show(self, number: int, demand: Demand) -> None:
        bundle = self._reader.bundle(demand.round)
        if demand.subject == Subject.TRACE:
            self._demands.answer_trace(number, sealed_trace(self._reader, bundle))
        elif demand.subject == Subject.CLAIMS:
            self._demands.answer_claims(number, claim_leaves(bundle.after))
        elif demand.subject == Subject.SUMS:
            work = RoundWork(self._reader, bundle, self._opener)
            self._demands.answer_sums(number, sealed_trace(self._reader, bundle), *work.below_sums(demand.index))
        else:
            roster = self._reader.history().rounds[demand.round].roster
            assert roster is not None  # a sealed round has one
            trace = sealed_trace(self._reader, bundle)
            self._demands.answer_entries(number, bundle.entries, trace, roster, self._reader.spec)
