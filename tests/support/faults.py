"""A back end that fails on purpose: on call k, before the call takes effect or after (the answer is lost)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fl_platform.chain.backend import Backend
from fl_platform.chain.types import BlockRef, Call, FeeQuote, Log, LogFilter, TxReceipt
from fl_platform.errors import RpcUnavailable


class Killed(BaseException):
    """Stands for SIGKILL inside one process: nothing catches it."""


class FaultyBackend(Backend):
    """Counts calls and raises `error` on number `fail_at` (1-based); 0 never fails. Only the chain itself is shared."""

    def __init__(
        self, inner: Backend, *, fail_at: int = 0, after: bool = False, error: type[BaseException] = RpcUnavailable
    ):
        self.inner, self.name = inner, "faulty"
        self.calls = 0
        self._fail_at, self._after, self._error = fail_at, after, error

    def _do(self, call: Callable[[], Any]) -> Any:
        self.calls += 1
        fails = self.calls == self._fail_at
        if fails and not self._after:
            raise self._error(f"call {self.calls} fails before it is made")
        result = call()
        if fails:
            raise self._error(f"the answer to call {self.calls} is lost")
        return result

    @property
    def local(self) -> bool:
        return self.inner.local

    def chain_id(self) -> int:
        return int(self._do(self.inner.chain_id))

    def head(self, tag: str = "latest") -> BlockRef:
        return self._do(lambda: self.inner.head(tag))  # type: ignore[no-any-return]

    def block(self, number: int) -> BlockRef | None:
        return self._do(lambda: self.inner.block(number))  # type: ignore[no-any-return]

    def call(self, call: Call, block: int | None = None) -> bytes:
        return bytes(self._do(lambda: self.inner.call(call, block)))

    def estimate(self, call: Call) -> int:
        return int(self._do(lambda: self.inner.estimate(call)))

    def balance(self, address: bytes) -> int:
        return int(self._do(lambda: self.inner.balance(address)))

    def nonce(self, address: bytes, *, pending: bool = False) -> int:
        return int(self._do(lambda: self.inner.nonce(address, pending=pending)))

    def code(self, address: bytes) -> bytes:
        return bytes(self._do(lambda: self.inner.code(address)))

    def fees(self) -> FeeQuote:
        return self._do(self.inner.fees)  # type: ignore[no-any-return]

    def broadcast(self, raw: bytes) -> bytes:
        return bytes(self._do(lambda: self.inner.broadcast(raw)))

    def receipt(self, transaction: bytes) -> TxReceipt | None:
        return self._do(lambda: self.inner.receipt(transaction))  # type: ignore[no-any-return]

    def logs(self, wanted: LogFilter) -> tuple[Log, ...]:
        return self._do(lambda: self.inner.logs(wanted))  # type: ignore[no-any-return]

    def advance_to(self, timestamp: int) -> None:
        self._do(lambda: self.inner.advance_to(timestamp))

    def fund(self, address: bytes, wei: int) -> None:
        self.inner.fund(address, wei)

    def snapshot(self) -> str:
        return self.inner.snapshot()

    def revert(self, snapshot: str) -> None:
        self.inner.revert(snapshot)
