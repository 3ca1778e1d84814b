"""Sealing an update: AES-256 in counter mode, and a Merkle tree over the ciphertext so that one leaf can be opened in
a dispute.

An update is encrypted before it is hashed, so the store and everybody who reads it learn nothing but its length. There
is no authentication tag: integrity comes from the CID, and the signed receipt commits to CID, length, keccak256(key)
and the leaves' root.

Cipher: AES-256-CTR over the whole file, initial counter 0; the counter block is the 16-byte big-endian number of the
AES block in the file. Leaf i (1024 bytes, the last one shorter) starts at AES block 64 i, so it decrypts alone:
`openssl enc -d -aes-256-ctr -iv <64 i as 16 bytes>` does it. A key encrypts ONE plaintext: `derive_update_key` binds
it to the plaintext's hash, so a trainer that trains again after a crash never reuses a key stream.

Tree: leaf = sha256(0x00 || index u32 big endian || leaf bytes), node = sha256(0x01 || left || right), padded to a
power of two with leaves of 32 zero bytes. The number of leaves follows from the length, which the receipt signs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fl_platform.errors import EnvelopeInvalid
from fl_platform.protocol.keccak import keccak256

KEY_BYTES = 32
LEAF_BYTES = 1024
AES_BLOCK_BYTES = 16
MAX_LEAVES = 1 << 32  # the index is a u32

_ZERO = bytes(32)
_KEY_DOMAIN = b"fl-platform/update-key/v1"


@dataclass(frozen=True, slots=True)
class EncryptedUpdate:
    """An encrypted update and what its receipt commits to."""

    data: bytes  # ciphertext, as long as the plaintext
    leaves_root: bytes  # 32 bytes
    key_hash: bytes  # 32 bytes, keccak256(key)

    @property
    def length(self) -> int:
        """Return the number of bytes."""
        return len(self.data)


@dataclass(frozen=True, slots=True)
class LeafOpening:
    """One ciphertext leaf and its way to the root."""

    index: int  # 0 <= index < leaf_count(length)
    leaf: bytes  # ciphertext, LEAF_BYTES but for the last leaf
    path: tuple[bytes, ...]  # siblings, from the leaf up; 32 bytes each


def leaf_count(length: int) -> int:
    """Return the number of leaves of a sealed file. Raises EnvelopeInvalid for a length no envelope has."""
    count = -(-length // LEAF_BYTES)
    if not 1 <= count <= MAX_LEAVES:
        raise EnvelopeInvalid(f"a sealed update cannot have {length} bytes: between 1 and {MAX_LEAVES * LEAF_BYTES}")
    return count


def key_hash(key: bytes) -> bytes:
    """Return the commitment to a key that a receipt carries."""
    return keccak256(_checked_key(key))


def derive_update_key(*, secret: bytes, context: bytes, plain: bytes) -> bytes:
    """Derive the 32-byte key for one update from a trainer's long-lived secret (>= 32 bytes).

    HKDF-SHA256(secret, info = context || sha256(plain)): the same update in the same round gives the same envelope, so
    a rerun changes nothing; another update gives another key. `context` names chain, contract, task, round and
    trainer.
    """
    if len(secret) < KEY_BYTES:
        raise ValueError(f"the secret has {len(secret)} bytes, at least {KEY_BYTES} are needed")
    info = hashlib.sha256(context).digest() + hashlib.sha256(plain).digest()
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=_KEY_DOMAIN, info=info).derive(secret)


def encrypt(plain: bytes | memoryview, *, key: bytes) -> EncryptedUpdate:
    """Encrypt an update under a key that encrypts nothing else."""
    leaf_count(len(plain))
    data = _crypt(key, plain, first_block=0)
    return EncryptedUpdate(data=data, leaves_root=leaves_root(data), key_hash=key_hash(key))


def decrypt(data: bytes | memoryview, *, key: bytes, expected_key_hash: bytes) -> bytes:
    """Decrypt an update (bytes already verified against its CID).

    Raises EnvelopeInvalid when the key is not the committed one.
    """
    check_key(key, expected_key_hash)
    leaf_count(len(data))
    return _crypt(key, data, first_block=0)


def check_key(key: bytes, expected_key_hash: bytes) -> None:
    """Raise EnvelopeInvalid unless keccak256(key) is what the receipt committed to."""
    if keccak256(_checked_key(key)) != expected_key_hash:
        raise EnvelopeInvalid(
            f"the key does not open this update: keccak256(key) is not the committed 0x{expected_key_hash.hex()}. "
            "Ask the trainer for the right key, or treat the update as withheld"
        )


def check_leaves_root(data: bytes | memoryview, expected_root: bytes) -> None:
    """Raise EnvelopeInvalid unless the ciphertext's tree has the root that the receipt committed to."""
    root = leaves_root(data)
    if root != expected_root:
        raise EnvelopeInvalid(
            f"the sealed update's leaves have root 0x{root.hex()}, its receipt says 0x{expected_root.hex()}: refuse it"
        )


