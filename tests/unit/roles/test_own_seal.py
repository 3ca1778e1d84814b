"""Before a seal is sent every question about it is asked for nothing: an honest one passes, a lie is not sent."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fl_platform.attacks.lying import drop_one, raise_score
from fl_platform.chain.client import Chain
from fl_platform.chain.disputes import judge_of
from fl_platform.chain.evidence import Case, Question
from fl_platform.chain.signer import Signer
from fl_platform.chain.types import Phase
from fl_platform.errors import OwnSealRefuted, RpcUnavailable
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.roles import aggregator as aggregator_module
from fl_platform.roles import own_seal
from fl_platform.roles.aggregator import Aggregator, SealedRound
from fl_platform.roles.amounts import tokens
from fl_platform.roles.own_seal import demand_unrefuted, own_questions
from fl_platform.roles.reading import TaskReader
from fl_platform.roles.transport import LocalTransport
from tests.support.chain import AGGREGATOR, SUCCESSOR, Stage, disputed_stage
from tests.support.hiders import greedy
from tests.support.liars import SumsBent
from tests.support.silent import Silent
from tests.support.small_task import open_small_task, sealer_of, trainer_key

ABSENT = {Question.DROPPED, Question.FORCED, Question.TWICE}  # nobody is missing, forced in or there twice


@pytest.fixture
def disputed() -> Iterator[Stage]:
    with disputed_stage() as stage:
        yield stage


class Mistaken(Aggregator):
    """Judges honestly, then something goes wrong with the bundle. It means to seal an honest one."""

    bend: Callable[[RoundBundle], RoundBundle]

    def _bundle(self, *arguments: Any) -> RoundBundle:
        return self.bend(super()._bundle(*arguments))


def test_every_kind_of_question_is_asked_in_words_that_its_judge_reads(
    disputed: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A judge that reverts says no lie, too: evidence that it cannot read would ask nothing."""
    task = open_small_task(disputed, tmp_path, trainers=3, rounds=2, aggregators=(AGGREGATOR, SUCCESSOR))
    asked: list[set[Question]] = []

    def read_by_judges(reader: TaskReader, contracts: Any, *rest: Any) -> None:
        demand_unrefuted(reader, contracts, *rest)
        seal, questions = own_questions(reader, contracts, *rest)
        asked.append(set())
        for each in questions:
            judge = contracts.deployment.contract(judge_of(each.question))
            case = Case(reader.task, rest[1].round, seal, int(each.question))
            assert contracts.chain.read(judge, "refutes", case, each.shown) is False, each
            asked[-1].add(each.question)

    monkeypatch.setattr(aggregator_module, "demand_unrefuted", read_by_judges)
    sealed = task.aggregator.run(LocalTransport(task.trainers))
    assert len(sealed) == 2
    assert asked == [set(Question) - ABSENT] * 2


@pytest.mark.parametrize("successors", [(SUCCESSOR,), ()], ids=["successor", "nobody-left"])
@pytest.mark.parametrize(
    ("bend", "question"),
    [(greedy, "STANDING"), (raise_score, "SCORE"), (drop_one, "ENTRIES"), (None, "SUM")],
    ids=["pay", "score", "verdict", "sums"],
)  # fmt: skip
def test_a_seal_that_would_fall_is_not_sent(
    disputed: Stage, tmp_path: Path, bend: Any, question: str, successors: tuple[Signer, ...]
) -> None:
    task = open_small_task(disputed, tmp_path, trainers=3, aggregators=(AGGREGATOR, *successors))
    sealer = sealer_of(disputed, tmp_path, task, SumsBent if bend is None else Mistaken)
    sealer.bend = bend  # type: ignore[attr-defined]
    with pytest.raises(OwnSealRefuted) as refused:
        sealer.run(LocalTransport(task.trainers))
    history = task.reader.history()
    assert (history.head.phase, history.rounds[0].seal) == (Phase.ROSTERED, None)
    told, fine = str(refused.value), history.fine_if_late()
    deadline = disputed.owner.window(task.reader.task)[1]
    assert f"asked {question} about " in told
    assert f"in {deadline - disputed.chain.now()} s costs {fine} wei ({tokens(fine)} tokens)" in told
    assert (f"0x{SUCCESSOR.address.hex()} takes over" if successors else "compensation") in told
    disputed.chain.wait_until(deadline)
    disputed.owner.advance(task.reader.task)
    (late,) = task.reader.history().replacements
    assert (late.slashed, late.successor) == (fine, SUCCESSOR.address if successors else bytes(20))


