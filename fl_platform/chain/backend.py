"""The narrow interface that every chain back end fills in; `client.Chain` builds everything else on it, once.

Back ends: `embedded.EmbeddedBackend` (py-evm in this process), `rpc.RpcBackend` (anvil, ganache, Sepolia, any URL),
`witness.WitnessedBackend` (two end points that must agree). All pass one test suite (tests/support/backends.py).

Tests: tests/support/backends.py
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from fl_platform.chain.types import BlockRef, Call, FeeQuote, Log, LogFilter, TxReceipt
from fl_platform.errors import ConfigError


class Backend(ABC):
    """One chain, seen through one end point.

    Every method may raise RpcUnavailable (try again) and ChainError (the node refused, in its own words).
    """

    name: str  # for messages; never holds credentials

    @property
    def local(self) -> bool:
        """True when this chain's clock and balances may be set (a development chain)."""
        return False

    @abstractmethod
    def chain_id(self) -> int:
        """Return the EIP-155 chain id."""

    @abstractmethod
    def head(self, tag: str = "latest") -> BlockRef:
        """Return the newest block that is "latest", "safe" or "finalized"."""

    def next_time(self) -> int:
        """Return the least time, seconds, of a block made now. A development chain makes none while nobody sends."""
        newest = self.head().timestamp
        return max(newest, int(time.time())) if self.local else newest

    @abstractmethod
    def block(self, number: int) -> BlockRef | None:
        """Return block `number` of the canonical chain, None when there is none yet."""

    @abstractmethod
    def call(self, call: Call, block: int | None = None) -> bytes:
        """Run a read at `block` (None: latest) and return its output. Raises CallReverted."""

    @abstractmethod
    def estimate(self, call: Call) -> int:
        """Return a gas limit that suffices for `call` now. Raises CallReverted."""

    @abstractmethod
    def balance(self, address: bytes) -> int:
        """Return an account's wei."""

    @abstractmethod
    def nonce(self, address: bytes, *, pending: bool = False) -> int:
        """Return an account's next nonce, counting the node's waiting transactions when `pending`."""

    @abstractmethod
    def code(self, address: bytes) -> bytes:
        """Return the code at an address, empty when there is none."""

    @abstractmethod
    def fees(self) -> FeeQuote:
        """Return what to offer per gas for inclusion in the next blocks."""

    @abstractmethod
    def broadcast(self, raw: bytes) -> bytes:
        """Hand in a signed transaction and return its hash. Handing in the same bytes twice does no harm."""

    @abstractmethod
    def receipt(self, transaction: bytes) -> TxReceipt | None:
        """Return the receipt of a mined transaction, None while it is unknown or waiting."""

    @abstractmethod
    def logs(self, wanted: LogFilter) -> tuple[Log, ...]:
        """Return matching logs in chain order."""

    def advance_to(self, timestamp: int) -> None:
        """Mine a block whose time is at least `timestamp` (local chains only)."""
        raise ConfigError(f"{self.name} is no local chain: its clock cannot be moved, wait for {timestamp} instead")

    def fund(self, address: bytes, wei: int) -> None:
        """Give an account at least `wei` more (local chains only)."""
        raise ConfigError(f"{self.name} is no local chain: fund 0x{address.hex()} from a faucet with {wei} wei")

    def snapshot(self) -> str:
        """Remember the chain as it is (local chains only); `revert` goes back to it, as a deep reorganisation does."""
        raise ConfigError(f"{self.name} is no local chain: it takes no snapshots")

    def revert(self, snapshot: str) -> None:
        """Forget everything after `snapshot`."""
        raise ConfigError(f"{self.name} is no local chain: it takes no snapshots")

    def close(self) -> None:  # noqa: B027
        """Let go of files and connections. Safe to call twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
