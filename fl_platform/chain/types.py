"""Values that cross the border between a chain and the rest of the platform. Addresses are 20 bytes, amounts wei.

Tests: tests/unit/ledger/test_history.py
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from fl_platform.errors import ChainError

ZERO_ADDRESS = bytes(20)


class Phase(IntEnum):
    """Where the head of a task stands (IRoundLedger.Phase)."""

    NONE = 0
    OPEN = 1
    ROSTERED = 2
    DONE = 3
    REFUNDED = 4
    COMPENSATED = 5


class RoundState(IntEnum):
    """The state of one round (IRoundLedger.RoundState)."""

    NONE = 0
    OPEN = 1
    ROSTERED = 2
    SEALED = 3
    CHALLENGED = 4
    FINAL = 5
    VOID = 6
    COMPENSATED = 7
    REFUNDED = 8


class Admission(IntEnum):
    """Who may join a task (ITaskRegistry.Admission)."""

    OPEN = 0
    ALLOW_LIST = 1
    CONSENT = 2


@dataclass(frozen=True)
class BlockRef:
    """One block, as far as anybody here cares."""

    number: int
    hash: bytes  # 32 bytes
    parent: bytes  # 32 bytes
    timestamp: int  # seconds


@dataclass(frozen=True)
class Log:
    """One event as the chain keeps it, undecoded."""

    address: bytes  # 20 bytes, the contract that emitted it
    topics: tuple[bytes, ...]  # 32 bytes each
    data: bytes
    block: int
    block_hash: bytes  # 32 bytes
    transaction: bytes  # 32 bytes
    index: int  # position in the block


@dataclass(frozen=True)
class TxReceipt:
    """What became of a mined transaction."""

    transaction: bytes  # 32 bytes
    block: int
    block_hash: bytes  # 32 bytes
    ok: bool  # false: it reverted
    gas_used: int
    gas_price: int  # wei per gas, effective
    contract: bytes | None  # address created, 20 bytes
    logs: tuple[Log, ...]


@dataclass(frozen=True)
class Call:
    """One message to the chain: a read, an estimate, or what a transaction would do."""

    to: bytes | None  # None creates a contract
    data: bytes
    sender: bytes = ZERO_ADDRESS
    value: int = 0  # wei


@dataclass(frozen=True)
class FeeQuote:
    """What to offer per gas, wei. `priority` is None on chains without EIP-1559: then `ceiling` is the gas price."""

    ceiling: int
    priority: int | None


@dataclass(frozen=True)
class LogFilter:
    """Which logs to return; both ends are included. Empty `addresses` or `topics` match all."""

    first: int
    last: int
    addresses: tuple[bytes, ...] = ()
    topics: tuple[bytes, ...] = ()  # alternatives for topic 0


@dataclass(frozen=True)
class Deployed:
    """A contract that is on a chain."""

    name: str
    address: bytes  # 20 bytes
    transaction: bytes = field(default=bytes(32))  # 32 bytes, the creation
    block: int = 0


class CallReverted(Exception):
    """A back end's raw report that a call reverted; `client` turns it into `TransactionReverted`, decoded."""

    def __init__(self, data: bytes, message: str = "") -> None:
        super().__init__(message or "execution reverted")
        self.data = data  # revert data; empty when the node does not give it
        self.message = message


class Underpriced(ChainError):
    """A node wants more per gas than the transaction offers; `sender` raises the offer."""


def address_of(private_key: bytes) -> bytes:
    """Return the 20-byte address of a secp256k1 private key (32 bytes)."""
    from eth_keys.datatypes import PrivateKey

    return PrivateKey(private_key).public_key.to_canonical_address()


def hex_address(address: bytes) -> str:
    """Return the lower-case 0x form used in files and logs."""
    return "0x" + address.hex()
