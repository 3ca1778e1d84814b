"""Lies about the work itself in a whole small task: the watcher finds each, the defender answers, one leaf decides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fl_platform.attacks.lying import bend_gram
from fl_platform.chain import work_evidence
from fl_platform.chain.bisections import Bisections
from fl_platform.chain.demands import Demands, Subject
from fl_platform.chain.disputes import Disputes
from fl_platform.chain.evidence import Question
from fl_platform.contribution.tracing import layout_of
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.roles.aggregator import Aggregator
from fl_platform.roles.defender import Defender
from fl_platform.roles.opening import UpdateOpener
from fl_platform.roles.reading import TaskReader
from fl_platform.roles.tracing import sealed_trace
from fl_platform.roles.transport import LocalTransport
from fl_platform.roles.watcher import Watcher
from fl_platform.roles.work import RoundWork
from fl_platform.roles.work_watching import GramChallenger, wrong_gram_entries
from fl_platform.roles.workspace import reveal_key
from tests.support.chain import AGGREGATOR, ETHER, SUCCESSOR, Stage, disputed_stage
from tests.support.liars import BendsSums, Liar
from tests.support.small_task import SmallTask, open_small_task, sealer_of


@pytest.fixture
def disputed() -> Iterator[Stage]:
    with disputed_stage() as stage:
        yield stage


class BendsGram(Liar):
    """Seals a Gram matrix with one wrong entry, and all that follows from it."""

    def _bundle(self, *arguments: Any) -> RoundBundle:
        return bend_gram(super()._bundle(*arguments))


def sealed_by(stage: Stage, folder: Path, kind: type[Aggregator]) -> SmallTask:
    task = open_small_task(stage, folder, trainers=3, aggregators=(AGGREGATOR, SUCCESSOR))
    sealer_of(stage, folder, task, kind).run(LocalTransport(task.trainers), rounds=1)
    return task


def watcher_of(stage: Stage, task: SmallTask) -> Watcher:
    contracts = stage.as_(SUCCESSOR)
    contracts.mint(SUCCESSOR.address, ETHER)
    reader = TaskReader(contracts, task.reader.store, task.reader.task)
    opener = UpdateOpener(
        reader.store, domain=reader.domain, recipient=SUCCESSOR.address, key=reveal_key(SUCCESSOR)
    )
    return Watcher(reader, Disputes(contracts, SUCCESSOR), opener=opener)


def defender_of(stage: Stage, task: SmallTask) -> Defender:
    contracts = stage.as_(AGGREGATOR)
    reader = TaskReader(contracts, task.reader.store, task.reader.task)
    opener = UpdateOpener(
        reader.store, domain=reader.domain, recipient=AGGREGATOR.address, key=reveal_key(AGGREGATOR)
    )
    return Defender(reader, Disputes(contracts, AGGREGATOR), opener=opener)


def bond_of(stage: Stage, task: SmallTask) -> int:
    return stage.owner.member(task.reader.task, AGGREGATOR.address).stake


def test_a_coordinate_of_the_sums_falls_at_once(disputed: Stage, tmp_path: Path) -> None:
    task = sealed_by(disputed, tmp_path, BendsSums)
    (finding,) = watcher_of(disputed, task).step(disputed.chain.now())
    assert (finding.question, finding.upheld) == (Question.SUM, True)
    assert bond_of(disputed, task) == 0


def test_a_gram_entry_falls_when_its_sealer_splits_it(disputed: Stage, tmp_path: Path) -> None:
    """The sealer's own defender splits the true products: they do not add up to its lie, so it cannot answer."""
    task = sealed_by(disputed, tmp_path, BendsGram)
    watcher, defender = watcher_of(disputed, task), defender_of(disputed, task)
    (finding,) = watcher.step(disputed.chain.now())
    assert (finding.games, finding.upheld) == ((1,), False)
    assert "game 1 about the Gram matrix" in str(finding)
    (answer,) = defender.step(disputed.chain.now())
    assert "Bisections_PartSum" in answer.problem
    assert "FAILED" in str(answer)
    assert watcher.follow(finding) == finding  # the sealer's time is not over
    _split_with_a_lie(disputed, task)
    fell = watcher.follow(finding)
    assert fell.upheld
    assert bond_of(disputed, task) == 0
    assert watcher.follow(fell) == fell


