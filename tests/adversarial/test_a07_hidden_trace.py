"""A07, A08: a sealer publishes one bundle and seals the trace of another. It is made to show that trace, and every lie
in it falls as it would in a bundle; what it cannot show, falls too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fl_platform.aggregation.sums import Sums
from fl_platform.attacks.lying import bend_gram, drop_one, raise_score
from fl_platform.chain import evidence, work_evidence
from fl_platform.chain.bisections import Bisections
from fl_platform.chain.demands import Demands, Subject
from fl_platform.chain.disputes import Disputes
from fl_platform.chain.evidence import Question
from fl_platform.chain.journal import Step
from fl_platform.chain.records import ContentLeafRecord
from fl_platform.contribution.tracing import layout_of
from fl_platform.errors import TransactionPending
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.protocol.trace import Trace
from fl_platform.protocol.trace_pages import pages
from fl_platform.roles.defender import Defender
from fl_platform.roles.opening import UpdateOpener
from fl_platform.roles.reading import TaskReader
from fl_platform.roles.tracing import sealed_trace
from fl_platform.roles.transport import LocalTransport
from fl_platform.roles.watcher import Finding, Watcher
from fl_platform.roles.work import record_of
from fl_platform.roles.workspace import reveal_key
from fl_platform.updates.content import SUM_BITS, content_root, is_leaf, open_content, open_subtree, place_of
from tests.support.chain import AGGREGATOR, ETHER, SUCCESSOR, Stage, disputed_stage
from tests.support.hiders import Hider, Lie, Told, greedy, nothing
from tests.support.small_task import SmallTask, open_small_task


@pytest.fixture
def disputed() -> Iterator[Stage]:
    with disputed_stage() as stage:
        yield stage


def hidden_by(
    stage: Stage,
    folder: Path,
    *,
    told: Told = nothing,
    shown: Told | None = nothing,
    lie: Lie = lambda trace: trace,
    opened: Callable[[SmallTask], None] = lambda _: None,
) -> tuple[SmallTask, Hider]:
    task = open_small_task(stage, folder, trainers=3, aggregators=(AGGREGATOR, SUCCESSOR))
    opened(task)
    contracts = stage.as_(AGGREGATOR)
    hider = Hider(
        reader=TaskReader(contracts, task.reader.store, task.reader.task), contracts=contracts,
        reveal_key=reveal_key(AGGREGATOR), workdir=folder / "hider", wait_until=stage.chain.wait_until,
    )  # fmt: skip
    hider.told, hider.shown, hider.lie = told, shown, lie  # type: ignore[method-assign]
    hider.run(LocalTransport(task.trainers), rounds=1)
    return task, hider


def watcher_of(stage: Stage, task: SmallTask, *, key: bool = True) -> Watcher:
    contracts = stage.as_(SUCCESSOR)
    contracts.mint(SUCCESSOR.address, ETHER)
    reader = TaskReader(contracts, task.reader.store, task.reader.task)
    opener = UpdateOpener(reader.store, domain=reader.domain, recipient=SUCCESSOR.address, key=reveal_key(SUCCESSOR))
    return Watcher(reader, Disputes(contracts, SUCCESSOR), opener=opener if key else None)


def demanded(stage: Stage, watcher: Watcher) -> Finding:
    sealed_at = next(r.seal.sealed_at for r in stage.owner.history(1).rounds if r.seal is not None)
    final = stage.owner.history(1).final_at(0)
    assert final is not None
    (finding,) = watcher.step((sealed_at + final + 1) // 2)  # a bundle that is nowhere may come until then
    assert (finding.demands, finding.games, finding.upheld) == ((1,), (), False)
    assert "must show" in str(finding)
    made = Demands(Disputes(stage.owner)).open_demand(1)
    assert made is not None
    assert made.subject == Subject.TRACE
    assert watcher.follow(finding) == finding  # its time is not over
    return finding


def show(stage: Stage, trace: Trace, number: int = 1) -> None:
    Demands(Disputes(stage.as_(AGGREGATOR), AGGREGATOR)).answer_trace(number, trace)


def bond_of(stage: Stage, task: SmallTask) -> int:
    return stage.owner.member(task.reader.task, AGGREGATOR.address).stake


def more(trace: Trace, kind: str, **changes: int) -> Trace:
    """Add to words of the first leaf of a kind."""
    leaves = getattr(trace, kind)
    leaf = leaves[0] if isinstance(leaves, tuple) else leaves
    told = replace(leaf, **{name: getattr(leaf, name) + by for name, by in changes.items()})
    return replace(trace, **{kind: (told, *leaves[1:]) if isinstance(leaves, tuple) else told})


@pytest.mark.parametrize(("told", "key"), [(greedy, False), (raise_score, False), (drop_one, True)])
def test_a_lie_that_the_bundle_does_not_tell_is_shown_and_falls(
    disputed: Stage, tmp_path: Path, told: Told, *, key: bool
) -> None:
    task, hider = hidden_by(disputed, tmp_path, told=told)
    watcher = watcher_of(disputed, task, key=key)
    finding = demanded(disputed, watcher)
    locked = bond_of(disputed, task)
    demand = Demands(Disputes(disputed.owner)).open_demand(1)
    assert demand is not None
    show(disputed, hider.sealed)
    finding = watcher.follow(finding)
    assert finding.upheld
    assert finding.question is not None
    assert "the seal fell" in str(finding)
    assert bond_of(disputed, task) == 0
    won = disputed.owner.member(task.reader.task, SUCCESSOR.address).credit
    assert won == locked * 3 // 10 + demand.bond  # the liar's answer earns it nothing


LIES: dict[str, tuple[Lie, Question]] = {
    "asymmetric": (
        lambda t: replace(t, gram=((t.gram[0][0], t.gram[0][1] + 1, *t.gram[0][2:]), *t.gram[1:])), Question.SYMMETRY,
    ),
    "rules": (lambda t: more(t, "rules", bits=1 << 200), Question.RULES),
    "candidates": (lambda t: more(t, "round", candidates=1 << 255), Question.ENTRIES),
    "reference": (lambda t: more(t, "round", reference=1 << 254), Question.ENTRIES),
    "trainer": (lambda t: more(t, "entries", trainer=1 << 200), Question.ROSTER),
    "stake": (lambda t: more(t, "entries", stake=5), Question.ENTRIES),
    "row": (lambda t: more(t, "entries", row=1 << 255), Question.ENTRIES),
    "accounts": (
        lambda t: replace(t, standings=tuple(replace(s, base_after=s.base_after + 2**127) for s in t.standings)),
        Question.TOTALS,
    ),
    "account": (lambda t: more(t, "standings", base_after=1 << 200), Question.TOTALS),
    "weight": (
        lambda t: replace(t, work=replace(t.work, rows=((t.work.rows[0][0], t.work.rows[0][1] + 1), *t.work.rows[1:]))),
        Question.WORK,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_numbers_that_no_bundle_can_tell_fall_too(disputed: Stage, tmp_path: Path, name: str) -> None:
    """A hidden trace need not follow from any bundle: its words are what a liar likes, however large."""
    lie, question = LIES[name]
    task, hider = hidden_by(disputed, tmp_path, lie=lie)
    watcher = watcher_of(disputed, task)
    finding = demanded(disputed, watcher)
    show(disputed, hider.sealed)
    finding = watcher.follow(finding)
    assert (finding.question, finding.upheld) == (question, True)
    assert bond_of(disputed, task) == 0


def test_a_hidden_gram_entry_is_played_to_its_leaf(disputed: Stage, tmp_path: Path) -> None:
    task, hider = hidden_by(disputed, tmp_path, told=bend_gram)
    watcher = watcher_of(disputed, task)
    finding = demanded(disputed, watcher)
    show(disputed, hider.sealed)
    finding = watcher.follow(finding)
    assert (finding.games, finding.upheld) == ((1,), False)
    games = Bisections(Disputes(disputed.as_(AGGREGATOR), AGGREGATOR))
    (found,) = games.open_games(task.reader.task)
    parts, _ = work_evidence.parts_of(found.game.count)
    even = found.game.claimed // parts
    told = [*[even] * (parts - 1), found.game.claimed - even * (parts - 1)]
    tensors = layout_of(task.reader.spec, task.reader.bundle(0).before.scale)
    games.split(found.number, work_evidence.statement_of(hider.sealed, found.row, found.column), told, tensors)
    assert watcher.follow(finding).upheld
    assert bond_of(disputed, task) == 0


def show_sums(stage: Stage, trace: Trace, sums: Sums, number: int) -> None:
    """What a liar does that holds the sums it sealed: it shows whatever it is asked for."""
    liar = Demands(Disputes(stage.as_(AGGREGATOR), AGGREGATOR))
    made = liar.open_demand(number)
    assert made is not None
    assert made.subject == Subject.SUMS
    payload, size, node = sums.tobytes(), len(sums), made.index
    if is_leaf(node, size):
        leaf = open_content(payload, place_of(node), size=size, bits=SUM_BITS, key=None)
        liar.answer_sums(number, trace, (), record_of(leaf))
    else:
        found = open_subtree(payload, node, size=size, bits=SUM_BITS)
        liar.answer_sums(number, trace, found.nodes, ContentLeafRecord(bytes(32), b"", found.path))


@pytest.mark.parametrize("hidden", [True, False])
def test_sums_that_nobody_published_are_followed_to_the_leaf_that_lies(
    disputed: Stage, tmp_path: Path, *, hidden: bool
) -> None:
    """The right sums are published and the root of others is sealed: in the bundle, or in a trace of its own."""
    bent: list[Sums] = []

    def other_root(bundle: RoundBundle) -> RoundBundle:
        sums = task_of[0].reader.sums(bundle).copy()
        sums[len(sums) // 2] += 1
        bent.append(sums)
        return replace(bundle, sums_root=content_root(sums.tobytes(), size=len(sums), bits=SUM_BITS, key=None))

    task_of: list[SmallTask] = []
    shown = nothing if hidden else other_root
    task, hider = hidden_by(disputed, tmp_path, told=other_root, shown=shown, opened=task_of.append)
    watcher = watcher_of(disputed, task)
    (finding,) = watcher.step(disputed.chain.now())
    if hidden:
        show(disputed, hider.sealed)
        finding = watcher.follow(finding)
    asked = []
    while not finding.upheld:
        asked.append(finding.demands[-1])
        assert len(asked) < 4
        show_sums(disputed, hider.sealed, bent[0], finding.demands[-1])
        finding = watcher.follow(finding)
    assert finding.question is Question.SUM
    assert len(asked) == 2  # what lies below the root, and one leaf
    assert bond_of(disputed, task) == 0


def no_sums(bundle: RoundBundle) -> RoundBundle:
    return replace(bundle, sums_root=b"\x99" * 32)


def test_a_root_of_no_sums_at_all_falls_for_want_of_an_answer(disputed: Stage, tmp_path: Path) -> None:
    task, _ = hidden_by(disputed, tmp_path, told=no_sums, shown=no_sums)
    watcher = watcher_of(disputed, task)
    (finding,) = watcher.step(disputed.chain.now())
    made = Demands(Disputes(disputed.owner)).open_demand(finding.demands[0])
    assert made is not None
    assert (made.subject, made.index) == (Subject.SUMS, 1)
    disputed.chain.wait_until(made.deadline)
    assert watcher.follow(finding).upheld
    assert bond_of(disputed, task) == 0


@pytest.mark.parametrize("shown", [True, False])
def test_who_withholds_its_bundle_shows_its_trace_or_loses(disputed: Stage, tmp_path: Path, *, shown: bool) -> None:
    task, hider = hidden_by(disputed, tmp_path, told=greedy, shown=None)
    watcher = watcher_of(disputed, task)
    finding = demanded(disputed, watcher)
    if shown:
        show(disputed, hider.sealed)
    else:
        made = Demands(Disputes(disputed.owner)).open_demand(1)
        assert made is not None
        disputed.chain.wait_until(made.deadline)
    finding = watcher.follow(finding)
    assert finding.upheld
    assert (finding.question is not None) is shown
    assert bond_of(disputed, task) == 0


def test_a_part_of_a_trace_is_no_answer(disputed: Stage, tmp_path: Path) -> None:
    task, hider = hidden_by(disputed, tmp_path, told=greedy)
    watcher = watcher_of(disputed, task)
    finding = demanded(disputed, watcher)
    contracts = disputed.as_(AGGREGATOR)
    liar = Demands(Disputes(contracts, AGGREGATOR))
    send, sent = contracts.chain.send, []

    def once(contract: Any, function: str, *arguments: Any, **options: Any) -> Any:
        if function == "answerTrace":
            sent.append(arguments)
            if len(sent) > 3:
                return None
        return send(contract, function, *arguments, **options)

    contracts.chain.send = once  # type: ignore[method-assign]
    with pytest.raises(TransactionPending):
        liar.answer_trace(1, hider.sealed)
    assert liar.shown_trace(task.reader.task, 0) is None
    assert watcher.follow(finding) == finding
    made = liar.open_demand(1)
    assert made is not None
    disputed.chain.wait_until(made.deadline)
    assert watcher.follow(finding).upheld
    assert bond_of(disputed, task) == 0


def test_an_honest_sealer_shows_its_trace_and_the_task_goes_on(disputed: Stage, tmp_path: Path) -> None:
    """The honest twin: a watcher that cannot get the bundle asks; nothing falls, the demands end with the answers."""
    found: list[RoundBundle] = []
    task, hider = hidden_by(disputed, tmp_path, told=lambda b: found.append(b) or b, shown=None)
    watcher = watcher_of(disputed, task)
    assert watcher.step(disputed.chain.now()) == []  # the store may be slow: nobody pays yet
    assert watcher.waiting == (0,)
    finding = demanded(disputed, watcher)
    bond = bond_of(disputed, task)
    show(disputed, hider.sealed)
    finding = watcher.follow(finding)
    assert (finding.upheld, finding.demands) == (False, (2,))
    roster = task.reader.history().rounds[0].roster
    assert roster is not None
    sealer = Demands(Disputes(disputed.as_(AGGREGATOR), AGGREGATOR))
    sealer.answer_entries(2, found[0].entries, hider.sealed, roster, task.reader.spec)
    finding = watcher.follow(finding)
    assert (finding.upheld, finding.demands) == (False, ())
    assert bond_of(disputed, task) == bond
    assert not disputed.owner.history(task.reader.task).rounds[0].challenged
    assert watcher.follow(finding) == finding


def test_a_watcher_that_was_started_again_goes_on_with_its_demand(disputed: Stage, tmp_path: Path) -> None:
    task, hider = hidden_by(disputed, tmp_path, told=greedy)
    demanded(disputed, watcher_of(disputed, task))
    again = watcher_of(disputed, task)
    (finding,) = again.step(disputed.chain.now())
    assert finding.demands == (1,)
    show(disputed, hider.sealed)
    assert again.follow(finding).upheld
    assert again.follow(finding).demands == ()


def test_a_liars_own_demand_saves_it_from_none(disputed: Stage, tmp_path: Path) -> None:
    """It demands, answers and ends the demand at once: who did not rely on it still has what it showed."""
    task, hider = hidden_by(disputed, tmp_path, told=greedy)
    contracts = disputed.as_(AGGREGATOR)
    contracts.mint(AGGREGATOR.address, ETHER)
    liar = Demands(Disputes(contracts, AGGREGATOR))
    liar.demand(task.reader.task, 0, Subject.TRACE)
    watcher = watcher_of(disputed, task)
    (finding,) = watcher.step(disputed.chain.now())
    assert finding.demands == (2,)  # its own
    show(disputed, hider.sealed)
    liar.expire(1)
    assert watcher.follow(finding) == finding  # its own demand waits for its own answer
    (late,) = watcher_of(disputed, task).step(disputed.chain.now())
    assert late.upheld  # the trace is on chain: nobody needs to ask again
    finding = watcher.follow(finding)
    assert (finding.upheld, finding.demands) == (True, ())


def test_pages_of_two_demands_make_one_trace(disputed: Stage, tmp_path: Path) -> None:
    """The liar answers a demand of its own in other pages than the watcher's: the leaves are the same."""
    task, hider = hidden_by(disputed, tmp_path, told=greedy)
    watcher = watcher_of(disputed, task)
    finding = demanded(disputed, watcher)
    show(disputed, hider.sealed)
    contracts = disputed.as_(AGGREGATOR)
    contracts.mint(AGGREGATOR.address, ETHER)
    liar = Demands(Disputes(contracts, AGGREGATOR))
    second, trace = liar.demand(task.reader.task, 0, Subject.TRACE), hider.sealed
    seal = hider.reader.history().rounds[0].seal
    for place, page in enumerate(pages(trace)):
        if place == 3:
            break
        words, path = trace.leaves[page.kind][page.first], trace.path(page.kind, page.first)
        disputed.chain.send(
            disputed.owner.deployment.contract("Demands"), "answerTrace", second, seal, trace.header.counts,
            trace.header.roots, (0, words, path), signer=AGGREGATOR, step=Step(task.reader.task, 0, f"leaf {place}"),
        )  # fmt: skip
    assert liar.shown_trace(task.reader.task, 0) == trace
    assert watcher.follow(finding).upheld


