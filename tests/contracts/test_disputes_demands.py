"""What a sealer hides, leaves out or invents: demands with deadlines, forced receipts, strangers (A06, A07)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from eth_abi.abi import decode

from fl_platform.chain import evidence
from fl_platform.chain.demands import Demand
from fl_platform.chain.evidence import Question
from fl_platform.chain.records import pack_leaves, struct, unpack_leaves
from fl_platform.protocol.bundle import claim_leaves
from fl_platform.protocol.merkle_sum import Leaf
from fl_platform.protocol.receipt import Receipt
from fl_platform.protocol.trace import Header, Kind, StandingLeaf, Trace
from fl_platform.protocol.trace_pages import Page, leaves_of, pages, rebuilt
from tests.support.contracts import Run, Tree, digest
from tests.support.disputes import Stage, disputed_world
from tests.support.evm import Outcome, Reverted, account
from tests.support.rounds import happy_round

TRACE, ENTRIES, CLAIMS = range(3)
CHALLENGER = account("challenger")
PAGE = ["uint32[6]", "bytes32[6]", "uint256", "uint256", "bytes"]


def sealed(**lies: Any) -> Stage:
    stage = Stage.start(happy_round(3))
    stage.seal(happy_round(3), **lies)
    return stage


def demand(stage: Stage, subject: int = TRACE, index: int = 0) -> int:
    done = stage.world.demands.send(CHALLENGER, "demand", stage.run.task, 0, stage.record(0), subject, index)
    return int(done.output[0])


def show(stage: Stage, number: int, page: Page, header: Header | None = None) -> Outcome:
    told = header or stage.traces[0].header
    return stage.world.demands.send(
        account("anyone"), "answerTrace", number, stage.record(0), told.counts, told.roots,
        (page.level, page.words, page.siblings),
    )  # fmt: skip


def answer(stage: Stage, number: int) -> list[Outcome]:
    return [show(stage, number, page) for page in pages(stage.traces[0])]


def expire(stage: Stage, number: int, who: str = "anyone") -> Outcome:
    listed = stage.run.params.aggregators
    return stage.world.demands.send(account(who), "expire", number, stage.record(0), listed)


def demanded(stage: Stage, number: int) -> Demand:
    return struct(Demand, stage.world.demands.call("demandOf", number))


def test_an_answered_demand_pays_the_sealer_and_the_task_goes_on() -> None:
    stage = sealed()
    number = demand(stage)
    bond = stage.world.disputes.call("bondOf", stage.run.task)
    assert bond == -(-stage.run.params.pot * 500 // 10_000)
    assert stage.world.views.call("isChallenged", stage.run.task, 0)
    answer(stage, number)
    assert stage.run.member(CHALLENGER)[0] == bond
    with pytest.raises(Reverted, match="Demands_Deadline"):
        expire(stage, number)
    with pytest.raises(Reverted, match="Demands_WrongAnswer"):
        answer(stage, number)
    expire(stage, number, "challenger")
    assert stage.run.member(CHALLENGER)[:2] == (0, 0)
    assert stage.run.member(account("anyone"))[1] == 0  # else its own second account would demand for nothing
    assert stage.run.member(stage.run.params.aggregators[0])[1] == bond
    assert not stage.world.views.call("isChallenged", stage.run.task, 0)
    with pytest.raises(Reverted, match="Demands_Unknown"):
        expire(stage, number)


def test_disputes_cannot_be_strung_together_for_ever() -> None:
    """Demands answered in time would keep a round open: five takeovers after its window no new one is taken."""
    stage = sealed()
    demand(stage)
    windows = stage.world.views.call("config", stage.run.task)
    end = stage.record(0).sealed_at + windows[5] + 5 * windows[6]  # challenge, takeover
    stage.world.wait(end - 1)
    demand(stage, CLAIMS)
    stage.world.wait(end)
    with pytest.raises(Reverted, match="RoundLedger_TooLate"):
        demand(stage, ENTRIES)


def test_who_is_leaving_cannot_lock_a_bond_that_it_would_take_along() -> None:
    stage = sealed()
    leaver = stage.run.params.aggregators[1]
    stage.world.ledger.send(leaver, "unbondAggregator", stage.run.task)
    with pytest.raises(Reverted, match="Escrow_RoleConflict"):
        stage.world.demands.send(leaver, "demand", stage.run.task, 0, stage.record(0), TRACE, 0)


@pytest.mark.parametrize("kind", Kind)
def test_a_leaf_of_another_length_is_no_answer(kind: Kind) -> None:
    """What is shown must be readable by the judges: a trace of other leaves cannot be shown, and falls."""
    stage = sealed()
    number = demand(stage)
    for page in pages(stage.traces[0]):
        if page.kind == kind:
            with pytest.raises(Reverted, match="Traces_EvidenceShape"):
                show(stage, number, replace(page, words=page.words + bytes(32)))
            return
        show(stage, number, page)


@pytest.mark.parametrize("kind", [Kind.RULES, Kind.ROUND, Kind.WORK])
def test_a_trace_with_two_leaves_where_there_is_one_cannot_be_shown(kind: Kind) -> None:
    honest = sealed()
    header = honest.traces[0].header
    counts = tuple(2 if place == kind else count for place, count in enumerate(header.counts))
    twice = replace(header, counts=counts)
    stage = Stage.start(happy_round(3))
    stage.seal(happy_round(3), trace=lambda t: SealsRoot(t, twice.root))
    number = demand(stage)
    page = next(pages(honest.traces[0]))
    with pytest.raises(Reverted, match="Traces_EvidenceShape"):
        show(stage, number, page, twice)


class SealsRoot(Trace):
    """A trace that is sealed under another root."""

    def __init__(self, honest: Trace, root: bytes) -> None:
        super().__init__(honest.rules, honest.round, honest.entries, honest.gram, honest.standings, honest.work)
        object.__setattr__(self, "told", root)

    @property
    def root(self) -> bytes:
        told: bytes = object.__getattribute__(self, "told")
        return told


def test_pages_come_in_their_order_and_whole() -> None:
    stage = sealed()
    number = demand(stage)
    first, *rest = pages(stage.traces[0])
    for page in rest:
        with pytest.raises(Reverted, match="Traces_"):
            show(stage, number, page)
    show(stage, number, first)
    with pytest.raises(Reverted, match="Traces_"):
        show(stage, number, first)
    entries = next(page for page in rest if page.kind is Kind.ENTRY)
    assert entries.level == 2
    show(stage, number, rest[0])
    wrong = bytes([entries.words[0] ^ 1]) + entries.words[1:]
    for bad in (
        replace(entries, words=wrong), replace(entries, level=3), replace(entries, level=1),
        replace(entries, siblings=(bytes(32),)), replace(entries, words=entries.words[:-32]),
        replace(entries, level=255),
    ):  # fmt: skip
        with pytest.raises(Reverted, match="Traces_"):
            show(stage, number, bad)
    show(stage, number, entries)
    assert (demanded(stage, number).kind, demanded(stage, number).index) == (Kind.GRAM, 0)


def test_whoever_shows_a_small_part_does_not_stop_the_sealer() -> None:
    """A stranger shows one leaf first: the sealer's page, made before, holds the next one and counts all the same."""
    stage = sealed()
    number, trace = demand(stage), stage.traces[0]
    shown: dict[tuple[Kind, int], bytes] = {}
    for page in pages(trace):
        small = Page(page.kind, page.first, 0, trace.leaves[page.kind][page.first], trace.path(page.kind, page.first))
        moves = (small, page) if page.level else (page,)
        for move in moves:
            content = show(stage, number, move).event("Answered")["content"]
            counts, roots, kind, first, words = decode(PAGE, content)
            shown |= leaves_of(Header(counts, roots), Kind(kind), first, words)
    assert demanded(stage, number).answered
    assert rebuilt(trace.header, shown) == trace


