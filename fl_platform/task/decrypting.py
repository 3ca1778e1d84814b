"""Opening committed updates (step 6) with one party's reveal key: aggregator, successor and auditors do it alike.

Tests: tests/adversarial/test_a24_other_content_than_committed.py
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Self

from fl_platform.errors import ConfigError, EnvelopeInvalid, UpdateHashMismatch
from fl_platform.judging.admit import UpdateSource
from fl_platform.judging.commitments import KeySource
from fl_platform.ledger.records import ContentLeafRecord
from fl_platform.protocol.bundle import Entry, WrappedKey
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.keypackage import KEYED_AGGREGATORS, recipients
from fl_platform.protocol.receipt import Domain, Receipt
from fl_platform.protocol.spec import Party, TaskSpec
from fl_platform.store.cid import Cid
from fl_platform.store.envelope import check_leaves_root, decrypt
from fl_platform.store.interface import Store
from fl_platform.store.keywrap import KeyBox, RevealKey, WrapContext, derive_ephemeral, unwrap_key, wrap_key
from fl_platform.store.unixfs import root_codec
from fl_platform.task.holders import held_by
from fl_platform.updates.content import ContentLeaf, file_root
from zk.commitment import dleq
from zk.commitment.dleq import DleqProof
from zk.curve import bn254
from zk.curve.bn254 import Point


def require_recipient(spec: TaskSpec, aggregator: bytes) -> None:
    """Raise ConfigError unless updates are encrypted for this aggregator: without keys it can only lose its bond."""
    if aggregator not in {party.address for party in recipients(spec)}:
        raise ConfigError(
            f"0x{aggregator.hex()} gets no key to the updates of this task: receipts wrap theirs for the first "
            f"{KEYED_AGGREGATORS} aggregators and the auditors; do not bond"
        )


def wrap_context(receipt: Receipt, domain: Domain, recipient: bytes) -> WrapContext:
    """Return what a wrapped key is bound to."""
    return WrapContext(
        chain_id=domain.chain_id,
        contract=domain.ledger,
        task=receipt.task,
        round=receipt.round,
        trainer=receipt.trainer,
        recipient=recipient,
    )


def wrap_for_all(
    key: bytes, *, secret: bytes, receipt: Receipt, domain: Domain, spec: TaskSpec
) -> tuple[WrappedKey, ...]:
    """Wrap an update's key for every recipient of the task."""
    return tuple(wrap_for(party, key, secret=secret, receipt=receipt, domain=domain) for party in recipients(spec))


def wrap_for(party: Party, key: bytes, *, secret: bytes, receipt: Receipt, domain: Domain) -> WrappedKey:
    """Wrap an update's key for one party. Raises PointInvalid where its wrap key is no point."""
    context = wrap_context(receipt, domain, party.address)
    ephemeral = derive_ephemeral(secret=secret, context=context, key=key)
    box = wrap_key(key, recipient=bn254.decode(party.wrap_key), context=context, ephemeral=ephemeral)
    return WrappedKey(party.address, bn254.encode(box.ephemeral), box.box)


def check_content(plain: bytes, receipt: Receipt, *, spec: TaskSpec, key: bytes) -> None:
    """Demand that the integers in an opened update are those that the receipt binds. Raises UpdateHashMismatch."""
    if file_root(plain, table=spec.model.leaves, bits=spec.codec.bits, key=key) != receipt.content_root:
        raise UpdateHashMismatch(
            f"the integers of 0x{receipt.trainer.hex()} are not those that its receipt binds by content root "
            f"0x{receipt.content_root.hex()}: refuse it"
        )


def sealed_update(store: Store, receipt: Receipt) -> bytes:
    """Return the ciphertext of a receipt's update: as long as that says, with its leaves.

    Raises StoreMissing, CidMismatch, ObjectTooLarge, EnvelopeInvalid, RetryError.
    """
    with held_by("the trainer", receipt.trainer, what=f"the update of round {receipt.round}"):
        data = store.get(Cid(root_codec(receipt.length), receipt.update), max_bytes=receipt.length)
    if len(data) != receipt.length:
        raise EnvelopeInvalid(f"the sealed update has {len(data)} bytes, its receipt says {receipt.length}: refuse it")
    check_leaves_root(data, receipt.leaves_root)
    return data


