"""Proofs that every verifier is held against: zk/vectors/settlement.json.

    python -m tests.support.settlement_vectors      prove again and write the file (after a change of circuit or key)

Proofs are bound to the gate's address on the test chain: the fourth contract that the account "settlement" deploys.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fl_platform.chain.evm import CHAIN_ID
from tests.support.evm import Contract, Evm, account, created_at
from tests.support.settlements import Shape, made_round
from zk.settlement.inputs import Context
from zk.settlement.proof import SettlementProof
from zk.settlement.prove import prove_settlement
from zk.settlement.statement import Round

FILE = Path(__file__).resolve().parents[2] / "zk" / "vectors" / "settlement.json"
DEPLOYER = account("settlement")
CLAIMANT = account("claimant")
TASK, ROUND = 3, 9
SHAPES = {4: Shape(4), 16: Shape(16, krum=True, byzantine=6, spread=60), 64: Shape(50)}
SEEDS = {4: 7, 16: 52, 64: 5}


@dataclass(frozen=True)
class Vector:
    """A round with its proof."""

    slots: int
    round_: Round
    claimed: SettlementProof


def context() -> Context:
    """Return what the vectors are bound to."""
    gate = created_at(DEPLOYER.address, 3)
    return Context(CHAIN_ID, int.from_bytes(gate, "big"), TASK, ROUND, int.from_bytes(CLAIMANT.address, "big"))


def deploy(evm: Evm) -> Contract:
    """Deploy the three verifiers and the gate at the address the vectors name."""
    verifiers = [evm.create(DEPLOYER.address, f"SettlementVerifier{size}").address for size in (4, 16, 64)]
    return evm.create(DEPLOYER.address, "SettlementProofs", verifiers)


def round_of(slots: int) -> Round:
    """Return the made-up round behind a vector."""
    return made_round(SHAPES[slots], SEEDS[slots])


@cache
def vector(slots: int) -> Vector:
    """Read one vector."""
    body = json.loads(FILE.read_text())[str(slots)]
    return Vector(slots, round_of(slots), SettlementProof.from_json(json.dumps(body)))


def main() -> None:
    """Prove and write."""
    body = {}
    for slots in SHAPES:
        body[str(slots)] = prove_settlement(round_of(slots), context()).to_json()
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(body, indent=1) + "\n")


if __name__ == "__main__":
    main()
