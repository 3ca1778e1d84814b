"""Settlement proofs for 4, 16 and 64 slots: witness, proof and verification beside snarkjs, and the gas of a check.

Ratio rows of `prove` compare CPU seconds (all threads) of one proof from a witness with a key in memory, parsed anew,
with snarkjs' on the same key and witness in a warm Node process: the best of the repeats on both sides. snarkjs is left
out, and the ratio unknown, where its npm packages are not installed.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from zk.settlement.inputs import statement

from scripts.bench.harness import Row, at_most, cpu_seconds
from tests.support.evm import Contract, Evm
from tests.support.settlement_vectors import CLAIMANT, ROUND, TASK, context, deploy, round_of, vector
from zk.groth16 import files, keys, package_keys, prover, verifier, witness
from zk.settlement.proof import public_inputs

TOOLS = Path(__file__).resolve().parent.parent / "node_tools" / "zk"
GAS_BAR = 240_000
SNARKJS_BAR = 0.5
VERIFY_BAR = 0.02  # CPU-s


def run(args: argparse.Namespace) -> Iterator[Row]:
    """Measure every size; --quick leaves out 64 slots."""
    for slots in (4, 16) if args.quick else (4, 16, 64):
        yield from _proving(slots, repeats=1 if args.quick else 3)
    yield from _gas()


def _best(function: Callable[[], object], repeats: int) -> float:
    return min(cpu_seconds(function) for _ in range(repeats))


def _proving(slots: int, *, repeats: int) -> list[Row]:
    keys.proving_key(slots)  # rebuilt once where it is not cached
    raw, program = keys.zkey_bytes(slots), keys.program(slots)
    made = statement(round_of(slots), context())
    signals = witness.calculate(program, made.inputs)
    prover.prove(files.read_zkey(raw), signals)  # compiles and warms up
    calculate = _best(lambda: witness.calculate(program, made.inputs), repeats)
    prove = _best(lambda: prover.prove(files.read_zkey(raw), signals), repeats)
    proved = prover.prove(files.read_zkey(raw), signals)
    key = package_keys.verifying_key(slots)
    slowly = _best(lambda: verifier.verify_slowly(key, proved.public, proved.proof), 1)
    verifier.verify(key, proved.public, proved.proof)  # loads the library
    verify = _best(lambda: verifier.verify(key, proved.public, proved.proof), 5)
    if not verifier.verify(key, proved.public, proved.proof):
        raise RuntimeError("the proof does not verify: the figures mean nothing")
    found = package_keys.entry(slots)
    name = f"n={slots}"
    reference = snarkjs(raw, signals, key, repeats=1 if slots == 64 else repeats)
    theirs = None if reference is None else round(float(reference["verify"]), 3)
    rule = _best(lambda: statement(round_of(slots), context()), 1)
    return [
        Row(f"{name} constraints", found.constraints, "constraints"),
        Row(f"{name} key", len(raw), "bytes"),
        Row(f"{name} rule, commitment, list", round(rule, 3), "CPU-s"),
        Row(f"{name} witness", round(calculate, 3), "CPU-s"),
        _against(f"{name} prove", prove, reference),
        at_most(
            f"{name} verify", round(verify, 4), VERIFY_BAR, unit="CPU-s", reference="snarkjs", reference_value=theirs
        ),
        Row(f"{name} verify, py_ecc", round(slowly, 3), "CPU-s"),
    ]


def _against(case: str, seconds: float, reference: dict[str, Any] | None) -> Row:
    if reference is None:
        return Row(case, round(seconds, 3), "CPU-s", bar=f"<= {SNARKJS_BAR} of snarkjs")
    ratio = round(seconds / reference["prove"], 3)
    return at_most(
        case, round(seconds, 3), SNARKJS_BAR, unit="CPU-s", reference="snarkjs",
        reference_value=round(reference["prove"], 3), ratio=ratio,
    )  # fmt: skip


def snarkjs(zkey: bytes, signals: files.Words, key: verifier.VerifyingKey, *, repeats: int) -> dict[str, Any] | None:
    """Prove and verify by the reference; None where it is not installed."""
    if shutil.which("node") is None or not (TOOLS / "node_modules" / "snarkjs").is_dir():
        return None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [folder / "a.zkey", folder / "a.wtns", folder / "a.json"]
        paths[0].write_bytes(zkey)
        paths[1].write_bytes(files.write_wtns(signals))
        paths[2].write_text(json.dumps(key.to_json()))
        command = ["node", str(TOOLS / "prove.cjs"), *map(str, paths), str(repeats)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=TOOLS)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if not answer["verified"]:
        raise RuntimeError("snarkjs refuses its own proof: the key is damaged")
    return answer


def _gas() -> list[Row]:
    evm = Evm()
    gate = deploy(evm)
    rows = []
    for slots in (4, 16, 64):
        claimed = vector(slots).claimed
        public = list(public_inputs(claimed.commitment, claimed.values, context()))
        contract = Contract(evm, f"SettlementVerifier{slots}", gate.call("verifierOf", 2 * slots + 1))
        words, values = list(claimed.proof.words()), list(claimed.values)
        check = contract.send(CLAIMANT, "verify", words, public).gas
        whole = gate.send(CLAIMANT, "submit", TASK, ROUND, claimed.commitment, values, words).gas
        rows.append(at_most(f"n={slots} verification on chain, a transaction", check, GAS_BAR, unit="gas"))
        rows.append(Row(f"n={slots} list, binding and record on top of it", whole - check, "gas"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return [*rows, Row("peak memory of the whole run", peak * 1024, "bytes")]