def bent_sums(bundle: RoundBundle) -> RoundBundle:
    return replace(bundle, sums_root=b"\x98" * 32)


def without_keys(bundle: RoundBundle) -> RoundBundle:
    """Publish no keys: nobody but the sealer can open what it judged."""
    return replace(bundle, entries=tuple(replace(e, keys=(), keys_signature=b"") for e in bundle.entries))


def in_content(trace: Trace) -> Trace:
    """Another content root than the receipt's, with its weight."""
    (root, weight), *others = trace.work.rows
    return replace(trace, work=replace(trace.work, rows=((root ^ 1, weight), *others)))


def in_receipt(trace: Trace) -> Trace:
    """A receipt that nobody signed, on the entry and nowhere else."""
    return more(trace, "entries", receipt=1)


def lies_without_a_bundle() -> list[Any]:
    cases: list[tuple[str, Told, Lie, Question | str]] = [
        ("gram", bend_gram, lambda t: t, "game"),
        ("sums", bent_sums, lambda t: t, "silent"),
        ("content root", nothing, in_content, Question.WORK),
        ("receipt", nothing, in_receipt, "silent"),
    ]
    return [pytest.param(told, lie, end, id=name) for name, told, lie, end in cases]


@pytest.mark.parametrize("shown", [None, without_keys], ids=["withheld", "without keys"])
@pytest.mark.parametrize(("told", "lie", "end"), lies_without_a_bundle())
def test_without_a_bundle_receipts_and_keys_must_be_shown(
    disputed: Stage, tmp_path: Path, told: Told, lie: Lie, end: Question | str, *, shown: Told | None
) -> None:
    """The trace follows from itself; with entries and keys from the chain a watcher holds it against the updates."""
    found: list[RoundBundle] = []

    def kept(bundle: RoundBundle) -> RoundBundle:
        found.append(bundle)
        return told(bundle)

    task, hider = hidden_by(disputed, tmp_path, told=kept, lie=lie, shown=shown)
    watcher = watcher_of(disputed, task)
    finding = demanded(disputed, watcher)
    show(disputed, hider.sealed)
    finding = watcher.follow(finding)
    liar = Demands(Disputes(disputed.as_(AGGREGATOR), AGGREGATOR))
    for turn in range(5):
        if finding.upheld or finding.games:
            break
        number = finding.demands[-1]
        made = liar.open_demand(number)
        assert made is not None
        if made.subject == Subject.ENTRIES and lie is not in_receipt:
            roster = task.reader.history().rounds[0].roster
            assert roster is not None
            liar.answer_entries(number, found[0].entries, hider.sealed, roster, task.reader.spec)
        else:  # it has nothing to show
            disputed.chain.wait_until(made.deadline)
        finding = watcher.follow(finding)
        assert turn < 4
    if end == "game":
        assert finding.games
        game = Bisections(Disputes(disputed.owner)).game(finding.games[0])
        assert game is not None
        disputed.chain.wait_until(game.deadline)  # true parts do not add up to its number
        finding = watcher.follow(finding)
    assert finding.upheld
    assert isinstance(end, str) or finding.question is end
    assert bond_of(disputed, task) == 0


