"""A true seal whose bundle lies beside its tape: whoever builds on it goes by seal and tape, and loses nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fl_platform.dispute.referee import Referee
from fl_platform.dispute.watcher import Watcher
from fl_platform.protocol.bundle import TaskState
from fl_platform.protocol.model_spec import ScaleSpec
from fl_platform.round.transport import LocalTransport
from fl_platform.task.decrypting import UpdateOpener
from fl_platform.task.reading import TaskReader
from fl_platform.task.workspace import reveal_key
from fl_platform.updates import encode_model, row_root
from tests.support.chain import AGGREGATOR, ETHER, SUCCESSOR, disputed_stage, wallet
from tests.support.small_task import SmallTask, open_small_task, successor_of

STRANGER = wallet(7)
Bend = Callable[[SmallTask, TaskState], TaskState]


def another_model(task: SmallTask, after: TaskState) -> TaskState:
    spec = task.reader.spec
    row = np.zeros(spec.model.size, np.int32)
    file = task.reader.store.put(encode_model(row, spec.model)).digest
    return dataclasses.replace(after, model=file, model_root=row_root(row, spec.model))


def another_file(task: SmallTask, after: TaskState) -> TaskState:
    return dataclasses.replace(after, model=task.reader.store.put(b"no model").digest)


def a_file_that_is_nowhere(_: SmallTask, after: TaskState) -> TaskState:
    return dataclasses.replace(after, model=b"\7" * 32)


def another_reputation(_: SmallTask, after: TaskState) -> TaskState:
    state = [
        dataclasses.replace(one, cells=(*one.cells[:-1], one.cells[-1] + 1)) if one.name == "reputation" else one
        for one in after.state
    ]
    return dataclasses.replace(after, state=tuple(state))


def finer_steps(_: SmallTask, after: TaskState) -> TaskState:
    return dataclasses.replace(after, scale=ScaleSpec(tuple(one - 6 for one in after.scale.exponents)))


@pytest.mark.parametrize("bend", [another_model, another_file, a_file_that_is_nowhere, another_reputation, finer_steps])
def test_who_builds_on_it_goes_by_the_seal_and_the_tape(tmp_path: Path, bend: Bend) -> None:
    with disputed_stage() as stage:
        task = open_small_task(stage, tmp_path, trainers=3, rounds=2, aggregators=(AGGREGATOR, SUCCESSOR))
        transport, number = LocalTransport(task.trainers), task.reader.task
        honest, true = task.aggregator._store, []

        def lying(*arguments: object) -> object:
            sealed = honest(*arguments)  # type: ignore[arg-type]
            true.append(sealed.bundle)
            told = dataclasses.replace(sealed.bundle, after=bend(task, sealed.bundle.after))
            return dataclasses.replace(sealed, digest=task.reader.store.put(told.to_bytes()).digest)

        task.aggregator._store = lying  # type: ignore[method-assign, assignment]
        task.aggregator.run(transport, rounds=1)
        (sealed,) = successor_of(stage, tmp_path, task).run(transport)
        assert sealed.bundle.before.model_root == true[0].after.model_root
        assert sealed.bundle.before.state == true[0].after.state
        assert sealed.bundle.before.scale == true[0].after.scale
        contracts = stage.as_(STRANGER)
        contracts.mint(STRANGER.address, 10 * ETHER)
        reader = TaskReader(contracts, task.reader.store, number)
        reader.amend(true[0])
        opener = UpdateOpener(
            reader.store, domain=reader.domain, spec=reader.spec, recipient=SUCCESSOR.address, key=reveal_key(SUCCESSOR)
        )
        # whoever has the true bundle may say that a file is another; nothing comes of it
        found = Watcher(reader, Referee(contracts, STRANGER), opener=opener).step(stage.chain.now())
        assert not any(one.upheld or one.asked for one in found)
        assert stage.owner.member(number, SUCCESSOR.address).stake == reader.spec.money.bond


def test_a_trainer_reads_the_scale_by_its_way_to_the_tape(tmp_path: Path) -> None:
    with disputed_stage() as stage:
        task = open_small_task(stage, tmp_path, trainers=2, rounds=2)
        task.aggregator.run(LocalTransport(task.trainers), rounds=1)
        start = TaskReader(task.reader._contracts, task.reader.store, task.reader.task).current_start()
        assert not isinstance(start, TaskState)  # no more than the bundle's beginning was wanted
        assert start.scale == task.reader.current_state().scale
