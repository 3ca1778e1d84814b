"""Proving (step 9): the settlement proof of a sealed round, made from chain and store by anybody.

The proof says that the claims on chain follow from the round's Gram matrix by the frozen rule. It is bound to the
address that will hand it in (`claimant`): nobody else can, and nobody's copy counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec

from fl_platform.errors import AuditDifference, ConfigError, DocumentInvalid, NoCircuit, RpcUnavailable
from fl_platform.ledger.proofs import Accepted, Proofs, list_hash
from fl_platform.ledger.records import SealRecord
from fl_platform.task.reading import TaskReader
from zk.settlement.proof_file import ProofFile, key_of
from zk.settlement.statement import Round

FAST = ("mclbn256", "numba", "wasmtime")  # what the extra `fast` brings and a prover needs


@dataclass(frozen=True)
class SettlementStatement:
    """What there is to prove of a round: the circuit's inputs, and what follows from them."""

    round: int
    made: Round
    commitment: int
    values: tuple[int, ...]  # the list: claims, marks, total

    @property
    def slots(self) -> int:
        """How many slots the circuit has."""
        return len(self.made.slots)

    @property
    def scores_proved(self) -> bool:
        """Whether scores and replay verdicts are proved, too; else they stand as the bundle gives them."""
        return not self.made.rule.given


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

    Raises ConfigError (not sealed), AuditDifference (the claims are not the bundle's), what reading raises, and else
    NoCircuit: a round is judged by its program, and the first circuit of programs comes with the next release.
    """
    seal = require_sealed(reader, round_number)
    bundle = reader.bundle(round_number)
    if (bundle.claims.digest, bundle.claims.total) != (seal.claim_root, seal.claim_total):
        raise AuditDifference(
            f"round {round_number}: the seal's claims are not the bundle's; `fl-platform watch` has the seal undone"
        )
    raise NoCircuit(no_circuit(round_number))


def no_circuit(round_number: int) -> str:
    """Say why nothing is proved of a round."""
    return f"round {round_number} was judged by its program: the circuit of programs comes with the next release"


def accepted_proof(proofs: Proofs, task: int, found: SettlementStatement) -> Accepted | None:
    """Return the proof that the chain has accepted for exactly this settlement; None where there is none.

    Raises AuditDifference when the accepted list is not the one that follows: then the proof system is broken.
    """
    recorded = proofs.accepted_list(task, found.round, found.commitment)
    if recorded is None:
        return None  # anybody may prove something about a commitment of its own: that counts for nothing here
    if recorded != list_hash(found.values):
        raise AuditDifference(
            f"round {found.round}: the chain accepted another list for this very commitment: keys are forged or the "
            f"circuit is wrong; trust no settlement proof of this deployment"
        )
    told = (a for a in proofs.accepted(task, found.round) if a.commitment == found.commitment)
    accepted = next(told, None)
    if accepted is None:
        raise RpcUnavailable(f"round {found.round}: the chain keeps an accepted proof but hides its event; ask again")
    return accepted


def require_prover() -> None:
    """Raise ConfigError unless everything that a prover needs is installed."""
    missing = [name for name in FAST if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"proving needs {', '.join(missing)}: pip install 'fl-platform[fast]'; verifying a proof does not"
        )


def prove(
    proofs: Proofs, task: int, found: SettlementStatement, *, claimant: bytes,
    watch: Callable[[str], None] = lambda _: None,
) -> ProofFile:  # fmt: skip
    """Prove a settlement for `claimant`; `watch` is told what is being done. Seconds of both cores.

    Raises ConfigError (see `require_prover`), DocumentInvalid, StoreMissing (the proving key is neither there nor can
    be rebuilt).
    """
    require_prover()
    from zk.settlement.prove import prove_settlement  # compiled kernels: not for those who only verify

    watch(f"proving round {found.round} with {found.slots} slots")
    context = proofs.context(task, found.round, claimant)
    made = ProofFile(context, prove_settlement(found.made, context), key_of(found.slots))
    watch("verifying the proof")
    if not made.holds():
        raise DocumentInvalid(f"round {found.round}: the proof just made does not hold: report this, do not submit it")
    return made


def check_handed(proofs: Proofs, task: int, found: SettlementStatement, file: ProofFile, *, claimant: bytes) -> None:
    """Demand that a proof file (untrusted) can be handed in by `claimant` for this settlement.

    Raises ConfigError (another wallet's), DocumentInvalid (another place or round, tampered with), PointInvalid.
    """
    wanted = proofs.context(task, found.round, claimant)
    if replace(file.context, claimant=wanted.claimant) != wanted or file.claimed.commitment != found.commitment:
        raise DocumentInvalid(
            f"the proof is for task {file.context.task} round {file.context.round}, gate "
            f"0x{file.context.contract:040x} on chain {file.context.chain_id}; this is task {task} round {found.round},"
            f" gate 0x{wanted.contract:040x} on chain {wanted.chain_id}, or its bundle is another: make the proof again"
        )
    if file.context.claimant != wanted.claimant:
        raise ConfigError(
            f"the proof was made for 0x{file.context.claimant:040x}: only that wallet can hand it in; make one for "
            f"0x{claimant.hex()} (`fl-platform prove --claimant`)"
        )
    if not file.holds():
        raise DocumentInvalid("the proof does not hold: something of the file was changed; ask its maker for it again")
