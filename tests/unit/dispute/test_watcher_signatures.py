"""A bundle with a false signature: its sealer shows the true one on chain, or falls; its lies fall either way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fl_platform.dispute.questions import Node, Question
from fl_platform.protocol.bundle import RoundBundle
from tests.support.chain import Stage, disputed_stage
from tests.support.liars import Hiding
from tests.unit.dispute.test_watcher import bond, defender_of, ended, pursue, sealed_by, watcher_of


@pytest.fixture
def disputed() -> Iterator[Stage]:
    with disputed_stage() as stage:
        yield stage


class Garbles(Hiding):
    """Publishes another signature of the second entry; its tape, too, unless `hides`."""

    def __init__(self, lie: str | None, *, hides: bool = False) -> None:
        super().__init__(lie)
        self.hides = hides

    def publish(self, bundle: RoundBundle) -> RoundBundle:
        hidden = super().publish(bundle)
        published = hidden if self.hides else bundle
        first, second, *rest = published.entries
        return replace(published, entries=(first, replace(second, signature=first.signature), *rest))


@pytest.mark.parametrize("key", [True, False])
@pytest.mark.parametrize("hides", [False, True], ids=["known", "hidden"])
def test_a_lie_beside_it_falls(disputed: Stage, tmp_path: Path, hides: bool, key: bool) -> None:
    liar = Garbles("raise-score", hides=hides)
    task = sealed_by(disputed, tmp_path, liar)
    watcher = watcher_of(disputed, task, [], key=key)
    (finding,) = watcher.step(disputed.chain.now())
    assert finding.asked == (Question(Node.ROSTER, index=1),)
    finding = pursue(disputed, task, watcher, finding, defender_of(disputed, task, liar.told))
    # without a key nobody can tell where a hidden tape differs
    assert finding.upheld is (key or not hides)
    assert (bond(disputed, task) == 0) is finding.upheld


def test_who_cannot_show_the_signature_falls(disputed: Stage, tmp_path: Path) -> None:
    task = sealed_by(disputed, tmp_path, Garbles(None))
    watcher = watcher_of(disputed, task, [], key=True)
    (finding,) = watcher.step(disputed.chain.now())
    assert pursue(disputed, task, watcher, finding, None).upheld
    assert bond(disputed, task) == 0


def test_who_shows_it_about_an_honest_tape_stands(disputed: Stage, tmp_path: Path) -> None:
    sealer = Garbles(None)
    task = sealed_by(disputed, tmp_path, sealer)
    finding = ended(disputed, task, sealer.told)
    assert not finding.acted
    assert bond(disputed, task) == task.reader.spec.money.bond
