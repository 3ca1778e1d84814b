"""Counting what members store: across restarts, collections and crashes."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from fl_platform.errors import CarInvalid, StoreFull
from fl_platform.store import Cid, DiskStore, MemoryStore, cid_of
from fl_platform.store.hosted import RECOUNT_S, HostedStore, Quotas
from tests.support.http_peers import car_of
from tests.support.store_suite import content

A, B = b"a" * 20, b"b" * 20


def car_for(data: bytes) -> tuple[Cid, bytes]:
    """Return an object's name and its CAR."""
    store = MemoryStore()
    cid = store.put(data)
    return cid, car_of(store, cid)


def give(store: HostedStore, data: bytes, account: bytes) -> bool:
    """Upload an object."""
    cid, body = car_for(data)
    return store.receive(cid, io.BytesIO(body), length=len(body), account=account)


def test_who_brought_what_outlives_the_server(tmp_path: Path) -> None:
    disk = DiskStore(tmp_path, durable=False)
    store = HostedStore(disk, Quotas())
    assert give(store, content(3000), A)
    assert not give(store, content(3000), B)  # there already: it costs the second nothing
    assert give(store, content(500), B)
    own = disk.put(b"the operator's own")
    again = HostedStore(disk, Quotas())
    sizes = {account: store.used(account) for account in (A, B)}
    assert {account: again.used(account) for account in (A, B)} == sizes
    assert again.used() == sum(sizes.values()) + disk.path_of(own).stat().st_size


def test_the_limit_itself_is_allowed(tmp_path: Path) -> None:
    _, body = car_for(content(3000))
    assert give(HostedStore(DiskStore(tmp_path / "a"), Quotas(member_bytes=len(body))), content(3000), A)
    with pytest.raises(StoreFull, match="over a member's"):
        give(HostedStore(DiskStore(tmp_path / "b"), Quotas(member_bytes=len(body) - 1)), content(3000), A)


def test_what_was_collected_makes_room_without_a_restart(tmp_path: Path) -> None:
    now = [0.0]
    _, body = car_for(content(3000))
    disk = DiskStore(tmp_path, durable=False)
    store = HostedStore(disk, Quotas(total_bytes=len(body)), clock=lambda: now[0])
    give(store, content(3000), A)
    disk.remove(cid_of(content(3000)))
    with pytest.raises(StoreFull):  # it looks no more often than every few seconds
        give(store, content(2900), B)
    now[0] = RECOUNT_S
    assert give(store, content(2900), B)
    assert (store.used(A), store.used(B)) == (0, store.used())


def test_a_crash_before_the_object_appears_counts_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = DiskStore(tmp_path, durable=False)
    store = HostedStore(disk, Quotas())
    note = store._note

    def crash(cid: Cid, account: bytes) -> None:
        note(cid, account)
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "_note", crash)
    with pytest.raises(KeyboardInterrupt):
        give(store, content(3000), A)
    assert not disk.has(cid_of(content(3000)))
    again = HostedStore(disk, Quotas())
    assert again.used() == 0
    assert give(again, content(3000), B)
    assert HostedStore(disk, Quotas()).used(A) == 0
    assert HostedStore(disk, Quotas()).used(B) == again.used()


def test_a_refused_object_is_not_counted(tmp_path: Path) -> None:
    store = HostedStore(DiskStore(tmp_path, durable=False), Quotas())
    cid, body = car_for(content(3000))
    with pytest.raises(CarInvalid):
        store.receive(cid, io.BytesIO(body[:-1]), length=len(body), account=A)
    assert store.used() == 0
    assert not list(tmp_path.rglob("*.car"))
    assert not list((tmp_path / "partial").iterdir())


def test_a_note_that_somebody_damaged_is_nobodys(tmp_path: Path) -> None:
    store = HostedStore(DiskStore(tmp_path, durable=False), Quotas())
    give(store, content(3000), A)
    (note,) = [path for path in (tmp_path / "members").rglob("*") if path.is_file()]
    note.write_bytes(b"\xff" * 40)
    assert HostedStore(store.disk, Quotas()).used(A) == 0
