"""The trainer's signed receipt (step 5): EIP-712 over everything that gives it meaning.

One function builds the digest for signer, verifier and contract (`contracts/libraries/Receipts.sol` is its twin):
domain (name, version, chain id, RoundLedger address), task, round, life, base round, trainer, parent model, update,
key, leaves, content, commitment, samples, salt, extras. Identity never depends on signature bytes; high-s and v outside
27/28 are refused.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from eth_keys.constants import SECPK1_N
from eth_keys.datatypes import PrivateKey, Signature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

from fl_platform.errors import DocumentInvalid, ReceiptSignatureInvalid
from fl_platform.protocol.canonical import hex_of
from fl_platform.protocol.keccak import keccak256

RECEIPT_TYPE = (
    b"Receipt(uint256 task,uint64 round,uint64 life,uint64 baseRound,address trainer,bytes32 parent,bytes32 update,"
    b"uint64 length,"
    b"bytes32 keyHash,bytes32 leavesRoot,bytes32 contentRoot,bytes32 commitment,uint64 samples,bytes32 salt,"
    b"bytes32 extras)"
)
# The fields as a contract takes them.
RECEIPT_ABI = "({})".format(
    ",".join(field.split()[0] for field in RECEIPT_TYPE.decode().partition("(")[2].rstrip(")").split(","))
)
NOTHING = bytes(32)
DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
DOMAIN_NAME = b"fl-platform"
DOMAIN_VERSION = b"1"
# Unsigned integers and their bytes.
_WORDS = (("task", 32), ("round", 8), ("life", 8), ("base_round", 8), ("length", 8), ("samples", 8))
_FIXED = tuple(
    (name, 20 if name == "trainer" else 32)
    for name in (
        "trainer", "parent", "update", "key_hash", "leaves_root", "content_root", "commitment", "salt", "extras",
    )
)


@dataclass(frozen=True)
class Domain:
    """Where a signature is valid."""

    chain_id: int
    ledger: bytes  # 20-byte address of RoundLedger

    def separator(self) -> bytes:
        """Return the EIP-712 domain separator (32 bytes)."""
        parts = (keccak256(DOMAIN_TYPE), keccak256(DOMAIN_NAME), keccak256(DOMAIN_VERSION))
        return keccak256(b"".join(parts) + _word(self.chain_id, 32) + bytes(12) + self.ledger)


NOWHERE = Domain(chain_id=0, ledger=bytes(20))  # of what is signed for no chain: rehearsals


@dataclass(frozen=True)
class Receipt:
    """What a trainer commits to in one round."""

    task: int  # uint256
    round: int  # uint64
    life: int  # uint64; of the task when the round opened (ledger.history.Head)
    base_round: int  # uint64; whose opening model the update starts from: `round`, as long as rounds are synchronous
    trainer: bytes  # 20-byte address
    parent: bytes  # content root of the parent model
    update: bytes  # sha256 multihash digest inside the CID of the sealed update
    length: int  # bytes of the sealed update, uint64
    key_hash: bytes  # keccak256 of the update's 32-byte key
    leaves_root: bytes  # Merkle root over the ciphertext leaves
    content_root: bytes  # Merkle root over the integers under it, blinded (updates/content.py)
    commitment: bytes  # keccak256(Pedersen root, salt); zero when the task has no layer P
    samples: int  # rows trained on, uint64; informative only, never a weight
    salt: bytes  # 32 random bytes
    extras: bytes = NOTHING  # hash of a map for what later releases say; zero: nothing

    def __post_init__(self) -> None:
        """Refuse values that do not fit their field with ValueError: what a peer sends fails where it is read."""
        for name, width in _WORDS:
            _word(getattr(self, name), width)
        for name, width in _FIXED:
            _fixed(getattr(self, name), width)

    def struct_hash(self) -> bytes:
        """Return the EIP-712 struct hash (32 bytes), which is also the roster leaf's data."""
        return keccak256(
            keccak256(RECEIPT_TYPE)
            + _word(self.task, 32)
            + _word(self.round, 8)
            + _word(self.life, 8)
            + _word(self.base_round, 8)
            + bytes(12)
            + _fixed(self.trainer, 20)
            + _fixed(self.parent, 32)
            + _fixed(self.update, 32)
            + _word(self.length, 8)
            + _fixed(self.key_hash, 32)
            + _fixed(self.leaves_root, 32)
            + _fixed(self.content_root, 32)
            + _fixed(self.commitment, 32)
            + _word(self.samples, 8)
            + _fixed(self.salt, 32)
            + _fixed(self.extras, 32)
        )

    def digest(self, domain: Domain) -> bytes:
        """Return what is signed: keccak(0x1901, domain separator, struct hash)."""
        return keccak256(b"\x19\x01" + domain.separator() + self.struct_hash())

    def to_json(self) -> dict[str, int | str]:
        """Return the receipt for a canonical document."""
        values = ((f.name, getattr(self, f.name)) for f in fields(self))
        return {name: value if isinstance(value, int) else "0x" + value.hex() for name, value in values}

    @classmethod
    def from_json(cls, value: object) -> Receipt:
        """Read a receipt from a parsed canonical document (unverified). Raises DocumentInvalid."""
        names = [f.name for f in fields(cls)]
        if not isinstance(value, dict) or sorted(value) != sorted(names):
            raise DocumentInvalid(f"receipt: expected exactly the fields {names}")
        try:
            receipt = cls(
                **{f.name: int_of(value[f.name]) for f in fields(cls) if f.type == "int"},  # type: ignore[arg-type]
                **{f.name: hex_of(value[f.name]) for f in fields(cls) if f.type == "bytes"},  # type: ignore[arg-type]
            )
            receipt.struct_hash()
        except (ValueError, TypeError) as error:
            raise DocumentInvalid(f"receipt: {error}") from error
        return receipt