def far(bundle: RoundBundle) -> RoundBundle:
    return replace(bundle, round=1_000_000)


def longer(bundle: RoundBundle) -> RoundBundle:
    scale = bundle.before.scale
    return replace(bundle, before=replace(bundle.before, scale=replace(scale, offsets=(*scale.offsets, 1))))


def rich(bundle: RoundBundle) -> RoundBundle:
    paid = tuple(replace(s, paid_base=2**127 - 1) for s in bundle.after.standings)
    return replace(bundle, after=replace(bundle.after, standings=paid))


@pytest.mark.parametrize("shown", [far, longer, rich])
def test_no_document_stops_a_watcher(disputed: Stage, tmp_path: Path, shown: Told) -> None:
    """Whatever was published cannot be read, so what was sealed must be shown."""
    task, hider = hidden_by(disputed, tmp_path, told=greedy, shown=shown)
    watcher = watcher_of(disputed, task)
    finding = demanded(disputed, watcher)
    show(disputed, hider.sealed)
    assert watcher.follow(finding).upheld
    assert bond_of(disputed, task) == 0


def test_a_watcher_that_came_too_late_gets_its_bond_back(disputed: Stage, tmp_path: Path) -> None:
    """Somebody else's challenge takes the seal while this watcher's demand is open."""
    task, hider = hidden_by(disputed, tmp_path, told=greedy)
    watcher = watcher_of(disputed, task)
    finding = demanded(disputed, watcher)
    other = Disputes(disputed.as_(AGGREGATOR), AGGREGATOR)
    trace = hider.sealed
    for index in range(len(trace.standings)):
        shown = evidence.standing(trace, index)
        if other.refutes(task.reader.task, 0, Question.STANDING, shown):
            other.challenge(task.reader.task, 0, Question.STANDING, shown)
            break
    finding = watcher.follow(finding)
    assert (finding.upheld, finding.demands) == (True, ())
    assert Demands(Disputes(disputed.owner)).open_demand(1) is None
    member = disputed.owner.member(task.reader.task, SUCCESSOR.address)
    assert (member.stake, member.credit) == (0, Disputes(disputed.owner).bond(task.reader.task))


