"""Two end points, neither believed alone: what they tell differently stops everything (EndPointsDisagree).

While one of them does not answer, the other is used and a warning says so; a lagging one is waited for by looking only
at blocks that both have. Sending goes to both.

Tests: tests/adversarial/test_a20_rpc_faults.py
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from fl_platform.chain.backend import Backend
from fl_platform.chain.types import BlockRef, Call, CallReverted, FeeQuote, Log, LogFilter, TxReceipt
from fl_platform.errors import ChainError, EndPointsDisagree, RpcUnavailable

logger = logging.getLogger(__name__)
T = TypeVar("T")


class WitnessedBackend(Backend):
    """A primary end point held against a witness."""

    def __init__(self, primary: Backend, witness: Backend) -> None:
        self._both = (primary, witness)
        self.name = f"{primary.name} (witness {witness.name})"

    def _either(self, ask: Callable[[Backend], T]) -> list[tuple[Backend, T]]:
        """Return the answers of those that answer. Raises RpcUnavailable when none does."""
        answers: list[tuple[Backend, T]] = []
        failure: RpcUnavailable | None = None
        for backend in self._both:
            try:
                answers.append((backend, ask(backend)))
            except RpcUnavailable as error:
                failure = error
                logger.warning("only one end point answers: %s", error)
        if not answers:
            assert failure is not None
            raise failure
        return answers

    def _same(self, what: str, ask: Callable[[Backend], T]) -> T:
        answers = self._either(ask)
        if any(answer != answers[0][1] for _, answer in answers):
            told = "; ".join(f"{backend.name}: {answer!r}" for backend, answer in answers)
            raise EndPointsDisagree(
                f"{what} differs between end points ({told[:600]}); trust neither until you know why"
            )
        return answers[0][1]

    @property
    def local(self) -> bool:
        return self._both[0].local

    def chain_id(self) -> int:
        return self._same("chain id", lambda b: b.chain_id())

    def head(self, tag: str = "latest") -> BlockRef:
        heads = [answer for _, answer in self._either(lambda b: b.head(tag))]
        lowest = min(head.number for head in heads)
        return self._block(lowest) if len(heads) > 1 else heads[0]

    def _block(self, number: int) -> BlockRef:
        found = self._same(f"block {number}", lambda b: b.block(number))
        if found is None:
            raise RpcUnavailable(f"{self.name}: block {number} vanished in a reorganisation; ask again")
        return found

    def block(self, number: int) -> BlockRef | None:
        answers = [answer for _, answer in self._either(lambda b: b.block(number))]
        return None if any(answer is None for answer in answers) else self._block(number)

    def call(self, call: Call, block: int | None = None) -> bytes:
        number = self.head().number if block is None else block

        def ask(backend: Backend) -> tuple[bool, bytes]:
            try:
                return True, backend.call(call, number)
            except CallReverted as error:
                return False, error.data

        ok, data = self._same(f"call at block {number}", ask)
        if not ok:
            raise CallReverted(data)
        return data

    def estimate(self, call: Call) -> int:
        return self._first(lambda b: b.estimate(call))

    def _first(self, ask: Callable[[Backend], T]) -> T:
        """Ask for advice, on which ends may differ: the first that answers."""
        try:
            return ask(self._both[0])
        except RpcUnavailable as error:
            logger.warning("asking the witness: %s", error)
            return ask(self._both[1])

    def balance(self, address: bytes) -> int:
        return self._first(lambda b: b.balance(address))

    def nonce(self, address: bytes, *, pending: bool = False) -> int:
        return max(answer for _, answer in self._either(lambda b: b.nonce(address, pending=pending)))

    def code(self, address: bytes) -> bytes:
        return self._same(f"code at 0x{address.hex()}", lambda b: b.code(address))

    def fees(self) -> FeeQuote:
        return self._first(lambda b: b.fees())

    def broadcast(self, raw: bytes) -> bytes:
        sent, refusal = b"", None
        for backend in self._both:
            try:
                sent = backend.broadcast(raw)
            except (RpcUnavailable, ChainError) as error:
                refusal = error
        if not sent:
            assert refusal is not None
            raise refusal
        return sent

    def receipt(self, transaction: bytes) -> TxReceipt | None:
        answers = [answer for _, answer in self._either(lambda b: b.receipt(transaction))]
        if any(answer is None for answer in answers):
            return None
        return self._same(f"receipt of 0x{transaction.hex()}", lambda b: b.receipt(transaction))

    def logs(self, wanted: LogFilter) -> tuple[Log, ...]:
        return self._same(f"events of blocks {wanted.first} to {wanted.last}", lambda b: b.logs(wanted))

    def close(self) -> None:
        for backend in self._both:
            backend.close()
