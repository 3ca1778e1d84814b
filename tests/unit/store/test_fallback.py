"""Several stores as one: the shared suite, and every way in which the first ones can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from fl_platform.errors import CidMismatch, ObjectTooLarge, StoreUnavailable
from fl_platform.store import DiskStore, MemoryStore, cid_of
from fl_platform.store.fallback import FallbackStore
from fl_platform.store.gateway import GatewayStore
from fl_platform.store.unixfs import LEAF_BYTES
from tests.support.store_suite import StoreSuite, content

DOWN = "http://127.0.0.1:9"  # the discard port: nothing listens


class TestFallbackStore(StoreSuite):
    @pytest.fixture
    def store(self) -> FallbackStore:
        return FallbackStore(MemoryStore(), [MemoryStore()])


class TestFallbackToTheSecond(StoreSuite):
    """Objects come in by the second store only."""

    @pytest.fixture
    def writer(self) -> MemoryStore:
        return MemoryStore()

    @pytest.fixture
    def store(self, writer: MemoryStore, tmp_path_factory: pytest.TempPathFactory) -> FallbackStore:
        return FallbackStore(DiskStore(tmp_path_factory.mktemp("first"), durable=False), [GatewayStore(DOWN), writer])

    def test_a_missing_object_is_missing(self, store: FallbackStore) -> None:  # type: ignore[override]
        """One store is down, so nobody can say that the object is missing, by whichever name."""
        cid = cid_of(b"never stored")
        assert not store.has(cid)
        with pytest.raises(StoreUnavailable, match="no store delivers"):
            store.get(cid, max_bytes=100)
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            store.locate(cid.digest)

    def test_another_codec_of_the_same_digest_is_no_object(self, store: FallbackStore, writer: MemoryStore) -> None:  # type: ignore[override]
        cid = type(cid_of(b""))(0x70, writer.put(content(700)).digest)
        with pytest.raises(StoreUnavailable):
            store.get(cid, max_bytes=1000)


def test_what_was_fetched_is_kept() -> None:
    first, second = MemoryStore(), MemoryStore()
    cid = second.put(b"hello")
    assert FallbackStore(first, [second]).get(cid, max_bytes=5) == b"hello"
    assert first.has(cid)


def test_a_damaged_object_is_mended_in_the_middle_of_a_read(tmp_path: Path) -> None:
    data = content(3 * LEAF_BYTES)
    first, second = DiskStore(tmp_path), MemoryStore()
    cid = first.put(data)
    second.put(data)
    path = first.path_of(cid)
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    pieces = list(FallbackStore(first, [second]).open_blocks(cid))
    assert b"".join(pieces) == data
    assert len(pieces) == 3
    assert first.get(cid, max_bytes=len(data)) == data


def test_alone_it_says_what_its_first_store_says(tmp_path: Path) -> None:
    first = DiskStore(tmp_path)
    cid = first.put(b"hello")
    first.path_of(cid).write_bytes(b"x")
    with pytest.raises(CidMismatch, match="damaged"):
        FallbackStore(first, []).get(cid, max_bytes=5)


def test_too_large_is_not_passed_over() -> None:
    first, second = MemoryStore(), MemoryStore()
    cid = second.put(content(100))
    with pytest.raises(ObjectTooLarge):
        FallbackStore(first, [second]).get(cid, max_bytes=99)


def test_publishing_failures_leave_the_object_here() -> None:
    first = MemoryStore()
    store = FallbackStore(first, [], publish_to=[GatewayStore(DOWN)])
    with pytest.raises(Exception, match="is a gateway"):
        store.put(b"hello")
    assert first.has(cid_of(b"hello"))


def test_publishing_reaches_the_others() -> None:
    first, public = MemoryStore(), MemoryStore()
    cid = FallbackStore(first, [], publish_to=[public]).put(b"hello")
    assert public.get(cid, max_bytes=5) == b"hello"
