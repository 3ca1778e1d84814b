"""Several stores as one: written to the first, read from whichever answers with the right bytes.

A store that is down, slow, empty or lying is passed over; the object's CID decides which answer counts. What a later
store delivered is kept in the first one, so that it is fetched once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from fl_platform.errors import CarInvalid, CidMismatch, RetryError, StoreMissing, StoreUnavailable
from fl_platform.store.cid import Cid
from fl_platform.store.interface import Store
from fl_platform.store.unixfs import MAX_FILE_BYTES

logger = logging.getLogger(__name__)

PASSED_OVER = (RetryError, StoreMissing, CidMismatch, CarInvalid)


class FallbackStore:
    """A local store in front of others. `publish_to` others get what is put, too, so that strangers can read it."""

    def __init__(self, first: Store, others: Sequence[Store], *, publish_to: Sequence[Store] = ()) -> None:
        self._first = first
        self._others = tuple(others)
        self._publish_to = tuple(publish_to)

    def put(self, data: bytes | Path) -> Cid:
        """Store locally, then publish; the object is safe here even when publishing raises StoreUnavailable."""
        cid = self._first.put(data)
        for store in self._publish_to:
            store.put(data)
        return cid

    def get(self, cid: Cid, *, max_bytes: int) -> bytes:
        """Return the object from the first store that delivers it; see Store.get."""
        pieces = list(self.open_blocks(cid, max_bytes=max_bytes))
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def open_blocks(self, cid: Cid, *, max_bytes: int = MAX_FILE_BYTES) -> Iterator[bytes]:
        """Read from the first store; when it fails, fetch the object whole into it and go on; see Store.open_blocks."""
        done = 0
        try:
            for piece in self._first.open_blocks(cid, max_bytes=max_bytes):
                done += 1
                yield piece
            return
        except PASSED_OVER as error:
            self._fetch(cid, max_bytes, error)
        # what was yielded was verified, so it is the same again: go on behind it
        for index, piece in enumerate(self._first.open_blocks(cid, max_bytes=max_bytes)):
            if index >= done:
                yield piece

    def has(self, cid: Cid) -> bool:
        """Tell whether any store has the object; one that does not answer counts as not having it."""
        return any(_answers(store, cid) for store in (self._first, *self._others))

    def locate(self, digest: bytes, *, length: int | None = None) -> Cid:
        """See Store.locate."""
        silent: list[RetryError] = []
        for store in (self._first, *self._others):
            try:
                return store.locate(digest, length=length)
            except StoreMissing:
                continue
            except RetryError as error:
                silent.append(error)
        if silent:  # nobody can say that it is missing
            raise silent[0]
        raise StoreMissing(f"no store has an object whose root block has sha256 {digest.hex()}: add one that has")

    def export_car(self, cid: Cid, path: Path) -> None:
        """See Store.export_car."""
        for _ in self.open_blocks(cid):
            pass
        self._first.export_car(cid, path)

    def import_car(self, path: Path) -> Cid:
        """See Store.import_car."""
        return self._first.import_car(path)

    def _fetch(self, cid: Cid, max_bytes: int, failure: Exception) -> None:
        """Bring an object that the first store did not deliver from the next one that has it."""
        failures = [failure]
        for store in self._others:
            try:
                self._first.put(store.get(cid, max_bytes=max_bytes))
                return
            except PASSED_OVER as error:
                logger.info("a store did not deliver %s: %s", cid, error)
                failures.append(error)
        kind = StoreMissing if all(isinstance(error, StoreMissing) for error in failures) else StoreUnavailable
        if len(failures) == 1:
            raise failures[0]
        raise kind(f"no store delivers object {cid}: " + "; ".join(str(error) for error in failures)[:2000])


def _answers(store: Store, cid: Cid) -> bool:
    try:
        return store.has(cid)
    except RetryError:
        return False
