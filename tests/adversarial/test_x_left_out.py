"""Trainers that somebody tries to leave without pay: left off the roster, behind a late or a lying aggregator."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from fl_platform.audit.auditor import Auditor
from fl_platform.chain.signer import Signer
from fl_platform.errors import ConfigError, ReceiptParentMismatch, ReceiptReplayed
from fl_platform.protocol.bundle import RoundBundle, WrappedKey
from fl_platform.protocol.commitment_opening import CommitmentOpening
from fl_platform.protocol.messages import RevealOrder, RoundOrder, Submission, decode_message, encode_message
from fl_platform.protocol.seats import FIRST_SEAT
from fl_platform.round.aggregator import Aggregator
from fl_platform.round.membership import bond
from fl_platform.round.trainer import Trainer
from fl_platform.round.transport import LocalTransport
from fl_platform.round.waiting import Waiting
from fl_platform.task.decrypting import UpdateOpener
from fl_platform.task.reading import TaskReader
from fl_platform.task.workspace import reveal_key
from tests.support.chain import AGGREGATOR, OWNER, SUCCESSOR, Stage, stage
from tests.support.small_task import SmallTask, open_small_task


class Forgetful(LocalTransport):
    """Does not reach some trainers the first time; puts garbage in front of what it carries the next time."""

    def __init__(self, trainers: Sequence[Trainer], forgotten: Trainer) -> None:
        super().__init__(trainers)
        self._forgotten, self._asked = forgotten, 0

    def exchange(self, order: RoundOrder, waiting: Waiting) -> Iterable[bytes]:
        self._asked += 1
        if self._asked > 1:
            yield self._garbled(order)
        for answer in super().exchange(order, waiting):
            sent = decode_message(answer, expected=Submission)
            assert isinstance(sent, Submission)
            if self._asked > 1 or sent.receipt.trainer != self._forgotten.address:
                yield answer

    def _garbled(self, order: RoundOrder) -> bytes:
        sent = self._forgotten.commit(order)
        keys = tuple(WrappedKey(key.recipient, key.ephemeral, bytes(32)) for key in sent.keys)
        return encode_message(dataclasses.replace(sent, keys=keys))


@pytest.fixture
def embedded() -> Iterator[Stage]:
    with stage(with_disputes=True) as own:
        yield own


def audited(task: SmallTask) -> tuple[int, str]:
    reader = TaskReader(task.reader._contracts, task.reader.store, task.reader.task)
    opener = UpdateOpener(
        reader.store, domain=reader.domain, spec=reader.spec,
        recipient=AGGREGATOR.address, key=reveal_key(AGGREGATOR),
    )  # fmt: skip
    report = Auditor(reader, opener=opener).audit()
    stranger = Auditor(TaskReader(task.reader._contracts, reader.store, reader.task), opener=None).audit()
    assert stranger.exit_code == (4 if report.exit_code == 4 else 3), stranger.first_difference
    return report.exit_code, str(report.first_difference)


@pytest.mark.parametrize("strictness", ["standard", "strict"])
def test_who_was_left_off_the_roster_and_forces_its_receipt_in_is_judged_and_paid(
    embedded: Stage, tmp_path: Path, strictness: str
) -> None:
    task = open_small_task(embedded, tmp_path, trainers=3, strictness=strictness, commitments="pedersen")
    left_out = task.trainers[1]
    transport = Forgetful(task.trainers, left_out)
    left_out.commit(task.aggregator.order())
    task.aggregator.roster(task.aggregator.collect(transport))
    left_out.force_include(0)
    bundle = task.aggregator.seal(transport).bundle
    codes = {verdict.trainer: verdict.code for verdict in bundle.verdicts}
    assert set(codes.values()) == {"admitted"}
    assert len(codes) == 3
    assert all(s.paid_base > 0 for s in bundle.after.standings[FIRST_SEAT:])
    assert audited(task) == (0, "None")


def successor_of(own: Stage, task: SmallTask, folder: Path) -> Aggregator:
    contracts = own.as_(SUCCESSOR)
    aggregator = Aggregator(
        reader=TaskReader(contracts, task.reader.store, task.reader.task),
        contracts=contracts,
        reveal_key=reveal_key(SUCCESSOR),
        workdir=folder / "successor",
        wait_until=own.chain.wait_until,
    )
    contracts.mint(SUCCESSOR.address, aggregator.reader.spec.money.bond)
    bond(aggregator.reader, contracts)
    return aggregator


@pytest.mark.parametrize("strictness", ["standard", "strict"])
def test_a_successor_on_another_machine_seals_what_a_late_aggregator_rostered(
    embedded: Stage, tmp_path: Path, strictness: str
) -> None:
    task = open_small_task(
        embedded, tmp_path, trainers=3, strictness=strictness, aggregators=(AGGREGATOR, SUCCESSOR),
        commitments="pedersen",
    )  # fmt: skip
    transport = LocalTransport(task.trainers)
    task.aggregator.roster(task.aggregator.collect(transport))
    successor = successor_of(embedded, task, tmp_path)
    embedded.chain.wait_until(embedded.owner.window(task.reader.task)[1])
    embedded.owner.advance(task.reader.task)
    (sealed,) = successor.run(transport)
    assert {verdict.code for verdict in sealed.bundle.verdicts} == {"admitted"}
    assert audited(task) == (0, "None")


def test_after_a_lost_dispute_the_round_and_those_after_it_are_worked_on_again_and_all_are_paid(
    embedded: Stage, tmp_path: Path
) -> None:
    task = open_small_task(
        embedded, tmp_path, trainers=3, rounds=2, aggregators=(AGGREGATOR, SUCCESSOR), commitments="pedersen"
    )
    transport, number = LocalTransport(task.trainers), task.reader.task
    honest = task.aggregator._store

    def lying(*arguments: object) -> object:
        """Garble every key and commitment, keep no update: the model stays and nobody else knows what was sent."""
        sealed = honest(*arguments)  # type: ignore[arg-type]
        keys = (WrappedKey(SUCCESSOR.address, bytes(64), bytes(32)),)
        shown = CommitmentOpening(b"\x01" * 64, bytes(32), b"")
        entries = tuple(dataclasses.replace(entry, keys=keys, shown=shown) for entry in sealed.bundle.entries)
        before = sealed.bundle.before
        after = dataclasses.replace(sealed.bundle.after, model=before.model, model_root=before.model_root)
        bundle: RoundBundle = dataclasses.replace(sealed.bundle, entries=entries, after=after)
        return dataclasses.replace(sealed, bundle=bundle, digest=task.reader.store.put(bundle.to_bytes()).digest)

    task.aggregator._store = lying  # type: ignore[method-assign, assignment]
    task.aggregator.run(transport, rounds=1)
    task.aggregator._store = honest  # type: ignore[method-assign]
    assert audited(task)[0] == 4
    task.aggregator.roster(task.aggregator.collect(transport))  # round 1, on the lying model
    successor = successor_of(embedded, task, tmp_path)
    dispute(embedded, number)
    (first, second) = successor.run(transport)
    for sealed in (first, second):
        assert {verdict.code for verdict in sealed.bundle.verdicts} == {"admitted"}
    assert audited(task) == (0, "None")


def dispute(own: Stage, task: int) -> None:
    """Challenge round 0 and let the judge uphold it."""
    assert own.judge is not None
    record = own.owner.history(task).rounds[0].seal
    own.chain.send(own.judge, "challenge", task, 0, record, 0, signer=OWNER)
    listed = own.owner.history(task).opened.aggregators
    own.chain.send(own.judge, "judge", task, 0, record, True, OWNER.address, 0, listed, signer=OWNER)


def test_a_trainer_signs_again_only_for_the_model_from_which_the_chain_goes_on(embedded: Stage, tmp_path: Path) -> None:
    task = open_small_task(embedded, tmp_path, trainers=1)
    trainer, order = task.trainers[0], task.aggregator.order()
    trainer.commit(order)
    with pytest.raises(ReceiptParentMismatch):
        trainer.commit(dataclasses.replace(order, parent=bytes(32)))
    assert trainer.commit(order) == trainer.commit(order)


def test_a_trainer_reveals_nothing_to_an_order_of_another_task(embedded: Stage, tmp_path: Path) -> None:
    """Else a second task's aggregator could roster the first one's receipt and have its keys before their time."""
    task = open_small_task(embedded, tmp_path, trainers=1, strictness="strict")
    task.trainers[0].commit(task.aggregator.order())
    with pytest.raises(ReceiptReplayed):
        task.trainers[0].reveal(RevealOrder(task.reader.task + 1, 0, bytes(32)))


def test_an_aggregator_to_whom_no_key_is_wrapped_does_not_bond(embedded: Stage, tmp_path: Path) -> None:
    third = Signer(bytes([7]) * 32)
    task = open_small_task(embedded, tmp_path, trainers=1, aggregators=(AGGREGATOR, SUCCESSOR, third))
    contracts = embedded.as_(third)
    aggregator = Aggregator(
        reader=TaskReader(contracts, task.reader.store, task.reader.task),
        contracts=contracts,
        reveal_key=reveal_key(third),
        workdir=tmp_path / "third",
        wait_until=embedded.chain.wait_until,
    )
    with pytest.raises(ConfigError, match="no key"):
        bond(aggregator.reader, contracts)


def test_an_audit_says_that_it_cannot_check_who_shares_the_pot_of_a_round_that_was_never_sealed(
    embedded: Stage, tmp_path: Path
) -> None:
    task = open_small_task(embedded, tmp_path, trainers=2)
    task.aggregator.roster(task.aggregator.collect(LocalTransport(task.trainers[:1])))
    embedded.chain.wait_until(embedded.owner.window(task.reader.task)[1])
    embedded.owner.advance(task.reader.task)
    assert audited(task) == (3, "None")
