"""Settlement proofs for tests: of the smallest shipped rule, with its development key (seconds, then cached)."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache

from fl_platform.chain.evm import CHAIN_ID
from fl_platform.protocol.building import Builder
from fl_platform.protocol.program import Output
from fl_platform.protocol.seats import OWNER_SEAT
from fl_platform.protocol.sources import Axis, Source
from fl_platform.protocol.tape import Tape
from fl_platform.rules.compose import Rule, compose
from fl_platform.rules.settlement import settle
from tests.support.evm import Contract, Evm, account, created_at
from tests.support.rule_rounds import Federation
from zk.circuits.plan import Shape
from zk.groth16 import keys, prover
from zk.groth16.files import ProvingKey
from zk.groth16.verifier import VerifyingKey
from zk.settlement.binding import Context
from zk.settlement.circuit import Circuit
from zk.settlement.proof import SettlementProof, prove_settlement
from zk.settlement.proof_file import ProofFile

DEPLOYER = account("settlement")
CLAIMANT = account("claimant")
TASK, ROUND = 3, 9
SMALLEST = Rule(screens=(), worth="equal", directions=0, shares=False)
AGGREGATORS = 3  # that rounds of `Federation` may be sealed by


@dataclass(frozen=True)
class Provable:
    """A circuit with its keys and a round of it."""

    circuit: Circuit
    parameters: ProvingKey
    key: VerifyingKey
    tape: Tape


@cache
def provable() -> Provable:
    """Return the smallest rule's circuit with room for three trainers."""
    circuit = Circuit(compose(SMALLEST), Shape(3, 0, AGGREGATORS))
    parameters = keys.development_key(circuit.r1cs())
    task = Federation(random.Random(4), trainers=3, directions=0)
    tape = task.round(circuit.program, None, "all equal")
    return Provable(circuit, parameters, prover.verifying_key(parameters), tape)


def smallest() -> tuple[Circuit, Tape]:
    """Return a circuit of few constraints, and a round of it: the owner gets the pot, and nobody is judged."""
    b = Builder()
    weight = b.name("weight", b.select(b.source(Source.REFUSED), 0, 1))
    seat = b.numbers(b.ones(Axis.SEAT))
    earned = b.name("earned", b.select(seat == OWNER_SEAT, b.source(Source.POT), 0))
    standing = b.name("standing", b.select(seat, 0, 0))
    divisor = b.name("divisor", b.sum(weight, Axis.ENTRY))
    outputs = {Output.EARNED: earned, Output.REPUTATION: standing, Output.DIVISOR: divisor}
    for output, cells in outputs.items():
        b.output(output, cells)
    b.output(Output.SUMS, b.combine(b.source(Source.CONTENT), weight))
    settle(b, [*outputs.values(), weight], 0)
    program = b.program()
    task = Federation(random.Random(4), trainers=1, directions=0)
    return Circuit(program, Shape(1, 0, AGGREGATORS)), task.round(program, None, "one")


def context() -> Context:
    """Return what `proof` is bound to: the first contract that the account "settlement" deploys."""
    gate = int.from_bytes(created_at(DEPLOYER.address, 0), "big")
    return Context(CHAIN_ID, gate, TASK, ROUND, int.from_bytes(CLAIMANT.address, "big"), provable().key.digest)


def deploy(evm: Evm) -> Contract:
    """Deploy the gate at the address that `context` names."""
    return evm.create(DEPLOYER.address, "SettlementProofs")


@cache
def proof() -> SettlementProof:
    """Return a proof of the round for `context`."""
    made = provable()
    return prove_settlement(made.circuit, made.parameters, made.tape, context())


def proof_file() -> ProofFile:
    """Return it as a file."""
    return ProofFile(context(), proof(), provable().key)
