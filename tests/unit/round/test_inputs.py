"""Who cannot have a round's model or earlier sums does not roster it, and passes what it rostered: no bond is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fl_platform.errors import StoreMissing, TaskClosed
from fl_platform.round.inputs import lacking
from fl_platform.round.transport import LocalTransport
from fl_platform.store.disk import DiskStore
from fl_platform.task.reading import TaskReader
from tests.support.chain import AGGREGATOR, SUCCESSOR, disputed_stage
from tests.support.small_task import open_small_task, successor_of


class Lacking(DiskStore):
    """A folder without some objects, by the digests in their CIDs."""

    gone: frozenset[bytes] = frozenset()

    def locate(self, digest: bytes, **more: Any) -> Any:
        if digest in self.gone:
            raise StoreMissing("withheld")
        return super().locate(digest, **more)

    def get(self, cid: Any, **more: Any) -> bytes:
        if cid.digest in self.gone:
            raise StoreMissing("withheld")
        return super().get(cid, **more)


@pytest.mark.parametrize("rostered", [False, True])
def test_an_aggregator_without_the_parent_loses_no_bond(tmp_path: Path, rostered: bool) -> None:
    with disputed_stage() as stage:
        task = open_small_task(stage, tmp_path, trainers=3, rounds=2, aggregators=(AGGREGATOR, SUCCESSOR))
        transport, number = LocalTransport(task.trainers), task.reader.task
        task.aggregator.run(transport, rounds=1)
        bundle = task.reader.bundle(0)
        withheld = frozenset({bundle.after.model, bundle.aggregate})
        store, own = Lacking(tmp_path / "store"), stage.as_(SUCCESSOR)
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
        assert lacking(task.reader, lambda: pytest.fail("it is there")) == ""
        store = Lacking(tmp_path / "store")
        bundle = task.reader.bundle(0)
        store.gone = frozenset({bundle.after.model, bundle.aggregate})
        reader, asked = TaskReader(task.reader._contracts, store, task.reader.task), []

        def pause() -> bool:
            asked.append(1)
            return len(asked) < 3

        assert "withheld" in lacking(reader, pause)
        assert len(asked) == 3
