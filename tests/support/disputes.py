"""A world whose disputes are real, and rounds judged on real integers whose seals tests make lie in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

from fl_platform.chain import evidence
from fl_platform.chain.alone import Alone
from fl_platform.chain.evidence import Case, Evidence, Question
from fl_platform.chain.records import RosterRecord, SealRecord
from fl_platform.contribution.judge import Judgement
from fl_platform.contribution.tracing import trace_of
from fl_platform.protocol import merkle_sum
from fl_platform.protocol.bundle import RoundBundle, claim_leaves
from fl_platform.protocol.spec import TaskSpec
from fl_platform.protocol.trace import Trace
from tests.support import contracts
from tests.support.contracts import Run, World
from tests.support.evm import Evm, Outcome, account, created_at
from tests.support.rounds import Round

JUDGES = ("MoneyJudge", "EntryJudge", "ScreenJudge", "WorthJudge", "WorkJudge")


class DisputedWorld(World):
    """All contracts, with the disputes that ship instead of the mock."""

    def __init__(self) -> None:
        self.evm = Evm()
        deployer = account("deployer").address
        self.owner, self.guardian = account("owner"), account("guardian")
        self.aggregators = tuple(account(f"aggregator {i}") for i in range(3))
        at = [created_at(deployer, nonce) for nonce in range(15)]
        create = partial(self.evm.create, deployer)
        self.token = create("FaucetToken")
        self.escrow = create("Escrow", at[2], at[3], at[4], at[14])
        self.registry = create("TaskRegistry", at[1], at[3], self.guardian.address)
        self.ledger = create("RoundLedger", at[1], at[2], at[4], at[14])
        self.settlement = create("Settlement", at[1], at[2], at[3])
        self.reputation = create("Reputation", at[3])
        money, entry = create("MoneyJudge", at[3]), create("EntryJudge", at[3], at[1], at[2])
        screen, worth = create("ScreenJudge"), create("WorthJudge")
        work = create("WorkJudge", at[3], at[2])
        self.judges = (money, entry, screen, worth, work)
        self.bisections = create("Bisections", at[14])
        self.reveals = create("Reveals", at[14], at[3], at[1], at[2])
        self.demands = create("Demands", at[14], at[3])
        games = (self.bisections.address, self.reveals.address, self.demands.address)
        self.disputes = create("Disputes", at[3], at[1], *(judge.address for judge in self.judges), *games)
        self.views = create("LedgerViews", at[3])
        for who in (self.owner, *self.aggregators, account("challenger")):
            self.fill(who)


@cache
def _shared() -> tuple[DisputedWorld, tuple[bytes, int]]:
    world = DisputedWorld()
    return world, world.evm.snapshot()


def disputed_world() -> DisputedWorld:
    """Return the shared deployment in its first state."""
    world, mark = _shared()
    world.evm.restore(mark)
    return world


Lie = Callable[[Trace], Trace]


@dataclass
class Stage:
    """One task on a disputed world whose rounds are sealed with their traces."""

    world: DisputedWorld
    run: Run
    rounds: dict[int, Round] = field(default_factory=dict)
    bundles: dict[int, RoundBundle] = field(default_factory=dict)
    traces: dict[int, Trace] = field(default_factory=dict)

    @classmethod
    def start(cls, first: Round, **changes: Any) -> Stage:
        """Open a task whose specification is the round's."""
        return cls.open(first.spec, **changes)

    @classmethod
    def open(cls, spec: TaskSpec, **changes: Any) -> Stage:
        """Open a task of this specification."""
        world = disputed_world()
        values: dict[str, Any] = {"spec": spec.digest, "rounds": 4, "fee_bps": spec.money.fee_bps}
        return cls(world, Run.start(world, trainers=0, bonded=2, **(values | changes)))

    def pot(self, judged_before: int) -> int:
        """Return what the head's round has to allot, wei."""
        return int(self.world.views.call("allotted", self.run.task, self.run.round)) - judged_before

    def judge(self, made: Round) -> tuple[Round, Judgement, int]:
        """Judge a round for the current aggregator with the money of this chain."""
        pot = self.pot(sum(s.earned for s in made.before.standings) + made.before.dust)
        context = replace(made.context, pot=pot, aggregator=self.run.aggregator)
        placed = replace(made, context=context)
        return placed, placed.judge(), pot

    def seal(
        self,
        made: Round,
        *,
        bundle: Callable[[RoundBundle], RoundBundle] = lambda b: b,
        trace: Lie = lambda t: t,
        roster: contracts.Tree | None = None,
        forced: int = 0,
        untraced: bool = False,
        rostered: Callable[[], object] = lambda: None,
    ) -> Judgement:
        """Roster and seal the head's round; `bundle` and `trace` may lie. `rostered` happens between the two."""
        number = self.run.round
        placed, judged, pot = self.judge(made)
        entries = tuple(placed.entries)
        listed = entries[: len(entries) - forced]
        if self.run.phase == 1:
            self.run.roster(roster or contracts.Tree(tuple(e.leaf for e in listed)))
        rostered()
        sealed = bundle(bundle_of(placed, judged, number))
        told = trace(trace_of(placed.spec, sealed, pot=pot))
        self.rounds[number], self.bundles[number], self.traces[number] = placed, sealed, told
        self.run.seal(contracts.Tree(claim_leaves(sealed.after)), trace=bytes(32) if untraced else told.root)
        return judged

    def record(self, number: int) -> SealRecord:
        """Return a seal's record as the package's class."""
        return SealRecord(*dataclasses.astuple(self.run.seals[number][0]))

    def roster_record(self, number: int) -> RosterRecord:
        """Return a roster's record as the package's class."""
        return RosterRecord(*dataclasses.astuple(self.run.rosters[number][0]))

    def case(self, number: int, question: Question) -> Case:
        """Return a question about a sealed round."""
        return Case(self.run.task, number, self.record(number), int(question))

    def challenge(self, number: int, question: Question, shown: Evidence) -> Outcome:
        """Send a challenge; raises Reverted when it fails."""
        done = self.world.disputes.send(
            account("challenger"), "challenge", self.case(number, question), shown, self.run.params.aggregators
        )
        self.run.seals = {r: s for r, s in self.run.seals.items() if r < number}
        self.run.rosters = {r: s for r, s in self.run.rosters.items() if r <= number}
        return done

    def refuted(self, number: int, question: Question, shown: Evidence) -> bool:
        """Ask the judge without any effect."""
        judge, case = self.world.judges[judge_of(question)], self.case(number, question)
        alone = Alone(self.world.evm.code).call(judge.address, judge.abi.encode("refutes", case, shown))
        return bool(judge.call("refutes", case, shown)) if alone is None else any(alone)

    def everything(self, number: int) -> list[tuple[Question, Evidence]]:
        """Return every question about a round that its own leaves answer, with its evidence."""
        trace, placed = self.traces[number], self.rounds[number]
        before = None if number == 0 else (self.record(number - 1), self.traces[number - 1])
        found: list[tuple[Question, Evidence]] = [
            (Question.TOTALS, evidence.totals(trace)),
            (Question.ENTRIES, evidence.entries(trace)),
            (Question.RULES, evidence.rules(trace, placed.spec.to_bytes())),
            (Question.SOLUTION, evidence.solution(trace)),
            (Question.CARRIED, evidence.carried(trace, None, before)),
        ]
        claims = claim_leaves(self.bundles[number].after)
        for k in range(len(trace.standings)):
            found.append((Question.CLAIM, evidence.claim(trace, k, claims)))
            found.append((Question.STANDING, evidence.standing(trace, k)))
            new = before is None or not trace.standings[k].previous
            found.append((Question.CARRIED, evidence.carried(trace, k, None if new else before)))
        per_entry = (
            (Question.ENTRY, evidence.entry), (Question.QUALITY, evidence.quality), (Question.GROUP, evidence.group),
            (Question.SCORE, evidence.score), (Question.REPLAY, evidence.replay), (Question.KRUM, evidence.krum),
        )  # fmt: skip
        for question, make in per_entry:
            wanted = [i for i, e in enumerate(trace.entries) if e.row or question is Question.ENTRY]
            found += [(question, make(trace, i)) for i in wanted]
        leaves = self.run.rosters[number][1].leaves
        found += [
            (Question.ROSTER, evidence.roster(trace, i, self.roster_record(number), leaves)) for i in range(len(leaves))
        ]
        found += [(Question.SYMMETRY, evidence.symmetry(trace, i, 0)) for i in range(len(trace.gram))]
        live = [i for i, e in enumerate(trace.entries) if e.capped]
        found += [(Question.DUPLICATES, evidence.duplicates(trace, i, j)) for i in live for j in live if i < j]
        return found

    def found(self, number: int) -> set[Question]:
        """Return the questions whose answer is a lie."""
        return {question for question, shown in self.everything(number) if self.refuted(number, question, shown)}


def judge_of(question: Question) -> int:
    """Return which of the judges answers a question."""
    if question in (Question.FOREIGN, Question.UNTRACED):
        return 1
    if question >= Question.WORK:
        return 4
    return sum(question > last for last in (Question.DROPPED, Question.RULES, Question.ENTRIES))


def bundle_of(made: Round, judged: Judgement, number: int) -> RoundBundle:
    """Return what an aggregator publishes of a judged round."""
    return RoundBundle(
        chain_id=made.context.domain.chain_id, ledger=made.context.domain.ledger, task=made.context.task, round=number,
        spec=made.spec.digest, aggregator=made.context.aggregator, before=made.before, entries=tuple(made.entries),
        verdicts=judged.verdicts, rows=judged.gram.names, gram=judged.gram.triangle,
        direction_roots=judged.direction_roots, validation=(), measured=judged.measured, divisor=judged.divisor,
        aggregate=bytes(32), sums_root=judged.sums_root, after=judged.after,
    )  # fmt: skip


def total_of(leaves: Sequence[merkle_sum.Leaf]) -> int:
    """Return the sum of a tree."""
    return merkle_sum.build(tuple(leaves)).total
