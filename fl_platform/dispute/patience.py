"""A store whose silence counts as an answer once there is no more time to wait for another.

Who must act inside a window cannot wait for a store that never answers: a liar's store would be such a one. From then
on what no store delivers is taken for what no store has.

Tests: tests/unit/dispute/test_watcher.py
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from fl_platform.errors import StoreMissing, StoreUnavailable
from fl_platform.store.cid import Cid
from fl_platform.store.interface import Store
from fl_platform.store.unixfs import MAX_FILE_BYTES


class Patience:
    """Whether there is time to wait; shared by the stores that one watcher reads."""

    def __init__(self) -> None:
        self.over = False  # then StoreUnavailable is StoreMissing
        self.guessed = False  # whether it has been since this was last set to False

    def with_(self, store: Store) -> PatientStore:
        """Return a store as it is read with this patience."""
        return PatientStore(store, self)

    @contextlib.contextmanager
    def counting(self) -> Iterator[None]:
        """Turn one read's failure into an answer where patience is over."""
        try:
            yield
        except StoreUnavailable as error:
            if not self.over:
                raise
            self.guessed = True
            raise StoreMissing(f"nobody delivered it in time: {error}") from error


class PatientStore:
    """Reads as the store inside does, patience allowing; writing is as ever."""

    def __init__(self, store: Store, patience: Patience) -> None:
        self._store, self._patience = store, patience

    def put(self, data: bytes | Path) -> Cid:
        """See Store.put."""
        return self._store.put(data)

    def get(self, cid: Cid, *, max_bytes: int) -> bytes:
        """See Store.get."""
        with self._patience.counting():
            return self._store.get(cid, max_bytes=max_bytes)

    def open_blocks(self, cid: Cid, *, max_bytes: int = MAX_FILE_BYTES) -> Iterator[bytes]:
        """See Store.open_blocks."""
        with self._patience.counting():
            yield from self._store.open_blocks(cid, max_bytes=max_bytes)

    def has(self, cid: Cid) -> bool:
        """See Store.has."""
        try:
            with self._patience.counting():
                return self._store.has(cid)
        except StoreMissing:
            return False

    def locate(self, digest: bytes, *, length: int | None = None) -> Cid:
        """See Store.locate."""
        with self._patience.counting():
            return self._store.locate(digest, length=length)

    def export_car(self, cid: Cid, path: Path) -> None:
        """See Store.export_car."""
        with self._patience.counting():
            self._store.export_car(cid, path)

    def import_car(self, path: Path) -> Cid:
        """See Store.import_car."""
        return self._store.import_car(path)
