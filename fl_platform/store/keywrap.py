"""Wrapping an update's key to a BN254 public key, so that a wrong wrap can be proved.

With G the generator, k the recipient's secret and P = kG its public key, the sender draws e and publishes

    E = eG,  S = eP,  kek = HKDF-SHA256(salt = DOMAIN, secret = x(S) || y(S), info = context || E || P),  box = key XOR
    kek

The recipient finds S = kE. A recipient that was sent a bad box publishes S with a proof that log_G(P) = log_E(S) (DLEQ
over (G, P, E, S)); then anybody, a contract too, derives kek from public values, takes key' = box XOR kek, and sees
that keccak256(key') is not the hash the trainer signed. That is why the box is a plain XOR with a one-time 32-byte pad
and not AES-GCM: the signed key hash already authenticates the key (GCM does not even commit to its key), and
HKDF-SHA256 is a handful of hashes on chain. The pad is one-time because e binds key and context; S opens this one box
and nothing else.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fl_platform.errors import EnvelopeInvalid, PointInvalid, WalletError
from fl_platform.store.envelope import KEY_BYTES, check_key
from zk.curve import bn254
from zk.curve.bn254 import GENERATOR, ORDER, POINT_BYTES, Point
from zk.curve.scalar_mul import multiply

WRAPPED_BYTES = POINT_BYTES + KEY_BYTES
ADDRESS_BYTES = 20

_KEK_DOMAIN = b"fl-platform/key-wrap/v1"
_EPHEMERAL_DOMAIN = b"fl-platform/key-wrap-ephemeral/v1"
_SECRET_DOMAIN = b"fl-platform/reveal-key/v1"


@dataclass(frozen=True, slots=True)
class WrapContext:
    """What a wrapped key is bound to: it opens nothing for another chain, task, round, trainer or recipient."""

    chain_id: int
    contract: bytes  # 20 bytes, the RoundLedger
    task: int
    round: int
    trainer: bytes  # 20 bytes
    recipient: bytes  # 20 bytes, the aggregator or auditor

    def __post_init__(self) -> None:
        """Refuse values that do not fit their field: two contexts must never share an encoding."""
        if any(len(a) != ADDRESS_BYTES for a in (self.contract, self.trainer, self.recipient)):
            raise ValueError("contract, trainer and recipient are addresses of 20 bytes")
        if not (0 <= self.chain_id < 1 << 256 and 0 <= self.task < 1 << 256 and 0 <= self.round < 1 << 64):
            raise ValueError("chain id and task are uint256, round is uint64")

    def encode(self) -> bytes:
        """Return abi.encodePacked(uint256, address, uint256, uint64, address, address): fixed width, 132 bytes."""
        return (
            self.chain_id.to_bytes(32, "big")
            + self.contract
            + self.task.to_bytes(32, "big")
            + self.round.to_bytes(8, "big")
            + self.trainer
            + self.recipient
        )


@dataclass(frozen=True, slots=True)
class KeyBox:
    """An update's key as only its recipient can read it."""

    ephemeral: Point  # E
    box: bytes  # 32 bytes

    def to_bytes(self) -> bytes:
        """Return E and the box, 96 bytes."""
        return bn254.encode(self.ephemeral) + self.box

    @classmethod
    def from_bytes(cls, data: bytes) -> KeyBox:
        """Parse 96 bytes (untrusted). Raises EnvelopeInvalid."""
        if len(data) != WRAPPED_BYTES:
            raise EnvelopeInvalid(f"a wrapped key has {WRAPPED_BYTES} bytes, not {len(data)}")
        try:
            return cls(bn254.decode(data[:POINT_BYTES]), bytes(data[POINT_BYTES:]))
        except PointInvalid as error:
            raise EnvelopeInvalid(f"the wrapped key's ephemeral point is unusable: {error}") from error


