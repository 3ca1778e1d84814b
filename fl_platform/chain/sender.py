"""Get a transaction mined exactly once: nonce, gas, fees, signing, waiting, confirming, resuming. The one place for it.

Order for every step: look into the journal, then at the chain; only then sign, write the signed bytes to the journal,
hand them in, wait, confirm, note the end. A process killed anywhere in between finds its own bytes again and hands
them in once more; one dropped by a reorganisation is handed in again; one that stays unmined is replaced under the
same nonce with higher fees, so at most one of them can ever count.

The journal is held from the look into it until the bytes are handed in, and never while they are waited for. So a
second process of the wallet takes the next nonce, or waits for the same bytes where it is at the same step.

Orders that do not need each other are handed in together, under consecutive nonces, and waited for together: so an end
point that mines slowly takes a block for all of them, not one for each.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field

from fl_platform.chain.abi import Revert
from fl_platform.chain.backend import Backend
from fl_platform.chain.gas import GasBook
from fl_platform.chain.journal import Attempt, Journal, Progress
from fl_platform.chain.signer import Signer
from fl_platform.chain.types import Call, CallReverted, FeeQuote, TxReceipt, Underpriced, hex_address
from fl_platform.config import Network, Policy
from fl_platform.errors import (
    ChainError,
    RpcUnavailable,
    TransactionPending,
    TransactionReverted,
    WalletError,
)
from fl_platform.protocol.keccak import keccak256

logger = logging.getLogger(__name__)

GWEI = 10**9
BUMP_PERCENT = 130  # of the fees before; nodes refuse replacements under +10 %
AT_ONCE = 64  # transactions of one wallet that wait to be mined: a node's pool keeps no more for sure
FRESH_STARTS = 3  # how often a step may lose its nonce to a program that does not share the journal


@dataclass(frozen=True)
class Order:
    """One transaction to be mined once."""

    key: str  # the step's name in the journal; empty: a throw-away send
    label: str  # call name, for gas accounts and messages
    signer: Signer
    call: Call
    already: Callable[[], bool] | None = None  # does the chain show that this step is done, whoever did it?
    repeat: bool = False  # a step that was done may be done again


Refusal = ChainError | WalletError
Outcome = TxReceipt | Refusal | None


@dataclass(eq=False)
class _Flight:
    """An order on its way."""

    order: Order
    again: bool  # what is noted as done is to be done again
    starts: int = 0  # how often its nonce went to another transaction
    most: int = 0  # wei that it may cost, where it was signed now
    progress: Progress = field(default_factory=Progress)  # once handed in
    outcome: Outcome = None


class Sender:
    """Sends orders over one back end. Safe to share between threads; one wallet sends one lot at a time."""

    def __init__(
        self,
        backend: Backend,
        network: Network,
        policy: Policy,
        *,
        chain_id: int,
        journal: Journal,
        gas: GasBook,
        decode: Callable[[bytes, str], Revert],
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend, self._network, self._policy = backend, network, policy
        self._journal, self._gas, self._decode = journal, gas, decode
        self._sleep, self._clock = sleep, clock
        self._chain_id = chain_id
        self._locks: dict[bytes, threading.Lock] = {}
        self._guard = threading.Lock()

    def send(self, order: Order) -> TxReceipt | None:
        """Return the receipt of the order's one mined transaction; None when the chain shows it done by somebody else.

        Raises TransactionReverted, TransactionPending, WalletError, RpcUnavailable, ChainError.
        """
        (outcome,) = self.send_all([order])
        if isinstance(outcome, Refusal):
            raise outcome
        return outcome

    def send_all(self, orders: Sequence[Order]) -> list[Outcome]:
        """Send orders of one wallet, none of which needs another one mined, and wait for all of them together.

        All are handed in under consecutive nonces, in their order, before any is waited for. Returns what became of
        each: a receipt or None as from `send`, or why it was refused, which stops no other. Raises TransactionPending,
        RpcUnavailable: what was handed in by then is journalled, and resumed by the same orders.
        """
        flights = [_Flight(order, order.repeat) for order in orders]
        waiting = list(flights)
        with self._lock_of(orders):
            while waiting:
                wave: list[_Flight] = []
                while waiting and len(wave) < AT_ONCE and self._takes_off(waiting[0], wave):
                    waiting.pop(0)
                waiting[:0] = [one for one in wave if not self._lands(one)]
        return [one.outcome for one in flights]

    def _lock_of(self, orders: Sequence[Order]) -> threading.Lock:
        with self._guard:
            lock = threading.Lock()
            return self._locks.setdefault(orders[0].signer.address, lock) if orders else lock

    def _takes_off(self, one: _Flight, wave: list[_Flight]) -> bool:
        """Hand an order in, behind those of `wave`; False where these must be mined first, to pay for it."""
        try:
            with self._journal.held():
                progress = self._progress(one.order)
                if progress.outcome == "done" and one.again:
                    progress = self._forget(one.order, progress)
                one.again = False  # what another process does of it meanwhile is this time
                if progress.outcome == "done" and (done := self._backend.receipt(progress.transaction)) is not None:
                    one.outcome = done
                    return True
                if not progress.attempts:
                    if one.order.already is not None and one.order.already():
                        return True
                    if not self._start(one, progress, wave):
                        return False
                self._hand_in(one.order, progress, {each.progress.attempts[-1].nonce for each in wave})
        except (ChainError, WalletError) as error:
            one.outcome = error
            return True
        one.progress = progress
        wave.append(one)
        return True

    def _lands(self, one: _Flight) -> bool:
        """Wait for what was handed in; False where its nonce went to another transaction, and it must start afresh."""
        order, progress = one.order, one.progress
        try:
            mined = self._settle(order, progress)
            if mined is not None:
                one.outcome = self._finish(order, mined)
                return True
        except (ChainError, WalletError) as error:
            one.outcome = error
            return True
        with self._journal.held():
            if self._is_newest(order, progress) and self._mined(progress) is None:
                logger.warning("%s of %s: its nonce went to another transaction", order.label, order.signer)
                self._forget(order, progress)
        one.starts += 1
        if one.starts < FRESH_STARTS:
            return False
        one.outcome = ChainError(
            f"{order.label}: another program sends from {hex_address(order.signer.address)} at the same time; stop it"
        )
        return True

    def reverted(self, label: str, error: CallReverted) -> TransactionReverted:
        """Turn a back end's report into the decoded error."""
        revert = self._decode(error.data, error.message)
        return TransactionReverted(f"{label} reverted: {revert.text}", error=revert.name, values=revert.values)

    # --- journal ---

    def _progress(self, order: Order) -> Progress:
        return self._journal.progress(order.key) if order.key else Progress()

    def _intend(self, order: Order, progress: Progress, attempt: Attempt) -> None:
        if order.key:
            self._journal.intend(order.key, attempt)  # appends to `progress`, too
        else:
            self._journal.intend(f"{hex_address(order.signer.address)}/send {attempt.nonce}", attempt)
            progress.attempts.append(attempt)

    def _is_newest(self, order: Order, progress: Progress) -> bool:
        """Whether no other process has ended or forgotten since what this one knows of a step."""
        return not order.key or self._journal.progress(order.key) is progress

    def _forget(self, order: Order, progress: Progress) -> Progress:
        progress.attempts.clear()
        if order.key:
            self._journal.forget(order.key)
        return self._progress(order)

    def _finish(self, order: Order, receipt: TxReceipt) -> TxReceipt:
        with self._journal.held():
            progress, mined = self._progress(order), receipt.transaction
            noted = (progress.outcome, progress.transaction) == ("done", mined)
            # attempts are gone where another process noted the failure of this one, and may have begun the next
            if not noted and any(attempt.transaction == mined for attempt in progress.attempts):
                self._journal.finish(order.key, mined, ok=receipt.ok)
        self._gas.add(order.label, receipt.gas_used)
        if receipt.ok:
            logger.info("%s by %s: block %d, gas %d", order.label, order.signer, receipt.block, receipt.gas_used)
            return receipt
        try:
            self._backend.call(order.call, receipt.block - 1)
        except CallReverted as error:
            raise self.reverted(order.label, error) from error
        raise TransactionReverted(
            f"{order.label} reverted in block {receipt.block}, though it passes on the block before: something else in "
            f"that block came first; look at the state and run again"
        )

    # --- signing ---

    def _start(self, one: _Flight, progress: Progress, wave: Sequence[_Flight]) -> bool:
        """Prepare and journal the first attempt; False where the wallet cannot pay for it beside all of `wave`."""
        order, sender = one.order, one.order.signer.address
        try:
            gas = self._backend.estimate(order.call)
        except CallReverted as error:
            raise self.reverted(order.label, error) from error
        fees = self._capped(self._quote())
        one.most = gas * fees.ceiling + order.call.value
        others = sum(each.most for each in wave)
        if others and self._backend.balance(sender) < others + one.most:
            return False
        self._check_balance(order, one.most)
        nonce = max([self._next_nonce(sender), *(each.progress.attempts[-1].nonce + 1 for each in wave)])
        self._intend(order, progress, self._sign(order, nonce, gas, fees))
        return True

    def _quote(self) -> FeeQuote:
        fees = self._backend.fees()
        if fees.priority is None or self._network.priority_wei is None:
            return fees
        return FeeQuote(fees.ceiling - fees.priority + self._network.priority_wei, self._network.priority_wei)

    def _capped(self, fees: FeeQuote) -> FeeQuote:
        limit = self._network.max_fee_gwei * GWEI
        if fees.ceiling <= limit:
            return fees
        return FeeQuote(limit, None if fees.priority is None else min(fees.priority, limit))

    def _check_balance(self, order: Order, needed: int) -> None:
        balance = self._backend.balance(order.signer.address)
        if balance < needed:
            raise WalletError(
                f"wallet {hex_address(order.signer.address)} has {balance} wei, {order.label} may cost {needed} wei; "
                f"fund it on {self._network.name} (`fl-platform wallet fund NAME` on a local chain, else a faucet or "
                "another wallet) and run again"
            )

    def _next_nonce(self, sender: bytes) -> int:
        """Return the next nonce; a lagging end point is overruled by what was signed here and is seen mined."""
        nonce = self._backend.nonce(sender, pending=True)
        last = self._journal.last(sender)
        if last is not None and last.nonce >= nonce and self._backend.receipt(last.transaction) is not None:
            return last.nonce + 1
        return nonce

    def _sign(self, order: Order, nonce: int, gas: int, fees: FeeQuote) -> Attempt:
        fields = {"nonce": nonce, "gas": gas, "chainId": self._chain_id}
        if fees.priority is None:
            fields["gasPrice"] = fees.ceiling
        else:
            fields |= {"maxFeePerGas": fees.ceiling, "maxPriorityFeePerGas": fees.priority}
        raw = order.signer.sign_transaction(order.call, **fields)
        return Attempt(nonce, keccak256(raw), raw)

    # --- waiting ---

    def _settle(self, order: Order, progress: Progress) -> TxReceipt | None:
        """Wait until one attempt is mined and confirmed; None when its nonce went to a stranger."""
        began = sent = self._clock()
        while True:
            receipt = self._mined(progress)
            if receipt is not None and self._confirmed(receipt):
                return receipt
            nonce = progress.attempts[-1].nonce
            if receipt is None and self._backend.nonce(order.signer.address) > nonce:
                receipt = self._mined(progress)  # it may have been mined between the two questions
                if receipt is None:
                    return None
            now = self._clock()
            if now - began > self._policy.give_up_after:
                state = "confirmed" if receipt else "mined"
                raise TransactionPending(
                    f"{order.label}: 0x{progress.attempts[-1].transaction.hex()} is not {state} after "
                    f"{now - began:.0f} s; run again later, it is journalled and not sent twice"
                )
            if receipt is None and now - sent > self._policy.bump_after:
                waited = progress.attempts[-1]
                with self._journal.held():
                    # else another process has replaced it just now, or this step is no longer what it was
                    if self._is_newest(order, progress) and progress.attempts[-1] == waited:
                        self._bump(order, progress)
                sent = now
            self._sleep(self._policy.poll)

    def _mined(self, progress: Progress) -> TxReceipt | None:
        for attempt in reversed(progress.attempts):
            receipt = self._backend.receipt(attempt.transaction)
            if receipt is not None:
                return receipt
        return None

    def _confirmed(self, receipt: TxReceipt) -> bool:
        if self._network.confirmations <= 1:
            return True
        if self._backend.head().number - receipt.block + 1 < self._network.confirmations:
            return False
        block = self._backend.block(receipt.block)
        return block is not None and block.hash == receipt.block_hash

    def _hand_in(self, order: Order, progress: Progress, before: Container[int]) -> None:
        """Broadcast the last attempt; nonces `before` it have just been handed in."""
        if self._mined(progress) is not None:
            return
        attempt = progress.attempts[-1]
        if self._backend.nonce(order.signer.address) > attempt.nonce:
            return  # `_settle` finds out whose it was
        self._fill_gap(order, attempt.nonce, before)
        try:
            self._backend.broadcast(attempt.raw)
        except Underpriced:
            self._bump(order, progress)

    def _fill_gap(self, order: Order, nonce: int, before: Container[int]) -> None:
        """Hand in again what a reorganisation dropped before `nonce`: without it our transaction is never mined.

        Starting afresh under a lower nonce instead could run a step twice, once the dropped one comes back.
        """
        for missing in range(self._backend.nonce(order.signer.address, pending=True), nonce):
            if missing in before:
                continue
            raw = self._journal.signed(order.signer.address, missing)
            if raw is None:
                raise TransactionPending(
                    f"{order.label} waits for transaction {missing} of {hex_address(order.signer.address)}, which was "
                    f"dropped and is not in this journal; send it again from the program that made it"
                )
            logger.warning("%s: handing in transaction %d again, which was dropped", order.signer, missing)
            self._backend.broadcast(raw)

    def _bump(self, order: Order, progress: Progress) -> None:
        """Replace the last attempt under its nonce, with fees that the chain asks now and well above those before."""
        last = progress.attempts[-1]
        quote = self._quote()
        gas, before = offer_of(last.raw)
        raised = (before.priority or 0) * BUMP_PERCENT // 100 + 1
        priority = None if before.priority is None else max(quote.priority or 0, raised)
        fees = self._capped(FeeQuote(max(quote.ceiling, before.ceiling * BUMP_PERCENT // 100 + 1), priority))
        if fees.ceiling <= before.ceiling:
            logger.warning("%s waits at the fee limit of %d gwei", order.label, self._network.max_fee_gwei)
            return
        logger.info("%s: fees raised to %d wei a gas", order.label, fees.ceiling)
        attempt = self._sign(order, last.nonce, gas, fees)
        self._intend(order, progress, attempt)
        try:
            self._backend.broadcast(attempt.raw)
        except (Underpriced, RpcUnavailable) as error:
            logger.warning("%s: replacement not taken yet (%s)", order.label, error)


def offer_of(raw: bytes) -> tuple[int, FeeQuote]:
    """Return gas limit and fees of a signed transaction of ours: type 2, or legacy."""
    import rlp

    if raw[0] == 2:
        _chain, _nonce, priority, ceiling, gas, *_ = rlp.decode(raw[1:])
        return int.from_bytes(gas, "big"), FeeQuote(int.from_bytes(ceiling, "big"), int.from_bytes(priority, "big"))
    _nonce, price, gas, *_ = rlp.decode(raw)
    return int.from_bytes(gas, "big"), FeeQuote(int.from_bytes(price, "big"), None)
