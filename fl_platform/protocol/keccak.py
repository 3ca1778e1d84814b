"""Keccak-256 as the EVM knows it, in one place.

Tests: tests/unit/chain/test_abi.py
"""

from __future__ import annotations

from eth_hash.auto import keccak as _keccak


def keccak256(data: bytes) -> bytes:
    """Return the 32-byte Keccak-256 digest of `data`."""
    return bytes(_keccak(data))