@dataclass(frozen=True, slots=True)
class RevealKey:
    """A party's key pair for receiving update keys. The secret never leaves its owner; repr does not show it."""

    secret: int  # 1 <= secret < r
    public: Point

    def __repr__(self) -> str:
        """Show the public half only."""
        return f"RevealKey(public=0x{bn254.encode(self.public).hex()})"

    @classmethod
    def from_secret(cls, secret: int) -> RevealKey:
        """Compute the public half. Raises WalletError for a secret outside 1..r-1."""
        if not 1 <= secret < ORDER:
            raise WalletError("a reveal key's secret lies between 1 and the order of BN254: make a new key")
        return cls(secret, multiply(GENERATOR, secret))

    @classmethod
    def derive(cls, seed: bytes, *, label: bytes = b"") -> RevealKey:
        """Derive the pair from secret bytes (>= 32, e.g. a wallet's private key); `label` tells several pairs apart."""
        return cls.from_secret(_scalar(seed, salt=_SECRET_DOMAIN, info=label))


def derive_ephemeral(*, secret: bytes, context: WrapContext, key: bytes) -> int:
    """Derive the sender's one-time scalar e: reproducible, and another for another key or context."""
    return _scalar(secret, salt=_EPHEMERAL_DOMAIN, info=hashlib.sha256(context.encode() + key).digest())


def wrap_key(key: bytes, *, recipient: Point, context: WrapContext, ephemeral: int) -> KeyBox:
    """Wrap an update's key. `ephemeral` is e, never used for another key or context (see derive_ephemeral)."""
    if len(key) != KEY_BYTES or not 1 <= ephemeral < ORDER:
        raise ValueError(f"a key has {KEY_BYTES} bytes and e lies in 1..r-1")
    bn254.validate(recipient)
    point = multiply(GENERATOR, ephemeral)
    shared = multiply(recipient, ephemeral)
    kek = derive_kek(shared, ephemeral=point, recipient=recipient, context=context)
    return KeyBox(point, _xor(key, kek))


def unwrap_key(wrapped: KeyBox, *, recipient: RevealKey, context: WrapContext, expected_key_hash: bytes) -> bytes:
    """Unwrap a key (untrusted) and check it against the receipt's commitment. Raises EnvelopeInvalid."""
    shared = shared_point(wrapped, recipient)
    return open_box(
        wrapped, shared=shared, recipient=recipient.public, context=context, expected_key_hash=expected_key_hash
    )


def shared_point(wrapped: KeyBox, recipient: RevealKey) -> Point:
    """Return S = kE, what a recipient publishes (with a DLEQ proof) to show that its box is bad."""
    try:
        bn254.validate(wrapped.ephemeral)
    except PointInvalid as error:
        raise EnvelopeInvalid(f"the wrapped key's ephemeral point is unusable: {error}") from error
    return multiply(wrapped.ephemeral, recipient.secret)


def open_box(
    wrapped: KeyBox, *, shared: Point, recipient: Point, context: WrapContext, expected_key_hash: bytes
) -> bytes:
    """Open a box with S, as its recipient or as anybody to whom S was proved. Raises EnvelopeInvalid."""
    if len(wrapped.box) != KEY_BYTES:
        raise EnvelopeInvalid(f"a wrapped key's box has {KEY_BYTES} bytes, not {len(wrapped.box)}")
    kek = derive_kek(shared, ephemeral=wrapped.ephemeral, recipient=recipient, context=context)
    key = _xor(wrapped.box, kek)
    try:
        check_key(key, expected_key_hash)
    except EnvelopeInvalid:
        raise EnvelopeInvalid(
            f"the key that trainer 0x{context.trainer.hex()} wrapped for 0x{context.recipient.hex()} in task "
            f"{context.task}, round {context.round} is not the committed one: it was made for another key pair, "
            "round or update, or is bad"
        ) from None
    return key


def derive_kek(shared: Point, *, ephemeral: Point, recipient: Point, context: WrapContext) -> bytes:
    """Return the pad for one box (formula in the module's docstring)."""
    info = context.encode() + bn254.encode(ephemeral) + bn254.encode(recipient)
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=_KEK_DOMAIN, info=info).derive(bn254.encode(shared))


def _scalar(secret: bytes, *, salt: bytes, info: bytes) -> int:
    """Derive a scalar in 1..r-1 whose distance from uniform is below 2^-128 (48 bytes reduced modulo r - 1)."""
    if len(secret) < KEY_BYTES:
        raise ValueError(f"the secret has {len(secret)} bytes, at least {KEY_BYTES} are needed")
    wide = HKDF(algorithm=SHA256(), length=48, salt=salt, info=info).derive(secret)
    return int.from_bytes(wide, "big") % (ORDER - 1) + 1


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