@dataclass(frozen=True)
class SignedReceipt:
    """A receipt with its 65-byte signature r, s, v (v is 27 or 28)."""

    receipt: Receipt
    signature: bytes


def sign_digest(digest: bytes, private_key: bytes) -> bytes:
    """Sign a 32-byte digest; return r, s, v as 65 bytes with low s and v in {27, 28} (deterministic, RFC 6979)."""
    signature = PrivateKey(private_key).sign_msg_hash(digest)
    return signature.to_bytes()[:64] + bytes([27 + signature.v])


def recover(digest: bytes, signature: bytes) -> bytes:
    """Return the 20-byte address that signed `digest`. Raises ReceiptSignatureInvalid where OZ's ECDSA reverts."""
    if len(signature) != 65 or signature[64] not in (27, 28):
        raise ReceiptSignatureInvalid(
            f"signature has {len(signature)} bytes and v {signature[-1:].hex()}; need 65 and v 1b or 1c"
        )
    if int.from_bytes(signature[32:64], "big") > SECPK1_N // 2:
        raise ReceiptSignatureInvalid("signature has a high s (malleable); sign again with low s")
    try:
        inner = Signature(signature[:64] + bytes([signature[64] - 27]))
        return inner.recover_public_key_from_msg_hash(digest).to_canonical_address()
    except (BadSignature, ValidationError) as error:
        raise ReceiptSignatureInvalid(f"signature does not recover: {error}") from error


def sign_receipt(receipt: Receipt, domain: Domain, private_key: bytes) -> SignedReceipt:
    """Sign `receipt` for `domain`."""
    return SignedReceipt(receipt, sign_digest(receipt.digest(domain), private_key))


def check_signature(signed: SignedReceipt, domain: Domain) -> None:
    """Demand that the receipt's own trainer signed it for `domain`. Raises ReceiptSignatureInvalid."""
    signer = recover(signed.receipt.digest(domain), signed.signature)
    if signer != signed.receipt.trainer:
        raise ReceiptSignatureInvalid(f"receipt of 0x{signed.receipt.trainer.hex()} is signed by 0x{signer.hex()}")


def is_signed(signed: SignedReceipt, domain: Domain) -> bool:
    """Say whether the receipt's own trainer signed it for `domain`."""
    try:
        check_signature(signed, domain)
    except ReceiptSignatureInvalid:
        return False
    return True


def int_of(value: object) -> int:
    """Return a non-negative integer that is not a bool. Raises ValueError otherwise."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"expected a non-negative integer, got {value!r}")
    return value


def _word(value: int, width: int) -> bytes:
    if not 0 <= value < 1 << (8 * width):
        raise ValueError(f"{value} does not fit into {width} bytes")
    return value.to_bytes(32, "big")


def _fixed(value: bytes, width: int) -> bytes:
    if len(value) != width:
        raise ValueError(f"0x{value.hex()} has {len(value)} bytes, expected {width}")
    return value
