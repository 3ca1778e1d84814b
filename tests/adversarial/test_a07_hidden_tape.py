"""A07, A08: a sealer publishes one bundle and seals the tape of another. It is made to show that tape, node by node,
and every lie in it falls as it would in a bundle; what it does not show in time, falls too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fl_platform.dispute.answers import HeldTape
from fl_platform.dispute.defender import Defender
from fl_platform.dispute.disputed_round import disputed_round, target_of
from fl_platform.dispute.questions import Node, Question
from fl_platform.dispute.referee import Referee
from fl_platform.dispute.watcher import Finding, Watcher
from fl_platform.errors import TransactionReverted
from fl_platform.judging.program import ASKS
from fl_platform.judging.tapes import told_tape
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.round.transport import LocalTransport
from fl_platform.task.decrypting import UpdateOpener
from fl_platform.task.reading import TaskReader
from fl_platform.task.workspace import reveal_key
from tests.support.chain import AGGREGATOR, ETHER, SUCCESSOR, Stage, disputed_stage
from tests.support.liars import Hiding
from tests.support.small_task import SmallTask, open_small_task, sealer_of

BOND = 2 * ETHER


@pytest.fixture
def disputed() -> Iterator[Stage]:
    with disputed_stage() as stage:
        yield stage


def hidden_by(stage: Stage, folder: Path, hider: Hiding) -> tuple[SmallTask, Hiding]:
    task = open_small_task(stage, folder, trainers=3, aggregators=(AGGREGATOR, SUCCESSOR))
    sealer_of(stage, folder, task, conduct=hider).run(LocalTransport(task.trainers), rounds=1)
    return task, hider


def opener_of(task: SmallTask, who: bytes) -> UpdateOpener:
    signer = AGGREGATOR if who == AGGREGATOR.address else SUCCESSOR
    return UpdateOpener(
        task.reader.store, domain=task.reader.domain, spec=task.reader.spec,
        recipient=who, key=reveal_key(signer),
    )  # fmt: skip


def watcher_of(stage: Stage, task: SmallTask) -> Watcher:
    contracts = stage.as_(SUCCESSOR)
    contracts.mint(SUCCESSOR.address, ETHER)
    reader = TaskReader(contracts, task.reader.store, task.reader.task)
    return Watcher(reader, Referee(contracts, SUCCESSOR), opener=opener_of(task, SUCCESSOR.address))


def bond_of(stage: Stage, task: SmallTask) -> int:
    return stage.owner.member(task.reader.task, AGGREGATOR.address).stake


class Shower:
    """The liar, who shows what it sealed."""

    def __init__(self, stage: Stage, task: SmallTask, told: RoundBundle) -> None:
        contracts = stage.as_(AGGREGATOR)
        self.reader = TaskReader(contracts, task.reader.store, task.reader.task)
        self.referee = Referee(contracts, AGGREGATOR)
        record = self.reader.history().rounds[0]
        self.target = target_of(self.reader, record)
        rows = disputed_round(self.reader, None, record, told, opener_of(task, AGGREGATOR.address)).known.rows
        self.held = HeldTape(told_tape(self.reader.spec, told), rows)
        self.shown: list[Question] = []

    def show(self, questions: tuple[Question, ...]) -> None:
        for question in questions:
            self.referee.show(self.target, question, self.held.answer(question))
            self.shown.append(question)


def played_out(watcher: Watcher, finding: Finding, liar: Shower) -> Finding:
    while finding.asked and not finding.upheld:
        assert len(liar.shown) < 60, "a search over a tree has an end"
        liar.show(finding.asked)
        finding = watcher.follow(finding)
    return finding


def shown_as_far_as_accepted(watcher: Watcher, finding: Finding, liar: Shower) -> Finding:
    """Return the finding whose questions the referee accepts no answer of the liar's to."""
    while len(liar.shown) < 60:
        try:
            liar.show(finding.asked)
        except TransactionReverted as exc:
            if "WrongAnswer" not in str(exc):
                raise
            return finding
        finding = watcher.follow(finding)
    raise AssertionError("a search over a tree has an end")


