"""Updates that do not open for one reader: accused or demanded on chain, and an honest trainer loses nothing (A24)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fl_platform.audit.auditor import Auditor
from fl_platform.dispute.key_watcher import KeyFinding, KeyWatcher
from fl_platform.dispute.referee import Referee
from fl_platform.dispute.watcher import Watcher
from fl_platform.errors import TaskClosed
from fl_platform.ledger.reveals import Reveals
from fl_platform.protocol.bundle import WrappedKey
from fl_platform.protocol.keypackage import package_digest
from fl_platform.protocol.messages import RevealOrder
from fl_platform.protocol.receipt import Receipt
from fl_platform.round.revealing import open_demands
from fl_platform.round.signing import Signing
from fl_platform.round.trainer import Trainer
from fl_platform.round.transport import LocalTransport
from fl_platform.round.waiting import Waiting
from fl_platform.task.decrypting import UpdateOpener, record_of
from fl_platform.task.reading import TaskReader
from fl_platform.task.workspace import reveal_key
from fl_platform.updates.codec import HEADER_BYTES
from fl_platform.updates.content import content_root, open_content
from tests.support.chain import AGGREGATOR, ETHER, SUCCESSOR, Stage, disputed_stage
from tests.support.partial_store import PartialStore
from tests.support.small_task import SmallTask, open_small_task, sealer_of

WHO = (AGGREGATOR, SUCCESSOR)


@pytest.fixture
def disputed() -> Iterator[Stage]:
    with disputed_stage() as stage:
        yield stage


def started(stage: Stage, folder: Path, **changes: Any) -> SmallTask:
    return open_small_task(stage, folder, trainers=3, aggregators=WHO, **changes)


def opener_of(task: SmallTask, reader: TaskReader) -> UpdateOpener:
    return UpdateOpener(
        reader.store, domain=reader.domain, spec=reader.spec,
        recipient=SUCCESSOR.address, key=reveal_key(SUCCESSOR),
    )  # fmt: skip


class Desk:
    """The second aggregator, that looks at everything."""

    def __init__(self, stage: Stage, task: SmallTask) -> None:
        self.stage, self.number = stage, task.reader.task
        self.contracts = stage.as_(SUCCESSOR)
        self.reader = TaskReader(self.contracts, task.reader.store, task.reader.task)
        self.contracts.mint(SUCCESSOR.address, 100 * ETHER)
        self.watcher = KeyWatcher(self.reader, self.contracts, SUCCESSOR, opener_of(task, self.reader))

    def step(self) -> list[str]:
        return [found.what for found in self.watcher.step(self.stage.chain.now())]

    def stake(self, trainer: Trainer) -> int:
        return self.contracts.member(self.number, trainer.address).stake

    def credit(self, account: bytes) -> int:
        return self.contracts.member(self.number, account).credit


def wraps(trainer: Trainer, change: Any) -> None:
    """Let a trainer change the boxes that it signs."""

    class Changed(Signing):
        def wrapped(self, key: bytes, receipt: Receipt) -> tuple[WrappedKey, ...]:
            return change(super().wrapped(key, receipt))  # type: ignore[no-any-return]

    honest = trainer._signing
    trainer._signing = Changed(honest.reader, honest.signer, honest.secret, honest.folder)


def garbled(keys: tuple[WrappedKey, ...]) -> tuple[WrappedKey, ...]:
    return (keys[0], dataclasses.replace(keys[1], ciphertext=bytes(32)))


def test_honest_trainers_are_left_alone(disputed: Stage, tmp_path: Path) -> None:
    task = started(disputed, tmp_path)
    task.aggregator.run(LocalTransport(task.trainers), rounds=1)
    orders = Desk(disputed, task)
    assert orders.step() == []
    assert all(orders.stake(trainer) == 2 * ETHER for trainer in task.trainers)


@pytest.mark.parametrize("change", [garbled, lambda k: (k[0], dataclasses.replace(k[1], ephemeral=bytes(64)))])
def test_a_bad_box_for_one_reader_costs_the_stake(disputed: Stage, tmp_path: Path, change: Any) -> None:
    task = started(disputed, tmp_path)
    cheat = task.trainers[1]
    wraps(cheat, change)
    (sealed,) = task.aggregator.run(LocalTransport(task.trainers), rounds=1)
    assert {verdict.code for verdict in sealed.bundle.verdicts} == {"admitted"}  # the aggregator's box is good
    orders = Desk(disputed, task)
    (found,) = orders.watcher.step(disputed.chain.now())
    assert found == KeyFinding(0, cheat.address, "bad wrap proved")
    assert orders.stake(cheat) == 0
    assert orders.credit(SUCCESSOR.address) == 2 * ETHER * 3_000 // 10_000
    assert orders.step() == []


def test_a_store_that_is_silent_about_one_update_hides_no_other(disputed: Stage, tmp_path: Path) -> None:
    task = started(disputed, tmp_path)
    cheat = task.trainers[1]
    wraps(cheat, garbled)
    (sealed,) = task.aggregator.run(LocalTransport(task.trainers), rounds=1)
    orders = Desk(disputed, task)
    store = PartialStore(tmp_path / "store")
    reader = TaskReader(orders.contracts, store, task.reader.task)
    watcher = KeyWatcher(reader, orders.contracts, SUCCESSOR, opener_of(task, reader))
    missing = next(e.receipt for e in sealed.bundle.entries if e.receipt.trainer != cheat.address)
    store.silent = lambda digest: digest == missing.update
    assert watcher.step(disputed.chain.now()) == [KeyFinding(0, cheat.address, "bad wrap proved")]
    assert watcher.unread == {0}
    store.silent = lambda _: False
    assert watcher.step(disputed.chain.now()) == []
    assert watcher.unread == set()


def unrevealed(stage: Stage, folder: Path) -> tuple[SmallTask, Trainer]:
    """A strict task whose first round was sealed without the keys of one trainer."""
    task = started(stage, folder, strictness="strict")
    lost = task.trainers[1]
    (sealed,) = task.aggregator.run(Deaf(task.trainers, lost), rounds=1)
    assert {v.code for v in sealed.bundle.verdicts if v.trainer == lost.address} == {"EnvelopeInvalid"}
    return task, lost


def test_a_package_without_a_box_for_everybody_is_no_answer(disputed: Stage, tmp_path: Path) -> None:
    task = started(disputed, tmp_path)
    sloppy = task.trainers[1]
    wraps(sloppy, lambda keys: keys[:1])
    entries = task.aggregator.collect(LocalTransport(task.trainers))
    assert {entry.receipt.trainer for entry in entries} == {t.address for t in task.trainers} - {sloppy.address}


def test_a_forced_package_without_a_box_for_the_sealer_is_no_reveal(disputed: Stage, tmp_path: Path) -> None:
    """Who seals has no key and says so; what the trainer forced out does not make that a lie (A24)."""
    task = started(disputed, tmp_path, strictness="strict")
    sloppy = task.trainers[1]
    wraps(sloppy, lambda keys: keys[1:])
    transport = Deaf(task.trainers, sloppy)
    task.aggregator.roster(task.aggregator.collect(transport))
    sloppy.force_reveal(0)
    bundle = task.aggregator.seal(transport).bundle
    assert {v.code for v in bundle.verdicts if v.trainer == sloppy.address} == {"EnvelopeInvalid"}
    reader = TaskReader(disputed.as_(SUCCESSOR), task.reader.store, task.reader.task)
    assert audit(task, reader) == (0, "None")
    watcher = Watcher(reader, Referee(disputed.as_(SUCCESSOR), SUCCESSOR), opener=opener_of(task, reader))
    assert watcher.step(disputed.chain.now()) == []


def test_a_missing_box_is_demanded_and_an_answer_pays_the_trainer(disputed: Stage, tmp_path: Path) -> None:
    task, sloppy = unrevealed(disputed, tmp_path)
    orders = Desk(disputed, task)
    assert orders.step() == ["key demanded"]
    assert orders.step() == []  # asked once
    (made,) = open_demands(sloppy.reader, orders.contracts, sloppy.address)
    assert [demand.id for demand in sloppy.answer_demands()] == [made.id]
    assert sloppy.answer_demands() == []
    assert orders.credit(sloppy.address) == made.bond
    assert orders.step() == []
    assert orders.stake(sloppy) == 2 * ETHER


def test_an_answer_with_a_box_for_another_public_key_beside_it_is_read_and_punished(
    disputed: Stage, tmp_path: Path
) -> None:
    """Such a package is none for `check_package`; the contract takes it for the box that was asked for."""
    task, cheat = unrevealed(disputed, tmp_path)
    boxes = cheat._signed(task.reader.task, 0).keys
    orders = Desk(disputed, task)
    assert orders.step() == ["key demanded"]
    (made,) = open_demands(cheat.reader, orders.contracts, cheat.address)
    spec = cheat.reader.spec
    foreign = dataclasses.replace(spec, aggregators=(spec.aggregators[1], spec.aggregators[1]))
    keys = (boxes[0], dataclasses.replace(boxes[1], ciphertext=bytes(32)))
    receipt = cheat._signed(task.reader.task, 0).receipt
    signature = cheat._signer.sign_digest(package_digest(receipt, keys, cheat.reader.domain, foreign))
    Reveals(disputed.as_(cheat._signer), foreign, cheat._signer).answer_key(made, keys, signature)
    assert orders.step() == ["bad wrap proved"]
    assert orders.stake(cheat) == 0


def test_silence_about_a_key_costs_a_part_of_the_stake(disputed: Stage, tmp_path: Path) -> None:
    task, silent = unrevealed(disputed, tmp_path)
    orders = Desk(disputed, task)
    assert orders.step() == ["key demanded"]
    assert orders.watcher.waits()
    (made,) = open_demands(silent.reader, orders.contracts, silent.address)
    disputed.chain.wait_until(made.deadline)
    assert silent.answer_demands() == []  # too late
    assert orders.step() == ["silence proved"]
    assert not orders.watcher.waits()
    assert orders.stake(silent) == 2 * ETHER * 8_000 // 10_000
    assert orders.step() == []


class OtherContent:
    """A trainer whose receipt binds other integers than it encrypted, and that shows leaves of them when asked."""

    def __init__(self, stage: Stage, trainer: Trainer, coordinate: int) -> None:
        self._contracts, self._trainer, self._coordinate = stage.as_(trainer._signer), trainer, coordinate
        trainer._content_root = self._root  # type: ignore[method-assign]
        self._payload, self._key = b"", b""
        self._table = trainer.reader.spec.model.leaves

    def _root(self, plain: bytes, key: bytes) -> bytes:
        payload = bytearray(plain[HEADER_BYTES:])
        payload[self._coordinate] ^= 3
        self._payload, self._key = bytes(payload), key
        return content_root(self._payload, table=self._table, bits=8, key=key)

    def answer(self) -> int:
        """Answer all demands; returns how many."""
        reader = self._trainer.reader
        reveals = Reveals(self._contracts, reader.spec, self._trainer._signer)
        demands = open_demands(reader, self._contracts, self._trainer.address)
        receipt = self._trainer._signed(reader.task, 0).receipt
        for made in demands:
            leaf = open_content(self._payload, made.index, table=self._table, bits=8, key=self._key)
            reveals.answer_content(made, receipt, record_of(leaf))
        return len(demands)


def test_other_content_than_encrypted_is_asked_for_before_the_seal_and_costs_the_stake(
    disputed: Stage, tmp_path: Path
) -> None:
    task = started(disputed, tmp_path)
    cheat = task.trainers[1]
    attacker = OtherContent(disputed, cheat, 777)
    disputed.as_(AGGREGATOR).mint(AGGREGATOR.address, 100 * ETHER)
    task.aggregator._witnesses = attacker.answer  # whoever else is in this process takes a step there
    (sealed,) = task.aggregator.run(LocalTransport(task.trainers), rounds=1)
    assert {v.trainer: v.code for v in sealed.bundle.verdicts}[cheat.address] == "Convicted"
    orders = Desk(disputed, task)
    assert orders.stake(cheat) == 0
    assert orders.step() == []
    reader = TaskReader(disputed.as_(SUCCESSOR), task.reader.store, task.reader.task)
    assert audit(task, reader) == (0, "None")


def test_content_that_nobody_shows_in_time_is_the_next_aggregators_ground(disputed: Stage, tmp_path: Path) -> None:
    """The first one asks, cannot wait that long, and passes without a fine; silence convicts, and the second seals."""
    task = started(disputed, tmp_path)
    cheat = task.trainers[1]
    OtherContent(disputed, cheat, 777)
    own = disputed.as_(AGGREGATOR)
    own.mint(AGGREGATOR.address, 100 * ETHER)
    with pytest.raises(TaskClosed, match="passed on"):
        task.aggregator.run(LocalTransport(task.trainers), rounds=1)
    head, reveals = own.head(task.reader.task), Reveals(own, task.reader.spec, AGGREGATOR)
    assert head.aggregator == SUCCESSOR.address
    (made,) = reveals.demands(task.reader.task)
    assert own.member(task.reader.task, AGGREGATOR.address).stake == 2 * ETHER
    disputed.chain.wait_until(made.deadline)
    reveals.expire(made)
    assert own.member(task.reader.task, AGGREGATOR.address).stake == 2 * ETHER
    assert own.member(task.reader.task, cheat.address).stake == 0
    later = sealer_of(disputed, tmp_path, task, wallet=SUCCESSOR)
    (sealed,) = later.run(LocalTransport(task.trainers), rounds=1)
    assert {v.trainer: v.code for v in sealed.bundle.verdicts}[cheat.address] == "Convicted"


class Deaf(LocalTransport):
    """Loses one trainer's reveal."""

    def __init__(self, trainers: tuple[Trainer, ...], lost: Trainer) -> None:
        super().__init__(tuple(t for t in trainers if t is not lost))
        self._everybody = LocalTransport(trainers)

    def exchange(self, order: Any, waiting: Waiting) -> Iterable[bytes]:
        return self._everybody.exchange(order, waiting)

    def reveal(self, order: RevealOrder, waiting: Waiting) -> Iterable[bytes]:
        return super().reveal(order, waiting)


