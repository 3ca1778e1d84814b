"""The rogue commitment C_e = (C(w*) - sum a_j C_j) / a_e: it is built, it passes the sum's check alone, and is refused.

An aggregator that sees everybody's commitments before it fixes its own chooses the model. The sum's check cannot tell,
which is why a roster binds hidden commitments (strict rounds) or asks for a proof of knowledge (standard rounds).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest

from fl_platform.errors import CommitmentMismatch, ProofInvalid
from tests.support.commitments import CommittedRound, binding, fast_generators, random_round, seed, slow_generators
from zk.commitment import pedersen
from zk.commitment.aggregate_proof import SumClaim, verify_sum
from zk.commitment.knowledge import prove_knowledge, verify_knowledge, verify_knowledge_many
from zk.commitment.pedersen import Commitment
from zk.curve import bn254
from zk.curve.bn254 import ORDER

FAST, SLOW = fast_generators(), slow_generators()
EVIL = 77  # the adversary's party number


@dataclass(frozen=True)
class Rogue:
    """What the adversary makes of an honest round."""

    honest: CommittedRound
    commitment: Commitment  # C_e
    claim: SumClaim  # for the model of its choice


def build_rogue() -> Rogue:
    """Fix w* first and solve for C_e, with py_ecc alone."""
    honest = random_round(trainers=3, length=37, bits=8, generators=FAST)
    weights = (*honest.claim.weights, 1_000)
    wanted = np.full(37, 4_242, np.int64)
    blindings = (5, 6, 7)
    inverse = pow(weights[-1], -1, ORDER)
    points = []
    for k, rho in enumerate(blindings):
        row = wanted[16 * k : 16 * (k + 1)]
        left = SLOW.engine.commit_row(SLOW.points, row, 32, blinding=rho, blinding_base=SLOW.blinding)
        for weight, commitment in zip(honest.claim.weights, honest.commitments, strict=True):
            left = bn254.add(left, bn254.multiply(bn254.decode(commitment.point(k)), -weight))
        points.append(bn254.encode(bn254.multiply(left, inverse)))
    claim = dataclasses.replace(honest.claim, weights=weights, aggregate=wanted, blindings=blindings)
    return Rogue(honest=honest, commitment=Commitment(points=b"".join(points), length=37), claim=claim)


ROGUE = build_rogue()


@pytest.mark.parametrize("gens", [FAST, SLOW], ids=["mcl", "py_ecc"])
def test_it_passes_the_sum_alone(gens):
    # this is the attack: no vector of int8 values adds up to w*, and the equation holds all the same
    verify_sum(ROGUE.claim, [*ROGUE.honest.commitments, ROGUE.commitment], gens)


def needed_vector():
    """The only vector that would make the sum true: fractions modulo r, which no update has."""
    honest = ROGUE.honest.claim.aggregate
    inverse = pow(1_000, -1, ORDER)
    return [(int(w) - int(h)) * inverse % ORDER for w, h in zip(ROGUE.claim.aggregate, honest, strict=True)]


def test_no_update_belongs_to_it():
    assert max(min(value, ORDER - value) for value in needed_vector()) > 2**200


def forged(vector):
    """An honest prover's run with a vector that is not the commitment's opening."""
    return prove_knowledge(vector, seed(EVIL), commitment=ROGUE.commitment, binding=binding(EVIL), generators=FAST)


@pytest.mark.parametrize("vector", [np.full(37, 4_242), np.zeros(37, np.int64), np.full(37, -1)], ids=["w*", "0", "-1"])
def test_proofs_made_without_an_opening_are_refused(vector):
    for gens in (FAST, SLOW):
        with pytest.raises(ProofInvalid, match="false"):
            verify_knowledge(forged(vector), commitment=ROGUE.commitment, binding=binding(EVIL), generators=gens)


def honest_proof(party):
    return prove_knowledge(
        ROGUE.honest.vectors[party], seed(party), commitment=ROGUE.honest.commitments[party], binding=binding(party),
        generators=FAST,
    )  # fmt: skip


def test_another_trainers_proof_is_refused_for_it():
    with pytest.raises(ProofInvalid):
        verify_knowledge(honest_proof(0), commitment=ROGUE.commitment, binding=binding(EVIL), generators=FAST)
    with pytest.raises(ProofInvalid):
        verify_knowledge(honest_proof(0), commitment=ROGUE.commitment, binding=binding(0), generators=FAST)


def test_it_spoils_the_rounds_batch_and_the_honest_batch_passes():
    entries = [(honest_proof(i), ROGUE.honest.commitments[i], binding(i)) for i in range(3)]
    verify_knowledge_many(entries, FAST)
    with pytest.raises(ProofInvalid):
        verify_knowledge_many([*entries, (forged(np.zeros(37, np.int64)), ROGUE.commitment, binding(EVIL))], FAST)


def test_a_copied_commitment_cannot_take_its_proof_along():
    # adding one's own known commitment to a victim's is as rogue as solving for it; plain copying is the simplest case
    victim, proof = ROGUE.honest.commitments[0], honest_proof(0)
    verify_knowledge(proof, commitment=victim, binding=binding(0), generators=FAST)
    with pytest.raises(ProofInvalid):
        verify_knowledge(proof, commitment=victim, binding=binding(EVIL), generators=FAST)


def test_hidden_rosters_refuse_it_too():
    # the roster was fixed before anything was shown: the adversary's entry is some commitment of that time
    early = pedersen.commit(np.zeros(37, np.int64), bits=8, seed=seed(EVIL), generators=FAST)
    hidden, salt = pedersen.roster_commitment(early.root, b"\x01" * 32), b"\x01" * 32
    pedersen.check_reveal(hidden, early, salt)
    with pytest.raises(CommitmentMismatch, match="roster"):
        pedersen.check_reveal(hidden, ROGUE.commitment, salt)
    with pytest.raises(CommitmentMismatch, match="weighted sum"):
        verify_sum(ROGUE.claim, [*ROGUE.honest.commitments, early], FAST)
