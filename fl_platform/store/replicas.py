"""Several stores of several parties as one: an object goes to k of them, and is read from whichever has it.

A store that fails goes to the end of the line and is named once; what a put needs is k stores that took the object,
not these or those.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from fl_platform.errors import (
    FLError,
    RetryError,
    StoreFull,
    StoreMissing,
    StoreReadOnly,
    StoreRefused,
    StoreUnavailable,
)
from fl_platform.store.cid import Cid
from fl_platform.store.fallback import PASSED_OVER
from fl_platform.store.interface import Store
from fl_platform.store.unixfs import MAX_FILE_BYTES

logger = logging.getLogger(__name__)

_NOT_WRITTEN = (RetryError, StoreFull, StoreRefused, StoreReadOnly)


class ReplicatedStore:
    """`copies` of each object, in the first stores that take it. Safe for several threads if the stores are."""

    def __init__(
        self, stores: Sequence[tuple[str, Store]], *, copies: int, written: Counter[str] | None = None
    ) -> None:
        """Use these stores, each with the name that messages call it by; 1 <= copies <= their number.

        `written` counts the objects put, by store.
        """
        if not 1 <= copies <= len(stores):
            raise ValueError(f"{copies} copies in {len(stores)} stores")
        self._line = list(stores)
        self._copies = copies
        self._lock = threading.Lock()
        self._named: set[str] = set()
        self.written: Counter[str] = Counter() if written is None else written

    def put(self, data: bytes | Path) -> Cid:
        """Store `copies` times. Raises StoreUnavailable where fewer stores take it; a lone store's own error."""
        taken: list[str] = []
        failures: list[FLError] = []
        for name, store in tuple(self._line):
            try:
                cid = store.put(data)
            except _NOT_WRITTEN as error:
                failures.append(error)
                self._failed(name, error)
                continue
            taken.append(name)
            if len(taken) == self._copies:
                break
        if len(taken) < self._copies:
            if len(failures) == len(self._line) == 1:
                raise failures[0]
            raise StoreUnavailable(
                f"an object went to {len(taken)} stores, not {self._copies}: "
                + "; ".join(str(error) for error in failures)[:2000]
            )
        logger.info("object %s is at %s", cid, ", ".join(taken))
        with self._lock:
            self.written.update(taken)
        return cid

    def get(self, cid: Cid, *, max_bytes: int) -> bytes:
        """Return the object from the first store that delivers it; see Store.get."""
        pieces = list(self.open_blocks(cid, max_bytes=max_bytes))
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def open_blocks(self, cid: Cid, *, max_bytes: int = MAX_FILE_BYTES) -> Iterator[bytes]:
        """Read from the first store; where it fails, the next one goes on; see Store.open_blocks."""
        done = 0
        failures: list[FLError] = []
        for name, store in tuple(self._line):
            try:
                # what was yielded was verified, so it is the same at the next store
                for index, piece in enumerate(store.open_blocks(cid, max_bytes=max_bytes)):
                    if index >= done:
                        done += 1
                        yield piece
                return
            except PASSED_OVER as error:
                failures.append(error)
                if not isinstance(error, StoreMissing):
                    self._failed(name, error)
        raise _together(f"no store delivers object {cid}", failures)

    def has(self, cid: Cid) -> bool:
        """Tell whether any store has the object; one that does not answer counts as not having it."""
        for name, store in tuple(self._line):
            try:
                if store.has(cid):
                    return True
            except RetryError as error:
                self._failed(name, error)
        return False

    def locate(self, digest: bytes, *, length: int | None = None) -> Cid:
        """See Store.locate."""
        failures: list[FLError] = []
        for name, store in tuple(self._line):
            try:
                return store.locate(digest, length=length)
            except StoreMissing as error:
                failures.append(error)
            except RetryError as error:
                failures.append(error)
                self._failed(name, error)
        raise _together(f"no store has an object whose root block has sha256 {digest.hex()}", failures)

    def export_car(self, cid: Cid, path: Path) -> None:
        """See Store.export_car."""
        failures: list[FLError] = []
        for name, store in tuple(self._line):
            try:
                return store.export_car(cid, path)
            except PASSED_OVER as error:
                failures.append(error)
                if not isinstance(error, StoreMissing):
                    self._failed(name, error)
        raise _together(f"no store delivers object {cid}", failures)

    def import_car(self, path: Path) -> Cid:
        """See Store.import_car; goes to one store, the first that takes it."""
        failures: list[FLError] = []
        for name, store in tuple(self._line):
            try:
                return store.import_car(path)
            except _NOT_WRITTEN as error:
                failures.append(error)
                self._failed(name, error)
        raise _together(f"no store takes {path}", failures)

    def _failed(self, name: str, error: FLError) -> None:
        """Ask this store last from now on, and say so once; of a lone store its error says enough."""
        if len(self._line) == 1:
            return
        with self._lock:
            self._line.sort(key=lambda entry: entry[0] == name)
            new, self._named = name not in self._named, self._named | {name}
        if new:
            logger.warning("store %s fails; the others are used as far as they go: %s", name, error)


def _together(what: str, failures: Sequence[FLError]) -> FLError:
    """Return one error for several: missing only if every store said so."""
    kind = StoreMissing if all(isinstance(error, StoreMissing) for error in failures) else StoreUnavailable
    return failures[0] if len(failures) == 1 else kind(f"{what}: " + "; ".join(map(str, failures))[:2000])
