"""A sealer that publishes no bundle that can be read must show on what it judged, and then its tape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fl_platform.dispute.questions import Node
from fl_platform.protocol.bundle import RoundBundle
from tests.support.chain import SUCCESSOR, Stage, disputed_stage
from tests.support.liars import Hiding
from tests.unit.dispute.test_watcher import bond, defender_of, ended, pursue, sealed_by, watcher_of


@pytest.fixture
def disputed() -> Iterator[Stage]:
    with disputed_stage() as stage:
        yield stage


class Unreadable(Hiding):
    """Publishes a bundle that is no round's."""

    def publish(self, bundle: RoundBundle) -> RoundBundle:
        return replace(super().publish(bundle), round=1_000_000)


@pytest.mark.parametrize("lie", ["pay-itself", "raise-score"])
def test_a_lie_that_updates_do_not_tell_falls(disputed: Stage, tmp_path: Path, lie: str) -> None:
    """Nobody else has the keys to its updates, so its products are taken as it shows them."""
    liar = Unreadable(lie)
    task = sealed_by(disputed, tmp_path, liar)
    watcher = watcher_of(disputed, task, [], key=True)
    (finding,) = watcher.step(disputed.chain.now())
    assert {question.node for question in finding.asked} == {Node.ROSTER}
    finding = pursue(disputed, task, watcher, finding, defender_of(disputed, task, liar.told))
    assert finding.upheld
    assert finding.move.startswith("refuted ")
    assert bond(disputed, task) == 0
    assert bond(disputed, task, SUCCESSOR) == task.reader.spec.money.bond


def test_an_honest_tape_stands(disputed: Stage, tmp_path: Path) -> None:
    sealer = Unreadable(None)
    task = sealed_by(disputed, tmp_path, sealer)
    finding = ended(disputed, task, sealer.told)
    assert not finding.acted
    assert bond(disputed, task) == task.reader.spec.money.bond


@pytest.mark.parametrize("key", [True, False])
def test_who_shows_its_roster_alone_falls(disputed: Stage, tmp_path: Path, key: bool) -> None:
    liar = Unreadable("pay-itself")
    task = sealed_by(disputed, tmp_path, liar)
    watcher, defender = watcher_of(disputed, task, [], key=key), defender_of(disputed, task, liar.told)
    (finding,) = watcher.step(disputed.chain.now())
    assert defender.step(disputed.chain.now())
    finding = watcher.follow(finding)
    assert [question.node for question in finding.asked] == [Node.COLUMNS]
    assert pursue(disputed, task, watcher, finding, None).upheld
    assert bond(disputed, task) == 0
