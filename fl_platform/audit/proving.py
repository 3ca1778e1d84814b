"""Proving (step 9): the settlement proof of a sealed round, made from chain and store by anybody.

The proof says that the claims on chain follow by the task's program from what the round's tape has as given. It is
bound to the address that will hand it in (`claimant`): nobody else can, and nobody's copy counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from fl_platform.errors import AuditDifference, ConfigError, DocumentInvalid, RpcUnavailable
from fl_platform.judging.circuits import circuit_of, require_prover
from fl_platform.ledger.proofs import Accepted, Proofs
from fl_platform.ledger.records import SealRecord
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.protocol.program import Output
from fl_platform.protocol.spec import TaskSpec
from fl_platform.protocol.tape import Tape
from fl_platform.task.reading import TaskReader
from fl_platform.task.sealed_states import tape_of
from zk.groth16.verifier import VerifyingKey
from zk.settlement.binding import list_hash
from zk.settlement.circuit import Circuit
from zk.settlement.proof_file import ProofFile


@dataclass(frozen=True)
class SettlementStatement:
    """What there is to prove of a round, and what follows."""

    round: int
    circuit: Circuit = field(repr=False)
    tape: Tape = field(repr=False)
    key: bytes  # digest of the verifying key that the task's rules name, 32 bytes
    commitment: int
    values: tuple[int, ...]  # the list: claims, weights, divisor
    accounts: tuple[bytes, ...]  # by seat, 20 bytes: whose claims they are

    @property
    def trainers(self) -> int:
        """How many the circuit has room for."""
        return self.circuit.shape.trainers


def last_sealed(reader: TaskReader) -> int:
    """Return the newest sealed round. Raises ConfigError when there is none."""
    sealed = [record.number for record in reader.history().rounds if record.seal is not None]
    if not sealed:
        raise ConfigError(f"task {reader.task} has no sealed round yet: there is nothing to prove or verify")
    return sealed[-1]


def require_sealed(reader: TaskReader, round_number: int) -> SealRecord:
    """Return a round's seal. Raises ConfigError when it is not sealed."""
    rounds = reader.history().rounds
    seal = rounds[round_number].seal if round_number < len(rounds) else None
    if seal is None:
        raise ConfigError(f"task {reader.task}: round {round_number} is not sealed: nothing to prove or verify")
    return seal


def settlement_of(reader: TaskReader, round_number: int) -> SettlementStatement:
    """Return the settlement of a sealed round, held against its seal.

    Raises ConfigError (not sealed), AuditDifference (the claims or the tape are not the sealed ones, or the tape's own
    commitment is another), NoCircuit (the task has none, or it does not hold this round), and what reading raises.
    """
    seal = require_sealed(reader, round_number)
    circuit_of(reader.spec)  # before a bundle is fetched for nothing
    bundle = reader.bundle(round_number)
    if (bundle.claims.digest, bundle.claims.total) != (seal.claim_root, seal.claim_total):
        raise AuditDifference(
            f"round {round_number}: the seal's claims are not the bundle's; `fl-platform watch` has the seal undone"
        )
    found = statement_of(reader.spec, bundle, tape_of(reader, bundle))
    if found.tape.root != seal.trace:
        raise AuditDifference(
            f"round {round_number}: the seal's tape is not the bundle's; `fl-platform watch` has the seal undone"
        )
    if found.commitment != int(found.tape.output(Output.SETTLEMENT)):
        raise AuditDifference(
            f"round {round_number}: the sealed tape's settlement cell is not that of what it has as given; "
            "`fl-platform watch` has the seal undone"
        )
    return found


def statement_of(spec: TaskSpec, bundle: RoundBundle, tape: Tape) -> SettlementStatement:
    """Return the settlement that a bundle (untrusted), and the tape of which it tells, have. Raises NoCircuit."""
    circuit = circuit_of(spec)
    settled = circuit.settle(tape)
    accounts = tuple(standing.trainer for standing in bundle.after.standings)
    return SettlementStatement(
        bundle.round, circuit, tape, spec.proofs.key, settled.commitment, settled.values, accounts
    )


def accepted_proof(proofs: Proofs, task: int, found: SettlementStatement) -> Accepted | None:
    """Return the proof that the chain has accepted for exactly this settlement; None where there is none.

    Raises AuditDifference when the accepted list is not the one that follows: then the proof system is broken.
    """
    recorded = proofs.accepted_list(task, found.round, found.commitment, found.key)
    if recorded is None:
        return None  # anybody may prove something about a commitment or a key of its own: that counts for nothing here
    if recorded != list_hash(found.values):
        raise AuditDifference(
            f"round {found.round}: the chain accepted another list for this very commitment: keys are forged or the "
            f"circuit is wrong; trust no settlement proof of this task"
        )
    wanted = found.commitment, found.key
    told = (a for a in proofs.accepted(task, found.round) if (a.commitment, a.key) == wanted)
    accepted = next(told, None)
    if accepted is None:
        raise RpcUnavailable(f"round {found.round}: the chain keeps an accepted proof but hides its event; ask again")
    return accepted


def prove(
    proofs: Proofs, task: int, found: SettlementStatement, key: VerifyingKey, *, claimant: bytes,
    proving_key: Path | None = None, watch: Callable[[str], None] = lambda _: None,
) -> ProofFile:  # fmt: skip
    """Prove a settlement for `claimant`; `watch` is told what is being done. Seconds of both cores.

    key: the task's (`TaskReader.proof_key`). proving_key: the ceremony's .zkey, where the task's key is one's. Raises
    ConfigError (see `require_prover`), DocumentInvalid (another key), StoreMissing (a ceremony's, which is not given).
    """
    require_prover()
    from zk.groth16 import keys  # compiled kernels: not for those who only verify
    from zk.settlement.proof import prove_settlement

    watch("looking for the proving key: seconds to a minute the first time")
    parameters = keys.proving_key(found.circuit.r1cs(), key, proving_key)
    watch(f"proving round {found.round}, with room for {found.trainers} trainers")
    context = proofs.context(task, found.round, claimant, found.key)
    made = ProofFile(context, prove_settlement(found.circuit, parameters, found.tape, context), key)
    watch("verifying the proof")
    if not made.holds():
        raise DocumentInvalid(f"round {found.round}: the proof just made does not hold: report this, do not submit it")
    return made


def check_handed(proofs: Proofs, task: int, found: SettlementStatement, file: ProofFile, *, claimant: bytes) -> None:
    """Demand that a proof file (untrusted) can be handed in by `claimant` for this settlement.

    Raises ConfigError (another wallet's), DocumentInvalid (another place, round or key, tampered with), PointInvalid.
    """
    wanted = proofs.context(task, found.round, claimant, found.key)
    if replace(file.context, claimant=wanted.claimant) != wanted or file.claimed.commitment != found.commitment:
        raise DocumentInvalid(
            f"the proof is for task {file.context.task} round {file.context.round}, gate "
            f"0x{file.context.contract:040x} on chain {file.context.chain_id}, key {file.context.key.hex()[:16]}; this "
            f"is task {task} round {found.round}, gate 0x{wanted.contract:040x} on chain {wanted.chain_id}, key "
            f"{wanted.key.hex()[:16]}, or its bundle is another: make the proof again"
        )
    if file.context.claimant != wanted.claimant:
        raise ConfigError(
            f"the proof was made for 0x{file.context.claimant:040x}: only that wallet can hand it in; make one for "
            f"0x{claimant.hex()} (`fl-platform prove --claimant`)"
        )
    if not file.holds():
        raise DocumentInvalid("the proof does not hold: something of the file was changed; ask its maker for it again")