@pytest.mark.parametrize("kind", [Kind.ENTRY, Kind.GRAM, Kind.STANDING])
def test_a_root_without_leaves_cannot_be_shown(kind: Kind) -> None:
    """No judge can read such a kind, and nobody could rebuild the trace: it falls for want of an answer."""
    header = sealed().traces[0].header
    counts = tuple(0 if place == kind else count for place, count in enumerate(header.counts))
    roots = tuple(digest("nothing") if place == kind else root for place, root in enumerate(header.roots))
    lie = Header(counts, roots)
    stage = Stage.start(happy_round(3))
    stage.seal(happy_round(3), trace=lambda t: SealsRoot(t, lie.root))
    number = demand(stage)
    with pytest.raises(Reverted, match="Traces_LeafMismatch"):
        show(stage, number, next(pages(stage.traces[0])), lie)


def test_the_claims_are_shown_all_at_once() -> None:
    stage = sealed()
    number = demand(stage, CLAIMS, 7)
    leaves = claim_leaves(stage.bundles[0].after)

    def show_claims(packed: bytes) -> Outcome:
        return stage.world.demands.send(account("anyone"), "answerClaims", number, stage.record(0), packed)

    packed = pack_leaves(leaves)
    assert unpack_leaves(packed) == leaves
    more = replace(leaves[0], amount=leaves[0].amount + 1)
    for bad in (packed[:-52], packed + bytes(52), pack_leaves((more, *leaves[1:])), packed[:-1] + b"\x07"):
        with pytest.raises(Reverted, match=r"MerkleSum_NotInTree|Demands_WrongAnswer"):
            show_claims(bad)
    assert show_claims(packed).event("Answered")["content"] == packed
    assert demanded(stage, number).answered


