"""A back end that fails on purpose: on call k, before the call takes effect or after (the answer is lost); one whose
pool keeps what offers too little; and one that mines its pool when it is told to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from eth_account import Account

from fl_platform.chain.backend import Backend
from fl_platform.chain.client import Chain
from fl_platform.chain.embedded import EmbeddedBackend
from fl_platform.chain.sender import offer_of
from fl_platform.chain.types import BlockRef, Call, FeeQuote, Log, LogFilter, TxReceipt, Underpriced
from fl_platform.config import MINIMAL, NETWORKS, Network
from fl_platform.errors import RpcUnavailable
from fl_platform.protocol.keccak import keccak256


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

    def next_time(self) -> int:
        return int(self._do(self.inner.next_time))

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


class SlowPool(FaultyBackend):
    """A node that keeps transactions in its pool until their fee reaches `least`, and can be told to forget them."""

    def __init__(self, inner: Backend, least: int) -> None:
        super().__init__(inner)
        self.least, self.refuse = least, False
        self.pool: list[bytes] = []

    def broadcast(self, raw: bytes) -> bytes:
        _gas, fees = offer_of(raw)
        if self.refuse and fees.ceiling < self.least:
            raise Underpriced("transaction underpriced")
        self.pool.append(raw)
        if fees.ceiling >= self.least:
            return self.inner.broadcast(raw)
        return keccak256(raw)


class BlockByBlock(FaultyBackend):
    """A node that keeps what it is handed in its pool, and mines all of it when it is told to; it counts the blocks."""

    def __init__(self, chain: EmbeddedBackend) -> None:
        super().__init__(chain)
        self._chain = chain
        self.pool: dict[bytes, bytes] = {}  # by hash
        self.blocks = 0

    def broadcast(self, raw: bytes) -> bytes:
        digest = keccak256(raw)
        if self.inner.receipt(digest) is None:
            self.pool[digest] = raw
        return digest

    def nonce(self, address: bytes, *, pending: bool = False) -> int:
        waiting = (Account.recover_transaction(raw) for raw in self.pool.values()) if pending else ()
        own = sum(bytes.fromhex(who[2:]) == address for who in waiting)
        return self.inner.nonce(address) + own

    def mine(self, _seconds: float = 0) -> None:
        """Put the pool into one block; also what a chain sleeps with, so that each look for receipts costs a block."""
        raws = tuple(self.pool.values())
        self.pool.clear()
        self.blocks += 1
        with self._chain.node.lock:
            self._chain._mine(self._chain.node.head().timestamp + 1, raws)


class Clock:
    """A clock that moves by what is slept."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Meanwhile(Clock):
    """Lets something happen while the first pause lasts."""

    def __init__(self, happens: Callable[[], object]) -> None:
        super().__init__()
        self._happens: Callable[[], object] | None = happens

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        happens, self._happens = self._happens, None
        if happens is not None:
            happens()


def fee_chain(
    backend: SlowPool,
    network: Network = NETWORKS["embedded"],
    journal: Path | None = None,
    clock: Clock | None = None,
) -> Chain:
    """Return a chain whose clock moves by what is slept: it raises fees after 5 s and gives up after 60 s."""
    clock = clock or Clock()
    policy = replace(MINIMAL, poll=1.0, bump_after=5.0, give_up_after=60.0)
    return Chain(backend, network, policy=policy, sleep=clock.sleep, clock=clock, journal=journal)
