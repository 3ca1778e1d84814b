"""Layer P from the roles' side: a trainer commits to what it sealed; an aggregator takes only what fits its receipt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fl_platform.aggregation.admit import is_reference_party
from fl_platform.aggregation.commitments import layer_of
from fl_platform.errors import CidMismatch, CommitmentMismatch, PointInvalid, ProofInvalid, RejectedInput, StoreMissing
from fl_platform.protocol.bundle import Entry, Verdict
from fl_platform.protocol.receipt import Domain
from fl_platform.protocol.shown import NOTHING_SHOWN, Shown
from fl_platform.protocol.spec import TaskSpec
from fl_platform.roles.opening import UpdateOpener
from fl_platform.updates import decode_update
from fl_platform.updates.tensors import Integers
from zk import pedersen
from zk.knowledge import prove_knowledge

_SHOWN_BADLY = frozenset(error.__name__ for error in (CommitmentMismatch, ProofInvalid, PointInvalid))


@dataclass(frozen=True)
class Committed:
    """What a trainer's receipt carries, and what it will show."""

    hidden: bytes  # keccak256(root, salt), 32 bytes; zeros without layer P
    shown: Shown


NOT_COMMITTED = Committed(bytes(32), NOTHING_SHOWN)


def commit_update(
    spec: TaskSpec,
    domain: Domain,
    *,
    task: int,
    round_number: int,
    trainer: bytes,
    plain: bytes,
    key: bytes,
    forced: bool = False,
) -> Committed:
    """Commit to the integers of an encoded update under secrets that follow from its key; prove to know them if asked.

    A standard round asks for the proof, a strict one only where the receipt is `forced` in. The same update gives the
    same commitment and the same proof. Row 0 commits to nothing, for it is in no sum. A file that is no update (a
    rehearsed attacker's) is committed to as zeros: it is refused for what it is.
    """
    layer = layer_of(spec, domain, task=task, round_number=round_number)
    if layer is None or is_reference_party(trainer, spec):
        return NOT_COMMITTED
    row = _integers(plain, spec)
    secrets = layer.secrets(key, trainer)
    commitment = pedersen.commit(row, bits=spec.codec.bits, seed=secrets.seed, generators=layer.generators)
    proof = b""
    if layer.needs_proof(forced=forced):
        proof = prove_knowledge(
            row, secrets.seed, commitment=commitment, binding=layer.binding(trainer), generators=layer.generators
        ).encode()
    hidden = pedersen.roster_commitment(commitment.root, secrets.salt)
    return Committed(hidden, Shown(commitment.points, secrets.salt, proof))


def _integers(plain: bytes, spec: TaskSpec) -> Integers:
    try:
        return decode_update(plain, model=spec.model, bits=spec.codec.bits)
    except RejectedInput:
        return np.zeros(spec.model.size, dtype=np.int8)


def mend(
    spec: TaskSpec, opener: UpdateOpener, entries: tuple[Entry, ...], verdicts: Sequence[Verdict]
) -> tuple[Entry, ...]:
    """Return the entries with those commitments made again that were refused as shown, but belong to their receipts.

    What is shown is not signed; the key gives the blindings and the salt, so whoever opens the update can show the
    commitment itself. An entry whose key does not do that stays as it is: its trainer is at fault.
    """
    return tuple(
        _mended(spec, opener, entry) if verdict.code in _SHOWN_BADLY else entry
        for entry, verdict in zip(entries, verdicts, strict=True)
    )


def _mended(spec: TaskSpec, opener: UpdateOpener, entry: Entry) -> Entry:
    receipt = entry.receipt
    try:
        key, plain = opener.unwrap(receipt, entry.keys), opener.open(entry)
        decode_update(plain, model=spec.model, bits=spec.codec.bits)
    except (RejectedInput, StoreMissing, CidMismatch):
        return entry
    made = commit_update(
        spec, opener.domain, task=receipt.task, round_number=receipt.round, trainer=receipt.trainer,
        plain=plain, key=key, forced=entry.forced,
    )  # fmt: skip
    return replace(entry, shown=made.shown) if made.hidden == receipt.commitment else entry
