"""Proofs of knowledge of an opening: complete, bound to their place, refused when anything is touched."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import PointInvalid, ProofInvalid
from tests.support.commitments import SMALL, binding, fast_generators, seed, slow_generators
from zk.commitment import knowledge, pedersen
from zk.commitment.knowledge import parse_proof, prove_knowledge, verify_knowledge, verify_knowledge_many
from zk.curve.bn254 import ORDER

FAST, SLOW = fast_generators(), slow_generators()


def committed(vector, *, bits=8, party=1, generators=FAST):
    return pedersen.commit(np.array(vector), bits=bits, seed=seed(party), generators=generators)


def proved(vector, *, party=1, generators=FAST, place=None):
    commitment = committed(vector, party=party, generators=generators)
    proof = prove_knowledge(
        np.array(vector), seed(party), commitment=commitment, binding=place or binding(party), generators=generators
    )
    return proof, commitment


VECTOR = [(i * 37) % 255 - 127 for i in range(2 * SMALL + 5)]
PROOF, COMMITMENT = proved(VECTOR)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from([-127, -1, 0, 1, 127]), min_size=1, max_size=3 * SMALL))
def test_whoever_knows_the_vector_can_prove_it(vector):
    proof, commitment = proved(vector)
    read = parse_proof(proof.encode(), FAST, len(vector))
    assert read == proof
    verify_knowledge(read, commitment=commitment, binding=binding(1), generators=FAST)


@pytest.mark.parametrize("length", [1, 2, SMALL - 1, SMALL, SMALL + 1, 40])
def test_each_engine_accepts_the_others_proofs(length):
    for prover, verifier in ((FAST, SLOW), (SLOW, FAST)):
        proof, commitment = proved([5] * length, generators=prover)
        verify_knowledge(proof, commitment=commitment, binding=binding(1), generators=verifier)


def test_bases_folded_midway_give_the_same_group_elements(monkeypatch):
    gens = fast_generators(256)
    vector = [i % 100 for i in range(300)]
    commitment = committed(vector, generators=gens)
    for below in (0, 4, 64):
        monkeypatch.setattr(knowledge, "_MATERIALISE_BELOW", below)
        proof = prove_knowledge(
            np.array(vector), seed(1), commitment=commitment, binding=binding(1), generators=gens
        )
        verify_knowledge(proof, commitment=commitment, binding=binding(1), generators=gens)


def test_the_same_call_gives_the_same_proof_in_both_engines():
    assert proved(VECTOR)[0] == PROOF == proved(VECTOR, generators=SLOW)[0]


def test_no_two_statements_share_a_mask():
    other = [*VECTOR[:-1], VECTOR[-1] - 1]
    for again in (
        proved(other)[0],
        proved(VECTOR, place=binding(1, round=4))[0],
        proved(VECTOR, party=2, place=binding(1))[0],
        prove_knowledge(np.array(other), seed(1), commitment=COMMITMENT, binding=binding(1), generators=FAST),
    ):
        assert again.mask != PROOF.mask
        assert again.blinding != PROOF.blinding
        assert again.last != PROOF.last
        assert not {point for fold in again.folds for point in fold} & {p for fold in PROOF.folds for p in fold}


@pytest.mark.parametrize(
    "change",
    [{"chain_id": 1}, {"contract": bytes(20)}, {"task": 8}, {"round": 4}, {"party": bytes(20)}],
    ids=lambda change: next(iter(change)),
)
def test_a_proof_belongs_to_one_place(change):
    with pytest.raises(ProofInvalid):
        verify_knowledge(PROOF, commitment=COMMITMENT, binding=binding(1, **change), generators=FAST)


@pytest.mark.parametrize("place", range(0, 64 + 32 + 128 * 4 + 32, 31))
def test_one_flipped_bit_is_refused(place):
    data = bytearray(PROOF.encode())
    data[place] ^= 1
    with pytest.raises((ProofInvalid, PointInvalid)):
        verify_knowledge(
            parse_proof(bytes(data), FAST, len(VECTOR)), commitment=COMMITMENT, binding=binding(1), generators=FAST
        )


def test_scalars_must_be_reduced_so_that_a_proof_has_one_form():
    for name in ("blinding", "last"):
        lifted = dataclasses.replace(PROOF, **{name: getattr(PROOF, name) + ORDER})
        with pytest.raises(ProofInvalid, match="order"):
            parse_proof(lifted.encode(), FAST, len(VECTOR))


@pytest.mark.parametrize("cut", [0, 1, 64, 639, 641])
def test_wrong_sizes(cut):
    data = (PROOF.encode() + b"\0")[:cut]
    with pytest.raises(ProofInvalid, match="bytes"):
        parse_proof(data, FAST, len(VECTOR))


def test_shapes():
    fewer = dataclasses.replace(PROOF, folds=PROOF.folds[1:])
    shorter = dataclasses.replace(COMMITMENT, length=3)
    for proof, commitment in ((fewer, COMMITMENT), (PROOF, shorter)):
        with pytest.raises(ProofInvalid, match="halvings"):
            verify_knowledge(proof, commitment=commitment, binding=binding(1), generators=FAST)
    with pytest.raises(ValueError, match="power of two"):
        proved([1, 2], generators=fast_generators(12))


def test_another_vectors_commitment_is_refused():
    other = committed(VECTOR[::-1])
    with pytest.raises(ProofInvalid):
        verify_knowledge(PROOF, commitment=other, binding=binding(1), generators=FAST)
    other_blinding = committed(VECTOR, party=2)
    with pytest.raises(ProofInvalid):
        verify_knowledge(PROOF, commitment=other_blinding, binding=binding(1), generators=FAST)


def test_batches():
    entries = [(*proved([party] * 20, party=party), binding(party)) for party in range(1, 5)]
    verify_knowledge_many(entries, FAST)
    verify_knowledge_many(entries, SLOW)
    verify_knowledge_many([], FAST)
    crossed = [(entries[1][0], *entries[0][1:]), (entries[0][0], *entries[1][1:]), *entries[2:]]
    with pytest.raises(ProofInvalid):
        verify_knowledge_many(crossed, FAST)
    with pytest.raises(ProofInvalid, match="lengths"):
        verify_knowledge_many([entries[0], (*proved([1] * 21), binding(1))], FAST)
