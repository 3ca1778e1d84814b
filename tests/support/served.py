"""A `store serve` on a free port of this machine, in this process, ended when its block is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fl_platform.chain.signer import Signer
from fl_platform.store import Cid, DiskStore, car, cid_of, unixfs
from fl_platform.store.hosted import HostedStore, Quotas
from fl_platform.store.pacing import Pace
from fl_platform.store.server import StoreServer
from fl_platform.store.unixfs import LEAF_BYTES
from fl_platform.store.upload import Upload
from tests.support.store_suite import content

MEMBER = Signer(bytes([7]) * 32)
OTHER = Signer(bytes([8]) * 32)
STRANGER = Signer(bytes([9]) * 32)


DATA = content(2 * LEAF_BYTES + 77)
CID = cid_of(DATA)
CAR = b"".join(bytes(p) for p in car.object_pieces(unixfs.build_tree(unixfs.leaf_views(DATA)), unixfs.leaf_views(DATA)))


def upload_for(server: StoreServer, *, body: bytes = CAR, cid: Cid = CID) -> Upload:
    """Return an upload as an honest client describes it."""
    return Upload(server.url, server.gate.run, cid, len(body), int(time.time()) + 600, bytes(32))


@contextmanager
def serving(
    folder: Path,
    *,
    members: Callable[[bytes], bool] = lambda account: account in (MEMBER.address, OTHER.address),
    quotas: Quotas | None = None,
    pace: Pace | None = None,
    port: int = 0,
) -> Iterator[StoreServer]:
    """Serve `folder` to two members."""
    hosted = HostedStore(DiskStore(folder, durable=False), quotas or Quotas())
    server = StoreServer(hosted, bind=("127.0.0.1", port), members=members, pace=pace)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
