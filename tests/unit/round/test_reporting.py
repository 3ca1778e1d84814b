"""What roles say of a round: counted from the seal and from what happened on the way."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from fl_platform.cli.demo.federation import DemoParties, aggregator_of
from fl_platform.learning.evaluation import evaluate
from fl_platform.learning.machine import CPU
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.task import DataTask, LearningTask
from fl_platform.protocol.messages import RoundOrder, encode_message
from fl_platform.protocol.rows import LARGEST_WEIGHT
from fl_platform.round.local_trainers import Announced
from fl_platform.round.reporting import RoundsLearned, RoundsSealed
from fl_platform.round.trainer import Trainer
from fl_platform.round.transport import LocalTransport
from fl_platform.round.waiting import Waiting
from fl_platform.sinks.lines import line_of
from fl_platform.sinks.record import Record
from fl_platform.task.workspace import Workspace
from fl_platform.updates import update_length
from tests.support.rehearsal import rehearsal, small_settings

Scene = tuple[Workspace, DemoParties]
PLAN = TrainPlan(4, 32, 0.2)  # steps enough for a first and a last ten


class Noisy(LocalTransport):
    """Answers of some trainers, the first of them twice, and one of nobody."""

    def exchange(self, order: RoundOrder, waiting: Waiting) -> Iterable[bytes]:
        answers = list(super().exchange(order, waiting))
        return [b"not a message", *answers, answers[0]]


def test_an_aggregator_counts_who_answered_who_did_not_and_what_was_refused(tmp_path: Path) -> None:
    with rehearsal(tmp_path, small_settings(byzantine=0)) as (workspace, parties):
        watched = RoundsSealed(workspace.reader(parties.task), who="bob", clock=itertools.count(0.0, 2.0).__next__)
        aggregator = aggregator_of(workspace, parties, "aggregator", watched.step)
        away = parties.members[1].trainer
        first = aggregator.run(Noisy([one for one in parties.everybody if one is not away]), rounds=1)[0]
        record = watched.record(first)
        second = watched.record(aggregator.run(LocalTransport(parties.everybody), rounds=1)[0])
    model, codes = parties.spec.model, [verdict.code for verdict in first.bundle.verdicts]
    refused = {f"refused[{code}]": codes.count(code) for code in codes if code not in ("admitted", "reference")}
    length = first.bundle.entries[0].receipt.length
    assert (record.role, record.task, record.round, record.who) == ("aggregator", parties.task, 0, "bob")
    assert record.values == {
        "members": 5, "answered": 4, "absent": 1, f"absent_member[0x{away.address.hex()}]": 1,
        "refused[DocumentInvalid]": 1, "refused[ReceiptDuplicate]": 1, **refused,
        "in_sum": codes.count("admitted"), "worth_measured": 1, "update_bytes": 5 * length,
        "sealed_bytes": len(first.judgement.model_bytes) + 4 * model.size,
        "model": "0x" + first.bundle.after.model.hex(),
        "step_seconds[train]": 2.0, "step_seconds[roster]": 2.0, "step_seconds[judge]": 2.0,
    }  # fmt: skip
    judged = first.judgement
    row = judged.row.copy()
    row[:3] = LARGEST_WEIGHT
    ended = watched.record(dataclasses.replace(first, judgement=dataclasses.replace(judged, row=row)))
    assert ended.values[f"model_saturated[{model.tensors[0].name}]"] == 3
    # The next round starts counting anew.
    assert (second.round, second.values["absent"], second.values["step_seconds[train]"]) == (1, 0, 2.0)
    assert not {"refused[DocumentInvalid]", "refused[ReceiptDuplicate]"} & second.values.keys()


SETTINGS = small_settings(byzantine=0, attacks=(), plan=PLAN)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A task that stays in its round 0."""
    with rehearsal(tmp_path_factory.mktemp("scene"), SETTINGS) as found:
        yield found


@pytest.fixture
def played(tmp_path: Path) -> Iterator[Scene]:
    """A task to play."""
    with rehearsal(tmp_path / "scene", SETTINGS) as found:
        yield found


def watched_trainer(
    scene: Scene, folder: Path, learned: RoundsLearned | None = None, learning: LearningTask | None = None
) -> Trainer:
    """Return the demo's trainer 0 once more, with a folder of its own and somebody who watches."""
    workspace, parties = scene
    signer = parties.wallets["trainer-0"]
    return Trainer(
        reader=workspace.reader(parties.task), contracts=workspace.contracts(signer), signer=signer,
        learning=learning or parties.federation.parties[0], workdir=folder, machine=CPU,
        **({} if learned is None else {"watch": learned.trained}),
    )  # fmt: skip


