"""Proof that a commitment's maker knows an opening, without showing it: standard rounds' defence against rogue ones.

Who sees the others' commitments first can set C_e = (C(w*) - sum a_j C_j) / a_e and make any w* pass the sum's check;
it knows no opening of C_e. The proof:
1. The chunks are folded with powers of a challenge y: C = sum y^k C_k opens to c = sum y^k q_k, rho = sum y^k rho_k.
2. A mask m that looks uniform: A = <m, G> + mu H. Challenge e. z = m + e c and zeta = mu + e rho look uniform, too, so
   nothing below tells anything of c (honest-verifier zero knowledge); Z = A + e C - zeta H = <z, G>.
3. log2(N) halvings: L = <z_lo, G_hi>, R = <z_hi, G_lo>, challenge x, z' = z_lo + x z_hi, G' = x G_lo + G_hi, so that
   <z', G'> = L + x Z + x^2 R. One scalar is left; the verifier needs one sum over the generators.

Knowledge error with K chunks: (K + 2 log2 N) / r per hash tried, below 2^-240. Bound to its place (Binding): a proof
is useless for another trainer, round, task, contract or chain. A proof is never an identifier.

Tests: tests/zk/test_knowledge.py
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fl_platform.errors import ProofInvalid
from zk.commitment.aggregate_proof import fold_rows, powers
from zk.commitment.generators import Generators
from zk.commitment.pedersen import Commitment, blindings
from zk.commitment.transcript import Binding, Transcript
from zk.curve import bn254
from zk.curve.bn254 import ORDER, POINT_BYTES, Point
from zk.curve.engine import Bases, Engine, Row, Scalars

_PROTOCOL = "knowledge-of-opening/1"
_MASK_LABEL = b"fl-platform/zk/knowledge-mask/v1"
_MATERIALISE_BELOW = 1 << 12  # folding the bases costs as much as three sums: done once, when 2^12 are left


@dataclass(frozen=True)
class KnowledgeProof:
    """64 + 32 + 128 log2 N + 32 bytes: 2,176 at N = 2^16."""

    mask: bytes  # A
    blinding: int  # zeta
    folds: tuple[tuple[bytes, bytes], ...]  # (L, R) of each halving
    last: int  # the one entry left of z

    def encode(self) -> bytes:
        """Return the wire form."""
        rounds = b"".join([left + right for left, right in self.folds])
        return self.mask + self.blinding.to_bytes(32, "big") + rounds + self.last.to_bytes(32, "big")


def parse_proof(data: bytes, generators: Generators, length: int) -> KnowledgeProof:
    """Read a proof (untrusted) for a vector of `length` entries. Raises ProofInvalid: size, scalar not below r."""
    rounds = _width(generators, length).bit_length() - 1
    if len(data) != 2 * POINT_BYTES + 2 * POINT_BYTES * rounds:
        raise ProofInvalid(f"a proof of knowledge here has {128 + 128 * rounds} bytes, not {len(data)}")
    points = [data[96 + 64 * i : 160 + 64 * i] for i in range(2 * rounds)]
    blinding, last = int.from_bytes(data[64:96], "big"), int.from_bytes(data[-32:], "big")
    if blinding >= ORDER or last >= ORDER:
        raise ProofInvalid("a proof's scalar is not below the group's order")
    return KnowledgeProof(
        mask=data[:64], blinding=blinding, folds=tuple(zip(points[::2], points[1::2], strict=True)), last=last
    )


def prove_knowledge(
    vector: Row, seed: bytes, *, commitment: Commitment, binding: Binding, generators: Generators
) -> KnowledgeProof:
    """Prove that the maker of `commitment` knows `vector` and its blindings: the same call gives the same proof.

    The mask follows from the secret seed and from all that the proof is about, so no generator of random numbers can
    fail, and no two statements share a mask. The commitment is taken on trust to be of this vector and seed: if not,
    the proof is refused by every verifier.
    """
    engine = generators.engine
    width = _width(generators, len(vector))
    bases = generators.points[:width]
    transcript = _start(commitment, binding, generators)
    factors = powers(transcript.challenge("chunks"), commitment.chunks)
    *masks, mask_blinding = _masks(vector, seed, commitment, binding, generators, count=width + 1)
    masked = engine.scalars(masks)
    mask = bn254.add(engine.msm(bases, masked), engine.msm(generators.blinding, engine.scalars([mask_blinding])))
    transcript.absorb("mask", bn254.encode(mask))
    scale = transcript.challenge("mask")
    folded = fold_rows(vector, factors, generators)
    engine.add_scaled(masked, scale, folded)
    rho = sum(f * value for f, value in zip(factors, blindings(seed, commitment.chunks), strict=True))
    blinding = (mask_blinding + scale * rho) % ORDER
    transcript.absorb_int("blinding", blinding)
    folds, last = _halve(masked, bases, transcript, engine)
    return KnowledgeProof(mask=bn254.encode(mask), blinding=blinding, folds=folds, last=last)


def _masks(
    vector: Row, seed: bytes, commitment: Commitment, binding: Binding, generators: Generators, *, count: int
) -> list[int]:
    """Return `count` scalars that look uniform to who does not know the seed: 384 bits each, 2^-130 from uniform."""
    about = binding.encode() + generators.digest + hashlib.sha256(commitment.points).digest()
    digest = hashlib.sha256(np.ascontiguousarray(vector, "<i8").data).digest()
    stream = hashlib.shake_256(hmac.digest(seed, _MASK_LABEL + about + digest, "sha512")).digest(48 * count)
    return [int.from_bytes(stream[i : i + 48], "little") % ORDER for i in range(0, len(stream), 48)]


def _halve(
    vector: Scalars, bases: Bases, transcript: Transcript, engine: Engine
) -> tuple[tuple[tuple[bytes, bytes], ...], int]:
    """Return all (L, R) and the last entry.

    The current bases are sum_s coefficients[s] * bases[i + s * len(vector)]; they are not computed while they are many.
    """
    folds: list[tuple[bytes, bytes]] = []
    coefficients = [1]
    while len(vector) > 1:
        half = len(vector) // 2
        low, high = vector[:half], vector[half:]
        factors = engine.scalars(coefficients)
        left = engine.msm(engine.blocks(bases, half, 1), engine.outer(factors, low))
        right = engine.msm(engine.blocks(bases, half, 0), engine.outer(factors, high))
        folds.append((bn254.encode(left), bn254.encode(right)))
        x = _fold_challenge(transcript, folds[-1])
        vector = engine.scalars([0] * half)
        engine.add_scaled(vector, 1, low)
        engine.add_scaled(vector, x, high)
        coefficients = [value for c in coefficients for value in (c * x % ORDER, c)]
        if half <= _MATERIALISE_BELOW and len(coefficients) >= 16:
            bases, coefficients = engine.combine(bases, engine.scalars(coefficients)), [1]
    return tuple(folds), engine.to_ints(vector)[0]


def verify_knowledge(
    proof: KnowledgeProof, *, commitment: Commitment, binding: Binding, generators: Generators
) -> None:
    """Check one proof (untrusted) for one commitment (untrusted points). Raises ProofInvalid, PointInvalid."""
    verify_knowledge_many([(proof, commitment, binding)], generators)


def verify_knowledge_many(
    entries: Sequence[tuple[KnowledgeProof, Commitment, Binding]], generators: Generators
) -> None:
    """Check the proofs of one round together: one long sum, with random 128-bit multiples of each equation.

    All commitments are of one length. Raises ProofInvalid (some proof is bad: check them one by one to name it; or
    shapes), PointInvalid. A false batch passes with probability 2^-128.
    """
    if not entries:
        return
    if len({commitment.length for _, commitment, _ in entries}) != 1:
        raise ProofInvalid("proofs of knowledge of different lengths cannot be checked together")
    engine = generators.engine
    width = _width(generators, entries[0][1].length)
    total = engine.scalars([0] * width)
    difference = bn254.INFINITY
    for place, (proof, commitment, binding) in enumerate(entries):
        multiple = 1 if place == 0 else engine.to_ints(engine.random_scalars(1))[0] >> 126
        challenges, point = _replay(proof, commitment, binding, generators)
        coefficients = [proof.last * multiple % ORDER]
        for x in challenges:
            coefficients = [value for c in coefficients for value in (c * x % ORDER, c)]
        engine.add_scaled(total, 1, engine.scalars(coefficients))
        difference = bn254.add(difference, bn254.multiply(point, multiple))
    if engine.msm(generators.points[:width], total) != difference:
        raise ProofInvalid("a proof of knowledge is false: its maker does not know what it committed to")


def _replay(
    proof: KnowledgeProof, commitment: Commitment, binding: Binding, generators: Generators
) -> tuple[list[int], Point]:
    """Return the halvings' challenges and the point that the last entry times the last base must be."""
    engine = generators.engine
    width = _width(generators, commitment.length)
    chunks = -(-commitment.length // generators.count)
    if 1 << len(proof.folds) != width or commitment.chunks != chunks or len(commitment.points) != chunks * POINT_BYTES:
        raise ProofInvalid(f"a proof with {len(proof.folds)} halvings is not one for {commitment.length} entries")
    transcript = _start(commitment, binding, generators)
    factors = powers(transcript.challenge("chunks"), chunks)
    transcript.absorb("mask", proof.mask)
    scale = transcript.challenge("mask")
    transcript.absorb_int("blinding", proof.blinding)
    challenges = [_fold_challenge(transcript, fold) for fold in proof.folds]
    # Z x_1 ... x_n + sum_t (L_t + x_t^2 R_t) x_(t+1) ... x_n, in one sum
    tails = [1]
    for x in reversed(challenges):
        tails.append(tails[-1] * x % ORDER)
    tails.reverse()
    scalars = [tails[0], *[scale * tails[0] * f for f in factors]]
    for x, tail in zip(challenges, tails[1:], strict=True):
        scalars += [tail, tail * x * x]
    folds = b"".join([left + right for left, right in proof.folds])
    points = engine.bases(proof.mask + commitment.points + folds)
    known = engine.msm(points, engine.scalars(scalars))
    hiding = engine.msm(generators.blinding, engine.scalars([-proof.blinding * tails[0]]))
    return challenges, bn254.add(known, hiding)


def _width(generators: Generators, length: int) -> int:
    """Return N, the power of two that the folded vector is padded to."""
    if generators.count & (generators.count - 1):
        raise ValueError(f"a proof of knowledge wants a power of two of generators, not {generators.count}")
    return 1 << (min(length, generators.count) - 1).bit_length()


def _start(commitment: Commitment, binding: Binding, generators: Generators) -> Transcript:
    transcript = Transcript(_PROTOCOL, binding)
    transcript.absorb("generators", generators.digest)
    transcript.absorb_int("length", commitment.length)
    transcript.absorb("commitment", commitment.points)
    return transcript


def _fold_challenge(transcript: Transcript, fold: tuple[bytes, bytes]) -> int:
    transcript.absorb("left", fold[0])
    transcript.absorb("right", fold[1])
    return transcript.challenge("fold")
