"""The reference implementation on our circuits, keys, witnesses and proofs (`npm ci` in scripts/node_tools/zk); and a
ceremony of two parties, from a circuit to a proof that the gate takes where development keys are refused."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from fl_platform.errors import DocumentInvalid, StoreMissing
from scripts.bench.prove import TOOLS, snarkjs
from tests.contracts.test_settlement_proofs import other_chain
from tests.support.circuits import numbers
from tests.support.settlements import CLAIMANT, ROUND, TASK, context, deploy, proof, provable, smallest
from zk.curve.bn254 import ORDER
from zk.groth16 import files, keys, verifier
from zk.settlement.binding import public_inputs, rho_of
from zk.settlement.proof import prove_settlement, verify_settlement

pytestmark = pytest.mark.node


def test_snarkjs_says_what_the_others_say() -> None:
    claimed, key = proof(), provable().key
    public = list(public_inputs(context(), claimed.commitment, claimed.values))
    asked = [
        {
            "vkey": key.to_json(),
            "public": [str((value + change * (place == 1)) % ORDER) for place, value in enumerate(public)],
            "proof": claimed.proof.to_json(),
        }
        for change in (0, 1)
    ]
    done = subprocess.run(
        ["node", "verify.cjs"], cwd=TOOLS, input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [True, False]


def test_snarkjs_proves_with_our_key_and_we_verify() -> None:
    made = provable()
    settled = made.circuit.settle(made.tape, partial(rho_of, context()))
    answer = snarkjs(files.write_zkey(made.parameters), settled.witness, made.key, repeats=1)
    assert answer is not None
    proof = verifier.parse_proof(json.dumps(answer["proof"]))
    public = public_inputs(context(), settled.commitment, settled.values)
    assert tuple(map(int, answer["publicSignals"])) == public == tuple(numbers(settled.witness)[1:4])
    assert verifier.verify(made.key, public, proof)


@pytest.mark.slow
def test_a_ceremony_of_two_parties(tmp_path: Path) -> None:
    """As docs/PROOF_KEYS.md says it: circuit, two contributions, a beacon, and a key that is no development key."""
    circuit, tape = smallest()
    (tmp_path / "circuit.r1cs").write_bytes(circuit.r1cs())
    power = (circuit.system.constraints + 3).bit_length()
    done = subprocess.run(
        ["node", str(TOOLS / "ceremony.cjs"), str(tmp_path), str(power)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    key = keys.verifying_key(tmp_path / "final.zkey")
    assert not key.development
    assert key.digest != keys.verifying_key(tmp_path / "first.zkey").digest
    parameters = keys.proving_key(circuit.r1cs(), key, tmp_path / "final.zkey")
    with pytest.raises(StoreMissing, match="--proving-key"):
        keys.proving_key(circuit.r1cs(), key, None)
    with pytest.raises(DocumentInvalid, match="belongs to the verifying key"):
        keys.proving_key(circuit.r1cs(), key, tmp_path / "first.zkey")
    evm = other_chain(1)
    gate = deploy(evm)
    place = replace(context(), chain_id=1, contract=int.from_bytes(gate.address, "big"), key=key.digest)
    claimed = prove_settlement(circuit, parameters, tape, place)
    assert verify_settlement(claimed, place, key)
    sent = (TASK, ROUND, claimed.commitment, list(claimed.values), list(claimed.proof.words()), key.words())
    outcome = gate.send(CLAIMANT, "submit", *sent)
    assert outcome.event("SettlementAccepted")["key"] == key.digest
