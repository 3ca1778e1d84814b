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

from fl_platform.attacks.lying import bend_gram, drop_one, raise_score
from fl_platform.chain import work_evidence
from fl_platform.chain.bisections import Bisections
from fl_platform.chain.disputes import Disputes, Subject
from fl_platform.chain.evidence import Question
from fl_platform.contribution.tracing import layout_of
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.protocol.trace import Trace
from fl_platform.roles.aggregator import Aggregator
from fl_platform.roles.defender import Defender
from fl_platform.roles.opening import UpdateOpener
from fl_platform.roles.reading import TaskReader
from fl_platform.roles.tracing import sealed_trace
from fl_platform.roles.transport import LocalTransport
from fl_platform.roles.watcher import Finding, Watcher
from fl_platform.roles.workspace import reveal_key
from tests.support.chain import AGGREGATOR, ETHER, SUCCESSOR, Stage, disputed_stage
from tests.support.small_task import SmallTask, open_small_task

Lie = Callable[[Trace], Trace]


@pytest.fixture
def disputed() -> Iterator[Stage]:
    with disputed_stage() as stage:
        yield stage


def greedy(bundle: RoundBundle) -> RoundBundle:
    """Move half of every trainer's base pay to the aggregator."""
    own = next(s for s in bundle.after.standings if s.trainer == bundle.aggregator)
    cut = {s.trainer: s.paid_base // 2 for s in bundle.after.standings if s is not own}
    cut[own.trainer] = -sum(cut.values())
    paid = tuple(replace(s, paid_base=s.paid_base - cut[s.trainer]) for s in bundle.after.standings)
    return replace(bundle, after=replace(bundle.after, standings=paid))


class Hider(Aggregator):
    """Publishes what it found, and seals the trace (and the claims) of something else."""

    told: Callable[[RoundBundle], RoundBundle]
    lie: Lie
    withheld: bool
    hidden: Trace  # what it sealed

    def seal_hidden(self, task: int, round_number: int, digest: bytes, bundle: RoundBundle, **_: Any) -> Any:
        other = self.told(bundle)
        self.hidden = self.lie(sealed_trace(self.reader, other))
        named = b"\x55" * 32 if self.withheld else digest
        return self.honest(task, round_number, named, other, trace=self.hidden.root)

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.honest = self._contracts.seal_round
        self._contracts.seal_round = self.seal_hidden  # type: ignore[method-assign]


def hidden_by(
    stage: Stage,
    folder: Path,
    *,
    told: Callable[[RoundBundle], RoundBundle] = lambda bundle: bundle,
    lie: Lie = lambda trace: trace,
    withheld: bool = False,
) -> tuple[SmallTask, Hider]:
    task = open_small_task(stage, folder, trainers=3, aggregators=(AGGREGATOR, SUCCESSOR))
    contracts = stage.as_(AGGREGATOR)
    hider = Hider(
        reader=TaskReader(contracts, task.reader.store, task.reader.task), contracts=contracts,
        reveal_key=reveal_key(AGGREGATOR), workdir=folder / "hider", wait_until=stage.chain.wait_until,
    )  # fmt: skip
    hider.told, hider.lie, hider.withheld = told, lie, withheld  # type: ignore[method-assign]
    hider.run(LocalTransport(task.trainers), rounds=1)
    return task, hider


def watcher_of(stage: Stage, task: SmallTask, *, key: bool = True) -> Watcher:
    contracts = stage.as_(SUCCESSOR)
    contracts.mint(SUCCESSOR.address, ETHER)
    reader = TaskReader(contracts, task.reader.store, task.reader.task)
    opener = UpdateOpener(reader.store, domain=reader.domain, recipient=SUCCESSOR.address, key=reveal_key(SUCCESSOR))
    return Watcher(reader, Disputes(contracts, SUCCESSOR), opener=opener if key else None)


def demanded(stage: Stage, watcher: Watcher) -> Finding:
    (finding,) = watcher.step(stage.chain.now())
    assert (finding.demands, finding.games, finding.upheld) == ((1,), (), False)
    assert "must show" in str(finding)
    made = Disputes(stage.owner).open_demand(1)
    assert made is not None
    assert made.subject == Subject.TRACE
    assert watcher.follow(finding) == finding  # its time is not over
    return finding


def show(stage: Stage, trace: Trace, number: int = 1) -> None:
    Disputes(stage.as_(AGGREGATOR), AGGREGATOR).answer_trace(number, trace)


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
    disputed: Stage, tmp_path: Path, told: Callable[[RoundBundle], RoundBundle], *, key: bool
) -> None:
    task, hider = hidden_by(disputed, tmp_path, told=told)
    watcher = watcher_of(disputed, task, key=key)
    finding = demanded(disputed, watcher)
    show(disputed, hider.hidden)
    finding = watcher.follow(finding)
    assert finding.upheld
    assert finding.question is not None
    assert "the seal fell" in str(finding)
    assert bond_of(disputed, task) == 0


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
    show(disputed, hider.hidden)
    finding = watcher.follow(finding)
    assert (finding.question, finding.upheld) == (question, True)
    assert bond_of(disputed, task) == 0


