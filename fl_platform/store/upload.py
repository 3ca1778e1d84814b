"""What a member signs to put an object into somebody's store (EIP-712), and how it stands in a request's header.

The signature covers the method, the server by the address that was dialled and by the number of its present run, the
object, the CAR's length, a deadline and a number that is used once: it is worth nothing at another server, after a
restart, for other bytes, later, or twice. One function builds the digest for both sides.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.receipt import recover
from fl_platform.store.cid import Cid

METHOD = "PUT"
INFO_PATH = "/fl-platform/store"  # where a server says its run's number
LIFETIME_S = 900  # of a signature, as clients make it: a large object on a slow line, and clocks that differ
MAX_LIFETIME_S = 3600  # a server refuses more: it remembers a nonce for as long

_DOMAIN_TYPE = b"EIP712Domain(string name,string version)"
_DOMAIN = keccak256(keccak256(_DOMAIN_TYPE) + keccak256(b"fl-platform store") + keccak256(b"1"))
_UPLOAD_TYPE = keccak256(
    b"Upload(string method,string server,bytes32 run,bytes cid,uint64 length,uint64 deadline,bytes32 nonce)"
)
_HEADER = re.compile(
    r"fl-upload server=(?P<server>[!-~]{1,300}) run=(?P<run>[0-9a-f]{64}) deadline=(?P<deadline>[0-9]{1,12}) "
    r"nonce=(?P<nonce>[0-9a-f]{64}) account=(?P<account>[0-9a-f]{40}) signature=(?P<signature>[0-9a-f]{130})"
)


class UploadSigner(Protocol):
    """A wallet, as far as a store sees it."""

    @property
    def address(self) -> bytes:
        """Whose signature it is, 20 bytes."""

    def sign_digest(self, digest: bytes) -> bytes:
        """Return r, s, v (65 bytes, low s)."""


Signing = Callable[[], UploadSigner]  # asked at the first upload: reading commands unlock no wallet


@dataclass(frozen=True)
class Upload:
    """One permission to store one object once."""

    server: str  # the server's address as the client dialled it, without a slash at the end
    run: bytes  # 32 bytes, drawn when the server started
    cid: Cid
    length: int  # bytes of the CAR
    deadline: int  # Unix time, seconds; valid before it
    nonce: bytes  # 32 random bytes

    def digest(self) -> bytes:
        """Return what is signed: keccak(0x1901, domain separator, struct hash)."""
        return keccak256(
            b"\x19\x01"
            + _DOMAIN
            + keccak256(
                _UPLOAD_TYPE
                + keccak256(METHOD.encode())
                + keccak256(self.server.encode())
                + self.run
                + keccak256(self.cid.to_bytes())
                + self.length.to_bytes(32, "big")
                + self.deadline.to_bytes(32, "big")
                + self.nonce
            )
        )

    def header(self, signer: UploadSigner) -> str:
        """Return the `Authorization` header, signed."""
        return (
            f"fl-upload server={self.server} run={self.run.hex()} deadline={self.deadline} nonce={self.nonce.hex()} "
            f"account={signer.address.hex()} signature={signer.sign_digest(self.digest()).hex()}"
        )


@dataclass(frozen=True)
class SignedUpload:
    """A header as it was read: unverified until `check`."""

    upload: Upload
    account: bytes  # 20 bytes, who claims to have signed
    signature: bytes  # 65 bytes

    @classmethod
    def parse(cls, header: str, *, cid: Cid, length: int) -> SignedUpload:
        """Read a request's header (untrusted); object and length are those of the request. Raises DocumentInvalid."""
        found = _HEADER.fullmatch(header)
        if found is None:
            raise DocumentInvalid("the request is not signed: an upload carries an `Authorization: fl-upload ...`")
        run, nonce = bytes.fromhex(found["run"]), bytes.fromhex(found["nonce"])
        upload = Upload(found["server"], run, cid, length, int(found["deadline"]), nonce)
        return cls(upload, bytes.fromhex(found["account"]), bytes.fromhex(found["signature"]))

    def is_genuine(self) -> bool:
        """Tell whether the account signed this. Raises ReceiptSignatureInvalid for what is no signature."""
        return recover(self.upload.digest(), self.signature) == self.account