def _split_with_a_lie(stage: Stage, task: SmallTask) -> None:
    """What a liar does who wants to go on: its lie hidden in one part."""
    games = Bisections(Disputes(stage.as_(AGGREGATOR), AGGREGATOR))
    (found,) = games.open_games(task.reader.task)
    parts, _ = work_evidence.parts_of(found.game.count)
    even = found.game.claimed // parts
    told = [even] * (parts - 1)
    bundle = task.reader.bundle(0)
    statement = work_evidence.statement_of(sealed_trace(task.reader, bundle), found.row, found.column)
    tensors = layout_of(task.reader.spec, bundle.before.scale)
    games.split(found.number, statement, [*told, found.game.claimed - sum(told)], tensors)


def test_a_sealer_that_is_silent_about_its_gram_matrix_loses_too(disputed: Stage, tmp_path: Path) -> None:
    task = sealed_by(disputed, tmp_path, BendsGram)
    watcher = watcher_of(disputed, task)
    (finding,) = watcher.step(disputed.chain.now())
    found = Bisections(Disputes(disputed.as_(SUCCESSOR), SUCCESSOR)).game(finding.games[0])
    assert found is not None
    disputed.chain.wait_until(found.deadline)
    assert watcher.follow(finding).upheld
    assert bond_of(disputed, task) == 0


def test_an_honest_sealer_answers_everything_and_keeps_its_bond(disputed: Stage, tmp_path: Path) -> None:
    """Every demand there is, and a game about an honest entry, played to its end."""
    task = sealed_by(disputed, tmp_path, Aggregator)
    bond = bond_of(disputed, task)
    contracts = disputed.as_(SUCCESSOR)
    contracts.mint(SUCCESSOR.address, 10 * ETHER)
    disputes = Disputes(contracts, SUCCESSOR)
    accuser = Demands(disputes)
    number = task.reader.task
    trace = sealed_trace(task.reader, task.reader.bundle(0))
    accuser.demand(number, 0, Subject.TRACE)
    accuser.demand(number, 0, Subject.ENTRIES)
    accuser.demand(number, 0, Subject.SUMS, index=1)
    accuser.demand(number, 0, Subject.SUMS, index=2**31)
    accuser.demand(number, 0, Subject.CLAIMS)
    games = Bisections(disputes)
    game = games.open(number, 0, work_evidence.gram_entry(trace, 1, 0))
    defender = defender_of(disputed, task)
    answers = defender.step(disputed.chain.now())
    assert [answer.problem for answer in answers] == [""] * 6
    assert defender.step(disputed.chain.now()) == []
    found = games.game(game)
    assert found is not None
    assert found.answered
    disputed.chain.wait_until(found.deadline)
    games.expire(game)
    for demand in range(1, 6):
        accuser.expire(demand)
    assert bond_of(disputed, task) == bond
    assert not disputed.owner.history(number).rounds[0].challenged
    credit = disputed.owner.member(number, AGGREGATOR.address).credit
    assert credit == 6 * disputes.bond(number)


def test_an_honest_matrix_opens_no_game(disputed: Stage, tmp_path: Path) -> None:
    task = sealed_by(disputed, tmp_path, Aggregator)
    assert watcher_of(disputed, task).step(disputed.chain.now()) == []


def test_no_game_is_opened_that_no_leaf_could_end(disputed: Stage, tmp_path: Path) -> None:
    """Rows whose content root is nobody's (a direction's is judged nowhere) cannot be shown: the bond would be lost."""
    task = sealed_by(disputed, tmp_path, BendsGram)
    contracts = disputed.as_(SUCCESSOR)
    reader = TaskReader(contracts, task.reader.store, task.reader.task)
    opener = UpdateOpener(reader.store, domain=reader.domain, recipient=SUCCESSOR.address, key=reveal_key(SUCCESSOR))
    work, trace = RoundWork(reader, reader.bundle(0), opener), sealed_trace(reader, reader.bundle(0))
    assert list(wrong_gram_entries(reader, work, trace))
    others = tuple((root ^ 1, weight) for root, weight in trace.work.rows)
    foreign = replace(trace, work=replace(trace.work, rows=others))
    games = Bisections(Disputes(contracts, SUCCESSOR))
    assert GramChallenger(reader, games).open(work, foreign) is None
    assert games.open_games(reader.task) == ()
