"""Reading through a trustless IPFS gateway: it sends a CAR, we verify it. Writing is not a gateway's business.

https://specs.ipfs.tech/http-gateways/trustless-gateway/. A gateway that answers with anything but a CAR (a web page, a
deserialised file) is refused by its content type before a byte of the body is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fl_platform.errors import StoreMissing, StoreReadOnly, StoreUnavailable
from fl_platform.store import car
from fl_platform.store.cid import Cid
from fl_platform.store.interface import CarBackedStore, Leaves
from fl_platform.store.remote import Answer, HttpPeer, Timeouts
from fl_platform.store.unixfs import Tree

CAR_TYPE = "application/vnd.ipld.car"
RAW_TYPE = "application/vnd.ipld.raw"
_GONE = (404, 410)


class GatewayStore(CarBackedStore):
    """Objects behind a trustless gateway; read only."""

    def __init__(self, url: str, *, timeouts: Timeouts | None = None) -> None:
        """Use the gateway whose objects lie under `url`/ipfs/."""
        self._peer = HttpPeer(url, timeouts=timeouts or Timeouts())

    def has(self, cid: Cid) -> bool:
        """Ask for the root block's header only."""
        try:
            with self._ask("HEAD", cid, "raw", RAW_TYPE):
                return True
        except StoreMissing:
            return False

    @contextmanager
    def _open_car(self, cid: Cid) -> Iterator[car.ByteSource]:
        with self._ask("GET", cid, "car", f"{CAR_TYPE}; version=1; order=dfs; dups=y") as answer:
            yield answer.body

    def _write(self, tree: Tree, leaves: Leaves) -> None:
        raise StoreReadOnly(
            f"{self._peer.url} is a gateway: it cannot store {tree.root}. Put it in a disk or Kubo store"
        )

    @contextmanager
    def _ask(self, method: str, cid: Cid, form: str, accept: str) -> Iterator[Answer]:
        wanted = accept.partition(";")[0]
        with self._peer.exchange(method, f"/ipfs/{cid}", params={"format": form}, headers={"accept": accept}) as answer:
            if answer.status in _GONE:
                raise StoreMissing(f"object {cid} is not behind {self._peer.url}: try another gateway")
            if 300 <= answer.status < 400:
                raise StoreUnavailable(
                    f"{self._peer.url} redirects to {answer.location[:200]!r}: give that address instead"
                )
            if answer.status != 200:
                raise StoreUnavailable(
                    f"{self._peer.url} answered {answer.status} for {cid}: try again, or another gateway"
                )
            if answer.content_type.partition(";")[0].strip() != wanted:
                raise StoreUnavailable(
                    f"{self._peer.url} sent {answer.content_type[:80]!r}, not {wanted}: it is no trustless gateway"
                )
            yield answer

    def close(self) -> None:
        """Close idle connections."""
        self._peer.close()
