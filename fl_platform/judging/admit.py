"""Is this entry an update at all? (step 7) Each way of being malformed has its own error.

It is against rows A18 and A26 of docs/ATTACKS.md.

Order: what the chain says of the receipt (convicted, not to be had), who (foreign, duplicate), when (task and round,
parent), what (declared length), signature, key: all that anybody can check, and all that an update can be refused for
(`public_refusals`). Nothing is read of an update whose receipt fails. One that should open and does not is no verdict:
whoever seals convicts its trainer, gets complaints of the task's witnesses, or passes (`UpdatesNotOpened`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fl_platform.errors import (
    CidMismatch,
    ConfigError,
    DocumentInvalid,
    EnvelopeInvalid,
    FLError,
    ReceiptDuplicate,
    ReceiptForeign,
    ReceiptParentMismatch,
    ReceiptReplayed,
    ReceiptSignatureInvalid,
    RejectedInput,
    StoreMissing,
    UpdateLengthMismatch,
    UpdatesNotOpened,
)
from fl_platform.judging.commitments import KeySource, layer_of
from fl_platform.protocol.bundle import Entry
from fl_platform.protocol.keypackage import has_package
from fl_platform.protocol.receipt import Domain, Receipt, check_signature
from fl_platform.protocol.seats import OWNER_SEAT
from fl_platform.protocol.spec import TaskSpec
from fl_platform.updates import decode_update, update_length
from fl_platform.updates.tensors import Integers

# Plaintext bytes of entry i (header and payload), opened by whoever holds a key: its integers are those that its
# receipt binds. Raises RejectedInput, StoreMissing or CidMismatch when it cannot be had. May be called more than once
# for an entry, and may read from disk each time.
UpdateSource = Callable[[int], bytes | memoryview]

CACHE_BYTES = 512 << 20  # opened updates kept between the passes over them; beyond that they are opened again

ADMITTED = "admitted"
CONVICTED = "Convicted"
MISSING = "Missing"
REFERENCE = "reference"
_PEERS_FAULTS = (RejectedInput, StoreMissing, CidMismatch)


@dataclass(frozen=True)
class RoundContext:
    """Where a round happens: what the chain says, which no peer can change."""

    domain: Domain
    task: int
    round: int
    aggregator: bytes  # 20-byte address of who seals and earns the fee
    parent: bytes  # digest in the CID of the parent model's file
    members: Mapping[bytes, int] | None  # address -> stake (wei) when the roster closed; None: stakes of the entries
    seats: tuple[bytes, ...]  # whose each seat is when the roster closed: `seats_of`
    life: int  # of the task when the round opened
    # struct hashes of receipts, by the seal's `as_of`:
    convicted: frozenset[bytes] = frozenset()  # shown to be bad
    missing: frozenset[bytes] = frozenset()  # not to be had, as the witnesses say, and left out by who seals
    pot: int | None = None  # wei to allot in this round, slashed bonds included; None: the rules' pot

    def is_of(self, receipt: Receipt) -> bool:
        """Whether a receipt is for this task, round and life; any other is nobody's here."""
        return (receipt.task, receipt.round, receipt.life) == (self.task, self.round, self.life)


