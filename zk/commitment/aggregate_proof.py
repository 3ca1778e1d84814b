"""The aggregate is the weighted sum of the committed vectors: a check for anyone, without the vectors.

For every chunk k: sum_i a_i C_(i,k) = <w_k, G> + R_k H, where the aggregator publishes w and R_k = sum_i a_i rho_(i,k).
All chunks at once: both sides are added up with powers of a challenge g drawn from everything above, so a false chunk
passes with probability at most (chunks - 1) / r for each hash an adversary tries. One general sum over the generators
replaces a commitment to w chunk by chunk.

Equality holds modulo r. It is one of integers because |w_j| < 2^62 is checked here and |sum a_i q_(i,j)| < 2^62 follows
from the weights and the codec's range; that each q_i keeps that range is not proved here (holders of the updates
check). It also says nothing of a commitment whose maker knows no opening: see zk/commitment/knowledge.py.

Tests: tests/zk/test_weighted_sum.py
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fl_platform.errors import CommitmentMismatch
from zk.commitment import merkle
from zk.commitment.generators import Generators
from zk.commitment.integer_bounds import check_aggregate, check_row, check_weights
from zk.commitment.pedersen import Commitment, blindings, chunk_count
from zk.commitment.transcript import Binding, Transcript
from zk.curve import bn254
from zk.curve.bn254 import ORDER, Point
from zk.curve.engine import Row, Scalars

_PROTOCOL = "weighted-sum/1"


@dataclass(frozen=True, kw_only=True)
class SumClaim:
    """What an aggregator says of one round; every field is public, and untrusted."""

    binding: Binding
    bits: int  # the codec's width of the committed integers
    weights: tuple[int, ...]  # a_i, in the order of the commitments
    aggregate: npt.NDArray[np.int64] = field(repr=False)  # (d,) w
    blindings: tuple[int, ...] = field(repr=False)  # R_k in [0, r), one a chunk


@dataclass(frozen=True, kw_only=True)
class ChunkEvidence:
    """One trainer's point of one chunk with its way to the root that the roster binds."""

    root: bytes
    point: bytes  # 64 bytes
    path: tuple[bytes, ...]


def powers(base: int, count: int) -> list[int]:
    """Return base^0 .. base^(count-1) modulo r."""
    found = [1] * count
    for k in range(1, count):
        found[k] = found[k - 1] * base % ORDER
    return found


def fold_rows(vector: Row, factors: Sequence[int], generators: Generators) -> Scalars:
    """Return sum_k factors[k] * (chunk k of `vector`) as scalars, as many as a chunk (or the vector) has entries."""
    chunk = generators.count
    target = generators.engine.scalars([0] * min(chunk, len(vector)))
    for k, factor in enumerate(factors):
        generators.engine.add_row(target, factor, vector[k * chunk : (k + 1) * chunk].astype(np.int64, copy=False))
    return target


def verify_sum(claim: SumClaim, commitments: Sequence[Commitment], generators: Generators) -> None:
    """Check that claim.aggregate = sum a_i q_i for the vectors behind the commitments (untrusted, in roster order).

    The caller has compared each commitment's root with the roster. Raises ConfigError (weights beyond the bound),
    CommitmentMismatch (shapes, ranges, or the sum), PointInvalid.
    """
    chunks = _check_shapes(claim, commitments, generators)
    check_aggregate(claim.aggregate, check_weights(claim.weights, claim.bits))
    factors = powers(batch_challenge(claim, commitments, generators, digest_of(claim.aggregate)), chunks)
    if committed_side(claim.weights, commitments, factors, generators) != opened_side(claim, factors, generators):
        raise CommitmentMismatch("the aggregate is not the weighted sum of the committed updates: dispute the round")


def committed_side(
    weights: Sequence[int], commitments: Sequence[Commitment], factors: Sequence[int], generators: Generators
) -> Point:
    """Return sum_k factors[k] sum_i weights[i] C_(i,k): the part of the check that grows with the trainers.

    Weights first, then powers: n short multiples a chunk and one long one. Raises PointInvalid.
    """
    engine = generators.engine
    points = engine.bases(b"".join([commitment.points for commitment in commitments]))
    return engine.msm(engine.combine(points, engine.scalars(weights)), engine.scalars(factors))


