"""Which leaves a successor asks for, and what a trainer signs for a round whose roster fell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fl_platform.dispute.defender import Defender
from fl_platform.dispute.referee import Referee
from fl_platform.dispute.roster_defender import RosterBonds
from fl_platform.dispute.rosters import LEAVES, Rosters, descends_at, drawn_places, leaf_of, standing
from fl_platform.errors import ConfigError, ReceiptReplayed, TaskClosed, TransactionReverted
from fl_platform.judging.program import terms_of
from fl_platform.protocol.bundle import Entry
from fl_platform.protocol.receipt import check_signature
from fl_platform.round.aggregator import Aggregator
from fl_platform.round.kept_entries import KeptEntries
from fl_platform.round.transport import LocalTransport
from fl_platform.task.decrypting import UpdateOpener
from fl_platform.task.workspace import reveal_key
from tests.support.chain import AGGREGATOR, ETHER, SUCCESSOR, Stage, disputed_stage
from tests.support.small_task import SmallTask, open_small_task, sealer_of


@pytest.fixture
def disputed() -> Iterator[Stage]:
    with disputed_stage() as stage:
        yield stage


def test_all_of_few_leaves_are_asked_for_and_drawn_ones_of_many() -> None:
    assert drawn_places(LEAVES) == tuple(range(LEAVES))
    drawn = drawn_places(256)
    assert len(set(drawn)) == LEAVES
    assert list(drawn) == sorted(drawn)
    assert drawn_places(256) != drawn_places(256)


class Twice(Aggregator):
    """Rosters the last entry before the first."""

    def roster(self, entries: tuple[Entry, ...]) -> None:
        super().roster((*entries[1:], entries[0]))


def rostered(stage: Stage, folder: Path, kind: type[Aggregator]) -> tuple[SmallTask, tuple[Entry, ...]]:
    task = open_small_task(stage, folder, trainers=2, aggregators=(AGGREGATOR, SUCCESSOR))
    maker = sealer_of(stage, folder, task, kind)
    entries = maker.collect(LocalTransport(task.trainers))
    maker.roster(entries)
    return task, entries


def test_nobody_asks_for_leaves_of_its_own_roster(disputed: Stage, tmp_path: Path) -> None:
    """A maker that lost its folder, and gets not everything again, passes: by its own questions it would fall."""
    task, _ = rostered(disputed, tmp_path, Aggregator)
    again = sealer_of(disputed, tmp_path / "moved", task)
    bond = disputed.owner.member(task.reader.task, AGGREGATOR.address).stake
    with pytest.raises(TaskClosed, match="passed on"):
        again.run(LocalTransport(task.trainers[:1]), rounds=1)
    assert Rosters(disputed.owner).records(task.reader.task) == {}
    assert disputed.owner.member(task.reader.task, AGGREGATOR.address).stake == bond


def test_leaves_that_do_not_ascend_fell_a_roster_and_trainers_sign_for_the_next_life(
    disputed: Stage, tmp_path: Path
) -> None:
    task, entries = rostered(disputed, tmp_path, Twice)
    told = (*entries[1:], entries[0])
    assert (descends_at(entries), descends_at(told)) == (None, 0)
    contracts, listed = disputed.as_(SUCCESSOR), standing(task.reader)
    assert listed is not None
    rosters = Rosters(contracts, SUCCESSOR)
    rosters.refute(listed, 0, leaf_of(told, 0), leaf_of(told, 1))
    assert not listed.stands(task.reader.history())
    assert contracts.member(task.reader.task, SUCCESSOR.address).credit == 2 * ETHER * 3 // 10
    successor = sealer_of(disputed, tmp_path / "later", task, wallet=SUCCESSOR)
    order, trainer = successor.order(), task.trainers[0]
    before = next(entry for entry in entries if entry.receipt.trainer == trainer.address)
    again = trainer.commit(order)
    assert (before.receipt.life, again.receipt.life) == (0, 1)
    assert again.receipt.content_root == before.receipt.content_root
    check_signature(again.signed, task.reader.domain)
    assert trainer.commit(order) == again
    assert {one.name for one in (tmp_path / "trainer-0" / f"task-{order.task}").glob("round-0*.json")} == {
        "round-0.json", "round-0.life-0.json"
    }  # fmt: skip
    old = (tmp_path / "trainer-0" / f"task-{order.task}" / "round-0.life-0.json").read_bytes()
    with pytest.raises(ReceiptReplayed, match="receipt of life 0, the round is of 1"):
        successor._collector._entry(old, order, {})


def test_honest_leaves_cannot_be_refuted(disputed: Stage, tmp_path: Path) -> None:
    task, entries = rostered(disputed, tmp_path, Aggregator)
    listed, rosters = standing(task.reader), Rosters(disputed.as_(SUCCESSOR), SUCCESSOR)
    assert listed is not None
    with pytest.raises(TransactionReverted, match="Rosters_Ascending"):
        rosters.refute(listed, 0, leaf_of(entries, 0), leaf_of(entries, 1))
    with pytest.raises(ConfigError):
        Rosters(disputed.owner).ask(listed, 0)


def test_a_bond_comes_back_once_the_roster_is_sealed(disputed: Stage, tmp_path: Path) -> None:
    task = open_small_task(disputed, tmp_path, trainers=2, aggregators=(AGGREGATOR, SUCCESSOR))
    transport, contracts = LocalTransport(task.trainers), disputed.as_(SUCCESSOR)
    contracts.mint(SUCCESSOR.address, ETHER)
    task.aggregator.roster(task.aggregator.collect(transport))
    listed, rosters = standing(task.reader), Rosters(contracts, SUCCESSOR)
    assert listed is not None
    rosters.ask(listed, 0)
    bonds, bond = RosterBonds(task.reader, rosters), terms_of(task.reader.spec).ask_bond
    bonds.reclaim()
    assert rosters.locked(task.reader.task) == bond
    task.aggregator.run(transport)
    bonds.reclaim()
    bonds.reclaim()
    assert rosters.locked(task.reader.task) == 0
    assert contracts.member(task.reader.task, SUCCESSOR.address).credit == bond


def test_only_the_maker_s_own_folder_answers(disputed: Stage, tmp_path: Path) -> None:
    task, entries = rostered(disputed, tmp_path, Aggregator)
    contracts, asker = disputed.as_(AGGREGATOR), disputed.as_(SUCCESSOR)
    asker.mint(SUCCESSOR.address, ETHER)
    listed = standing(task.reader)
    assert listed is not None
    Rosters(asker, SUCCESSOR).ask(listed, 1)
    opener = UpdateOpener(
        task.reader.store, domain=task.reader.domain, spec=task.reader.spec, recipient=AGGREGATOR.address,
        key=reveal_key(AGGREGATOR),
    )  # fmt: skip

    def answered(folder: Path, now: int) -> list[str]:
        kept = KeptEntries.of(folder, task.reader.task)
        defender = Defender(task.reader, Referee(contracts, AGGREGATOR), opener=opener, kept=kept.load)
        return [answer.problem for answer in defender.step(now)]

    now = disputed.chain.now()
    (lost,) = answered(tmp_path / "elsewhere", now)
    assert "No such file" in lost
    KeptEntries.of(tmp_path / "stale", task.reader.task).save(0, entries[1:])
    assert answered(tmp_path / "stale", now) == [
        "round 0: this folder's entries are not those of the roster on chain"
    ]  # fmt: skip
    deadline = Rosters(contracts).record(listed).asked[0].deadline
    assert answered(tmp_path / "sealer", deadline) == []
    assert answered(tmp_path / "sealer", now) == [""]
    assert answered(tmp_path / "sealer", now) == []
    bond = terms_of(task.reader.spec).ask_bond
    assert contracts.member(task.reader.task, AGGREGATOR.address).credit == bond
