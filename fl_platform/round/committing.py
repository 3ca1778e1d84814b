"""Layer P from the roles' side: a trainer commits to its update; who seals shows commitments that anybody can check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fl_platform.errors import CommitmentMismatch, RejectedInput
from fl_platform.judging.admit import is_reference_party
from fl_platform.judging.commitments import Layer, Openings, layer_of
from fl_platform.protocol.bundle import Entry, EntryVerdict
from fl_platform.protocol.commitment_opening import NOTHING_SHOWN, CommitmentOpening
from fl_platform.protocol.receipt import Domain
from fl_platform.protocol.spec import TaskSpec
from fl_platform.task.decrypting import UpdateOpener
from fl_platform.updates import decode_update
from fl_platform.updates.tensors import Integers
from zk.commitment import pedersen
from zk.commitment.knowledge import prove_knowledge


@dataclass(frozen=True)
class Committed:
    """What a trainer's receipt carries, and what it will show."""

    hidden: bytes  # keccak256(root, salt), 32 bytes; zeros without layer P
    shown: CommitmentOpening


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
    if forced or spec.strictness == "standard":
        proof = prove_knowledge(
            row, secrets.seed, commitment=commitment, binding=layer.binding(trainer), generators=layer.generators
        ).encode()
    hidden = pedersen.roster_commitment(commitment.root, secrets.salt)
    return Committed(hidden, CommitmentOpening(commitment.points, secrets.salt, proof))


def _integers(plain: bytes, spec: TaskSpec) -> Integers:
    try:
        return decode_update(plain, model=spec.model, bits=spec.codec.bits)
    except RejectedInput:
        return np.zeros(spec.model.size, dtype=np.int8)


def mend(
    spec: TaskSpec, opener: UpdateOpener, entries: tuple[Entry, ...], verdicts: Sequence[EntryVerdict]
) -> tuple[Entry, ...]:
    """Return the entries with those commitments made again that are in the sum and do not hold as they are shown.

    What is shown is not signed; the key gives the blindings and the salt, so whoever opens the update can make the
    commitment itself, also where the receipt promises another one.
    """
    if not entries:
        return entries
    first = entries[0].receipt
    layer = layer_of(spec, opener.domain, task=first.task, round_number=first.round)
    if layer is None:
        return entries
    summed = {i: entry for i, entry in enumerate(entries) if verdicts[i].weight}
    bad = _not_holding(layer, opener, summed)
    return tuple(_made_again(spec, opener, entry) if i in bad else entry for i, entry in enumerate(entries))


def _not_holding(layer: Layer, opener: UpdateOpener, summed: Mapping[int, Entry]) -> set[int]:
    """Which of these entries show what anybody refuses, or what does not open to their update."""
    bad: set[int] = set(layer.faults(summed))

    def key(index: int) -> bytes:
        return opener.unwrap(summed[index].receipt, summed[index].keys)

    def read(index: int) -> Integers:
        return _integers(opener.open(summed[index]), layer.spec)

    openings = Openings(layer, key)
    for index in summed.keys() - bad:
        try:
            openings.add(index, summed[index], read(index))
        except CommitmentMismatch:
            bad.add(index)
    return bad | openings.faults(summed, read).keys()


def _made_again(spec: TaskSpec, opener: UpdateOpener, entry: Entry) -> Entry:
    receipt, key, plain = entry.receipt, opener.unwrap(entry.receipt, entry.keys), opener.open(entry)
    for forced in (entry.forced, True):  # where the receipt promises another, nobody knows it without a proof
        made = commit_update(
            spec, opener.domain, task=receipt.task, round_number=receipt.round, trainer=receipt.trainer,
            plain=plain, key=key, forced=forced,
        )  # fmt: skip
        if made.hidden == receipt.commitment:
            break
    return replace(entry, shown=made.shown)
