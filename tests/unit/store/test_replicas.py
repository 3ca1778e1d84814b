"""k copies in n stores: the shared suite with one that is down, where objects go, and what is said of failures."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from fl_platform.errors import StoreMissing, StoreReadOnly, StoreUnavailable
from fl_platform.store import Cid, DiskStore, MemoryStore, cid_of
from fl_platform.store.gateway import GatewayStore
from fl_platform.store.replicas import ReplicatedStore
from fl_platform.store.served import ServedStore
from fl_platform.store.unixfs import LEAF_BYTES
from tests.support.served import MEMBER, serving
from tests.support.store_suite import StoreSuite, content

DOWN = GatewayStore("http://127.0.0.1:9")


class Broken(MemoryStore):
    """Takes nothing and gives nothing, and counts how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def put(self, data: bytes | Path) -> Cid:
        self.asked += 1
        raise StoreUnavailable("it is down")

    def has(self, cid: Cid) -> bool:
        self.asked += 1
        raise StoreUnavailable("it is down")


class TestReplicatedStore(StoreSuite):
    @pytest.fixture
    def store(self) -> ReplicatedStore:
        return ReplicatedStore([("a", MemoryStore()), ("b", MemoryStore())], copies=2)


class TestReadOnlyInFront(StoreSuite):
    """A gateway that is down stands first: it is read from no more, and never written to."""

    @pytest.fixture
    def store(self) -> ReplicatedStore:
        return ReplicatedStore([("down", DOWN), ("b", MemoryStore())], copies=1)

    def test_a_missing_object_is_missing(self, store: ReplicatedStore) -> None:  # type: ignore[override]
        with pytest.raises(StoreUnavailable, match="no store delivers"):  # one did not answer: nobody knows
            store.get(cid_of(b"never stored"), max_bytes=100)


def test_objects_go_to_k_stores_and_it_says_which() -> None:
    a, b, c = MemoryStore(), MemoryStore(), MemoryStore()
    store = ReplicatedStore([("a", a), ("b", b), ("c", c)], copies=2)
    cid = store.put(b"hello")
    assert [one.has(cid) for one in (a, b, c)] == [True, True, False]
    assert store.written == {"a": 1, "b": 1}


def test_one_that_fails_costs_nothing_while_k_can_be_met(caplog: pytest.LogCaptureFixture) -> None:
    broken, b, c = Broken(), MemoryStore(), MemoryStore()
    store = ReplicatedStore([("broken", broken), ("b", b), ("c", c)], copies=2)
    with caplog.at_level(logging.WARNING):
        cids = [store.put(data) for data in (b"one", b"two", b"three")]
    assert all(b.has(cid) and c.has(cid) for cid in cids)
    assert broken.asked == 1  # it went to the end of the line
    assert [record.getMessage() for record in caplog.records] == [
        "store broken fails; the others are used as far as they go: it is down"
    ]


def test_fewer_than_k_is_an_error_that_names_each() -> None:
    store = ReplicatedStore([("a", MemoryStore()), ("down", DOWN), ("broken", Broken())], copies=2)
    with pytest.raises(StoreUnavailable, match=r"went to 1 stores, not 2.*is a gateway.*it is down"):
        store.put(b"hello")
    with pytest.raises(StoreReadOnly):
        ReplicatedStore([("down", DOWN)], copies=1).put(b"hello")


def test_a_read_goes_on_at_the_next_store_behind_what_it_has(tmp_path: Path) -> None:
    data = content(3 * LEAF_BYTES + 5)
    first, second = DiskStore(tmp_path, durable=False), MemoryStore()
    cid = first.put(data)
    assert second.put(data) == cid
    path = first.path_of(cid)
    path.write_bytes(path.read_bytes()[: 2 * LEAF_BYTES])  # the second leaf is cut
    pieces = list(ReplicatedStore([("cut", first), ("whole", second)], copies=1).open_blocks(cid))
    assert [len(piece) for piece in pieces] == [LEAF_BYTES] * 3 + [5]
    assert b"".join(pieces) == data


def test_missing_everywhere_is_missing() -> None:
    store = ReplicatedStore([("a", MemoryStore()), ("b", MemoryStore())], copies=1)
    with pytest.raises(StoreMissing):
        store.get(cid_of(b"x"), max_bytes=9)
    broken = ReplicatedStore([("a", MemoryStore()), ("b", Broken())], copies=1)
    with pytest.raises(StoreUnavailable):
        broken.locate(bytes(32))
    assert not broken.has(cid_of(b"x"))


def test_copies_must_fit() -> None:
    with pytest.raises(ValueError, match="3 copies in 1 stores"):
        ReplicatedStore([("a", MemoryStore())], copies=3)


def test_a_server_that_dies_between_two_objects_costs_neither(tmp_path: Path) -> None:
    with serving(tmp_path / "b") as staying:
        with serving(tmp_path / "a") as dying:
            signed = [(one.url, ServedStore(one.url, signing=lambda: MEMBER)) for one in (dying, staying)]
            store = ReplicatedStore(signed, copies=1)
            both = ReplicatedStore(signed, copies=2)
            first, second = store.put(b"at one"), both.put(b"at both")
            with pytest.raises(StoreMissing):
                signed[1][1].get(first, max_bytes=9)
        third = store.put(b"after")
        assert signed[1][1].get(third, max_bytes=9) == b"after"
        assert store.get(second, max_bytes=9) == b"at both"
        with pytest.raises(StoreUnavailable, match="no store delivers"):
            store.get(first, max_bytes=9)
        with pytest.raises(StoreUnavailable, match="went to 1 stores, not 2"):
            both.put(b"more")
