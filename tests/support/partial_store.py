"""A store that has not everything, and does not always answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fl_platform.errors import StoreMissing, StoreUnavailable
from fl_platform.store.cid import Cid
from fl_platform.store.disk import DiskStore
from fl_platform.store.unixfs import MAX_FILE_BYTES


class PartialStore(DiskStore):
    """A folder of which nothing that is `gone` is there, and nothing about what is `silent` is answered (by digest)."""

    gone: frozenset[bytes] = frozenset()
    silent: Callable[[bytes], bool] = staticmethod(lambda _: False)

    def has(self, cid: Cid) -> bool:
        self._answer(cid)
        return cid.digest not in self.gone and super().has(cid)

    def locate(self, digest: bytes, *, length: int | None = None) -> Cid:
        if digest in self.gone:
            raise StoreMissing("withheld")
        return super().locate(digest, length=length)

    def open_blocks(self, cid: Cid, *, max_bytes: int = MAX_FILE_BYTES) -> Iterator[bytes]:
        self._answer(cid)
        if cid.digest in self.gone:
            raise StoreMissing("withheld")
        yield from super().open_blocks(cid, max_bytes=max_bytes)

    def _answer(self, cid: Cid) -> None:
        if self.silent(cid.digest):
            raise StoreUnavailable(f"no answer about {cid}")
