"""CPU time of hashing a file to its CID, against hashlib.sha256 over the same bytes in the same run.

`value` is MB per CPU second of our CID, `reference_value` that of hashlib; the bar is on the ratio of the two. The
streamed case reads a file in leaves as the disk store does; its reference reads the same file in pieces of the same
size.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fl_platform.store import unixfs
from fl_platform.store.files import file_leaves
from scripts.bench.harness import PairedTime, Row, at_least, paired_cpu_time

SIZES = {"1.66 MB": 1_663_402, "6.6 MB": 6_653_512, "64 MB": 64_000_000}
BAR = 0.7


def run(args: argparse.Namespace) -> Iterator[Row]:
    """Measure in memory and from a file, for an update of int8, one of float32 and a larger model."""
    for name, size in SIZES.items():
        repeats = 5 if args.quick else max(15, min(200, 400_000_000 // size))
        yield from _pair(name, np.random.default_rng(size).bytes(size), repeats)


def _pair(name: str, data: bytes, repeats: int) -> list[Row]:
    """Measure one size from memory and from a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(data)
        memory = paired_cpu_time(lambda: unixfs.cid_of(data), lambda: hashlib.sha256(data).digest(), repeats=repeats)
        streamed = paired_cpu_time(
            lambda: unixfs.build_tree(file_leaves(path)), lambda: _hash_file(path), repeats=repeats
        )
    return [_row(f"memory {name}", len(data), memory), _row(f"streamed {name}", len(data), streamed)]


def _hash_file(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(unixfs.LEAF_BYTES):
            digest.update(piece)
    return digest.digest()


def _row(case: str, size: int, times: PairedTime) -> Row:
    return at_least(
        case,
        size / 1e6 / times.value,
        BAR,
        unit="MB/CPU-s",
        reference="hashlib.sha256",
        reference_value=size / 1e6 / times.reference,
        ratio=times.speed_ratio,
    )