@pytest.mark.parametrize("lie", ["pay-itself", "drop-one"])
def test_a_lie_that_the_bundle_does_not_tell_is_shown_and_falls(disputed: Stage, tmp_path: Path, lie: str) -> None:
    task, hider = hidden_by(disputed, tmp_path, Hiding(lie))
    watcher = watcher_of(disputed, task)
    (finding,) = watcher.step(disputed.chain.now())
    assert (finding.upheld, len(finding.asked)) == (False, 1)
    assert finding.asked[0].node is Node.COLUMNS
    assert watcher.follow(finding) == finding  # its time is not over
    assert hider.told is not None
    liar = Shower(disputed, task, hider.told)
    finding = played_out(watcher, finding, liar)
    assert finding.upheld
    assert finding.move.startswith("refuted ")
    assert bond_of(disputed, task) == 0
    # who sealed earns the asker's bonds as long as all is shown, and loses its own to the watcher
    assert disputed.owner.member(task.reader.task, SUCCESSOR.address).credit == BOND * 3 // 10
    assert disputed.owner.member(task.reader.task, AGGREGATOR.address).credit == len(liar.shown) * ASKS


def test_sums_that_nobody_published_are_followed_to_where_no_answer_is_left(disputed: Stage, tmp_path: Path) -> None:
    """The root of other sums is sealed: its nodes can be shown, but no partial sums lead to the leaf that lies."""
    task, hider = hidden_by(disputed, tmp_path, Hiding("bend-sums"))
    watcher = watcher_of(disputed, task)  # it has a key, and needs no bond to ask for running values
    (finding,) = watcher.step(disputed.chain.now())
    assert hider.told is not None
    liar = Shower(disputed, task, hider.told)
    finding = shown_as_far_as_accepted(watcher, finding, liar)
    assert {question.node for question in finding.asked} == {Node.PREFIXES}
    disputed.chain.wait_until(max(asked.deadline for asked in liar.referee.record(liar.target).waiting))
    assert watcher.follow(finding).upheld
    assert bond_of(disputed, task) == 0


