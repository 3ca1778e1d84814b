"""A seal without a tape hides everything: of a task whose sums are exact it falls, with or without a key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fl_platform.dispute.questions import Node
from fl_platform.ledger.contracts import Contracts
from fl_platform.round.transport import LocalTransport
from tests.support.chain import AGGREGATOR, SUCCESSOR, Stage, disputed_stage
from tests.support.small_task import open_small_task
from tests.unit.dispute.test_watcher import bond, defender_of, pursue, watcher_of


@pytest.fixture
def disputed() -> Iterator[Stage]:
    with disputed_stage() as stage:
        yield stage


@pytest.mark.parametrize("key", [False, True])
def test_a_seal_without_a_tape_falls(
    disputed: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: bool
) -> None:
    task = open_small_task(disputed, tmp_path, trainers=2, aggregators=(AGGREGATOR, SUCCESSOR))
    assert task.reader.spec.exact
    honest = Contracts.seal_round

    def without(self: Contracts, number: int, *arguments: Any, **named: Any) -> Any:
        return honest(self, number, *arguments, **{**named, "trace": bytes(32)})

    monkeypatch.setattr(Contracts, "seal_round", without)
    task.aggregator.run(LocalTransport(task.trainers), rounds=1)
    watcher = watcher_of(disputed, task, [], key=key)
    (finding,) = watcher.step(disputed.chain.now())
    assert [question.node for question in finding.asked] == [Node.COLUMNS]
    finding = pursue(disputed, task, watcher, finding, defender_of(disputed, task))
    assert finding.upheld
    assert bond(disputed, task) == 0