def opened_side(claim: SumClaim, factors: Sequence[int], generators: Generators) -> Point:
    """Return <sum_k factors[k] w_k, G> + (sum_k factors[k] R_k) H: the opening of the aggregate."""
    engine = generators.engine
    folded = fold_rows(claim.aggregate, factors, generators)
    blinding = sum(factor * rho for factor, rho in zip(factors, claim.blindings, strict=True))
    hiding = engine.msm(generators.blinding, engine.scalars([blinding]))
    return bn254.add(engine.msm(generators.points[: len(folded)], folded), hiding)


def verify_opening(
    vector: Row, seed: bytes, *, commitment: Commitment, bits: int, binding: Binding, generators: Generators
) -> None:
    """Check that the commitment opens to `vector` under a seed's blindings: for who holds the update and the seed.

    A sum of one vector with weight one. Raises UpdateRangeExceeded, CommitmentMismatch, PointInvalid.
    """
    check_row(vector, bits)
    claim = SumClaim(
        binding=binding,
        bits=bits,
        weights=(1,),
        aggregate=vector.astype(np.int64),
        blindings=tuple(blindings(seed, commitment.chunks)),
    )
    verify_sum(claim, [commitment], generators)


def verify_chunk(
    claim: SumClaim, chunk: int, evidence: Sequence[ChunkEvidence], generators: Generators
) -> bool:
    """Tell whether one chunk's equation holds: what a dispute about that chunk decides, twin of the contract's check.

    Raises CommitmentMismatch if a point does not lead to its root (that evidence is void), PointInvalid.
    """
    engine = generators.engine
    chunks = chunk_count(len(claim.aggregate), generators.count)
    if not 0 <= chunk < chunks or len(claim.blindings) != chunks or len(evidence) != len(claim.weights):
        raise CommitmentMismatch(f"chunk {chunk} of {chunks} with {len(evidence)} points: not evidence for this claim")
    for entry in evidence:
        depth_fits = len(entry.path) == merkle.depth_of(chunks) and len(entry.point) == bn254.POINT_BYTES
        if not depth_fits or merkle.root_from_path(entry.point, chunk, entry.path) != entry.root:
            raise CommitmentMismatch(f"a point of chunk {chunk} does not lead to its commitment's root")
    row = claim.aggregate[chunk * generators.count : (chunk + 1) * generators.count]
    points = engine.bases(b"".join(entry.point for entry in evidence))
    right = engine.commit_row(
        generators.points, row, 63, blinding=claim.blindings[chunk], blinding_base=generators.blinding
    )
    return engine.msm(points, engine.scalars(claim.weights)) == right


def _check_shapes(claim: SumClaim, commitments: Sequence[Commitment], generators: Generators) -> int:
    """Return the number of chunks. Raises CommitmentMismatch."""
    if claim.aggregate.ndim != 1 or len(claim.aggregate) == 0:
        raise CommitmentMismatch("an aggregate is a vector with at least one entry")
    chunks = chunk_count(len(claim.aggregate), generators.count)
    if not commitments or len(commitments) != len(claim.weights):
        raise CommitmentMismatch(f"{len(claim.weights)} weights for {len(commitments)} commitments")
    if len(claim.blindings) != chunks or not all(0 <= rho < ORDER for rho in claim.blindings):
        raise CommitmentMismatch(f"{chunks} chunks want {chunks} blinding sums below r, not {len(claim.blindings)}")
    for commitment in commitments:
        if commitment.length != len(claim.aggregate) or len(commitment.points) != chunks * bn254.POINT_BYTES:
            raise CommitmentMismatch(
                f"a commitment to {commitment.length} entries cannot add up to {len(claim.aggregate)} entries"
            )
    return chunks


def digest_of(aggregate: Row) -> bytes:
    """Return the SHA-256 of a vector as little-endian int64."""
    return hashlib.sha256(np.ascontiguousarray(aggregate, "<i8").data).digest()


def batch_challenge(
    claim: SumClaim, commitments: Sequence[Commitment], generators: Generators, aggregate_digest: bytes
) -> int:
    """Return the challenge whose powers add up the chunks: it depends on everything that the equations contain."""
    transcript = Transcript(_PROTOCOL, claim.binding)
    transcript.absorb("generators", generators.digest)
    transcript.absorb_int("chunk", generators.count)
    for commitment, weight in zip(commitments, claim.weights, strict=True):
        transcript.absorb("commitment", commitment.points)
        transcript.absorb_int("weight", weight)
    transcript.absorb("aggregate", aggregate_digest)
    transcript.absorb("blindings", b"".join([rho.to_bytes(32, "big") for rho in claim.blindings]))
    return transcript.challenge("batch")
