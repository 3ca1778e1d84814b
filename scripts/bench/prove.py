"""Settlement proofs of composed rules for 4, 16 and 64 trainers: constraints, witness, proof, verification and gas.

Keys are development keys of the circuits; n is the room for trainers, and a round's trainers are as many. "shares" is
the rule with near-duplicates by pairs of entries; the others are without. Bars of constraints are multiples of what the
hand-written circuits of the same sizes had, which knew one rule alone.

Ratio rows of `prove` compare CPU seconds (all threads) of one proof from a witness with a key in memory, parsed anew,
with snarkjs' on the same key and witness in a warm Node process: the best of the repeats on both sides. snarkjs is left
out, and the ratio unknown, where its npm packages are not installed. Gas: the list is what `SettlementProofs.submit`
charges above the same call with an empty one, calldata included; the record is by the EVM's prices; the rest is the
check, with key, proof and the transaction itself. The bar is for check and record together.

The hand-written circuits looked at one earlier sum; these look at four. What one would cost is a row without a bar.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fl_platform.protocol.evaluation import evaluate
from fl_platform.protocol.sources import Source
from fl_platform.protocol.tape import Tape
from fl_platform.rules.compose import Rule, compose
from scripts.bench.harness import Row, at_most, cpu_seconds, peak_memory_bytes
from tests.support.evm import Contract, Evm
from tests.support.own_keys import forged
from tests.support.random_programs import claiming
from tests.support.rule_rounds import Federation
from tests.support.settlements import CLAIMANT, ROUND, TASK, context, deploy
from zk.circuits.plan import Shape
from zk.groth16 import files, keys, prover, verifier
from zk.settlement.binding import Context, rho_of
from zk.settlement.circuit import Circuit
from zk.settlement.proof import SettlementProof, prove_settlement
from zk.settlement.proof_file import ProofFile

TOOLS = Path(__file__).resolve().parent.parent / "node_tools" / "zk"
GAS_BAR = 250_000
RECORD_GAS = 22_100 + 375 * 5 + 8 * 96  # a slot that was zero, an event of four topics and three words
SNARKJS_BAR = 0.5
VERIFY_BAR = 0.02  # CPU-s


@dataclass(frozen=True)
class Case:
    """A rule's circuit with room for some trainers, and what the hand-written circuit of that size had."""

    name: str
    trainers: int
    rule: Rule
    before: int  # constraints
    bar: float  # times as many at most


CASES = (
    Case("n=4", 4, Rule(shares=False), 23_132, 1.3),
    Case("n=16", 16, Rule(shares=False), 111_485, 1.1),
    Case("n=16 multi-krum", 16, Rule(selection="multi-krum", shares=False), 111_485, 1.1),
    Case("n=64", 64, Rule(shares=False), 288_003, 1.2),
    Case("n=64 shares", 64, Rule(), 288_003, 1.7),
)


@dataclass(frozen=True)
class Made:
    """A case's circuit, key and a round of it."""

    circuit: Circuit
    key: files.ProvingKey
    verifying: verifier.VerifyingKey
    tape: Tape

    @property
    def place(self) -> Context:
        """What its proofs are bound to."""
        return replace(context(), key=self.verifying.digest)


def run(args: argparse.Namespace) -> Iterator[Row]:
    """Measure every case; --quick leaves out 64 trainers with shares, and repeats nothing."""
    evm = Evm()
    gate = deploy(evm)
    for case in CASES[:-1] if args.quick else CASES:
        made, rows = _circuit(case)
        yield from rows
        yield from _one_direction(case)
        yield from _proving(case, made, repeats=1 if args.quick else 3)
        yield from _gas(case, made, gate)
    yield Row("peak memory of the whole run", peak_memory_bytes(), "bytes")


