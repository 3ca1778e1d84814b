"""Proof that one secret k stands behind two pairs of points, P = k G and S = k E: Chaum-Pedersen, non-interactive.

The recipient of a wrapped key (public key P, ephemeral E) publishes S with it, and whoever sees the proof knows that S
is the point with which the box opens, without learning k:

    A = w G,  B = w E,  c = keccak256(DOMAIN, context, P, E, S, A, B) mod r,  z = w + c k mod r
    holds if  c = keccak256(DOMAIN, context, P, E, S, z G - c P, z E - c S) mod r

Soundness: where the two logarithms differ, each (A, B) has one c with an answer z, so a hash that is tried succeeds
with probability below 2^-251. All points are checked to be on the curve and not infinity; its group has prime order.
Perfect honest-verifier zero knowledge. `context` (32 bytes) binds the proof to its place. The curve gives about 100
bits. Twin of `contracts/libraries/Dleq.sol`.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from fl_platform.errors import PointInvalid, ProofInvalid
from zk.curve import bn254
from zk.curve.bn254 import GENERATOR, ORDER, Point
from zk.keccak import keccak256

CONTEXT_BYTES = 32
PROOF_BYTES = 64
_DOMAIN = b"fl-platform/dleq/v1"
_NONCE_DOMAIN = b"fl-platform/dleq-nonce/v1"


@dataclass(frozen=True, slots=True)
class DleqProof:
    """Challenge c and response z, both below r. A proof is never an identifier: another nonce gives another one."""

    challenge: int
    response: int

    def encode(self) -> bytes:
        """Return the 64 bytes c, z."""
        return self.challenge.to_bytes(32, "big") + self.response.to_bytes(32, "big")

    @classmethod
    def decode(cls, data: bytes) -> DleqProof:
        """Read 64 bytes (untrusted); `verify` checks their range. Raises ProofInvalid."""
        if len(data) != PROOF_BYTES:
            raise ProofInvalid(f"a proof of equal logarithms has {PROOF_BYTES} bytes, not {len(data)}")
        return cls(int.from_bytes(data[:32], "big"), int.from_bytes(data[32:], "big"))


def prove(secret: int, *, base: Point, context: bytes, fresh: bool = True) -> tuple[Point, DleqProof]:
    """Return S = secret * base and the proof that it has the logarithm of secret * G. `base` must be validated.

    The nonce comes from secret, statement and, where `fresh`, new randomness: it repeats for no other statement. Raises
    ValueError for a secret outside 1..r-1 or a context of another size.
    """
    if not 1 <= secret < ORDER or len(context) != CONTEXT_BYTES:
        raise ValueError(f"the secret lies in 1..r-1 and the context has {CONTEXT_BYTES} bytes")
    public, shared = bn254.multiply(GENERATOR, secret), bn254.multiply(base, secret)
    statement = context + bn254.encode(base)
    salt = secrets.token_bytes(32) if fresh else bytes(32)
    wide = hashlib.sha512(_NONCE_DOMAIN + secret.to_bytes(32, "big") + statement + salt).digest()
    nonce = int.from_bytes(wide, "big") % (ORDER - 1) + 1
    masks = bn254.multiply(GENERATOR, nonce), bn254.multiply(base, nonce)
    challenge = _challenge(context, (public, base, shared, *masks))
    return shared, DleqProof(challenge, (nonce + challenge * secret) % ORDER)


def verify(proof: DleqProof, *, public: Point, base: Point, shared: Point, context: bytes) -> None:
    """Check a proof (everything untrusted) that log_G(public) = log_base(shared). Raises PointInvalid, ProofInvalid."""
    for point in (public, base, shared):
        bn254.validate(point)
    if len(context) != CONTEXT_BYTES:
        raise ProofInvalid(f"a proof's context has {CONTEXT_BYTES} bytes, not {len(context)}")
    if not (0 <= proof.challenge < ORDER and 0 <= proof.response < ORDER):
        raise ProofInvalid("a proof's scalar is not below the group's order")
    masks = _difference(GENERATOR, public, proof), _difference(base, shared, proof)
    if _challenge(context, (public, base, shared, *masks)) != proof.challenge:
        raise ProofInvalid("the proof does not show that both points have the same logarithm in this context")


def holds(proof: DleqProof, *, public: Point, base: Point, shared: Point, context: bytes) -> bool:
    """Say whether `verify` passes."""
    try:
        verify(proof, public=public, base=base, shared=shared, context=context)
    except (PointInvalid, ProofInvalid):
        return False
    return True


def _difference(first: Point, second: Point, proof: DleqProof) -> Point:
    """Return z * first - c * second."""
    return bn254.add(bn254.multiply(first, proof.response), bn254.negate(bn254.multiply(second, proof.challenge)))


def _challenge(context: bytes, points: tuple[Point, ...]) -> int:
    return int.from_bytes(keccak256(_DOMAIN + context + b"".join(map(bn254.encode, points))), "big") % ORDER