def leaves_root(data: bytes | memoryview) -> bytes:
    """Return the Merkle root over a sealed file's leaves."""
    return _levels(_leaf_hashes(data))[-1][0]


def open_leaf(data: bytes | memoryview, index: int) -> LeafOpening:
    """Return one leaf with its proof."""
    count = leaf_count(len(data))
    if not 0 <= index < count:
        raise EnvelopeInvalid(f"leaf {index} of an update with {count} leaves does not exist")
    path = []
    position = index
    for level in _levels(_leaf_hashes(data))[:-1]:
        path.append(level[position ^ 1] if position ^ 1 < len(level) else _ZERO)
        position >>= 1
    leaf = bytes(memoryview(data)[index * LEAF_BYTES : (index + 1) * LEAF_BYTES])
    return LeafOpening(index=index, leaf=leaf, path=tuple(path))


def verify_leaf(opening: LeafOpening, *, leaves_root: bytes, length: int) -> None:
    """Check an opening (untrusted) against a receipt's root and length. Raises EnvelopeInvalid."""
    count = leaf_count(length)
    if not 0 <= opening.index < count:
        raise EnvelopeInvalid(f"leaf {opening.index} of an update with {count} leaves does not exist")
    size = min(LEAF_BYTES, length - opening.index * LEAF_BYTES)
    if len(opening.leaf) != size:
        raise EnvelopeInvalid(f"leaf {opening.index} has {len(opening.leaf)} bytes, not {size}")
    depth = (count - 1).bit_length()
    if len(opening.path) != depth or any(len(sibling) != 32 for sibling in opening.path):
        raise EnvelopeInvalid(f"the path of a leaf in this update has {depth} siblings of 32 bytes")
    node = hashlib.sha256(b"\x00" + opening.index.to_bytes(4, "big") + opening.leaf).digest()
    position = opening.index
    for sibling in opening.path:
        left, right = (sibling, node) if position & 1 else (node, sibling)
        node = hashlib.sha256(b"\x01" + left + right).digest()
        position >>= 1
    if node != leaves_root:
        raise EnvelopeInvalid(f"leaf {opening.index} does not lead to the committed root 0x{leaves_root.hex()}")


def decrypt_leaf(key: bytes, opening: LeafOpening) -> bytes:
    """Decrypt one leaf alone."""
    return _crypt(key, opening.leaf, first_block=opening.index * (LEAF_BYTES // AES_BLOCK_BYTES))


def _checked_key(key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise EnvelopeInvalid(f"a key has {KEY_BYTES} bytes, not {len(key)}")
    return key


def _crypt(key: bytes, data: bytes | memoryview, *, first_block: int) -> bytes:
    counter = first_block.to_bytes(AES_BLOCK_BYTES, "big")
    encryptor = Cipher(algorithms.AES256(_checked_key(key)), modes.CTR(counter)).encryptor()
    return encryptor.update(data) + encryptor.finalize()


def _leaf_hashes(data: bytes | memoryview) -> list[bytes]:
    leaf_count(len(data))
    sha256 = hashlib.sha256
    raw = bytes(data)  # slices of bytes are cheaper than memoryviews joined with a prefix
    return [
        sha256(b"\x00" + index.to_bytes(4, "big") + raw[start : start + LEAF_BYTES]).digest()
        for index, start in enumerate(range(0, len(raw), LEAF_BYTES))
    ]


def _levels(hashes: list[bytes]) -> list[list[bytes]]:
    """Return the tree's levels, leaves first; padding is never materialised beyond one sibling a level."""
    sha256 = hashlib.sha256
    levels = [hashes]
    padding = _ZERO
    for _ in range((len(hashes) - 1).bit_length()):
        level = levels[-1]
        if len(level) % 2:
            level.append(padding)
        pairs = zip(level[::2], level[1::2], strict=True)
        levels.append([sha256(b"\x01" + left + right).digest() for left, right in pairs])
        padding = sha256(b"\x01" + padding + padding).digest()
    return levels