def test_measuring_changes_nothing_that_is_signed(scene: Scene, tmp_path: Path) -> None:
    _, parties = scene
    told: list[Record] = []
    learned = RoundsLearned(parties.task, told.append, role="trainer", validate=True)
    order = parties.aggregator.order()
    watched = watched_trainer(scene, tmp_path / "watched", learned).commit(order)
    assert watched == watched_trainer(scene, tmp_path / "alone").commit(order)
    assert len(told) == 1


def test_nobody_measures_unless_asked(scene: Scene, tmp_path: Path) -> None:
    _, parties = scene
    told: list[Record] = []
    learned = RoundsLearned(parties.task, told.append, role="trainer")
    trainer = watched_trainer(scene, tmp_path / "own", learned, Unmeasured(parties.federation.parties[0]))
    trainer.commit(parties.aggregator.order())
    learned.over(trainer)
    (record,) = told
    assert not [key for key in record.values if key.startswith("validation")]


class Unmeasured(LearningTask):
    """A party whose validation rows cannot be read."""

    def __init__(self, inner: LearningTask) -> None:
        assert isinstance(inner, DataTask)
        self.model, self.train_data = inner.model, inner.train_data  # type: ignore[method-assign]

    def model(self) -> object:  # type: ignore[override]
        """Set above."""

    def train_data(self) -> object:  # type: ignore[override]
        """Set above."""

    def validation_data(self) -> object:  # type: ignore[override]
        raise OSError("the disk with the validation rows is gone")


def test_rows_that_cannot_be_measured_cost_no_round(
    scene: Scene, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, parties = scene
    told: list[Record] = []
    learned = RoundsLearned(parties.task, told.append, role="trainer", validate=True)
    order, rows = parties.aggregator.order(), Unmeasured(parties.federation.parties[0])
    signed = [watched_trainer(scene, tmp_path / name, learned, rows).commit(order) for name in ("one", "two")]
    assert signed == [watched_trainer(scene, tmp_path / "three").commit(order)] * 2
    assert [record.round for record in told] == [0, 0]
    assert not [key for record in told for key in record.values if key.startswith("validation")]
    warned = [record.message for record in caplog.records if "not measured" in record.message]
    assert len(warned) == 1
    assert "validation_data" in warned[0]
    assert "the disk with the validation rows is gone" in warned[0]


def test_a_resident_trainer_says_one_line_a_round(scene: Scene, tmp_path: Path) -> None:
    _, parties = scene
    said: list[str] = []
    learned = RoundsLearned(parties.task, lambda record: said.append(line_of(record)), role="trainer")
    told = Announced(watched_trainer(scene, tmp_path / "own", learned), said.append, learned)
    message = encode_message(parties.aggregator.order())
    assert told.handle(message) == told.handle(message)
    assert len(said) == 2
    assert said[0].startswith("round 0 trained and signed: loss ")
    assert said[1] == "round 0: what was signed before is handed out again"


def test_a_trainer_tells_of_each_round_and_of_the_last_model(played: Scene, tmp_path: Path) -> None:
    workspace, parties = played
    told: list[Record] = []
    learned = RoundsLearned(parties.task, told.append, role="trainer", who="alice", validate=True)
    trainer = watched_trainer(played, tmp_path / "alice", learned)
    crew = [trainer, *(one for one in parties.everybody if one.address != trainer.address)]
    sealed = parties.aggregator.run(LocalTransport(crew))
    learned.over(trainer)
    assert [(record.role, record.who, record.round) for record in told] == [("trainer", "alice", n) for n in (0, 1, 2)]
    rows, model = parties.federation.parties[0].train_data(), parties.spec.model
    first = told[0].values
    assert (first["rows"], first["steps"]) == (len(rows), PLAN.epochs * -(-len(rows) // PLAN.batch_size))
    assert first["update_bytes"] == update_length(model.size, 8)
    assert 0 < first["loss_last"] < first["loss_first"]
    assert first["training_seconds"] > 0
    assert told[2].values.keys() == {"validation_loss", "validation_metric[accuracy]", "validation_rows"}
    held = parties.federation.parties[0].validation_data()
    reader = workspace.reader(parties.task)
    for record, digest in zip(told, (parties.spec.initial_model, *(s.bundle.after.model for s in sealed)), strict=True):
        right = evaluate(parties.federation.factory(), reader.model(digest), held)
        assert record.values["validation_metric[accuracy]"] == pytest.approx(right.accuracy)
        assert record.values["validation_rows"] == len(held)