def test_a_defender_ends_games_that_their_challenger_left(disputed: Stage, tmp_path: Path) -> None:
    task = open_small_task(disputed, tmp_path, trainers=3, aggregators=(AGGREGATOR, SUCCESSOR))
    task.aggregator.run(LocalTransport(task.trainers), rounds=1)
    contracts = disputed.as_(SUCCESSOR)
    contracts.mint(SUCCESSOR.address, ETHER)
    games = Bisections(Disputes(contracts, SUCCESSOR))
    trace = sealed_trace(task.reader, task.reader.bundle(0))
    number = games.open(task.reader.task, 0, work_evidence.gram_entry(trace, 1, 0))
    defender = defender_of(disputed, task)
    (answer,) = defender.step(disputed.chain.now())
    game = games.game(number)
    assert (answer.what, answer.problem) == (f"split of game {number}", "")
    assert game is not None
    assert defender.step(disputed.chain.now()) == []
    disputed.chain.wait_until(game.deadline)
    (end,) = defender.step(disputed.chain.now())
    assert (end.what, end.problem) == (f"end of game {number}", "")
    assert not disputed.owner.history(task.reader.task).rounds[0].challenged


def defender_of(stage: Stage, task: SmallTask) -> Defender:
    contracts = stage.as_(AGGREGATOR)
    reader = TaskReader(contracts, task.reader.store, task.reader.task)
    opener = UpdateOpener(reader.store, domain=reader.domain, recipient=AGGREGATOR.address, key=reveal_key(AGGREGATOR))
    return Defender(reader, Disputes(contracts, AGGREGATOR), opener=opener)


def test_a_defender_ends_answered_demands_that_nobody_ends(disputed: Stage, tmp_path: Path) -> None:
    task = open_small_task(disputed, tmp_path, trainers=3, aggregators=(AGGREGATOR, SUCCESSOR))
    task.aggregator.run(LocalTransport(task.trainers), rounds=1)
    watching = disputed.as_(SUCCESSOR)
    watching.mint(SUCCESSOR.address, ETHER)
    accuser = Demands(Disputes(watching, SUCCESSOR))
    accuser.demand(task.reader.task, 0, Subject.TRACE)
    defender = defender_of(disputed, task)
    (answer,) = defender.step(disputed.chain.now())
    assert answer.problem == ""
    made = accuser.open_demand(1)
    assert made is not None
    assert made.answered
    assert defender.step(disputed.chain.now()) == []
    disputed.chain.wait_until(made.deadline)
    (end,) = defender.step(disputed.chain.now())
    assert (end.what, end.problem) == ("end of demand 1", "")
    assert not dataclasses.replace(disputed.owner.history(task.reader.task).rounds[0]).challenged