class UpdateOpener:
    """Opens updates from a store with one recipient's key."""

    def __init__(self, store: Store, *, domain: Domain, spec: TaskSpec, recipient: bytes, key: RevealKey) -> None:
        """`spec`: the task's rules; `key`: the recipient's, whose address (20 bytes) `recipient` is."""
        self._store, self.domain, self._spec, self._recipient, self._key = store, domain, spec, recipient, key
        self._kept: dict[bytes, bytes] = {}  # plaintexts by struct hash
        self._room = 0  # bytes that may still be kept

    def reading(self, through: Callable[[Store], Store]) -> Self:
        """Return this opener with its store read through another."""
        other = copy(self)
        other._store = through(self._store)
        return other

    def keeping(self, limit: int) -> Self:
        """Return this opener with a memory: what it opened it has at hand, up to `limit` bytes."""
        other = copy(self)
        other._kept, other._room = {}, limit
        return other

    def source(self, entries: Sequence[Entry]) -> UpdateSource:
        """Return the function that judge_round calls to read entry i's plaintext."""
        return lambda index: self.open(entries[index])

    def keys(self, entries: Sequence[Entry]) -> KeySource:
        """Return the function that judge_round calls for the key of entry i's update."""
        return lambda index: self.unwrap(entries[index].receipt, entries[index].keys)

    def unwrap(self, receipt: Receipt, keys: Sequence[WrappedKey]) -> bytes:
        """Return the update's key that was wrapped for this recipient. Raises EnvelopeInvalid."""
        wrapped = next((key for key in keys if key.recipient == self._recipient), None)
        if wrapped is None:
            raise EnvelopeInvalid(f"0x{receipt.trainer.hex()} wrapped no key for 0x{self._recipient.hex()}")
        return unwrap_key(
            KeyBox.from_bytes(wrapped.ephemeral + wrapped.ciphertext),
            recipient=self._key,
            context=wrap_context(receipt, self.domain, self._recipient),
            expected_key_hash=receipt.key_hash,
        )

    @property
    def recipient(self) -> bytes:
        """Whose boxes this opens, 20 bytes."""
        return self._recipient

    def sealed(self, receipt: Receipt) -> bytes:
        """Return the ciphertext of a receipt's update. Raises as `sealed_update` does."""
        return sealed_update(self._store, receipt)

    def show(self, receipt: Receipt, key: WrappedKey) -> tuple[Point, DleqProof]:
        """Return S of this recipient's box, with the proof that it is; it opens this one box and nothing else.

        Raises EnvelopeInvalid for a box on no point of the curve: it is bad without a proof.
        """
        box = KeyBox.from_bytes(key.ephemeral + key.ciphertext)
        context = wrap_context(receipt, self.domain, self._recipient).encode()
        return dleq.prove(self._key.secret, base=box.ephemeral, context=keccak256(context))

    def opens(self, receipt: Receipt, keys: Sequence[WrappedKey]) -> bool:
        """Say whether this recipient finds the committed key in the boxes."""
        try:
            self.unwrap(receipt, keys)
        except EnvelopeInvalid:
            return False
        return True

    def open(self, entry: Entry) -> bytes:
        """Return the plaintext of an entry's update.

        Everything in the entry is unverified but its signature. Raises EnvelopeInvalid, StoreMissing, CidMismatch,
        RejectedInput (too large), UpdateHashMismatch, StoreUnavailable.
        """
        receipt = entry.receipt
        if (name := receipt.struct_hash()) in self._kept:
            return self._kept[name]
        key = self.unwrap(receipt, entry.keys)
        plain = decrypt(self.sealed(receipt), key=key, expected_key_hash=receipt.key_hash)
        check_content(plain, receipt, spec=self._spec, key=key)
        if len(plain) <= self._room:
            self._kept[name] = plain
            self._room -= len(plain)
        return plain


def record_of(leaf: ContentLeaf) -> ContentLeafRecord:
    """Return an opened leaf as calls carry it."""
    return ContentLeafRecord(leaf.blind, leaf.body, leaf.path)