def test_asking_makes_nobody_late(
    disputed: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    task = open_small_task(disputed, tmp_path, trainers=3, aggregators=(AGGREGATOR, SUCCESSOR))
    caplog.set_level(logging.WARNING)

    def hurried(reader: TaskReader, contracts: Any, *rest: Any) -> None:
        began, deadline = disputed.chain.now(), contracts.window(reader.task)[1]
        times = itertools.chain([began, *[(began + deadline) // 2] * 2], itertools.repeat((began + deadline) // 2 + 1))
        with monkeypatch.context() as clock:
            clock.setattr(Chain, "now", lambda _: next(times))
            demand_unrefuted(reader, contracts, *rest)

    monkeypatch.setattr(aggregator_module, "demand_unrefuted", hurried)
    task.aggregator.run(LocalTransport(task.trainers))
    assert "sealed after 16 questions: the deadline is near" in caplog.text


class Stalled(Aggregator):
    """Reads from a store that answers nothing about a trainer's update once that was judged."""

    def _question(self, sealed: SealedRound) -> None:
        update = sealed.bundle.entries[0].receipt.update
        assert isinstance(self.reader.store, Silent)
        self.reader.store.silent = lambda digest: digest == update  # type: ignore[method-assign]
        super()._question(sealed)


def test_a_trainer_whose_update_is_silent_now_makes_nobody_late(
    disputed: Stage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task = open_small_task(disputed, tmp_path, trainers=3, aggregators=(AGGREGATOR, SUCCESSOR))
    task.reader.store = Silent(tmp_path / "store")
    assert len(sealer_of(disputed, tmp_path, task, Stalled).run(LocalTransport(task.trainers))) == 1
    assert "questions about the updates are not asked" in caplog.text


@pytest.mark.parametrize(("error", "keeps_back"), [(RpcUnavailable, "first half"), (ZeroDivisionError, "never")])
def test_what_breaks_the_asking_keeps_no_seal_back_for_long(
    disputed: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception], keeps_back: str
) -> None:
    task = open_small_task(disputed, tmp_path, trainers=3, aggregators=(AGGREGATOR, SUCCESSOR))

    def breaks(*_: Any) -> Any:
        raise error("broken")

    monkeypatch.setattr(own_seal, "own_questions", breaks)
    if keeps_back == "first half":
        with pytest.raises(error):
            task.aggregator.run(LocalTransport(task.trainers))
        start, deadline = disputed.owner.window(task.reader.task)
        disputed.chain.wait_until((start + deadline) // 2 + 1)
    assert len(task.aggregator.run(LocalTransport(task.trainers))) == 1


def test_who_leaves_is_not_rostered(disputed: Stage, tmp_path: Path) -> None:
    """Its stake is paid while the seal can be challenged: then a judge calls it a stranger, and the seal falls."""
    task = open_small_task(disputed, tmp_path, trainers=3, aggregators=(AGGREGATOR, SUCCESSOR))
    gone = task.trainers[0]
    disputed.as_(Signer(trainer_key(0))).leave(task.reader.task)
    (sealed,) = task.aggregator.run(LocalTransport(task.trainers))
    assert {entry.receipt.trainer for entry in sealed.bundle.entries} == {t.address for t in task.trainers} - {
        gone.address
    }
