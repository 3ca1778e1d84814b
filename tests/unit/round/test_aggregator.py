"""What an aggregator does about a pot that grows while it judges, and about a roster that it cannot answer for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fl_platform.errors import TaskClosed, TransactionReverted
from fl_platform.round.aggregator import SEALS_TRIED
from fl_platform.round.transport import LocalTransport
from tests.support.chain import AGGREGATOR, SUCCESSOR, Stage, disputed_stage
from tests.support.small_task import SmallTask, open_small_task, sealer_of


@pytest.fixture
def disputed() -> Iterator[Stage]:
    with disputed_stage() as stage:
        yield stage


def opened(stage: Stage, folder: Path) -> SmallTask:
    return open_small_task(stage, folder, trainers=2, aggregators=(AGGREGATOR, SUCCESSOR))


@pytest.mark.parametrize(
    ("error", "times", "sealed"),
    [
        ("RoundLedger_AllotmentMismatch", SEALS_TRIED - 1, True),
        ("RoundLedger_AllotmentMismatch", SEALS_TRIED, False),
        ("RoundLedger_TooLate", 1, False),
    ],
)
def test_a_seal_is_judged_again_where_the_pot_has_grown(
    disputed: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str, times: int, sealed: bool
) -> None:
    task = opened(disputed, tmp_path)
    honest, judged, left = task.aggregator._contracts.seal_round, [0], [times]
    judge = task.aggregator._judge

    def refuse(*arguments: object, **named: object) -> object:
        if left[0]:
            left[0] -= 1
            raise TransactionReverted("sealRound reverted", error=error)
        return honest(*arguments, **named)  # type: ignore[arg-type]

    def count(*arguments: object) -> object:
        judged[0] += 1
        return judge(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(task.aggregator._contracts, "seal_round", refuse)
    monkeypatch.setattr(task.aggregator, "_judge", count)
    if sealed:
        assert len(task.aggregator.run(LocalTransport(task.trainers))) == 1
    else:
        with pytest.raises(TransactionReverted, match="sealRound"):
            task.aggregator.run(LocalTransport(task.trainers))
    assert judged == [times + sealed]


def test_a_successor_passes_on_a_roster_that_it_cannot_put_together(disputed: Stage, tmp_path: Path) -> None:
    """One of the two on it answers nobody any more. Who made the roster is late; who comes after loses nothing."""
    task = opened(disputed, tmp_path)
    task.aggregator.roster(task.aggregator.collect(LocalTransport(task.trainers)))
    own = disputed.as_(SUCCESSOR)
    later = sealer_of(disputed, tmp_path, task, wallet=SUCCESSOR)
    disputed.chain.wait_until(own.window(task.reader.task)[1])
    own.advance(task.reader.task)
    with pytest.raises(TaskClosed, match=r"that a predecessor left is not to be had.*nothing can be asked about it"):
        later.run(LocalTransport(task.trainers[:1]))
    spec = task.reader.spec
    assert own.member(task.reader.task, SUCCESSOR.address).stake == spec.money.bond
    assert own.member(task.reader.task, AGGREGATOR.address).stake == spec.money.bond - spec.money.pot // 10
    assert own.head(task.reader.task).phase.name == "COMPENSATED"
