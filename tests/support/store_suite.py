"""What every store must do, whatever is behind it: one suite, run by each back end's tests.

A subclass gives a fixture `store`, and `writer` where objects get into it by another door (a gateway's do).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from fl_platform.errors import CarInvalid, CidMismatch, ObjectTooLarge, StoreMissing, StoreUnavailable
from fl_platform.store import Cid, Store, cid_of
from fl_platform.store.unixfs import LEAF_BYTES

SIZES = (0, 1, 5000, LEAF_BYTES - 1, LEAF_BYTES, LEAF_BYTES + 1, 3 * LEAF_BYTES + 17)


def content(size: int) -> bytes:
    """Return `size` bytes that differ from leaf to leaf."""
    block = bytes((i * 7 + (i >> 8)) & 255 for i in range(65521))
    return (block * (size // len(block) + 1))[:size]


class StoreSuite:
    """The shared suite."""

    @pytest.fixture
    def writer(self, store: Store) -> Store:
        """Return the store through which objects come in."""
        return store

    @pytest.mark.parametrize("size", SIZES)
    def test_what_goes_in_comes_out(self, store: Store, writer: Store, size: int) -> None:
        data = content(size)
        cid = writer.put(data)
        assert cid == cid_of(data)
        assert store.has(cid)
        assert store.get(cid, max_bytes=size) == data

    def test_a_file_on_disk_is_the_same_object(self, store: Store, writer: Store, tmp_path: Path) -> None:
        data = content(2 * LEAF_BYTES + 3)
        path = tmp_path / "model"
        path.write_bytes(data)
        cid = writer.put(path)
        assert cid == cid_of(data)
        assert store.get(cid, max_bytes=len(data)) == data

    def test_repeated_leaves_are_read_back(self, store: Store, writer: Store) -> None:
        data = bytes(5 * LEAF_BYTES) + b"end"
        cid = writer.put(data)
        assert store.get(cid, max_bytes=len(data)) == data

    def test_putting_twice_is_putting_once(self, store: Store, writer: Store) -> None:
        assert writer.put(content(4000)) == writer.put(content(4000))

    def test_blocks_come_in_order_and_verified(self, store: Store, writer: Store) -> None:
        data = content(2 * LEAF_BYTES + 5)
        pieces = list(store.open_blocks(writer.put(data)))
        assert [len(piece) for piece in pieces] == [LEAF_BYTES, LEAF_BYTES, 5]
        assert b"".join(pieces) == data

    @pytest.mark.parametrize("size", [1000, LEAF_BYTES + 1])
    def test_an_object_over_the_limit_is_refused(self, store: Store, writer: Store, size: int) -> None:
        cid = writer.put(content(size))
        assert len(store.get(cid, max_bytes=size)) == size
        with pytest.raises(ObjectTooLarge, match=f"has {size} bytes, over this reader's limit of {size - 1}"):
            store.get(cid, max_bytes=size - 1)

    def test_a_missing_object_is_missing(self, store: Store) -> None:
        cid = cid_of(b"never stored")
        assert not store.has(cid)
        with pytest.raises(StoreMissing, match=str(cid)):
            store.get(cid, max_bytes=100)
        with pytest.raises(StoreMissing, match=cid.digest.hex()):
            store.locate(cid.digest)

    @pytest.mark.parametrize("size", [10, LEAF_BYTES, 2 * LEAF_BYTES])
    def test_an_object_is_found_by_its_digest(self, store: Store, writer: Store, size: int) -> None:
        cid = writer.put(content(size))
        assert store.locate(cid.digest) == cid
        assert store.locate(cid.digest, length=size) == cid

    def test_objects_travel_as_car_files(self, store: Store, writer: Store, tmp_path: Path) -> None:
        data = content(2 * LEAF_BYTES + 9)
        cid = writer.put(data)
        path = tmp_path / "object.car"
        store.export_car(cid, path)
        assert writer.import_car(path) == cid
        assert list(tmp_path.iterdir()) == [path]

    def test_a_damaged_car_file_is_not_imported(self, store: Store, writer: Store, tmp_path: Path) -> None:
        data = content(LEAF_BYTES + 100)
        whole = tmp_path / "whole.car"
        store.export_car(writer.put(data), whole)
        raw = bytearray(whole.read_bytes())
        raw[-1] ^= 1
        (tmp_path / "flipped.car").write_bytes(raw)
        with pytest.raises(CidMismatch):
            writer.import_car(tmp_path / "flipped.car")
        (tmp_path / "short.car").write_bytes(whole.read_bytes()[:-1])
        with pytest.raises(CarInvalid, match="truncated"):
            writer.import_car(tmp_path / "short.car")
        (tmp_path / "long.car").write_bytes(whole.read_bytes() + b"\x00")
        with pytest.raises(CarInvalid, match="behind its object"):
            writer.import_car(tmp_path / "long.car")

    def test_another_codec_of_the_same_digest_is_no_object(self, store: Store, writer: Store) -> None:
        cid = writer.put(content(700))
        other = Cid(0x70, cid.digest)
        with pytest.raises((StoreMissing, StoreUnavailable, CidMismatch, CarInvalid)):
            store.get(other, max_bytes=1000)