def test_a_demand_without_an_answer_takes_the_seal_and_the_bond() -> None:
    stage = sealed()
    number = demand(stage)
    with pytest.raises(Reverted, match="Demands_Deadline"):
        expire(stage, number)
    first, *rest = pages(stage.traces[0])
    show(stage, number, first)  # a part is no answer
    stage.world.wait(demanded(stage, number).deadline)
    with pytest.raises(Reverted, match="Demands_Deadline"):
        show(stage, number, rest[0])
    expire(stage, number)
    bond = stage.world.disputes.call("bondOf", stage.run.task)
    assert stage.run.member(CHALLENGER)[1] == stage.run.params.bond * 3_000 // 10_000 + bond
    assert stage.run.member(stage.run.params.aggregators[0])[0] == 0
    assert stage.run.phase == 2


def test_what_an_answer_shows_can_be_challenged_after_the_window() -> None:
    stage = sealed(trace=lambda t: replace(t, entries=(replace(t.entries[0], score=t.entries[0].score + 1),
                                                       *t.entries[1:])))  # fmt: skip
    number, other = demand(stage), demand(stage, CLAIMS)
    stage.world.wait(demanded(stage, number).deadline - 1)
    answer(stage, number)
    question = Question.SCORE if stage.traces[0].entries[0].row > 1 else Question.ENTRY
    shown = evidence.score(stage.traces[0], 0) if question is Question.SCORE else evidence.entry(stage.traces[0], 0)
    kept, won = stage.record(0), stage.run.params.bond * 3_000 // 10_000
    stage.challenge(0, question, shown)
    for made in (number, other):  # their round is void: both bonds come back, that of the answered one, too
        stage.world.demands.send(account("anyone"), "expire", made, kept, stage.run.params.aggregators)
    bond = stage.world.disputes.call("bondOf", stage.run.task)
    assert stage.run.member(CHALLENGER)[:2] == (0, won + 2 * bond)
    assert stage.run.phase == 2


def test_a_demand_on_a_void_round_gives_the_bond_back() -> None:
    stage = sealed(trace=lambda t: replace(t, round=replace(t.round, fee=t.round.fee + 1)))
    number, kept = demand(stage), stage.record(0)
    stage.challenge(0, Question.TOTALS, evidence.totals(stage.traces[0]))
    before = stage.run.member(CHALLENGER)
    stage.world.demands.send(account("anyone"), "expire", number, kept, stage.run.params.aggregators)
    after = stage.run.member(CHALLENGER)
    assert (before[0] - after[0], after[1] - before[1]) == (before[0], before[0])


def real_stage(trainers: int = 3) -> tuple[Run, list[Receipt], Tree]:
    """A task with members, rostered on their signed receipts."""
    run = Run.start(disputed_world(), trainers=trainers, bonded=2)
    tree = run.roster_tree()
    receipts = [run.receipt(who) for who in run.trainers]
    return run, receipts, tree


def test_a_stranger_on_the_roster_is_foreign_and_a_member_is_not() -> None:
    run, _, tree = real_stage()
    stranger = Leaf(account("stranger").address, run.params.stake, digest("no receipt"))
    leaves = tuple(sorted((*tree.leaves, stranger), key=lambda leaf: leaf.owner))
    run.roster(Tree(leaves))
    run.seal()
    stage = Stage(run.world, run)  # type: ignore[arg-type]
    place = leaves.index(stranger)
    for index in range(len(leaves)):
        shown = evidence.roster(None, index, stage.roster_record(0), leaves)
        assert stage.refuted(0, Question.FOREIGN, shown) is (index == place)
    stage.challenge(0, Question.FOREIGN, evidence.roster(None, place, stage.roster_record(0), leaves))
    assert run.phase == 2


def test_a_trainer_that_signs_two_receipts_for_one_round_loses_its_stake() -> None:
    run, receipts, _ = real_stage()
    cheat, honest = run.trainers[0], receipts[0]
    other = replace(honest, update=digest("another update"))
    next_parent = replace(honest, parent=digest("another parent"))

    def accuse(second: Receipt) -> Outcome:
        return run.world.disputes.send(
            CHALLENGER, "equivocation", honest, run.sign(cheat, honest), second, run.sign(cheat, second)
        )

    for twin in (honest, next_parent, replace(other, round=1)):
        with pytest.raises(Reverted, match="Disputes_NoEquivocation"):
            accuse(twin)
    done = accuse(other)
    assert done.event("EquivocationProved")["slashed"] == run.params.stake
    assert run.member(cheat)[0] == 0
    with pytest.raises(Reverted, match="Disputes_NoEquivocation"):
        accuse(other)


def test_an_account_of_nobody_is_a_lie_of_its_own() -> None:
    """Accounts that are all zero would change no sum, and make evidence of all accounts as long as a liar likes."""
    nobody = StandingLeaf(2**160 - 1, *[0] * 12)
    stage = sealed(trace=lambda t: replace(t, standings=(*t.standings, nobody)))
    trace = stage.traces[0]
    for index in range(len(trace.standings)):
        shown = evidence.standing(trace, index)
        assert stage.refuted(0, Question.STANDING, shown) is (index == len(trace.standings) - 1)
