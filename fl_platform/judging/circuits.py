"""A task's settlement circuit: that of its program, with room for as many trainers as its rules say.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fl_platform.errors import ConfigError, NoCircuit
from fl_platform.judging.program import composed_of, lengths_of, program_of
from fl_platform.protocol.program import Program
from fl_platform.protocol.spec import AggregationRule, ProofRule, TaskSpec, WorthRule
from fl_platform.rules.settlement import is_settled

if TYPE_CHECKING:
    from zk.groth16.verifier import VerifyingKey
    from zk.settlement.circuit import Circuit

FAST = ("mclbn256", "numba")  # what the extra `fast` brings and a prover needs


def require_prover() -> None:
    """Raise ConfigError unless everything that a prover needs is installed."""
    missing = [name for name in FAST if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"proving needs {', '.join(missing)}: pip install 'fl-platform[fast]'; verifying a proof does not"
        )


def circuit_of(spec: TaskSpec) -> Circuit:
    """Return the circuit that a task's rounds are proved by. Raises NoCircuit: it has none, or could have none."""
    if not spec.proofs.trainers:
        raise NoCircuit("the task was opened without settlement proofs (`fl-platform task open --proofs N`)")
    return _circuit(spec)


@lru_cache(maxsize=8)
def _circuit(spec: TaskSpec) -> Circuit:
    directions = lengths_of(spec, entries=0, seats=0).directions
    return _made(program_of(spec), spec.proofs.trainers, directions, len(spec.aggregators))


def _made(program: Program, trainers: int, directions: int, aggregators: int) -> Circuit:
    from zk.circuits.plan import Shape
    from zk.settlement.circuit import Circuit

    if not is_settled(program, directions):
        raise NoCircuit("the program's settlement cell is not the hash of what it pays by: a proof would say nothing")
    return Circuit(program, Shape(trainers, directions, aggregators))


def circuit_of_rule(
    trainers: int, aggregators: int, byzantine: int, worth: str, program: bytes | None
) -> Circuit:  # fmt: skip
    """Return the circuit of a task that is opened with these choices and what suits them; before there is one.

    program: bytes of one's own, in place of the composed one. Raises ConfigError, DocumentInvalid, NoCircuit.
    """
    rule = AggregationRule(
        selection="multi-krum" if byzantine else "mean", byzantine=byzantine, clip_bps=0, reject_bps=0, floor_bps=0,
        duplicate_bps=0, server_lr_num=1, server_lr_den=1,
    )  # fmt: skip
    measure = WorthRule(worth, 0, 1, 0, 0, bytes(32), 0)
    composed = composed_of(rule, measure) if program is None else Program.from_bytes(program)
    return _made(composed, trainers, rule.directions, aggregators)


def development_key(spec: TaskSpec) -> VerifyingKey:
    """Return the development key of a task's circuit, which anybody can forge for; seconds, and then cached.

    spec: with room for trainers, and whatever key. Raises ConfigError (see `require_prover`), NoCircuit.
    """
    require_prover()
    from zk.groth16 import keys, prover

    return prover.verifying_key(keys.development_key(circuit_of(spec).r1cs()))


def require_key_of(spec: TaskSpec, file: Path) -> None:
    """Raise DocumentInvalid where a ceremony's .zkey is not of a task's circuit: its rounds could never be proved."""
    from zk.groth16 import keys

    keys.verifying_key(file, circuit_of(spec).r1cs())


def proof_rule(spec: TaskSpec, trainers: int, key: VerifyingKey | None) -> tuple[ProofRule, bytes]:
    """Return what a task's rules say of its proofs, and the key's object. `key`: a ceremony's; None: for development.

    Raises ConfigError, NoCircuit as `development_key`.
    """
    made = key or development_key(replace(spec, proofs=ProofRule(trainers, bytes(32))))
    return ProofRule(trainers, made.digest), made.to_bytes()