def _circuit(case: Case) -> tuple[Made, list[Row]]:
    task = Federation(random.Random(case.trainers), trainers=case.trainers, directions=case.rule.directions)
    circuit = Circuit(compose(case.rule), Shape(case.trainers, case.rule.directions, 1))
    seconds = cpu_seconds(lambda: circuit.system)
    constraints = circuit.system.constraints
    parameters = keys.development_key(circuit.r1cs())
    tape = _round(task, circuit, case.trainers)
    made = Made(circuit, parameters, prover.verifying_key(parameters), tape)
    ratio = round(constraints / case.before, 3)
    return made, [
        at_most(
            f"{case.name} constraints", constraints, case.bar, unit="constraints", reference="the hand-written circuit",
            reference_value=case.before, ratio=ratio,
        ),
        Row(f"{case.name} compile", round(seconds, 3), "CPU-s"),
        Row(f"{case.name} key", len(files.write_zkey(parameters)), "bytes"),
    ]  # fmt: skip


def _one_direction(case: Case) -> Iterator[Row]:
    rule = replace(case.rule, directions=1)
    constraints = Circuit(compose(rule), Shape(case.trainers, 1, 1)).system.constraints
    yield Row(
        f"{case.name} constraints with one earlier sum", constraints, "constraints", "the hand-written circuit",
        case.before, round(constraints / case.before, 3),
    )  # fmt: skip


def _round(task: Federation, circuit: Circuit, trainers: int) -> Tape:
    """Return a round of all trainers, sealed by the one aggregator that the circuit knows."""
    lengths, given = task.given(task.crowd(trainers), None)
    given = replace(given, sources={**given.sources, Source.AGGREGATOR: 0})
    return evaluate(circuit.program, lengths, claiming(circuit.program, lengths, given, task.dice))


def _best(function: Callable[[], object], repeats: int) -> float:
    return min(cpu_seconds(function) for _ in range(repeats))


def _proving(case: Case, made: Made, *, repeats: int) -> list[Row]:
    circuit, key, place, name = made.circuit, made.verifying, made.place, case.name
    raw = files.write_zkey(made.key)
    signals = circuit.settle(made.tape, lambda commitment, values: rho_of(place, commitment, values)).witness
    proved = prover.prove(made.key, signals)  # compiles and warms up
    if not verifier.verify(key, proved.public, proved.proof):
        raise RuntimeError("the proof does not verify: the figures mean nothing")
    calculate = _best(lambda: circuit.settle(made.tape), repeats)
    prove = _best(lambda: prover.prove(files.read_zkey(raw), signals), repeats)
    slowly = _best(lambda: verifier.verify_slowly(key, proved.public, proved.proof), 1)
    verify = _best(lambda: verifier.verify(key, proved.public, proved.proof), 5)
    reference = snarkjs(raw, signals, key, repeats=1 if case.trainers == 64 else repeats)
    theirs = None if reference is None else round(float(reference["verify"]), 3)
    return [
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


def _gas(case: Case, made: Made, gate: Contract) -> list[Row]:
    claimed = prove_settlement(made.circuit, made.key, made.tape, made.place)
    own = forged(made.place, claimed.commitment, claimed.values)
    empty = forged(made.place, 1, ())
    mark = gate.evm.snapshot()
    listed = _submitted(gate, own.claimed, own) - _submitted(gate, empty.claimed, empty)
    whole = _submitted(gate, claimed, ProofFile(made.place, claimed, made.verifying))
    gate.evm.restore(mark)
    return [
        at_most(f"{case.name} on chain, without the list", whole - listed, GAS_BAR, unit="gas"),
        Row(f"{case.name} of it the check", whole - listed - RECORD_GAS, "gas"),
        Row(f"{case.name} list of {len(claimed.values)} numbers", listed, "gas"),
        Row(f"{case.name} of it the record", RECORD_GAS, "gas"),
    ]


def _submitted(gate: Contract, claimed: SettlementProof, file: ProofFile) -> int:
    """Return the gas of handing a proof in."""
    return gate.send(
        CLAIMANT, "submit", TASK, ROUND, claimed.commitment, list(claimed.values), list(claimed.proof.words()),
        file.key.words(),
    ).gas  # fmt: skip
