"""Prove and verify the settlement of a round: rule, witness, Groth16 and its refusals in one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fl_platform.errors import DocumentInvalid
from zk.curve import ORDER
from zk.groth16 import keys, prover, verifier, witness
from zk.groth16.verifier import Proof
from zk.settlement import Round
from zk.settlement_inputs import Context, commitment, rho_of, statement, value_at


@dataclass(frozen=True)
class SettlementProof:
    """What goes to a verifier or into `SettlementProofs.submit`."""

    commitment: int
    values: tuple[int, ...]  # the list: claims, marks, total
    proof: Proof


def prove_settlement(round_: Round, context: Context) -> SettlementProof:
    """Apply the rule to a round and prove the outcome. Raises DocumentInvalid where there is no proof."""
    slots = len(round_.slots)
    made = statement(round_, context)
    signals = witness.calculate(keys.program(slots), made.inputs)
    proved = prover.prove(keys.proving_key(slots), signals)
    if proved.public != made.public:
        raise DocumentInvalid("the circuit's outcome differs from the rule's: report this round, do not settle it")
    return SettlementProof(made.public[0], made.values, proved.proof)


def verify_settlement(claimed: SettlementProof, context: Context) -> bool:
    """Tell whether a list follows from a commitment, for this context; all three untrusted.

    It does not tell what the commitment holds: compare it with `commitment(round)` of the round's bundle
    (`matches_round`). Raises DocumentInvalid for a development key off local networks, an element that is not below r
    or a list of no circuit's length; PointInvalid for points that are none.
    """
    slots, odd = divmod(len(claimed.values), 2)
    key = keys.verifying_key(slots) if odd else None
    if key is None:
        raise DocumentInvalid(f"a list has 2 n + 1 numbers, not {len(claimed.values)}")
    verifier.refuse_development_key(key, chain_id=context.chain_id)
    return verifier.verify(key, public_inputs(claimed.commitment, claimed.values, context), claimed.proof)


def public_inputs(root: int, values: Sequence[int], context: Context) -> tuple[int, int, int]:
    """Return commitment, value and rho as a contract computes them. Raises DocumentInvalid for elements not below r."""
    for index, value in enumerate((root, *values)):
        if not 0 <= value < ORDER:
            raise DocumentInvalid(f"element {index} is {value}, not below r: another number's alias")
    rho = rho_of(context, root, values)
    return root, value_at(values, rho), rho


def matches_round(claimed: SettlementProof, round_: Round) -> bool:
    """Tell whether the commitment is this round's: the check that a holder of the bundle adds."""
    return claimed.commitment == commitment(round_)