def seats_of(spec: TaskSpec, trainers: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return whose each seat is: the listed aggregators, the owner, and `trainers`, all that ever joined in order."""
    listed = [party.address for party in spec.aggregators]
    return (*listed, *(bytes(20),) * (OWNER_SEAT - len(listed)), spec.owner, *trainers)


@dataclass(frozen=True)
class Refusal:
    """Why an entry was not admitted."""

    code: str  # name of the error class
    evidence: str  # value and limit; a function of public data alone, so that every auditor writes the same


@dataclass(frozen=True)
class Admission:
    """What admission found, one item per entry."""

    refusals: tuple[Refusal | None, ...]
    seeds: Mapping[int, bytes] = field(default_factory=dict, repr=False)  # layer P: blinding seeds by entry; secret


def is_reference(entry: Entry, spec: TaskSpec) -> bool:
    """Say whether an entry comes from the party that the task names for row 0."""
    return is_reference_party(entry.receipt.trainer, spec)


def is_reference_party(address: bytes, spec: TaskSpec) -> bool:
    """Say whether this is the address of the party that the task names for row 0."""
    return spec.worth.kind == "anchored" and any(spec.reference.address) and address == spec.reference.address


def check_receipt(entry: Entry, *, spec: TaskSpec, context: RoundContext, seen: frozenset[bytes]) -> None:
    """Hold one entry's receipt against task, round and roster. `seen`: trainers whose entry came before this one.

    Raises ReceiptReplayed, ReceiptForeign, ReceiptDuplicate, ReceiptParentMismatch, UpdateLengthMismatch,
    ReceiptSignatureInvalid, in this order.
    """
    receipt = entry.receipt
    who = f"0x{receipt.trainer.hex()}"
    if not context.is_of(receipt):
        raise ReceiptReplayed(
            f"receipt is for task {receipt.task} round {receipt.round} life {receipt.life}, "
            f"this is task {context.task} round {context.round} life {context.life}"
        )
    _check_membership(entry, spec, context, who)
    if receipt.trainer in seen and not is_reference(entry, spec):  # the first reference that nothing is wrong with
        raise ReceiptDuplicate(f"{who} has an entry in this round already; its first one counts")
    if receipt.parent != context.parent:
        raise ReceiptParentMismatch(
            f"receipt builds on model 0x{receipt.parent.hex()}, this round's parent is 0x{context.parent.hex()}"
        )
    expected = update_length(spec.model.size, spec.codec.bits)
    if receipt.length != expected:
        raise UpdateLengthMismatch(f"receipt declares {receipt.length} bytes, this task's updates have {expected}")
    check_signature(entry.signed, context.domain)


def _check_membership(entry: Entry, spec: TaskSpec, context: RoundContext, who: str) -> None:
    """What the chain says of a stake counts, not what a roster's author wrote beside it: a contract reads no other."""
    members = context.members
    stake = entry.stake if members is None else members.get(entry.receipt.trainer, 0)
    if stake <= 0 and not is_reference(entry, spec):
        raise ReceiptForeign(f"{who} has no stake in this task")


def check_update(data: bytes | memoryview, *, spec: TaskSpec) -> Integers:
    """Return the integers of an opened update, shape (d,). Raises UpdateLengthMismatch before anything is allocated."""
    return decode_update(data, model=spec.model, bits=spec.codec.bits)


class OpenedUpdates:
    """A round's opened updates: each is opened and checked once while there is room in `limit` bytes.

    Those that do not fit are opened again at every reading, so that memory does not grow with their number.
    """

    def __init__(self, updates: UpdateSource, spec: TaskSpec, *, limit: int = CACHE_BYTES) -> None:
        self._updates, self._spec, self._room = updates, spec, limit
        self._kept: dict[int, Integers] = {}

    def read(self, index: int) -> Integers:
        """Return entry i's integers, shape (d,). Raises as UpdateSource and check_update do, evidence for all alike."""
        if index in self._kept:
            return self._kept[index]
        integers = check_update(_open(self._updates, index), spec=self._spec)
        if integers.nbytes <= self._room:
            self._kept[index] = integers
            self._room -= integers.nbytes
        return integers


def public_refusals(entries: Sequence[Entry], *, spec: TaskSpec, context: RoundContext) -> list[Refusal | None]:
    """Return why each entry is refused, None where it is not: anybody finds the same, without a key.

    Raises DocumentInvalid for an entry that would count and that its trainer did not sign: no cell says so, and who
    seals its roster answers for it.
    """
    refusals: list[Refusal | None] = []
    seen: set[bytes] = set()
    for entry in entries:
        refusals.append(_receipt_refusal(entry, spec=spec, context=context, seen=frozenset(seen)))
        if context.is_of(entry.receipt):
            seen.add(entry.receipt.trainer)
    return refusals


def admit_entries(
    entries: Sequence[Entry],
    opened: OpenedUpdates,
    *,
    spec: TaskSpec,
    context: RoundContext,
    keys: KeySource | None = None,
) -> Admission:
    """Check every entry of a round and open all that is not refused; that stays in `opened`.

    `keys`: of the updates; needed in tasks with layer P. Raises UpdatesNotOpened, ConfigError without keys where they
    are needed, and what is no peer's fault (RetryError of the store, ...).
    """
    refusals = public_refusals(entries, spec=spec, context=context)
    layer = layer_of(spec, context.domain, task=context.task, round_number=context.round)
    if layer is not None and keys is None:
        raise ConfigError("a round with commitments is judged with the keys of its updates: give `keys`")
    closed: dict[int, FLError] = {}
    seeds: dict[int, bytes] = {}
    for index, entry in enumerate(entries):
        if refusals[index] is not None:
            continue
        try:
            opened.read(index)
            if layer is not None and keys is not None and not is_reference(entry, spec):  # row 0 is in no sum
                seeds[index] = layer.secrets(keys(index), entry.receipt.trainer).seed
        except _PEERS_FAULTS as error:
            closed[index] = error
    if closed:
        raise UpdatesNotOpened.because(closed)
    return Admission(tuple(refusals), seeds)


def _receipt_refusal(entry: Entry, *, spec: TaskSpec, context: RoundContext, seen: frozenset[bytes]) -> Refusal | None:
    if entry.receipt.struct_hash() in context.convicted:
        return Refusal(CONVICTED, "a bad key or a bad opening of it was shown on chain")
    if entry.receipt.struct_hash() in context.missing:
        return Refusal(MISSING, "enough of the task's witnesses say that it is not to be had")
    try:
        check_receipt(entry, spec=spec, context=context, seen=seen)
    except ReceiptSignatureInvalid as error:
        raise DocumentInvalid(f"round {context.round}: {error}") from error
    except RejectedInput as error:
        return _refusal(error)
    try:
        if not has_package(entry, context.domain, spec):  # keys that the trainer did not sign are none
            raise EnvelopeInvalid(f"0x{entry.receipt.trainer.hex()} never revealed a key to its update")
    except RejectedInput as error:
        return _refusal(error)
    return None


def _refusal(error: FLError) -> Refusal:
    return Refusal(type(error).__name__, str(error))


def _open(updates: UpdateSource, index: int) -> bytes | memoryview:
    """Open an update; what the store or envelope says may name paths or recipients, so evidence keeps the kind only."""
    try:
        return updates(index)
    except StoreMissing as error:
        raise StoreMissing("the committed update is not in the store") from error
    except CidMismatch as error:
        raise CidMismatch("the store holds other bytes than those committed") from error
    except RejectedInput as error:
        raise type(error)("the committed update does not open with the revealed key") from error
