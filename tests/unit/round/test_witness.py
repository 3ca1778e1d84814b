"""A witness hands over what it finds, complains of what no store has, and says nothing where a store is silent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fl_platform.chain.signer import Signer
from fl_platform.errors import ConfigError, TaskClosed
from fl_platform.ledger.complaints import Complaints
from fl_platform.protocol.receipt import Receipt
from fl_platform.round.trainer import Conduct
from fl_platform.round.transport import LocalTransport
from fl_platform.round.witness import Statement, Witness
from fl_platform.store.cid import Cid
from fl_platform.store.disk import DiskStore
from fl_platform.store.unixfs import root_codec
from fl_platform.task.reading import TaskReader
from tests.support.chain import AGGREGATOR, OWNER, Stage, disputed_stage
from tests.support.partial_store import PartialStore
from tests.support.small_task import SmallTask, open_small_task

STRANGER = Signer(b"\x77" * 32)


@pytest.fixture
def disputed() -> Iterator[Stage]:
    with disputed_stage() as stage:
        yield stage


class Nothing(Conduct):
    """Stores nothing."""

    def tamper(self, plain: bytes) -> bytes | None:
        return None


def rostered(stage: Stage, folder: Path, *, lost: int | None = None) -> tuple[SmallTask, tuple[Receipt, ...]]:
    """A task whose first round has its roster, and the receipts on it, the lost trainer's first."""
    task = open_small_task(stage, folder, trainers=2)
    if lost is not None:
        task.trainers[lost]._conduct = Nothing()
    entries = task.aggregator.collect(LocalTransport(task.trainers))
    task.aggregator.roster(entries)
    first = task.trainers[lost or 0].address
    receipts = sorted((entry.receipt for entry in entries), key=lambda receipt: receipt.trainer != first)
    return task, tuple(receipts)


def witness(stage: Stage, task: SmallTask, *, store: DiskStore | None = None, patience_s: float = 0.0) -> Witness:
    reader = TaskReader(stage.owner, store or task.reader.store, task.reader.task)
    return Witness(reader, stage.owner, OWNER, patience_s=patience_s)


def want(stage: Stage, task: SmallTask, *receipts: Receipt, asker: Signer = AGGREGATOR) -> None:
    Complaints(stage.as_(asker), asker).want(task.reader.task, 0, receipts)


def complained(stage: Stage, receipt: Receipt) -> bool:
    return Complaints(stage.owner).complained_at(receipt, OWNER.address) != 0


def test_what_is_there_is_handed_over_and_what_is_not_is_complained_of_once(disputed: Stage, tmp_path: Path) -> None:
    task, (lost, kept) = rostered(disputed, tmp_path, lost=0)
    want(disputed, task, lost, kept)
    seeing = witness(disputed, task)
    assert seeing.step(disputed.chain.now()) == [Statement(0, kept.trainer, True), Statement(0, lost.trainer, False)]
    assert (complained(disputed, lost), complained(disputed, kept)) == (True, False)
    assert seeing.step(disputed.chain.now()) == []
    assert [s.had for s in witness(disputed, task).step(disputed.chain.now())] == [True, False]  # started again
    assert len(Complaints(disputed.owner)._events(task.reader.task, "Complained")) == 1


def test_an_update_is_looked_for_as_long_as_the_witness_is_patient(disputed: Stage, tmp_path: Path) -> None:
    task, (lost, _) = rostered(disputed, tmp_path, lost=0)
    want(disputed, task, lost)
    seeing = witness(disputed, task, patience_s=60.0)
    assert [seeing.step(now) for now in (1_000, 1_059)] == [[], []]
    assert seeing.step(1_060) == [Statement(0, lost.trainer, False)]


def test_a_silent_store_proves_nothing(disputed: Stage, tmp_path: Path) -> None:
    task, (first, _) = rostered(disputed, tmp_path)
    want(disputed, task, first)
    store = PartialStore(tmp_path / "store")
    store.silent = lambda digest: digest == first.update
    seeing = witness(disputed, task, store=store)
    assert seeing.step(disputed.chain.now()) == []
    assert not complained(disputed, first)
    store.silent = lambda _: False
    assert seeing.step(disputed.chain.now()) == [Statement(0, first.trainer, True)]


def test_nobody_but_an_aggregator_of_the_task_makes_a_witness_look_or_pay(disputed: Stage, tmp_path: Path) -> None:
    task, (lost, _) = rostered(disputed, tmp_path, lost=0)
    disputed.chain.fund(STRANGER.address, 10**18)
    want(disputed, task, lost, asker=STRANGER)
    assert witness(disputed, task).step(disputed.chain.now()) == []
    assert not complained(disputed, lost)


def test_who_is_no_witness_of_the_task_is_told_so(disputed: Stage, tmp_path: Path) -> None:
    task, _ = rostered(disputed, tmp_path)
    with pytest.raises(ConfigError, match=f"its rules name 0x{OWNER.address.hex()}"):
        Witness(task.reader, disputed.owner, STRANGER)


def test_without_a_complaint_the_aggregator_passes_and_keeps_its_bond(disputed: Stage, tmp_path: Path) -> None:
    """A trainer that stores nothing and a witness that is silent stall a round; the aggregator loses nothing by it."""
    task = open_small_task(disputed, tmp_path, trainers=2)
    task.trainers[0]._conduct = Nothing()
    task.aggregator._witnesses = lambda: None
    with pytest.raises(TaskClosed, match="passed on"):
        task.aggregator.run(LocalTransport(task.trainers))
    own = disputed.as_(AGGREGATOR)
    assert own.member(task.reader.task, AGGREGATOR.address).stake == task.reader.spec.money.bond
    assert own.head(task.reader.task).phase.name == "COMPENSATED"


def test_what_turns_up_in_time_is_judged(disputed: Stage, tmp_path: Path) -> None:
    """The witness has it in another store and hands it over: who sent it there is paid like everybody."""
    task = open_small_task(disputed, tmp_path, trainers=2)
    entries = task.aggregator.collect(LocalTransport(task.trainers))
    task.aggregator.roster(entries)
    shutil.copytree(tmp_path / "store", tmp_path / "theirs")
    ours, theirs = DiskStore(tmp_path / "store"), DiskStore(tmp_path / "theirs")
    away = entries[0].receipt
    moved = ours.get(Cid(root_codec(away.length), away.update), max_bytes=away.length)
    ours.remove(Cid(root_codec(away.length), away.update))
    seeing = witness(disputed, task, store=theirs)

    def look() -> None:
        if any(statement.had for statement in seeing.step(disputed.chain.now())):
            ours.put(moved)  # as a store of the same network has it then

    task.aggregator._witnesses = look
    sealed = task.aggregator.seal(LocalTransport(task.trainers))
    assert {verdict.code for verdict in sealed.bundle.verdicts} == {"admitted"}
