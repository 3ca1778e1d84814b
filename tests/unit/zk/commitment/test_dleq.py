"""Proofs of equal logarithms: complete, bound to their context, refused for anything else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import PointInvalid, ProofInvalid
from zk.commitment import dleq
from zk.commitment.dleq import DleqProof
from zk.curve import bn254
from zk.curve.bn254 import GENERATOR, INFINITY, ORDER, Point

CONTEXT = bytes(range(32))
BASE = bn254.multiply(GENERATOR, 1234567)
FEW = settings(max_examples=6, deadline=None)
scalar = st.integers(1, ORDER - 1)


@FEW
@given(secret=scalar, ephemeral=scalar)
def test_what_is_proved_holds_and_survives_the_wire(secret: int, ephemeral: int) -> None:
    base = bn254.multiply(GENERATOR, ephemeral)
    shared, proof = dleq.prove(secret, base=base, context=CONTEXT)
    public = bn254.multiply(GENERATOR, secret)
    assert shared == bn254.multiply(public, ephemeral)
    dleq.verify(DleqProof.decode(proof.encode()), public=public, base=base, shared=shared, context=CONTEXT)


@pytest.mark.parametrize("secret", [1, 2, ORDER - 1])
def test_extreme_secrets(secret: int) -> None:
    shared, proof = dleq.prove(secret, base=BASE, context=CONTEXT)
    assert dleq.holds(
        proof, public=bn254.multiply(GENERATOR, secret), base=BASE, shared=shared, context=CONTEXT
    )  # fmt: skip


def test_a_nonce_repeats_for_the_same_statement_only_and_only_where_asked() -> None:
    again = [dleq.prove(9, base=BASE, context=CONTEXT, fresh=False)[1] for _ in range(2)]
    assert again[0] == again[1]
    assert dleq.prove(9, base=BASE, context=CONTEXT)[1] != dleq.prove(9, base=BASE, context=CONTEXT)[1]
    other = dleq.prove(9, base=BASE, context=bytes(32), fresh=False)[1]
    nonces = {(p.response - p.challenge * 9) % ORDER for p in (*again, other)}
    assert len(nonces) == 2


def test_a_wrong_point_context_or_scalar_is_refused() -> None:
    shared, proof = dleq.prove(9, base=BASE, context=CONTEXT)
    good: dict[str, Any] = {"public": bn254.multiply(GENERATOR, 9), "base": BASE, "shared": shared, "context": CONTEXT}
    assert dleq.holds(proof, **good)
    for name in ("public", "base", "shared"):
        assert not dleq.holds(proof, **(good | {name: bn254.multiply(GENERATOR, 42)}))
        for bad in (INFINITY, Point(1, 1), Point(1 + bn254.FIELD, 2)):
            with pytest.raises(PointInvalid):
                dleq.verify(proof, **(good | {name: bad}))
    assert not dleq.holds(proof, **(good | {"context": bytes(32)}))
    lies = (
        DleqProof(proof.challenge + ORDER, proof.response),
        DleqProof(proof.challenge, proof.response + ORDER),
        DleqProof(proof.challenge, -1),
        DleqProof(0, 0),
        DleqProof(proof.response, proof.challenge),
    )
    for lie in lies:
        with pytest.raises(ProofInvalid):
            dleq.verify(lie, **good)
    for size in (0, 31, 33):
        with pytest.raises(ProofInvalid):
            dleq.verify(proof, **(good | {"context": bytes(size)}))


def test_who_does_not_know_the_logarithm_cannot_adapt_a_proof() -> None:
    """Shifting S by tG and the response by t would pass if the statement were not hashed."""
    shared, proof = dleq.prove(9, base=BASE, context=CONTEXT)
    public = bn254.multiply(GENERATOR, 9)
    shifted = bn254.add(public, bn254.multiply(GENERATOR, 5)), bn254.add(shared, bn254.multiply(BASE, 5))
    forged = DleqProof(proof.challenge, (proof.response + 5 * proof.challenge) % ORDER)
    assert not dleq.holds(forged, public=shifted[0], base=BASE, shared=shifted[1], context=CONTEXT)


def test_a_prover_refuses_what_it_cannot_prove() -> None:
    for secret in (0, ORDER, -1):
        with pytest.raises(ValueError, match=r"1\.\.r-1"):
            dleq.prove(secret, base=BASE, context=CONTEXT)
    with pytest.raises(ValueError, match="32 bytes"):
        dleq.prove(1, base=BASE, context=b"")
    with pytest.raises(ProofInvalid):
        DleqProof.decode(bytes(63))
