"""Ask again when transport fails: the one place that knows patience. Every back end call may be repeated safely.

Tests: tests/adversarial/test_a20_rpc_faults.py
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from fl_platform.chain.backend import Backend
from fl_platform.chain.types import BlockRef, Call, FeeQuote, Log, LogFilter, TxReceipt
from fl_platform.config import Policy
from fl_platform.errors import RpcUnavailable

logger = logging.getLogger(__name__)
T = TypeVar("T")

TOLD_FROM = 3  # attempts


class Retrying(Backend):
    """A back end that tries `policy.attempts` times, with doubling pauses, before RpcUnavailable gets through."""

    def __init__(self, inner: Backend, policy: Policy, sleep: Callable[[float], None] = time.sleep) -> None:
        self.inner = inner
        self.name = inner.name
        self._policy = policy
        self._sleep = sleep

    def _try(self, ask: Callable[[], T]) -> T:
        pause = self._policy.backoff
        for attempt in range(1, self._policy.attempts):
            try:
                return ask()
            except RpcUnavailable as error:
                # Told once: else a person waits a quarter of a minute and does not know for what.
                level = logging.WARNING if attempt == TOLD_FROM else logging.INFO
                logger.log(level, "%s: attempt %d failed (%s); again in %.1f s", self.name, attempt, error, pause)
                self._sleep(pause)
                pause = min(2 * pause, self._policy.backoff_limit)
        return ask()

    @property
    def local(self) -> bool:
        return self._try(lambda: self.inner.local)

    def chain_id(self) -> int:
        return self._try(self.inner.chain_id)

    def head(self, tag: str = "latest") -> BlockRef:
        return self._try(lambda: self.inner.head(tag))

    def next_time(self) -> int:
        return self._try(self.inner.next_time)

    def block(self, number: int) -> BlockRef | None:
        return self._try(lambda: self.inner.block(number))

    def call(self, call: Call, block: int | None = None) -> bytes:
        return self._try(lambda: self.inner.call(call, block))

    def estimate(self, call: Call) -> int:
        return self._try(lambda: self.inner.estimate(call))

    def balance(self, address: bytes) -> int:
        return self._try(lambda: self.inner.balance(address))

    def nonce(self, address: bytes, *, pending: bool = False) -> int:
        return self._try(lambda: self.inner.nonce(address, pending=pending))

    def code(self, address: bytes) -> bytes:
        return self._try(lambda: self.inner.code(address))

    def fees(self) -> FeeQuote:
        return self._try(self.inner.fees)

    def broadcast(self, raw: bytes) -> bytes:
        return self._try(lambda: self.inner.broadcast(raw))  # the same bytes twice are one transaction

    def receipt(self, transaction: bytes) -> TxReceipt | None:
        return self._try(lambda: self.inner.receipt(transaction))

    def logs(self, wanted: LogFilter) -> tuple[Log, ...]:
        return self._try(lambda: self.inner.logs(wanted))

    def advance_to(self, timestamp: int) -> None:
        self._try(lambda: self.inner.advance_to(timestamp))

    def fund(self, address: bytes, wei: int) -> None:
        self.inner.fund(address, wei)  # once: a repeated gift is another gift

    def snapshot(self) -> str:
        return self._try(self.inner.snapshot)

    def revert(self, snapshot: str) -> None:
        self.inner.revert(snapshot)

    def close(self) -> None:
        self.inner.close()
