"""A bundle with a false signature: its sealer shows the true one on chain, or falls; its lies fall either way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fl_platform.dispute.questions import Node, Question
from fl_platform.judging.judge import Judgement
from fl_platform.protocol.bundle import Entry, RoundBundle
from tests.support.chain import Stage, disputed_stage
from tests.support.liars import HidesTheTruth, Hiding
from tests.unit.dispute.test_watcher import bond, defender_of, ended, play_out, sealed_by, watcher_of


@pytest.fixture
def disputed() -> Iterator[Stage]:
    with disputed_stage() as stage:
        yield stage


class Garbles(Hiding):
    """Publishes another signature of the second entry; its tape, too, unless `hides`."""

    hides = False

    def _bundle(
        self, round_number: int, entries: tuple[Entry, ...], judged: Judgement, validation: tuple[str, ...]
    ) -> RoundBundle:
        bundle = super()._bundle(round_number, entries, judged, validation)
        assert self.told is not None
        published = bundle if self.hides else self.told
        first, second, *rest = published.entries
        return replace(published, entries=(first, replace(second, signature=first.signature), *rest))


class GarblesTheTruth(Garbles, HidesTheTruth):
    """Does so about an honest tape."""


@pytest.mark.parametrize("key", [True, False])
@pytest.mark.parametrize("hides", [False, True], ids=["known", "hidden"])
def test_a_lie_beside_it_falls(disputed: Stage, tmp_path: Path, hides: bool, key: bool) -> None:
    task, liar = sealed_by(disputed, tmp_path, type("Liar", (Garbles,), {"lie": "raise-score", "hides": hides}))
    assert isinstance(liar, Garbles)
    watcher = watcher_of(disputed, task, [], key=key)
    (finding,) = watcher.step(disputed.chain.now())
    assert finding.asked == (Question(Node.ROSTER, index=1),)
    finding = play_out(disputed, task, watcher, finding, defender_of(disputed, task, liar.told))
    # without a key nobody can tell where a hidden tape differs
    assert finding.upheld is (key or not hides)
    assert (bond(disputed, task) == 0) is finding.upheld


def test_who_cannot_show_the_signature_falls(disputed: Stage, tmp_path: Path) -> None:
    task, _ = sealed_by(disputed, tmp_path, GarblesTheTruth)
    watcher = watcher_of(disputed, task, [], key=True)
    (finding,) = watcher.step(disputed.chain.now())
    assert play_out(disputed, task, watcher, finding, None).upheld
    assert bond(disputed, task) == 0


def test_who_shows_it_about_an_honest_tape_stands(disputed: Stage, tmp_path: Path) -> None:
    task, sealer = sealed_by(disputed, tmp_path, GarblesTheTruth)
    assert isinstance(sealer, Garbles)
    finding = ended(disputed, task, sealer.told)
    assert not finding.acted
    assert bond(disputed, task) == task.reader.spec.money.bond
