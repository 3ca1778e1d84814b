"""A settlement proof, how it is made, and how anyone verifies it. Only making one needs the extra `fast`.

Tests: tests/contracts/test_settlement_proofs.py
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fl_platform.errors import DocumentInvalid
from zk import bounded_json
from zk.groth16 import verifier
from zk.groth16.verifier import Proof, VerifyingKey, proof_of
from zk.settlement.binding import Context, public_inputs, rho_of

if TYPE_CHECKING:
    from fl_platform.protocol.tape import Tape
    from zk.groth16.files import ProvingKey
    from zk.settlement.circuit import Circuit


@dataclass(frozen=True)
class SettlementProof:
    """What goes to a verifier or into `SettlementProofs.submit`."""

    commitment: int
    values: tuple[int, ...]  # the list: claims, weights, divisor
    proof: Proof

    def to_body(self) -> dict[str, object]:
        """Return what a proof file has of it; numbers are decimal text."""
        values = [str(value) for value in self.values]
        return {"commitment": str(self.commitment), "values": values, "proof": self.proof.to_json()}

    @classmethod
    def from_body(cls, body: Any) -> SettlementProof:
        """Read a proof from parsed JSON (untrusted). Raises DocumentInvalid."""
        try:
            if not isinstance(body["values"], list):
                raise ValueError("values are no list")
            values = tuple(bounded_json.number(value) for value in body["values"])
            return cls(bounded_json.number(body["commitment"]), values, proof_of(body["proof"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DocumentInvalid(f"this is no settlement proof: {error!r}") from error


def prove_settlement(circuit: Circuit, key: ProvingKey, tape: Tape, context: Context) -> SettlementProof:
    """Prove what follows from a round. Raises NoCircuit where the circuit does not hold it."""
    from zk.groth16 import prover  # compiled kernels: not for those who only verify

    settled = circuit.settle(tape, lambda commitment, values: rho_of(context, commitment, values))
    proved = prover.prove(key, settled.witness)
    if proved.public != public_inputs(context, settled.commitment, settled.values):
        raise DocumentInvalid("the circuit's list has another value than the contract's: report this, settle nothing")
    return SettlementProof(settled.commitment, settled.values, proved.proof)


def verify_settlement(claimed: SettlementProof, context: Context, key: VerifyingKey) -> bool:
    """Tell whether a list follows from a commitment, for this context and key; all three untrusted.

    It does not tell what the commitment holds: compare it with what `Circuit.settle` finds for the round's bundle; nor
    whose key it is: compare it with the task's. Raises DocumentInvalid for a development key off local networks,
    another key than the context's, an element that is not below r; PointInvalid for points that are none.
    """
    verifier.refuse_development_key(key, chain_id=context.chain_id)
    if key.digest != context.key:
        raise DocumentInvalid(f"the key is {key.digest.hex()[:16]}, the proof is bound to {context.key.hex()[:16]}")
    return verifier.verify(key, public_inputs(context, claimed.commitment, claimed.values), claimed.proof)
