"""Prove a settlement: rule, witness and Groth16 in one call. Needs the extra `fast`; verifying does not.

Tests: tests/zk/test_settlement_circuit.py
"""

from __future__ import annotations

from fl_platform.errors import DocumentInvalid
from zk.groth16 import keys, prover, witness
from zk.settlement.inputs import Context, statement
from zk.settlement.proof import SettlementProof
from zk.settlement.statement import Round


def prove_settlement(round_: Round, context: Context) -> SettlementProof:
    """Apply the rule to a round and prove the outcome. Raises DocumentInvalid where there is no proof."""
    slots = len(round_.slots)
    made = statement(round_, context)
    signals = witness.calculate(keys.program(slots), made.inputs)
    proved = prover.prove(keys.proving_key(slots), signals)
    if proved.public != made.public:
        raise DocumentInvalid("the circuit's outcome differs from the rule's: report this round, do not settle it")
    return SettlementProof(made.public[0], made.values, proved.proof)
