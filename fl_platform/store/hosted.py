"""A folder of objects that others may fill: verified while they stream in, counted per member, never half visible.

`FOLDER/members/xy/CID` says who brought an object, so that a restarted server counts as before. It is written before
the object appears: a crash in between leaves a note about an object that is not there, which counts for nothing.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fl_platform.errors import StoreFull
from fl_platform.store.car import ByteSource
from fl_platform.store.cid import Cid
from fl_platform.store.disk import DiskStore
from fl_platform.store.files import AtomicFile

logger = logging.getLogger(__name__)

RECOUNT_S = 10.0  # a folder is looked through again before an upload is refused, but no more often
_ACCOUNT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Quotas:
    """How much may be stored. Bytes, as CARs."""

    object_bytes: int = 4 << 30
    member_bytes: int = 20 << 30
    total_bytes: int = 200 << 30


class HostedStore:
    """A disk store that members fill within quotas. Safe for several threads; one process at a time counts."""

    def __init__(self, disk: DiskStore, quotas: Quotas, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Count what the folder holds."""
        self.disk, self.quotas = disk, quotas
        self._clock = clock
        self._lock = threading.Lock()
        self._sizes: dict[Cid, int] = {}
        self._used: Counter[bytes] = Counter()  # by member; b"" for what nobody uploaded
        self._reserved: Counter[bytes] = Counter()
        self._count()

    def used(self, account: bytes | None = None) -> int:
        """Return the bytes of a member's objects, or of all."""
        with self._lock:
            return self._used.total() if account is None else self._used[account]

    def receive(self, cid: Cid, source: ByteSource, *, length: int, account: bytes) -> bool:
        """Store an object from a CAR of `length` bytes (untrusted); False when it was there undamaged, nothing read.

        Raises StoreFull (a quota or the disk), CarInvalid, CidMismatch, ObjectTooLarge, and what `source` raises.
        """
        if self.disk.holds(cid):
            return False
        with self._reservation(account, length):
            self.disk.receive(cid, source, max_bytes=length, before=lambda: self._note(cid, account))
            with self._lock:
                if cid not in self._sizes:  # else another upload of the same object was faster
                    self._sizes[cid] = length
                    self._used[account] += length
        return True

    @contextmanager
    def _reservation(self, account: bytes, size: int) -> Iterator[None]:
        """Set room aside while an upload runs, so that many at once cannot pass a quota together."""
        self._reserve(account, size)
        try:
            yield
        finally:
            with self._lock:
                self._reserved[account] -= size

    def _reserve(self, account: bytes, size: int) -> None:
        with self._lock:
            refusal = self._refusal(account, size)
            if refusal and self._clock() - self._counted_at >= RECOUNT_S:
                self._count()  # objects may have been collected meanwhile
                refusal = self._refusal(account, size)
            if refusal:
                raise StoreFull(refusal)
            self._reserved[account] += size

    def _refusal(self, account: bytes, size: int) -> str:
        mine = self._used[account] + self._reserved[account] + size
        if mine > self.quotas.member_bytes:
            return f"0x{account.hex()} would have {mine} bytes here, over a member's {self.quotas.member_bytes}"
        everything = self._used.total() + self._reserved.total() + size
        if everything > self.quotas.total_bytes:
            return f"{everything} bytes would lie here, over this store's {self.quotas.total_bytes}"
        return ""

    def _count(self) -> None:
        self._counted_at = self._clock()
        self._sizes.clear()
        self._used.clear()
        for cid in self.disk.cids():
            try:
                size = self.disk.path_of(cid).stat().st_size
            except FileNotFoundError:  # collected since it was listed
                continue
            self._sizes[cid] = size
            self._used[self._owner(cid)] += size

    def _note_of(self, cid: Cid) -> Path:
        text = str(cid)
        return self.disk.folder / "members" / text[-3:-1] / text

    def _note(self, cid: Cid, account: bytes) -> None:
        with AtomicFile(self._note_of(cid), folder=self.disk.partials) as file:
            file.write(account.hex().encode())

    def _owner(self, cid: Cid) -> bytes:
        try:
            text = self._note_of(cid).read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            return b""
        return bytes.fromhex(text) if _ACCOUNT.fullmatch(text) else b""
