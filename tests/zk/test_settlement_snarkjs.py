"""The reference implementation on our keys, witnesses and proofs (needs `npm ci` in scripts/node_tools/zk)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.bench.prove import TOOLS, snarkjs
from tests.support.settlement_vectors import context, round_of, vector
from zk.groth16 import keys, package_keys, verifier, witness
from zk.settlement.inputs import statement
from zk.settlement.proof import public_inputs

pytestmark = pytest.mark.node
ROOT = Path(__file__).resolve().parents[2]


def test_snarkjs_says_what_the_others_say_about_the_vectors() -> None:
    asked, expected = [], []
    for slots in (4, 16, 64):
        claimed = vector(slots).claimed
        public = list(public_inputs(claimed.commitment, claimed.values, context()))
        for change in (0, 1):
            asked.append({
                "vkey": package_keys.verifying_key(slots).to_json(),
                "public": [str(public[0]), str(public[1] + change), str(public[2])],
                "proof": claimed.proof.to_json(),
            })  # fmt: skip
            expected.append(not change)
    done = subprocess.run(
        ["node", "verify.cjs"], cwd=TOOLS, input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == expected


def test_snarkjs_proves_with_our_key_and_we_verify() -> None:
    made = statement(round_of(4), context())
    signals = witness.calculate(keys.program(4), made.inputs)
    answer = snarkjs(keys.zkey_bytes(4), signals, package_keys.verifying_key(4), repeats=1)
    assert answer is not None
    proof = verifier.parse_proof(json.dumps(answer["proof"]))
    assert tuple(map(int, answer["publicSignals"])) == made.public
    assert verifier.verify(package_keys.verifying_key(4), made.public, proof)


def test_the_circuit_builds_to_the_committed_hashes() -> None:
    command = [sys.executable, "scripts/build_circuits.py", "--check", "--size", "4"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
