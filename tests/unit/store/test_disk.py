"""The store on disk: the shared suite, damage of every kind, killed writers and a full disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import CidMismatch, ConfigError, StoreFull, StoreUnavailable
from fl_platform.store import Cid, DiskStore, cid_of
from fl_platform.store import car as car_format
from fl_platform.store.disk import STALE_SECONDS
from fl_platform.store.files import PARTIAL_PREFIX
from fl_platform.store.unixfs import LEAF_BYTES
from tests.support.store_suite import StoreSuite, content


class TestDiskStore(StoreSuite):
    @pytest.fixture
    def store(self, tmp_path_factory: pytest.TempPathFactory) -> DiskStore:
        return DiskStore(tmp_path_factory.mktemp("store"))


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    return DiskStore(tmp_path / "store")


def test_an_object_is_one_car_in_a_shard(store: DiskStore) -> None:
    cid = store.put(b"hello")
    path = store.path_of(cid)
    assert path.relative_to(store.folder).as_posix() == f"objects/{str(cid)[-3:-1]}/{cid}.car"
    assert path.read_bytes() == car_format.header(cid) + car_format.section_head(cid, 5) + b"hello"
    assert list(store.cids()) == [cid]


def test_nothing_but_objects_is_listed(store: DiskStore) -> None:
    cid = store.put(b"hello")
    store.path_of(cid).with_name("notes.car").write_bytes(b"x")
    assert list(store.cids()) == [cid]


@pytest.mark.parametrize("size", [40, LEAF_BYTES + 40])
def test_every_flipped_byte_is_noticed(store: DiskStore, size: int) -> None:
    """Header, lengths, CIDs, inner node and content: each region of the file, first and last byte."""
    data = content(size)
    cid = store.put(data)
    path = store.path_of(cid)
    whole = path.read_bytes()
    stride = 1 if len(whole) < 1000 else 9973
    for offset in sorted({*range(min(len(whole), 400)), *range(0, len(whole), stride), len(whole) - 1}):
        damaged = bytearray(whole)
        damaged[offset] ^= 0x01
        path.write_bytes(damaged)
        with pytest.raises(CidMismatch, match=f"{cid}.*delete"):
            store.get(cid, max_bytes=size)


@given(cut=st.integers(0, 199), tail=st.binary(max_size=3))
@settings(max_examples=60, deadline=None)
def test_any_other_length_is_noticed(tmp_path_factory: pytest.TempPathFactory, cut: int, tail: bytes) -> None:
    store = DiskStore(tmp_path_factory.mktemp("store"), durable=False)
    cid = store.put(content(100))
    path = store.path_of(cid)
    whole = path.read_bytes()
    changed = whole[: min(cut, len(whole))] + tail
    path.write_bytes(changed)
    if changed != whole:
        with pytest.raises(CidMismatch):
            store.get(cid, max_bytes=100)


def test_putting_again_mends_a_damaged_object(store: DiskStore) -> None:
    cid = store.put(b"hello")
    store.path_of(cid).write_bytes(b"damaged")
    assert store.put(b"hello") == cid
    assert store.get(cid, max_bytes=5) == b"hello"


def test_an_object_under_another_name_is_noticed(store: DiskStore) -> None:
    one, two = store.put(b"one"), store.put(b"two")
    store.path_of(one).replace(store.path_of(two))
    with pytest.raises(CidMismatch, match=f"{two}"):
        store.get(two, max_bytes=10)


def test_partial_files_of_killed_writers_go_when_stale(tmp_path: Path) -> None:
    folder = tmp_path / "partial"
    folder.mkdir()
    fresh, stale = folder / f"{PARTIAL_PREFIX}a", folder / f"{PARTIAL_PREFIX}b"
    fresh.write_bytes(b"x")
    stale.write_bytes(b"x")
    os.utime(stale, (0, stale.stat().st_mtime - STALE_SECONDS - 60))
    DiskStore(tmp_path)
    assert fresh.exists()
    assert not stale.exists()


KILLED_WRITER = """
import os, signal, sys
from pathlib import Path
from fl_platform.store import DiskStore, files
written = 0
write = files.AtomicFile.write
def dying(self, piece):
    global written
    write(self, piece)
    written += 1
    if written == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
