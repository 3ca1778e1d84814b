"""Pedersen vector commitments, chunk by chunk: C_k = sum_j q_(k,j) G_j + rho_k H, the same G for every chunk.

Binding as long as nobody knows a relation among the generators (discrete logarithm in BN254, about 100 bits); perfectly
hiding as long as the blindings are unknown and used for one vector only: never commit two vectors at one place.
Homomorphic, so weighted sums can be checked without the vectors (zk/commitment/aggregate_proof.py).
"""

from __future__ import annotations

import functools
import hmac
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from fl_platform.errors import CommitmentMismatch
from zk.commitment import merkle
from zk.commitment.generators import Generators
from zk.commitment.integer_bounds import check_row
from zk.commitment.transcript import Binding
from zk.curve import bn254
from zk.curve.bn254 import ORDER, POINT_BYTES
from zk.curve.engine import Row
from zk.keccak import keccak256

SEED_BYTES = 32
SALT_BYTES = 32
_SEED_LABEL = b"fl-platform/zk/blinding-seed/v1"
_BLINDING_LABEL = b"fl-platform/zk/blinding/v1"


@dataclass(frozen=True)
class Commitment:
    """The chunk points of one vector. The points are unverified until an engine reads them (`Engine.bases`)."""

    points: bytes = field(repr=False)  # 64 bytes a chunk
    length: int  # d, entries of the vector

    @property
    def chunks(self) -> int:
        """Number of points."""
        return len(self.points) // POINT_BYTES

    @functools.cached_property
    def root(self) -> bytes:
        """The Merkle root over the points (zk/commitment/merkle.py)."""
        return merkle.root(self.points)

    def point(self, chunk: int) -> bytes:
        """Return one point's 64 bytes."""
        return self.points[POINT_BYTES * chunk : POINT_BYTES * (chunk + 1)]


def chunk_count(length: int, chunk: int) -> int:
    """Return how many points a vector of `length` entries has. Raises ValueError for an empty vector."""
    if length < 1:
        raise ValueError("a vector to commit to has at least one entry")
    return -(-length // chunk)


def blinding_seed(secret: bytes, binding: Binding) -> bytes:
    """Return the 32-byte seed of one place's blindings: what the aggregator is given, along with the update's key.

    It tells nothing of the trainer's long-lived secret (at least 32 bytes) nor of any other round's seed.
    """
    if len(secret) < SEED_BYTES:
        raise ValueError(f"a blinding secret has at least {SEED_BYTES} bytes, not {len(secret)}")
    return hmac.digest(secret, _SEED_LABEL + binding.encode(), "sha256")


def blindings(seed: bytes, chunks: int) -> list[int]:
    """Return rho_0 .. rho_(chunks-1), each in [1, r), from a seed."""
    if len(seed) != SEED_BYTES:
        raise ValueError(f"a blinding seed has {SEED_BYTES} bytes, not {len(seed)}")
    wide = (hmac.digest(seed, _BLINDING_LABEL + k.to_bytes(4, "big"), "sha512") for k in range(chunks))
    return [int.from_bytes(digest, "big") % (ORDER - 1) + 1 for digest in wide]


def commit(vector: Row, *, bits: int, seed: bytes, generators: Generators, threads: int = 2) -> Commitment:
    """Commit to a vector (d,) of the codec's integers of `bits` bits; it may be a memory map, read once, by chunk.

    Raises UpdateRangeExceeded for an entry outside the codec's range. Memory: about 30 MB a thread whatever d.
    The time depends on the values: do not let a stranger time it.
    """
    chunk = generators.count
    rhos = blindings(seed, chunk_count(len(vector), chunk))

    def one(k: int) -> bytes:
        row = vector[k * chunk : (k + 1) * chunk]
        check_row(row, bits)
        engine = generators.engine
        point = engine.commit_row(
            generators.points, row, bits, blinding=rhos[k], blinding_base=generators.blinding
        )
        return bn254.encode(point)

    if threads <= 1 or len(rhos) == 1:
        points = [one(k) for k in range(len(rhos))]
    else:
        with ThreadPoolExecutor(threads) as pool:  # the loops run without the interpreter lock
            points = list(pool.map(one, range(len(rhos))))
    return Commitment(points=b"".join(points), length=len(vector))


def roster_commitment(root: bytes, salt: bytes) -> bytes:
    """Return what a receipt carries before the points are shown: keccak(root, salt), a 32-byte secret random salt."""
    if len(root) != 32 or len(salt) != SALT_BYTES:
        raise ValueError("a roster commitment binds a 32-byte root and a 32-byte salt")
    return keccak256(root + salt)


def check_reveal(hidden: bytes, commitment: Commitment, salt: bytes) -> None:
    """Check shown points (untrusted) against the roster's hash. Raises CommitmentMismatch."""
    if len(salt) != SALT_BYTES or roster_commitment(commitment.root, salt) != hidden:
        raise CommitmentMismatch("the shown commitment and salt do not hash to the roster's entry: refuse its trainer")


def combine_blindings(weights: Sequence[int], per_update: Sequence[Sequence[int]]) -> list[int]:
    """Return R_k = sum_i a_i rho_(i,k) mod r, the sums that an aggregator publishes. ValueError: uneven."""
    return [
        sum(weight * rho for weight, rho in zip(weights, column, strict=True)) % ORDER
        for column in zip(*per_update, strict=True)
    ]