def test_what_is_not_shown_in_time_falls_and_the_bond_of_the_question_goes_back(
    disputed: Stage, tmp_path: Path
) -> None:
    task, _ = hidden_by(disputed, tmp_path, Hiding("pay-itself"))
    watcher = watcher_of(disputed, task)
    (finding,) = watcher.step(disputed.chain.now())
    target = target_of(task.reader, task.reader.history().rounds[0])
    (asked,) = Referee(disputed.owner).record(target).waiting
    disputed.chain.wait_until(asked.deadline)
    finding = watcher.follow(finding)
    assert (finding.upheld, finding.move) == (True, "")
    assert bond_of(disputed, task) == 0
    member = disputed.owner.member(task.reader.task, SUCCESSOR.address)
    assert (member.stake, member.credit) == (0, BOND * 3 // 10 + ASKS)


def test_an_honest_tape_that_was_hidden_is_shown_and_the_task_goes_on(disputed: Stage, tmp_path: Path) -> None:
    """Its watcher knows the honest tape already: nothing is asked, nothing falls, whatever was published."""
    task, _ = hidden_by(disputed, tmp_path, Hiding(None))
    watcher = watcher_of(disputed, task)
    (finding,) = watcher.step(disputed.chain.now())  # the bundle is another's: that is said to people
    assert (finding.upheld, finding.asked) == (False, ())
    assert bond_of(disputed, task) == BOND
    assert not disputed.owner.history(task.reader.task).rounds[0].challenged


def test_a_watcher_that_was_started_again_goes_on_with_its_question(disputed: Stage, tmp_path: Path) -> None:
    task, hider = hidden_by(disputed, tmp_path, Hiding("drop-one"))
    (first,) = watcher_of(disputed, task).step(disputed.chain.now())
    again = watcher_of(disputed, task)
    (finding,) = again.step(disputed.chain.now())
    assert finding.asked == first.asked
    target = target_of(task.reader, task.reader.history().rounds[0])
    assert len(Referee(disputed.owner).record(target).waiting) == 1  # it paid once
    assert hider.told is not None
    assert played_out(again, finding, Shower(disputed, task, hider.told)).upheld


def test_a_liars_own_question_saves_it_from_none(disputed: Stage, tmp_path: Path) -> None:
    """It asks itself and answers: what it showed is shown to everybody, and for ever."""
    task, hider = hidden_by(disputed, tmp_path, Hiding("pay-itself"))
    contracts = disputed.as_(AGGREGATOR)
    contracts.mint(AGGREGATOR.address, ETHER)
    assert hider.told is not None
    liar = Shower(disputed, task, hider.told)
    levels = liar.held.answer  # the root's node is what every search begins with
    question = Question(Node.COLUMNS, level=_depth(task))
    assert levels(question).hashes
    liar.referee.ask(liar.target, question)
    liar.show((question,))
    watcher = watcher_of(disputed, task)
    (finding,) = watcher.step(disputed.chain.now())
    assert question not in finding.asked  # nobody needs to ask for that again
    assert played_out(watcher, finding, liar).upheld


def _depth(task: SmallTask) -> int:
    columns = len(target_of(task.reader, task.reader.history().rounds[0]).program.columns)
    return (columns - 1).bit_length()


def far(bundle: RoundBundle) -> RoundBundle:
    return replace(bundle, round=1_000_000)


def longer(bundle: RoundBundle) -> RoundBundle:
    scale = bundle.before.scale
    return replace(bundle, before=replace(bundle.before, scale=replace(scale, exponents=(*scale.exponents, 1))))


def shorter(bundle: RoundBundle) -> RoundBundle:
    return replace(bundle, columns=bundle.columns[1:])


class Unread(Hiding):
    """Publishes what nobody can read."""

    def __init__(self, lie: str, made: Callable[[RoundBundle], RoundBundle]) -> None:
        super().__init__(lie)
        self._made = made

    def publish(self, bundle: RoundBundle) -> RoundBundle:
        return self._made(super().publish(bundle))


def test_a_bundle_of_too_few_columns_stops_no_watcher(disputed: Stage, tmp_path: Path) -> None:
    """What was sealed must be shown, whatever was published beside an honest roster."""
    task, hider = hidden_by(disputed, tmp_path, Unread("pay-itself", shorter))
    watcher = watcher_of(disputed, task)
    (finding,) = watcher.step(disputed.chain.now())
    assert finding.asked
    assert hider.told is not None
    assert played_out(watcher, finding, Shower(disputed, task, hider.told)).upheld
    assert bond_of(disputed, task) == 0


@pytest.mark.parametrize("made", [far, longer])
def test_a_bundle_that_is_no_rounds_is_answered_by_asking_for_the_entries(
    disputed: Stage, tmp_path: Path, made: object
) -> None:
    task, _ = hidden_by(disputed, tmp_path, Unread("pay-itself", made))
    watcher = watcher_of(disputed, task)
    (finding,) = watcher.step(disputed.chain.now())
    assert {question.node for question in finding.asked} == {Node.ROSTER}
    target = target_of(task.reader, task.reader.history().rounds[0])
    disputed.chain.wait_until(max(asked.deadline for asked in Referee(disputed.owner).record(target).waiting))
    assert watcher.follow(finding).upheld
    assert bond_of(disputed, task) == 0


def test_a_defender_answers_for_an_honest_seal_and_lets_the_task_go_on(disputed: Stage, tmp_path: Path) -> None:
    task = open_small_task(disputed, tmp_path, trainers=3, aggregators=(AGGREGATOR, SUCCESSOR))
    task.aggregator.run(LocalTransport(task.trainers), rounds=1)
    asking = disputed.as_(SUCCESSOR)
    asking.mint(SUCCESSOR.address, ETHER)
    accuser, target = Referee(asking, SUCCESSOR), target_of(task.reader, task.reader.history().rounds[0])
    questions = (Question(Node.COLUMNS, level=_depth(task)), Question(Node.ROSTER, index=1))
    for question in questions:
        accuser.ask(target, question)
    contracts = disputed.as_(AGGREGATOR)
    reader = TaskReader(contracts, task.reader.store, task.reader.task)
    defender = Defender(reader, Referee(contracts, AGGREGATOR), opener=opener_of(task, AGGREGATOR.address))
    answers = defender.step(disputed.chain.now())
    assert [answer.problem for answer in answers] == ["", ""]
    assert defender.step(disputed.chain.now()) == []
    last = accuser.record(target).last_at
    disputed.chain.wait_until(last + task.reader.spec.windows.takeover)
    (end,) = defender.step(disputed.chain.now())
    assert end.problem == ""
    assert not disputed.owner.history(task.reader.task).rounds[0].challenged
    assert bond_of(disputed, task) == BOND
    assert disputed.owner.member(task.reader.task, AGGREGATOR.address).credit == 2 * ASKS