files.AtomicFile.write = dying
DiskStore(Path(sys.argv[1])).put(bytes(3 << 20))
"""


@pytest.mark.parametrize("piece", [1, 4, 9])
def test_a_writer_killed_in_the_middle_leaves_no_object(tmp_path: Path, piece: int) -> None:
    result = subprocess.run([sys.executable, "-c", KILLED_WRITER, str(tmp_path), str(piece)], check=False)
    assert result.returncode == -9
    store = DiskStore(tmp_path)
    assert list(store.cids()) == []
    assert not store.has(cid_of(bytes(3 << 20)))
    assert store.put(bytes(3 << 20)) == cid_of(bytes(3 << 20))


FULL_DISK = """
import resource, sys
from pathlib import Path
from fl_platform.errors import StoreFull
from fl_platform.store import DiskStore
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
store = DiskStore(Path(sys.argv[1]))
kept = store.put(b"small")
try:
    store.put(bytes(3 << 20))
except StoreFull as error:
    sys.stdout.write(str(error))
assert store.get(kept, max_bytes=5) == b"small"
"""


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    """A real write that the operating system refuses: the process may not write files over 1 MiB."""
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], check=True, capture_output=True, text=True
    )
    assert "Nothing half-written was left; free some space" in result.stdout
    store = DiskStore(tmp_path)
    assert list(store.cids()) == [cid_of(b"small")]
    assert list((tmp_path / "partial").iterdir()) == []


@pytest.mark.parametrize("step", ["write", "fsync"])
def test_no_space_at_any_step_is_the_same_error(store: DiskStore, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr("fl_platform.store.files.os.fdopen", lambda handle, *_, **__: _FullFile(handle))
    with pytest.raises(StoreFull, match="No space left on device"):
        store.put(b"hello")
    monkeypatch.undo()
    assert list((store.folder / "partial").iterdir()) == []
    assert not store.has(cid_of(b"hello"))


class _FullFile:
    """A file on a device without space."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def write(self, _: bytes) -> int:
        raise OSError(28, "No space left on device")

    def close(self) -> None:
        os.close(self._handle)


def test_a_folder_that_is_a_file_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"")
    with pytest.raises(ConfigError, match="Give a folder"):
        DiskStore(tmp_path / "store").put(b"hello")


def test_an_object_that_is_a_folder_cannot_be_opened(store: DiskStore) -> None:
    cid = cid_of(b"hello")
    store.path_of(cid).mkdir(parents=True)
    assert not store.has(cid)
    with pytest.raises(StoreUnavailable, match="cannot open"):
        store.get(cid, max_bytes=10)


def test_a_file_that_is_not_there_cannot_be_put(store: DiskStore, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        store.put(tmp_path / "nothing")
    with pytest.raises(ConfigError, match="cannot read"):
        store.import_car(tmp_path / "nothing.car")


def test_a_disk_that_fails_while_reading_is_not_damage(store: DiskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    cid = store.put(b"hello")

    def failing(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(car_format, "read_exactly", failing)
    with pytest.raises(StoreUnavailable, match=r"Input/output error\. Check the disk"):
        store.get(cid, max_bytes=5)


def test_a_file_that_changes_while_it_is_stored_is_refused(
    store: DiskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"before")
    holds = DiskStore.holds

    def overtaken(self: DiskStore, cid: Cid) -> bool:
        path.write_bytes(b"after!")
        return holds(self, cid)

    monkeypatch.setattr(DiskStore, "holds", overtaken)
    with pytest.raises(CidMismatch, match="changed while it was being stored"):
        store.put(path)
    assert list(store.cids()) == []


def test_a_cid_is_the_only_name_an_object_has(store: DiskStore) -> None:
    """What names a file is 59 characters of base32, whatever a peer sent."""
    name = store.path_of(Cid(0x55, bytes(32))).name
    assert name == "bafkreiaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.car"


def test_a_removed_object_is_gone_and_its_room_is_said(store: DiskStore) -> None:
    cid, other = store.put(b"hello"), store.put(b"stays")
    size = store.path_of(cid).stat().st_size
    assert (store.remove(cid), store.remove(cid)) == (size, 0)
    assert list(store.cids()) == [other]
