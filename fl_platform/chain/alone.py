"""Contracts that need nobody else, run here: where code and arguments decide, no node need be asked.

A seal is held against hundreds of questions before it is sent, and a watcher asks as many. Judges keep no storage and
read no clock, so a judge that gets by without another contract answers here as it does there. revm (PyPI `pyrevm`, in
the extra `fast`) runs the very code that lies on chain: much faster than the embedded chain's interpreter, and without
a call over the network for each question.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

REVM: Any = None  # without the extra the node answers
with contextlib.suppress(ImportError):
    import pyrevm

    REVM = pyrevm

FORK = "SHANGHAI"  # what contracts are compiled for (foundry.toml)
GAS = 30_000_000  # of a block: what needs more, no challenge can bring
_CALLER, _PLACE = "0x" + "00" * 20, "0x" + "11" * 20


class Alone:
    """Runs single contracts in a world where nothing else is; `code_at` gives the code at a 20-byte address."""

    def __init__(self, code_at: Callable[[bytes], bytes]) -> None:
        self._code_at = code_at
        self._accounts: dict[bytes, Any] = {}

    def call(self, address: bytes, data: bytes) -> bytes | None:
        """Return what a contract without storage answers; None where it fails or needs another one: ask the node.

        A call of another contract finds no code here, and Solidity reverts.
        """
        if REVM is None:
            return None
        if address not in self._accounts:
            code = self._code_at(address)
            if not code:  # a node that lags behind may not have it yet
                return None
            self._accounts[address] = REVM.AccountInfo(nonce=1, code=code)
        evm = REVM.EVM(spec_id=FORK)
        evm.insert_account_info(_PLACE, self._accounts[address])
        try:
            return bytes(evm.message_call(_CALLER, _PLACE, calldata=data, gas=GAS, is_static=True))
        except RuntimeError:  # reverted, or out of gas
            return None
