"""A store that has everything and does not always answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fl_platform.errors import StoreUnavailable
from fl_platform.store.cid import Cid
from fl_platform.store.disk import DiskStore
from fl_platform.store.unixfs import MAX_FILE_BYTES


class Silent(DiskStore):
    """Has everything, and answers nothing about what is `silent` (by digest)."""

    silent: Callable[[bytes], bool] = staticmethod(lambda _: False)

    def has(self, cid: Cid) -> bool:
        self._answer(cid)
        return super().has(cid)

    def open_blocks(self, cid: Cid, *, max_bytes: int = MAX_FILE_BYTES) -> Iterator[bytes]:
        self._answer(cid)
        yield from super().open_blocks(cid, max_bytes=max_bytes)

    def _answer(self, cid: Cid) -> None:
        if self.silent(cid.digest):
            raise StoreUnavailable(f"no answer about {cid}")