def audit(task: SmallTask, reader: TaskReader) -> tuple[int, str]:
    report = Auditor(reader, opener=opener_of(task, reader)).audit()
    return report.exit_code, str(report.first_difference)


def test_keys_that_were_forced_on_chain_are_judged(disputed: Stage, tmp_path: Path) -> None:
    task = started(disputed, tmp_path, strictness="strict")
    lost = task.trainers[1]
    transport = Deaf(task.trainers, lost)
    task.aggregator.roster(task.aggregator.collect(transport))
    lost.force_reveal(0)
    lost.force_reveal(0)  # does nothing twice
    bundle = task.aggregator.seal(transport).bundle
    assert {verdict.code for verdict in bundle.verdicts} == {"admitted"}
    assert audit(task, TaskReader(disputed.as_(SUCCESSOR), task.reader.store, task.reader.task)) == (0, "None")


def test_an_aggregator_that_calls_a_trainer_silent_whose_keys_are_on_chain_is_found(
    disputed: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = started(disputed, tmp_path, strictness="strict")
    lost = task.trainers[1]
    transport = Deaf(task.trainers, lost)
    task.aggregator.roster(task.aggregator.collect(transport))
    lost.force_reveal(0)
    monkeypatch.setattr(task.aggregator.reader, "forced_packages", dict)
    bundle = task.aggregator.seal(transport).bundle
    assert {v.code for v in bundle.verdicts if v.trainer == lost.address} == {"EnvelopeInvalid"}
    code, difference = audit(task, TaskReader(disputed.as_(SUCCESSOR), task.reader.store, task.reader.task))
    assert code == 4
    assert f"keys of 0x{lost.address.hex()}" in difference
    orders = Desk(disputed, task)
    assert orders.step() == []  # the forced package opens: the trainer owes nothing
