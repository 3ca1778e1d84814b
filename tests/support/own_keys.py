"""A verifying key whose secrets its maker keeps: proofs of anything hold under it. It must count for nothing."""

from __future__ import annotations

from collections.abc import Sequence

from py_ecc.optimized_bn128.optimized_curve import G2, normalize
from py_ecc.optimized_bn128.optimized_curve import multiply as multiply2

from zk.curve.bn254 import GENERATOR, ORDER, multiply
from zk.groth16.verifier import Point2, Proof, VerifyingKey
from zk.settlement.binding import Context, public_inputs
from zk.settlement.proof import SettlementProof
from zk.settlement.proof_file import ProofFile

ALPHA, BETA, INPUTS, A = 11, 13, (17, 19, 23, 29), 31  # any numbers
CEREMONY = b"as good as any".ljust(32, b".")


def _second(factor: int) -> Point2:
    x, y = normalize(multiply2(G2, factor))
    return Point2((int(x.coeffs[0]), int(x.coeffs[1])), (int(y.coeffs[0]), int(y.coeffs[1])))


def own_key() -> VerifyingKey:
    """Return the key; it says that it was made in a ceremony."""
    one = _second(1)
    return VerifyingKey(
        multiply(GENERATOR, ALPHA), _second(BETA), one, one, tuple(multiply(GENERATOR, k) for k in INPUTS), CEREMONY
    )


def forged(context: Context, commitment: int, values: Sequence[int]) -> ProofFile:
    """Return a proof of this list for this commitment, whatever they are; `context`: its key becomes `own_key`."""
    key = own_key()
    place = Context(context.chain_id, context.contract, context.task, context.round, context.claimant, key.digest)
    inputs = INPUTS[0] + sum(k * x for k, x in zip(INPUTS[1:], public_inputs(place, commitment, values), strict=True))
    c = (A - ALPHA * BETA - inputs) % ORDER
    proof = Proof(multiply(GENERATOR, A), _second(1), multiply(GENERATOR, c))
    return ProofFile(place, SettlementProof(commitment, tuple(values), proof), key)
