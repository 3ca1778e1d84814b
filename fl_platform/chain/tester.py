"""Show an embedded chain to web3.py through eth-tester's own EthereumTesterProvider. Imported only when asked for.

Tests: tests/unit/chain/test_embedded.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eth_tester import EthereumTester
from eth_tester.backends.pyevm.main import PyEVMBackend
from web3.providers.eth_tester import EthereumTesterProvider

from fl_platform.errors import ConfigError

if TYPE_CHECKING:
    from fl_platform.chain.embedded import EmbeddedBackend


class RecordedTester(PyEVMBackend):  # type: ignore[misc]  # eth-tester ships no types
    """eth-tester's py-evm back end over our node: every block it mines goes through the chain's log."""

    def __init__(self, embedded: EmbeddedBackend) -> None:
        self._embedded = embedded
        self.account_keys: tuple[Any, ...] = ()

    @property
    def chain(self) -> Any:
        """py-evm's chain, whichever the embedded one holds now."""
        return self._embedded.node.chain

    def send_raw_transaction(self, raw_transaction: bytes) -> bytes:
        """Add a signed transaction to the block that `mine_blocks` then seals."""
        self._embedded.node.begin(0)
        return self._embedded.node.apply(raw_transaction)

    def mine_blocks(self, num_blocks: int = 1, coinbase: bytes = bytes(20)) -> tuple[bytes, ...]:
        """Seal and record blocks."""
        return tuple(self._embedded.record_block().hash for _ in range(num_blocks))

    def time_travel(self, to_timestamp: int) -> int:
        """Mine an empty block at a later time."""
        self._embedded.advance_to(to_timestamp)
        return to_timestamp

    def reset_to_genesis(self, *_args: Any, **_options: Any) -> None:
        """Refuse: the embedded chain's history is kept."""
        raise ConfigError("an embedded chain is not reset through web3; open another folder")

    def revert_to_snapshot(self, snapshot: bytes) -> None:
        """Refuse: use EmbeddedBackend.revert, which puts it on the record."""
        raise ConfigError("revert an embedded chain through its own back end, not through web3")


def provider_of(embedded: EmbeddedBackend) -> EthereumTesterProvider:
    """Return a web3 provider over `embedded`."""
    return EthereumTesterProvider(EthereumTester(RecordedTester(embedded)))
