"""A store in memory, for tests and simulations inside one process. Passes the same suite as the real ones."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

from fl_platform.errors import StoreMissing
from fl_platform.store import car
from fl_platform.store.cid import Cid
from fl_platform.store.interface import CarBackedStore, Leaves
from fl_platform.store.unixfs import Tree


class MemoryStore(CarBackedStore):
    """Objects as CARs in a dictionary."""

    def __init__(self) -> None:
        self._cars: dict[Cid, bytes] = {}

    def has(self, cid: Cid) -> bool:
        """See Store.has."""
        return cid in self._cars

    @contextmanager
    def _open_car(self, cid: Cid) -> Iterator[car.ByteSource]:
        data = self._cars.get(cid)
        if data is None:
            raise StoreMissing(f"object {cid} is not in this store: fetch it from the store it was published to")
        yield io.BytesIO(data)

    def _write(self, tree: Tree, leaves: Leaves) -> None:
        self._cars[tree.root] = b"".join(car.object_pieces(tree, leaves()))
