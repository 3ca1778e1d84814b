"""Get a transaction mined exactly once: nonce, gas, fees, signing, waiting, confirming, resuming. The one place for it.

Order for every step: look into the journal, then at the chain; only then sign, write the signed bytes to the journal,
hand them in, wait, confirm, note the end. A process killed anywhere in between finds its own bytes again and hands
them in once more; one dropped by a reorganisation is handed in again; one that stays unmined is replaced under the
same nonce with higher fees, so at most one of them can ever count.

The journal is held from the look into it until the bytes are handed in, and never while they are waited for. So a
second process of the wallet takes the next nonce, or waits for the same bytes where it is at the same step.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from fl_platform.chain.abi import Revert
from fl_platform.chain.backend import Backend
from fl_platform.chain.gas import GasBook
from fl_platform.chain.journal import Attempt, Journal, Progress
from fl_platform.chain.signer import Signer
from fl_platform.chain.types import Call, CallReverted, FeeQuote, TxReceipt, Underpriced, hex_address
from fl_platform.config import Network, Policy
from fl_platform.errors import ChainError, RpcUnavailable, TransactionPending, TransactionReverted, WalletError
from fl_platform.protocol.keccak import keccak256

logger = logging.getLogger(__name__)

GWEI = 10**9
BUMP_PERCENT = 130  # of the fees before; nodes refuse replacements under +10 %
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


class Sender:
    """Sends orders over one back end. Safe to share between threads; one wallet sends one thing at a time."""

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
        with self._guard:
            lock = self._locks.setdefault(order.signer.address, threading.Lock())
        with lock:
            again = order.repeat
            for _ in range(FRESH_STARTS):
                with self._journal.held():
                    progress = self._progress(order)
                    if progress.outcome == "done" and again:
                        progress = self._forget(order, progress)
                    again = False  # what another process does of it meanwhile is this time
                    if progress.outcome == "done" and (done := self._backend.receipt(progress.transaction)) is not None:
                        return done
                    if not progress.attempts:
                        if order.already is not None and order.already():
                            return None
                        self._start(order, progress)
                    self._hand_in(order, progress)
                mined = self._settle(order, progress)
                if mined is not None:
                    return self._finish(order, mined)
                with self._journal.held():
                    if self._is_newest(order, progress) and self._mined(progress) is None:
                        logger.warning("%s of %s: its nonce went to another transaction", order.label, order.signer)
                        self._forget(order, progress)
        raise ChainError(
            f"{order.label}: another program sends from {hex_address(order.signer.address)} at the same time; stop it"
        )

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

    def _start(self, order: Order, progress: Progress) -> None:
        """Prepare and journal the first attempt."""
        sender = order.signer.address
        try:
            gas = self._backend.estimate(order.call)
        except CallReverted as error:
            raise self.reverted(order.label, error) from error
        fees = self._capped(self._quote())
        self._check_balance(order, gas * fees.ceiling + order.call.value)
        self._intend(order, progress, self._sign(order, self._next_nonce(sender), gas, fees))

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

    def _hand_in(self, order: Order, progress: Progress) -> None:
        if self._mined(progress) is not None:
            return
        attempt = progress.attempts[-1]
        if self._backend.nonce(order.signer.address) > attempt.nonce:
            return  # `_settle` finds out whose it was
        self._fill_gap(order, attempt.nonce)
        try:
            self._backend.broadcast(attempt.raw)
        except Underpriced:
            self._bump(order, progress)

    def _fill_gap(self, order: Order, nonce: int) -> None:
        """Hand in again what a reorganisation dropped before `nonce`: without it our transaction is never mined.

        Starting afresh under a lower nonce instead could run a step twice, once the dropped one comes back.
        """
        for missing in range(self._backend.nonce(order.signer.address, pending=True), nonce):
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
