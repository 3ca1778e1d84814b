"""Updates that do not open for a watcher: what their sealer says of them is taken, and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fl_platform.attacks.lying import BEND_PRODUCT, BEND_SUMS
from fl_platform.dispute.questions import LEAVES, Node, Question, draw_leaves
from fl_platform.protocol.bundle import RoundBundle
from tests.support.chain import Stage, disputed_stage
from tests.support.liars import Hiding
from tests.unit.dispute.test_watcher import bond, defender_of, ended, pursue, sealed_by, watcher_of


@pytest.fixture
def disputed() -> Iterator[Stage]:
    with disputed_stage() as stage:
        yield stage


class LeavesKeysOut(Hiding):
    """Publishes no keys of the first entry; its tape, too, unless `hides`."""

    def __init__(self, lie: str | None, *, hides: bool) -> None:
        super().__init__(lie)
        self.hides = hides

    def publish(self, bundle: RoundBundle) -> RoundBundle:
        hidden = super().publish(bundle)
        published = hidden if self.hides else bundle
        keyless = replace(published.entries[0], keys=(), keys_signature=b"")
        return replace(published, entries=(keyless, *published.entries[1:]))


@pytest.mark.parametrize("hides", [False, True], ids=["known", "hidden"])
@pytest.mark.parametrize("lie", [BEND_PRODUCT, "raise-score"])
def test_a_false_product_of_others_falls(disputed: Stage, tmp_path: Path, lie: str, hides: bool) -> None:
    liar = LeavesKeysOut(lie, hides=hides)
    task = sealed_by(disputed, tmp_path, liar)
    assert liar.told is not None
    finding = ended(disputed, task, liar.told)
    assert finding.upheld
    assert bond(disputed, task) == 0


@pytest.mark.parametrize("hides", [False, True], ids=["known", "hidden"])
def test_an_honest_tape_stands(disputed: Stage, tmp_path: Path, hides: bool) -> None:
    sealer = LeavesKeysOut(None, hides=hides)
    task = sealed_by(disputed, tmp_path, sealer)
    finding = ended(disputed, task, sealer.told)
    assert not finding.acted
    assert bond(disputed, task) == task.reader.spec.money.bond


def test_a_sum_over_an_update_whose_leaves_are_all_shown_falls(disputed: Stage, tmp_path: Path) -> None:
    """The sealer has it, and must show it; then it is an update like any other."""
    liar = LeavesKeysOut(BEND_SUMS, hides=False)
    task = sealed_by(disputed, tmp_path, liar)
    watcher = watcher_of(disputed, task, [], key=True)
    (finding,) = watcher.step(disputed.chain.now())
    assert len(finding.asked) == task.reader.spec.model.leaves.count <= LEAVES
    assert {question.node for question in finding.asked} == {Node.OPERAND}
    defender = defender_of(disputed, task, liar.told)
    assert [answer.problem for answer in defender.step(disputed.chain.now())] == [""] * len(finding.asked)
    finding = watcher.follow(finding)
    assert {question.node for question in finding.asked} == {Node.PREFIXES}
    assert pursue(disputed, task, watcher, finding, defender).upheld
    assert bond(disputed, task) == 0


def test_who_shows_no_leaf_of_it_falls(disputed: Stage, tmp_path: Path) -> None:
    task = sealed_by(disputed, tmp_path, LeavesKeysOut(BEND_SUMS, hides=False))
    watcher = watcher_of(disputed, task, [], key=True)
    (finding,) = watcher.step(disputed.chain.now())
    assert pursue(disputed, task, watcher, finding, None).upheld
    assert bond(disputed, task) == 0


def test_leaves_are_drawn_from_all_rows_and_never_more_than_are_paid_for() -> None:
    rows = [Question(Node.OPERAND, 3, (place,)) for place in range(LEAVES + 5)]
    one = draw_leaves(rows[:1], 1_000)
    assert len({question.index for question in one}) == LEAVES
    assert {question.place for question in draw_leaves(rows[:3], 1_000)} == {(0,), (1,), (2,)}
    assert len(set(draw_leaves(rows, 1_000))) == LEAVES
    assert [question.index for question in draw_leaves(rows[:1], 3)] == [0, 1, 2]
    assert draw_leaves(rows[:1], 10**6) != draw_leaves(rows[:1], 10**6)