def test_a_hidden_gram_entry_is_played_to_its_leaf(disputed: Stage, tmp_path: Path) -> None:
    task, hider = hidden_by(disputed, tmp_path, told=bend_gram)
    watcher = watcher_of(disputed, task)
    finding = demanded(disputed, watcher)
    show(disputed, hider.hidden)
    finding = watcher.follow(finding)
    assert (finding.games, finding.upheld) == ((1,), False)
    games = Bisections(Disputes(disputed.as_(AGGREGATOR), AGGREGATOR))
    (found,) = games.open_games(task.reader.task)
    parts, _ = work_evidence.parts_of(found.game.count)
    even = found.game.claimed // parts
    told = [*[even] * (parts - 1), found.game.claimed - even * (parts - 1)]
    tensors = layout_of(task.reader.spec, task.reader.bundle(0).before.scale)
    games.split(found.number, work_evidence.statement_of(hider.hidden, found.row, found.column), told, tensors)
    assert watcher.follow(finding).upheld
    assert bond_of(disputed, task) == 0


@pytest.mark.parametrize("shown", [True, False])
def test_who_withholds_its_bundle_shows_its_trace_or_loses(disputed: Stage, tmp_path: Path, *, shown: bool) -> None:
    task, hider = hidden_by(disputed, tmp_path, told=greedy, withheld=True)
    watcher = watcher_of(disputed, task)
    finding = demanded(disputed, watcher)
    if shown:
        show(disputed, hider.hidden)
    else:
        made = Disputes(disputed.owner).open_demand(1)
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
    liar = Disputes(disputed.as_(AGGREGATOR), AGGREGATOR)
    send, sent = liar.contracts.chain.send, []

    def once(contract: Any, function: str, *arguments: Any, **options: Any) -> Any:
        if function == "answerTrace":
            sent.append(arguments)
            if len(sent) > 3:
                return None
        return send(contract, function, *arguments, **options)

    liar.contracts.chain.send = once  # type: ignore[method-assign]
    liar.answer_trace(1, hider.hidden)
    assert liar.shown_trace(task.reader.task, 0) is None
    assert watcher.follow(finding) == finding
    made = liar.open_demand(1)
    assert made is not None
    disputed.chain.wait_until(made.deadline)
    assert watcher.follow(finding).upheld
    assert bond_of(disputed, task) == 0


def test_an_honest_sealer_shows_its_trace_and_the_task_goes_on(disputed: Stage, tmp_path: Path) -> None:
    """The honest twin: a watcher that cannot get the bundle asks; nothing falls, the demand ends with the answer."""
    task, hider = hidden_by(disputed, tmp_path, withheld=True)
    watcher = watcher_of(disputed, task)
    finding = demanded(disputed, watcher)
    bond = bond_of(disputed, task)
    show(disputed, hider.hidden)
    finding = watcher.follow(finding)
    assert not finding.upheld
    assert bond_of(disputed, task) == bond
    assert not disputed.owner.history(task.reader.task).rounds[0].challenged
    assert watcher.follow(finding) == finding


def test_a_second_watcher_waits_for_the_answer_that_the_first_asked_for(disputed: Stage, tmp_path: Path) -> None:
    task, hider = hidden_by(disputed, tmp_path, told=greedy)
    demanded(disputed, watcher_of(disputed, task))
    second = watcher_of(disputed, task)  # or the first one, started again
    (finding,) = second.step(disputed.chain.now())
    assert finding.demands == (1,)
    show(disputed, hider.hidden)
    assert second.follow(finding).upheld


def test_a_defender_ends_answered_demands_that_nobody_ends(disputed: Stage, tmp_path: Path) -> None:
    task = open_small_task(disputed, tmp_path, trainers=3, aggregators=(AGGREGATOR, SUCCESSOR))
    task.aggregator.run(LocalTransport(task.trainers), rounds=1)
    accuser = Disputes(disputed.as_(SUCCESSOR), SUCCESSOR)
    accuser.contracts.mint(SUCCESSOR.address, ETHER)
    accuser.demand(task.reader.task, 0, Subject.TRACE)
    contracts = disputed.as_(AGGREGATOR)
    reader = TaskReader(contracts, task.reader.store, task.reader.task)
    opener = UpdateOpener(reader.store, domain=reader.domain, recipient=AGGREGATOR.address, key=reveal_key(AGGREGATOR))
    defender = Defender(reader, Disputes(contracts, AGGREGATOR), opener=opener)
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
