"""Content identifiers: CIDv1, sha2-256, raw or dag-pb, multibase base32. Nothing else is accepted.

A CID that a peer sends becomes a file name and a URL segment further on, so the grammar is closed: one version, one
hash, two codecs, one spelling each. A path behind a CID ("bafk.../x"), upper case, another base or a CIDv0 is refused,
never repaired. Formula: https://github.com/multiformats/cid (version, codec, multihash), multibase prefix "b" = RFC
4648 base32, lower case, no padding.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass

from fl_platform.errors import CidInvalid

RAW = 0x55  # multicodec `raw`: the block is the file's bytes
DAG_PB = 0x70  # multicodec `dag-pb`: an inner node of a UnixFS file
CODECS = (RAW, DAG_PB)

DIGEST_BYTES = 32
CID_BYTES = 36  # version, codec, hash code, hash length: one byte each; then the digest
TEXT_LENGTH = 59  # "b" and ceil(36 * 8 / 5) characters

_SHA2_256_PREFIX = b"\x12\x20"
_GRAMMAR = re.compile(r"b[a-z2-7]{58}\Z")


@dataclass(frozen=True, slots=True, order=True)
class Cid:
    """The name of a block: how it is encoded and its SHA-256."""

    codec: int  # RAW or DAG_PB
    digest: bytes  # 32 bytes, sha256 of the block

    def __post_init__(self) -> None:
        """Refuse a value that has no encoding."""
        if self.codec not in CODECS:
            raise CidInvalid(f"CID codec {self.codec:#x} is not supported: use raw (0x55) or dag-pb (0x70)")
        if len(self.digest) != DIGEST_BYTES:
            raise CidInvalid(f"CID digest has {len(self.digest)} bytes, not {DIGEST_BYTES}: only sha2-256 is supported")

    @classmethod
    def of_block(cls, block: bytes | memoryview, codec: int = RAW) -> Cid:
        """Hash a block."""
        return cls(codec, hashlib.sha256(block).digest())

    @classmethod
    def from_bytes(cls, data: bytes) -> Cid:
        """Parse the 36-byte binary form (untrusted). Raises CidInvalid."""
        if len(data) != CID_BYTES:
            raise CidInvalid(
                f"binary CID has {len(data)} bytes, not {CID_BYTES}: only CIDv1 with sha2-256 is supported"
            )
        if data[0] != 1 or data[2:4] != _SHA2_256_PREFIX:
            raise CidInvalid(f"binary CID starts with {data[:4].hex()}: only CIDv1 with sha2-256 is supported")
        return cls(data[1], bytes(data[4:]))

    @classmethod
    def parse(cls, text: str) -> Cid:
        """Parse the one accepted text form (untrusted). Raises CidInvalid."""
        if not isinstance(text, str) or _GRAMMAR.match(text) is None:
            raise CidInvalid(
                f"{text[:80]!r} is not a CID this store accepts: give CIDv1 in lower-case base32 (b...), "
                f"{TEXT_LENGTH} characters, without a path"
            )
        data = base64.b32decode(text[1:].upper() + "======")
        cid = cls.from_bytes(data)
        # The last character carries spare bits: without this, one CID would have several spellings.
        if str(cid) != text:
            raise CidInvalid(f"{text!r} is not the canonical spelling of its CID, {cid}")
        return cid

    def to_bytes(self) -> bytes:
        """Return the 36-byte binary form."""
        return bytes((1, self.codec)) + _SHA2_256_PREFIX + self.digest

    def __str__(self) -> str:
        """Return the text form, 59 characters."""
        return "b" + base64.b32encode(self.to_bytes()).decode("ascii").lower().rstrip("=")
