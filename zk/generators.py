"""The bases of the vector commitment: points whose logarithms nobody knows, from a public string.

Point i has the first x = SHA-512(domain, string, i, counter) mod p, counter = 0, 1, ..., that is on the curve; another
bit of the hash chooses the sign of y. Two tries on average, 1 to 2 CPU-seconds for 2^16 points, so the result is kept
on disk: the file is trusted only if its SHA-256 is the one pinned here (the default string) or the one in its own last
bytes (other strings: that protects against rot, not against somebody who may write your cache).
Generators with known logarithms are not binding; this module makes no others.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from fl_platform.errors import CurveEngineBroken
from zk import curve
from zk.curve import FIELD, POINT_BYTES
from zk.engine import Bases, Engine

CHUNK = 1 << 16  # parameters a commitment point; fixed: commitments of another chunk size mean something else
DEFAULT_STRING = "fl-platform vector commitment generators, BN254, version 1"
DEFAULT_DIGEST = "a7d112b7df364c48df6c2a614305db3be7ab98f8b66d85da969fd0e57266c371"
MAX_COUNT = 1 << 20

_DOMAIN = b"fl-platform/zk/generators/v1"
_BLINDING_INDEX = 2**32 - 1  # H stands apart, so that it is the same whatever the number of generators
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Generators:
    """G_0 .. G_(count-1) and H, ready for one engine."""

    digest: bytes  # SHA-256 of the encoded points, H last
    engine: Engine = field(repr=False)
    points: Bases = field(repr=False)  # count of them
    blinding: Bases = field(repr=False)  # one: H

    @property
    def count(self) -> int:
        """Parameters a chunk."""
        return len(self.points)


def derive(engine: Engine, *, string: str = DEFAULT_STRING, count: int = CHUNK) -> bytes:
    """Hash `count` generators and H to the curve; return them encoded, 64 bytes each, H last."""
    if not 1 <= count <= MAX_COUNT:
        raise ValueError(f"{count} generators: from 1 to {MAX_COUNT} are possible")
    prefix = _DOMAIN + len(string.encode()).to_bytes(4, "big") + string.encode()
    pending = [*range(count), _BLINDING_INDEX]
    found: dict[int, bytes] = {}
    counter = 0
    while pending:
        hashes = [
            hashlib.sha512(prefix + index.to_bytes(4, "big") + counter.to_bytes(4, "big")).digest() for index in pending
        ]
        xs = [int.from_bytes(digest[:48], "big") % FIELD for digest in hashes]  # 384 bits: 2^-130 from uniform
        points = engine.lift(xs, [bool(digest[48] & 1) for digest in hashes])
        found.update((i, curve.encode(point)) for i, point in zip(pending, points, strict=True) if point is not None)
        pending = [i for i, point in zip(pending, points, strict=True) if point is None]
        counter += 1
    return b"".join(found[i] for i in [*range(count), _BLINDING_INDEX])


def load_generators(
    engine: Engine, *, cache: Path | None = None, string: str = DEFAULT_STRING, count: int = CHUNK
) -> Generators:
    """Return the generators, from the folder `cache` if they are there and whole, else derived and kept there.

    No `cache`: nothing is read or written. A damaged file is derived anew. Raises CurveEngineBroken if the default
    generators do not come out as pinned.
    """
    path = cache / _file_name(string, count) if cache is not None else None
    encoded = _read(path, string=string, count=count) if path is not None else None
    if encoded is None:
        encoded = derive(engine, string=string, count=count)
        pinned = _pinned(string, count)
        if pinned is not None and hashlib.sha256(encoded).digest() != pinned:
            raise CurveEngineBroken(f"{engine.name} derives other generators than the pinned ones: reinstall it")
        if path is not None:
            _write(path, encoded)
    points = engine.bases(encoded)
    return Generators(
        digest=hashlib.sha256(encoded).digest(), engine=engine, points=points[:count], blinding=points[count:]
    )


def default_cache_folder() -> Path:
    """Return the user's cache folder for this package (XDG_CACHE_HOME, else ~/.cache); call it at the edge only."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "fl-platform"


def _file_name(string: str, count: int) -> str:
    return f"generators-{hashlib.sha256(string.encode()).hexdigest()[:16]}-{count}.bin"


def _pinned(string: str, count: int) -> bytes | None:
    return bytes.fromhex(DEFAULT_DIGEST) if (string, count) == (DEFAULT_STRING, CHUNK) else None


def _read(path: Path, *, string: str, count: int) -> bytes | None:
    try:
        data = path.read_bytes()
    except OSError:  # absent or unreadable: nothing is lost but time
        return None
    encoded, checksum = data[:-32], data[-32:]
    expected = _pinned(string, count) or checksum
    if len(encoded) != (count + 1) * POINT_BYTES or hashlib.sha256(encoded).digest() != expected:
        _LOG.warning("the cached generators are damaged: they are derived again")
        return None
    return encoded


def _write(path: Path, encoded: bytes) -> None:
    """Keep the points with their checksum, by rename: a reader never sees half a file. A full disk costs time only."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as partial:
            partial.write(encoded + hashlib.sha256(encoded).digest())
        Path(partial.name).replace(path)
    except OSError as error:
        _LOG.warning("the generators could not be kept (%s): they cost 2 CPU-seconds in every process", error)
