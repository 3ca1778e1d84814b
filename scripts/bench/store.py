"""CPU time of a served store against a folder, both ends counted: signed uploads and verified reads.

`value` is MB per CPU second of client and server together, in this process over loopback; `reference_value` is the same
object put into, or read from, a disk store. No object is stored twice: each repetition has bytes of its own.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fl_platform.chain.signer import Signer
from fl_platform.store.disk import DiskStore
from fl_platform.store.hosted import HostedStore, Quotas
from fl_platform.store.interface import Store
from fl_platform.store.served import ServedStore
from fl_platform.store.server import StoreServer
from scripts.bench.harness import PairedTime, Row, paired_cpu_time

SIZES = {"binding 1 kB": 1_000, "update 1.66 MB": 1_663_402, "model 64 MB": 64_000_000}


def run(args: argparse.Namespace) -> Iterator[Row]:
    """Measure an upload and a read of a small document, an update and a model."""
    wallet = Signer(bytes([7]) * 32)
    with tempfile.TemporaryDirectory() as folder:
        disk = DiskStore(Path(folder) / "disk", durable=False)
        hosted = HostedStore(DiskStore(Path(folder) / "served", durable=False), Quotas())
        with StoreServer(hosted, bind=("127.0.0.1", 0), members=lambda account: account == wallet.address) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            served = ServedStore(server.url, signing=lambda: wallet)
            for name, size in SIZES.items():
                yield from _both_ways(name, size, served, disk, repeats=3 if args.quick or size > 10**7 else 15)
            server.shutdown()
            thread.join()


def _both_ways(name: str, size: int, served: Store, disk: Store, *, repeats: int) -> Iterator[Row]:
    number = itertools.count()

    def fresh() -> bytes:
        return next(number).to_bytes(8, "big") + body

    body = np.random.default_rng(size).bytes(size - 8)
    yield _row(f"put {name}", size, paired_cpu_time(lambda: served.put(fresh()), lambda: disk.put(fresh()),
                                                    repeats=repeats))  # fmt: skip
    cid = served.put(body)
    disk.put(body)
    read = paired_cpu_time(
        lambda: served.get(cid, max_bytes=size), lambda: disk.get(cid, max_bytes=size), repeats=repeats
    )
    yield _row(f"get {name}", size, read)


def _row(case: str, size: int, times: PairedTime) -> Row:
    return Row(case, size / 1e6 / times.value, "MB/CPU-s", "DiskStore", size / 1e6 / times.reference, times.speed_ratio)
