"""A wallet that is unlocked: it signs, and says who it is. Its key is in memory only and in no message, repr or log.

Tests: tests/adversarial/test_a39_keys.py
"""

from __future__ import annotations

from typing import Any

from fl_platform.chain.types import Call, address_of, hex_address
from fl_platform.errors import WalletError
from fl_platform.protocol.receipt import Domain, Receipt, SignedReceipt, sign_digest, sign_receipt


class Signer:
    """Signs transactions, receipts and digests with one secp256k1 key."""

    __slots__ = ("_key", "address")

    def __init__(self, private_key: bytes) -> None:
        """Take a 32-byte key. Raises WalletError when it is none (without showing it)."""
        try:
            self.address: bytes = address_of(private_key)  # 20 bytes
        except Exception:
            raise WalletError("the key of this wallet is no secp256k1 private key; restore it from a copy") from None
        self._key = private_key

    def __repr__(self) -> str:
        return f"Signer({hex_address(self.address)})"

    def __reduce__(self) -> str:
        raise TypeError("a signer is not pickled: its key stays in this process")

    def sign_transaction(self, call: Call, **fields: int) -> bytes:
        """Return the signed raw transaction. `fields`: nonce, gas, chainId and fees, as JSON-RPC names them."""
        from eth_account import Account

        body: dict[str, Any] = {"data": call.data, "value": call.value, **fields}
        if call.to is not None:
            body["to"] = call.to
        return bytes(Account.sign_transaction(body, self._key).raw_transaction)

    def sign_digest(self, digest: bytes) -> bytes:
        """Return r, s, v (65 bytes, low s) over a 32-byte digest."""
        return sign_digest(digest, self._key)

    def sign_receipt(self, receipt: Receipt, domain: Domain) -> SignedReceipt:
        """Sign a receipt; its trainer must be this wallet. Raises WalletError otherwise."""
        if receipt.trainer != self.address:
            raise WalletError(f"wallet {hex_address(self.address)} cannot sign for {hex_address(receipt.trainer)}")
        return sign_receipt(receipt, domain, self._key)

    def derive(self, purpose: bytes) -> bytes:
        """Return a 32-byte secret for one purpose (wrap key, rounding seed): HKDF-SHA256 of the key, never the key."""
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        return HKDF(SHA256(), 32, salt=b"fl-platform/wallet/1", info=purpose).derive(self._key)


def require_signer(signer: Signer | None) -> Signer:
    """Return a wallet that must be there. Raises WalletError."""
    if signer is None:
        raise WalletError("this command sends a transaction; name a wallet (`--wallet`)")
    return signer
