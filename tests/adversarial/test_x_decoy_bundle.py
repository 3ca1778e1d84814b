"""A sealer publishes a decoy of what it sealed, rosters the next round on it and leaves that round to its successor.

Built on the decoy, the successor's accounts would be refuted by the trace that was sealed; it recomputes what the seal
stands for instead, or does not seal.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fl_platform.chain import evidence
from fl_platform.chain.disputes import Disputes
from fl_platform.chain.evidence import Question
from fl_platform.errors import AuditDifference
from fl_platform.roles.aggregator import Aggregator
from fl_platform.roles.reading import TaskReader
from fl_platform.roles.tracing import sealed_trace
from fl_platform.roles.transport import LocalTransport
from fl_platform.roles.workspace import reveal_key
from tests.support.chain import AGGREGATOR, SUCCESSOR, Stage, disputed_stage
from tests.support.hiders import Hider, Told, greedy, nothing
from tests.support.small_task import SmallTask, open_small_task


@pytest.fixture
def disputed() -> Iterator[Stage]:
    with disputed_stage() as stage:
        yield stage


def left_over(stage: Stage, folder: Path, *, told: Told, shown: Told) -> tuple[SmallTask, Hider, Aggregator]:
    """A task whose second round is rostered by a liar that then does nothing more; its successor is to seal."""
    task = open_small_task(stage, folder, trainers=3, rounds=2, aggregators=(AGGREGATOR, SUCCESSOR))

    def working(kind: type[Aggregator], who: Any, name: str) -> Any:
        contracts = stage.as_(who)
        return kind(
            reader=TaskReader(contracts, task.reader.store, task.reader.task), contracts=contracts,
            reveal_key=reveal_key(who), workdir=folder / name, wait_until=stage.chain.wait_until,
        )  # fmt: skip

    liar: Hider = working(Hider, AGGREGATOR, "liar")
    liar.told, liar.shown, liar.lie = told, shown, lambda trace: trace  # type: ignore[method-assign]
    successor: Aggregator = working(Aggregator, SUCCESSOR, "successor")
    bond = task.reader.spec.money.bond
    stage.owner.mint(SUCCESSOR.address, bond)
    successor.bond()
    transport = LocalTransport(task.trainers)
    liar.run(transport, rounds=1)
    with pytest.raises(AuditDifference, match="rostering on it"):
        liar.run(transport, rounds=1)
    liar.roster(liar.collect(transport))
    _, end = stage.owner.window(task.reader.task)
    stage.chain.wait_until(end)
    stage.owner.advance(task.reader.task)
    return task, liar, successor


def test_a_successor_builds_on_what_was_sealed_and_not_on_the_decoy(disputed: Stage, tmp_path: Path) -> None:
    task, liar, successor = left_over(disputed, tmp_path, told=nothing, shown=greedy)
    (sealed,) = successor.run(LocalTransport(task.trainers), rounds=1)
    reader = TaskReader(disputed.owner, task.reader.store, task.reader.task)
    seals = [record.seal for record in reader.history().rounds]
    assert seals[0] is not None
    assert seals[1] is not None
    trace = sealed_trace(successor.reader, sealed.bundle)
    assert trace.root == seals[1].trace
    disputes = Disputes(disputed.as_(AGGREGATOR), AGGREGATOR)
    for index in range(len(trace.standings)):
        shown = evidence.carried(trace, index, (seals[0], liar.sealed))
        assert not disputes.refutes(reader.task, 1, Question.CARRIED, shown)


def test_on_a_seal_that_follows_from_nothing_a_successor_does_not_seal(disputed: Stage, tmp_path: Path) -> None:
    task, _, successor = left_over(disputed, tmp_path, told=greedy, shown=nothing)
    with pytest.raises(AuditDifference, match="risks the whole bond"):
        successor.run(LocalTransport(task.trainers), rounds=1)
    assert task.reader.history().rounds[1].seal is None
