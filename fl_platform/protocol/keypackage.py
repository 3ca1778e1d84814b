"""A trainer's signature over the keys that it wrapped: without it a bad box would prove nothing against anybody.

EIP-712 in the ledger's domain: KeyPackage(receipt, boxes), where `receipt` is the receipt's struct hash and `boxes` is
keccak256 over all boxes in order, six words each: recipient (left-padded), x and y of the recipient's public wrap key
(the specification has it; zeros for who is no party), x and y of the ephemeral point, ciphertext. So a bad box is shown
without the specification. Twin of `contracts/libraries/KeyWraps.sol`. An aggregator can leave a package out, but
not garble one box of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from fl_platform.errors import ReceiptSignatureInvalid
from fl_platform.protocol.bundle import Entry, WrappedKey
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.receipt import Domain, Receipt, recover
from fl_platform.protocol.spec import Party, TaskSpec

PACKAGE_TYPE = b"KeyPackage(bytes32 receipt,bytes32 boxes)"
KEYED_AGGREGATORS = 2  # receipts wrap their key for the first two in the task's list
MAX_BOXES = 72  # all parties that a task can have


def recipients(spec: TaskSpec) -> tuple[Party, ...]:
    """Return who gets a working key to every update, in the order of boxes: the first two aggregators, all auditors."""
    return (*spec.aggregators[:KEYED_AGGREGATORS], *spec.auditors)


def wrap_keys(spec: TaskSpec) -> dict[bytes, bytes]:
    """Return the public wrap key (64 bytes) of each party that may read updates, by its address."""
    return {party.address: party.wrap_key for party in (*spec.aggregators, *spec.auditors)}


def boxes_hash(keys: Sequence[WrappedKey], spec: TaskSpec) -> bytes:
    """Return the hash over all boxes in order. Raises ReceiptSignatureInvalid for one that no trainer can sign."""
    public = wrap_keys(spec)
    parts = []
    for key in keys:
        sizes = len(key.recipient), len(key.ephemeral), len(key.ciphertext)
        if sizes != (20, 64, 32):
            raise ReceiptSignatureInvalid(f"a wrapped key has 20, 64 and 32 bytes, not {sizes}: nobody can sign it")
        parts.append(bytes(12) + key.recipient + public.get(key.recipient, bytes(64)) + key.ephemeral + key.ciphertext)
    return keccak256(b"".join(parts))


def package_digest(receipt: Receipt, keys: Sequence[WrappedKey], domain: Domain, spec: TaskSpec) -> bytes:
    """Return what the trainer signs (32 bytes)."""
    body = keccak256(keccak256(PACKAGE_TYPE) + receipt.struct_hash() + boxes_hash(keys, spec))
    return keccak256(b"\x19\x01" + domain.separator() + body)


def check_package(
    receipt: Receipt, keys: Sequence[WrappedKey], signature: bytes, domain: Domain, spec: TaskSpec
) -> None:
    """Demand that the receipt's trainer signed these boxes for it (all unverified), one for each recipient, in order.

    Raises ReceiptSignatureInvalid.
    """
    if len(keys) > MAX_BOXES:
        raise ReceiptSignatureInvalid(f"a key package has {len(keys)} boxes, at most {MAX_BOXES} are read")
    if [key.recipient for key in keys] != [party.address for party in recipients(spec)]:
        raise ReceiptSignatureInvalid(
            f"the keys of 0x{receipt.trainer.hex()} are not one for each of the task's {len(recipients(spec))} "
            "recipients, in order: they count as not revealed"
        )
    signer = recover(package_digest(receipt, keys, domain, spec), signature)
    if signer != receipt.trainer:
        raise ReceiptSignatureInvalid(
            f"the keys of 0x{receipt.trainer.hex()} are signed by 0x{signer.hex()}: they count as not revealed"
        )


def has_package(entry: Entry, domain: Domain, spec: TaskSpec) -> bool:
    """Say whether an entry reveals keys that its trainer signed; keys without are no reveal."""
    if not entry.keys:
        return False
    try:
        check_package(entry.receipt, entry.keys, entry.keys_signature, domain, spec)
    except ReceiptSignatureInvalid:
        return False
    return True
