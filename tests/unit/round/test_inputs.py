"""Who cannot have a round's model or earlier sums does not roster it, and passes what it rostered: no bond is lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from fl_platform.errors import StoreMissing, TaskClosed
from fl_platform.judging.program import program_of
from fl_platform.judging.sums import Sums
from fl_platform.protocol import tape
from fl_platform.protocol.arithmetic import Array
from fl_platform.protocol.bundle import RoundStart
from fl_platform.protocol.tree import column_root
from fl_platform.round.inputs import await_inputs, read_inputs
from fl_platform.round.transport import LocalTransport
from fl_platform.task.reading import TaskReader
from fl_platform.updates.model_row import ModelRow
from tests.support.chain import AGGREGATOR, SUCCESSOR, disputed_stage
from tests.support.partial_store import PartialStore
from tests.support.small_task import open_small_task, successor_of


@pytest.mark.parametrize("rostered", [False, True])
def test_an_aggregator_without_the_parent_loses_no_bond(tmp_path: Path, rostered: bool) -> None:
    with disputed_stage() as stage:
        task = open_small_task(stage, tmp_path, trainers=3, rounds=2, aggregators=(AGGREGATOR, SUCCESSOR))
        transport, number = LocalTransport(task.trainers), task.reader.task
        task.aggregator.run(transport, rounds=1)
        bundle = task.reader.bundle(0)
        withheld = frozenset({bundle.after.model, bundle.aggregate})
        store, own = PartialStore(tmp_path / "store"), stage.as_(SUCCESSOR)
        successor = successor_of(stage, tmp_path, replace(task, reader=TaskReader(own, store, number)))
        if rostered:
            successor.roster(successor.collect(transport))
        store.gone = withheld
        successor._reader = TaskReader(own, store, number)
        if rostered:
            with pytest.raises(TaskClosed, match=r"passed on.*withheld"):
                successor.run(transport)
        else:
            with pytest.raises(StoreMissing, match="withheld"):
                successor.run(transport)
            assert stage.owner.head(number).phase.name == "OPEN"
        bond = successor.reader.spec.money.bond
        assert stage.owner.member(number, SUCCESSOR.address).stake == bond


def test_it_is_looked_for_until_there_is_no_time(tmp_path: Path) -> None:
    with disputed_stage() as stage:
        task = open_small_task(stage, tmp_path, trainers=2, rounds=2)
        task.aggregator.run(LocalTransport(task.trainers), rounds=1)
        assert await_inputs(lambda: read_inputs(task.reader), lambda: pytest.fail("it is there"))
        store = PartialStore(tmp_path / "store")
        bundle = task.reader.bundle(0)
        store.gone = frozenset({bundle.after.model, bundle.aggregate})
        reader, asked = TaskReader(task.reader._contracts, store, task.reader.task), []

        def pause() -> bool:
            asked.append(1)
            return len(asked) < 3

        found = await_inputs(lambda: read_inputs(reader), pause)
        assert isinstance(found, str)
        assert "withheld" in found
        assert len(asked) == 3


def test_two_tapes_are_hashed_a_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the round before, for its seal and for what it hands on, and the round's own."""
    hashed: list[int] = []

    def counted(number: int, cells: Array) -> bytes:
        hashed.append(number)
        return column_root(number, cells)

    with disputed_stage() as stage:
        task = open_small_task(stage, tmp_path, trainers=3, rounds=2)
        transport = LocalTransport(task.trainers)
        task.aggregator.run(transport, rounds=1)
        monkeypatch.setattr(tape, "column_root", counted)
        task.aggregator.run(transport, rounds=1)
        assert len(hashed) == 2 * len(program_of(task.reader.spec).columns)


def test_model_and_sums_are_read_once_a_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For its roster and for its seal: a model can be large."""
    read = Counter[bytes]()
    parent_row, sums_of = TaskReader.parent_row, TaskReader.sums_of

    def counted_row(reader: TaskReader, state: RoundStart) -> ModelRow:
        read[state.model] += reader is task.aggregator.reader
        return parent_row(reader, state)

    def counted_sums(reader: TaskReader, digest: bytes) -> Sums:
        read[digest] += reader is task.aggregator.reader
        return sums_of(reader, digest)

    with disputed_stage() as stage:
        task = open_small_task(stage, tmp_path, trainers=3, rounds=3)
        transport = LocalTransport(task.trainers)
        task.aggregator.run(transport, rounds=2)
        state = task.aggregator.reader.current_state()
        monkeypatch.setattr(TaskReader, "parent_row", counted_row)
        monkeypatch.setattr(TaskReader, "sums_of", counted_sums)
        task.aggregator.run(transport, rounds=1)
        assert len(state.sums) == 2
        assert [read[digest] for digest in (state.model, *state.sums)] == [1, 1, 1]
