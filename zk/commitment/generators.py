"""The bases of the vector commitment: points whose logarithms nobody knows, from a public string.

Point i has the first x = SHA-512(domain, string, i, counter) mod p, counter = 0, 1, ..., that is on the curve; another
bit of the hash chooses the sign of y. Two tries on average, 1 to 2 CPU-seconds for 2^16 points, so the result is kept
on disk: the file is trusted only if its SHA-256 is the one pinned here (the default string, powers of two) or the one
in its own last bytes (other sets: that protects against rot, not against somebody who may write your cache).
Generators with known logarithms are not binding; this module makes no others.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from fl_platform.errors import CurveEngineBroken
from zk.curve import bn254
from zk.curve.bn254 import FIELD, POINT_BYTES
from zk.curve.engine import Bases, Engine, default_engine

CHUNK = 1 << 16  # most parameters a commitment point; commitments of another chunk size mean something else
DEFAULT_STRING = "fl-platform vector commitment generators, BN254, version 1"
# SHA-256 of the default string's sets of 2^0, 2^1, ... 2^16 points, each with H last.
DEFAULT_DIGESTS = (
    "0708154e65a311d77c5d271ec3112af02d7da9e32df09846e6864bf53411b8a0",
    "2b0d07f26f31f081cc725f101f56c224a5d9340519cfc757f88bd3adeb71c364",
    "7f7fd0fdd9ec618e23b671f3f26273bffe0c8d8bd65166c98df1bdec1fbce037",
    "5dbe98ef3fbd301e53b76abb3e6bd419f61f7e2a59ae155fce3622c9aeb39679",
    "fe77d5492ae8ef0daf3a665b92aaededf92d4a04d4adb81ac86e88d9fee7fcc9",
    "3ecced8808aa27fc92b36c2bdc4f4c9c5e2d7fb87892ec4c162c03a859610ea6",
    "bc4075bc46745988e3c2ff8e283d07a41b0aa10c165ac4bc9028ece79a191f40",
    "2a7d2355b4e2a86744cdc4d63b47196aa0bac8f8e508ca03f977398ad69898f2",
    "d1d224836fb233797b15ebe7822ce11961b8d293c1a872e28f3f49b3ec1c8ce1",
    "81b2e9458e49a74aab35cf6ad3089c53932e633be4638c63bd0c7dbaa19047e4",
    "0d35eb340bff81b6417b09c48208ac7e85ccdc88a7a5c7799394e59fa0f0bf0d",
    "fc6bff6e421be93e084e103790c3062e8d8b0612cb9a188300cf1e08b9dc7551",
    "8d94b4fdfddff957c3f9acc194e63d17477d03b3f1e63ef58cef78c187a59951",
    "586f9de2245a1c400ced44f095e1e64c3ebe889c28bc3efd2d54b594fb6fbe33",
    "2688a195e8ca98b13b7eca23822e227a26f60238b8ec7bb4b23d6962b3294aa2",
    "31fc6aceeaed503c13f5491119f8e58dd8287332462261a2691982d7a7b949a7",
    "a7d112b7df364c48df6c2a614305db3be7ab98f8b66d85da969fd0e57266c371",
)
DEFAULT_DIGEST = DEFAULT_DIGESTS[-1]
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
        found.update((i, bn254.encode(point)) for i, point in zip(pending, points, strict=True) if point is not None)
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


def count_for(length: int) -> int:
    """Return how many generators a vector of `length` entries is committed with in a round: a power of two.

    The least N with N^2 >= 16 length, CHUNK at most, or N >= length if that is less. Proofs cost time by N and
    commitments room by length / N: at 1.66M parameters N = 2^13 makes the proof of knowledge six times cheaper than
    2^16 does, and a commitment has 203 points. It follows from the length alone, so everybody who knows a model's size
    uses the same. Raises ValueError for an empty vector.
    """
    if length < 1:
        raise ValueError("a vector to commit to has at least one entry")
    count = 1
    while count < min(length, CHUNK) and count * count < 16 * length:
        count *= 2
    return count


@functools.cache
def generators_for(length: int) -> Generators:
    """Return the default generators for vectors of `length` entries, on this process's engine.

    They are kept in the user's cache; public constants, so that changes nothing but the time. Raises CurveEngineBroken.
    """
    try:
        cache = default_cache_folder()
    except RuntimeError:  # a user without a home: nothing is kept
        cache = None
    return load_generators(default_engine(), cache=cache, count=count_for(length))


def default_cache_folder() -> Path:
    """Return the user's cache folder for this package (XDG_CACHE_HOME, else ~/.cache)."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "fl-platform"


def _file_name(string: str, count: int) -> str:
    return f"generators-{hashlib.sha256(string.encode()).hexdigest()[:16]}-{count}.bin"


def _pinned(string: str, count: int) -> bytes | None:
    if string != DEFAULT_STRING or count & (count - 1) or count > CHUNK:
        return None
    return bytes.fromhex(DEFAULT_DIGESTS[count.bit_length() - 1])


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
