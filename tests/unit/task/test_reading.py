"""A bundle is refused before its size costs anything, and a trainer reads no more of one than its first bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fl_platform.errors import AuditDifference, DocumentInvalid
from fl_platform.protocol.bundle import Entry, RoundBundle, RoundStart, TaskState, parse_roster, roster_bytes
from fl_platform.protocol.messages import RevealOrder
from fl_platform.round.transport import LocalTransport
from fl_platform.store.cid import Cid
from fl_platform.store.interface import Store
from fl_platform.store.memory import MemoryStore
from fl_platform.store.unixfs import MAX_FILE_BYTES
from fl_platform.task import reading
from fl_platform.task.reading import TaskReader, check_size
from tests.support.chain import stage
from tests.support.small_task import SmallTask, open_small_task


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallTask]:
    """A task of two rounds whose first is sealed."""
    with stage() as own:
        task = open_small_task(own, tmp_path_factory.mktemp("start"), trainers=2, rounds=2)
        task.aggregator.run(LocalTransport(task.trainers), rounds=1)
        yield task


def fresh(task: SmallTask, store: Store | None = None) -> TaskReader:
    return TaskReader(task.reader._contracts, store or task.reader.store, task.reader.task)


def test_a_bundle_of_more_entries_or_seats_than_the_chain_has_is_refused(
    sealed: SmallTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = fresh(sealed).bundle(0)
    entries, seats = len(bundle.entries), len(bundle.after.seats)
    check_size(bundle, entries=entries, seats=seats)
    more = "a bundle of 2 entries and 11 seats; the chain has"
    with pytest.raises(DocumentInvalid, match=f"{more} 1 entries and 11 seats"):
        check_size(bundle, entries=entries - 1, seats=seats)
    with pytest.raises(DocumentInvalid, match=f"{more} 2 entries and 10 seats"):
        check_size(bundle, entries=entries, seats=seats - 1)
    own, data = fresh(sealed), replace(bundle, entries=bundle.entries * 2, verdicts=bundle.verdicts * 2).to_bytes()
    assert own.spec == sealed.reader.spec  # read while the store has them
    monkeypatch.setattr(own, "object", lambda _digest: data)
    with pytest.raises(DocumentInvalid, match="a bundle of 4 entries"):
        own.bundle(0)


def test_a_trainer_reads_the_start_of_its_round_without_the_rest_of_the_bundle(
    sealed: SmallTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, order = fresh(sealed).current_state(), sealed.aggregator.order()
    monkeypatch.setattr(RoundBundle, "from_bytes", lambda _data: pytest.fail("the whole bundle was read"))
    start = fresh(sealed).current_start()
    assert isinstance(start, RoundStart)
    assert not isinstance(start, TaskState)
    assert (start.round, start.model, start.previous_models) == (1, state.model, state.previous_models)
    assert start.model_root == state.model_root
    assert start.scale == state.scale
    assert sealed.trainers[0].commit(order).receipt.parent == start.model_root


class FirstPiece(MemoryStore):
    """Holds the first MiB of an object: whoever asks for more fails."""

    def open_blocks(self, cid: Cid, *, max_bytes: int = MAX_FILE_BYTES) -> Iterator[bytes]:
        pieces = super().open_blocks(cid, max_bytes=max_bytes)
        yield next(pieces)
        for _ in pieces:
            pytest.fail("a second piece was asked for")


def swapped(sealed: SmallTask, monkeypatch: pytest.MonkeyPatch, data: bytes) -> TaskReader:
    """Return a reader for whom the chain has the digest of `data`."""
    store = FirstPiece()
    reader = fresh(sealed, store)
    spec = sealed.reader.spec.to_bytes()
    store.put(spec)
    digest = store.put(data).digest
    monkeypatch.setattr(TaskReader, "previous_bundle", lambda _self: digest)
    return reader


def test_of_a_long_bundle_only_the_first_piece_is_fetched(sealed: SmallTask, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = fresh(sealed).bundle(0)
    long = replace(bundle, validation=("0x" + "00" * 2**21,)).to_bytes()
    assert len(long) > 4 * 2**20
    assert swapped(sealed, monkeypatch, long).current_start().model == bundle.after.model


def test_a_start_of_another_round_or_model_is_refused(sealed: SmallTask, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = fresh(sealed).bundle(0)
    other = replace(bundle, after=replace(bundle.after, round=7))
    with pytest.raises(DocumentInvalid, match="says that round 7 comes next"):
        swapped(sealed, monkeypatch, other.to_bytes()).current_start()
    scale = replace(bundle.after.scale, exponents=(0,))
    other = replace(bundle, after=replace(bundle.after, scale=scale))
    with pytest.raises(DocumentInvalid, match="has 1 steps for"):
        swapped(sealed, monkeypatch, other.to_bytes()).current_start()


def test_before_the_first_seal_a_round_starts_from_the_rules(tmp_path: Path) -> None:
    with stage() as own:
        task = open_small_task(own, tmp_path, trainers=1)
        assert task.reader.current_start() == TaskState.first(task.reader.spec)


def test_a_roster_is_read_once_for_all_trainers_of_a_process_and_held_against_the_chain_by_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def parsed(data: bytes) -> tuple[Entry, ...]:
        read.append(len(data))
        return parse_roster(data)

    monkeypatch.setattr(reading, "parse_roster", parsed)
    with stage() as own:
        task = open_small_task(own, tmp_path, trainers=2, strictness="strict")
        entries = task.aggregator.collect(LocalTransport(task.trainers))
        task.aggregator.roster(entries)
        order = RevealOrder(task.reader.task, 0, task.reader.store.put(roster_bytes(entries)).digest)
        assert [trainer.reveal(order).trainer for trainer in task.trainers] == [t.address for t in task.trainers]
        assert len(read) == 1
        for changed in (entries[:1], (entries[0], replace(entries[1], stake=entries[1].stake + 1))):
            other = replace(order, roster=task.reader.store.put(roster_bytes(changed)).digest)
            for trainer in task.trainers:
                with pytest.raises(AuditDifference, match="the chain has"):
                    trainer.reveal(other)
