"""One chain as the rest of the platform sees it: read, send once, look up events, tell and move time.

    chain = connect(resolve("anvil", os.environ), journal=workdir / "journal")
    chain.read(ledger, "head", task)
    chain.send(ledger, "rosterRound", task, r, root, n, total, signer=me, step=Step(task, r, "roster"))

Reads are of the newest block unless a block is named; what money or verdicts depend on is read at `final_head()`.

Tests: tests/unit/chain/test_sender.py
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fl_platform.chain.abi import Abi, Decoded, Revert
from fl_platform.chain.artifacts import Artifact, shipped
from fl_platform.chain.backend import Backend
from fl_platform.chain.gas import GasBook
from fl_platform.chain.journal import Journal, Progress, Step
from fl_platform.chain.retry import Retrying
from fl_platform.chain.sender import Order, Outcome, Sender
from fl_platform.chain.signer import Signer
from fl_platform.chain.types import BlockRef, Call, CallReverted, LogFilter, TxReceipt, hex_address
from fl_platform.config import DEFAULT, Network, Policy
from fl_platform.errors import ChainError, ConfigError, RpcUnavailable

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Contract:
    """A contract at an address."""

    name: str
    address: bytes  # 20 bytes
    abi: Abi


@dataclass(frozen=True)
class Planned:
    """A call that will be sent, once over all restarts."""

    contract: Contract
    function: str
    arguments: tuple[Any, ...]
    step: Step


class Chain:
    """One chain through one back end. Safe to share between threads."""

    def __init__(
        self,
        backend: Backend,
        network: Network,
        *,
        policy: Policy = DEFAULT,
        journal: Path | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Check the chain id against the network's. Raises ConfigError, RpcUnavailable, IntegrityError (journal)."""
        self.backend: Backend = Retrying(backend, policy, sleep)
        self.network = network
        self.policy = policy
        self.gas = GasBook()
        self._sleep = sleep
        self.chain_id = self.backend.chain_id()
        if network.chain_id is not None and network.chain_id != self.chain_id:
            raise ConfigError(
                f"{backend.name} is chain {self.chain_id}, {network.name} is {network.chain_id}; mend the URL"
            )
        genesis = self.backend.block(0)
        self.genesis: bytes = bytes(32) if genesis is None else genesis.hash
        self._abi = Abi(())
        for artifact in shipped():
            self._abi = self._abi.merged(artifact.abi)
        # Nothing may fail after this line: an open journal is a file to close.
        self._journal = Journal(journal, self.genesis)
        self._sender = Sender(
            self.backend,
            network,
            policy,
            chain_id=self.chain_id,
            journal=self._journal,
            gas=self.gas,
            decode=self._decode,
            sleep=sleep,
            clock=clock,
        )

    # --- reading ---

    def read(self, contract: Contract, function: str, *arguments: Any, block: int | None = None) -> Any:
        """Call a view; return its one value, or a tuple of several. Raises TransactionReverted, ChainError."""
        call = Call(contract.address, contract.abi.encode(function, *arguments))
        output = self._call(f"{contract.name}.{function}", call, block)
        values = self._decode_output(contract, function, len(arguments), output)
        return values[0] if len(values) == 1 else values

    def _decode_output(self, contract: Contract, function: str, count: int, data: bytes) -> tuple[Any, ...]:
        """Decode a view's output. Raises ChainError naming the address when there is no contract."""
        if not data and contract.abi.function(function, count).outputs:
            raise ChainError(
                f"no {contract.name} answers at {hex_address(contract.address)} on {self.network.name}; "
                f"is the deployment file of this chain? (`fl-platform deploy` writes a new one)"
            )
        return contract.abi.decode_output(function, count, data)

    def head(self) -> BlockRef:
        """Return the newest block."""
        return self.backend.head()

    def confirmed_head(self) -> BlockRef:
        """Return the newest block with the network's number of confirmations: what the next step may build on."""
        head = self.backend.head()
        if self.network.confirmations <= 1:
            return head
        number = max(0, head.number - self.network.confirmations + 1)
        found = self.backend.block(number)
        if found is None:
            raise RpcUnavailable(f"{self.backend.name}: block {number} vanished; ask again")
        return found

    def final_head(self) -> BlockRef:
        """Return the newest block that the network's finality rule believes: what audits and verdicts rest on."""
        if self.network.finality == "latest":
            return self.confirmed_head()
        try:
            return self.backend.head(self.network.finality)
        except ChainError:  # a node that does not know the tag
            return self.confirmed_head()

    def now(self) -> int:
        """Return the newest block's time, seconds."""
        return self.backend.head().timestamp

    def next_time(self) -> int:
        """Return the time that a block made now would have, as far as can be known, seconds."""
        return self.backend.next_time()

    def balance(self, address: bytes) -> int:
        """Return an account's wei."""
        return self.backend.balance(address)

    def events(
        self,
        contracts: Sequence[Contract],
        *,
        first: int = 0,
        last: int | None = None,
        names: Iterable[str] = (),
    ) -> tuple[Decoded, ...]:
        """Return decoded events of blocks first..last (None: confirmed head) in chain order, unknown ones left out."""
        end = self.confirmed_head().number if last is None else last
        if end < first or not contracts:
            return ()
        topics = tuple(c.abi.event_topic(name) for name in names for c in contracts if name in c.abi.event_names())
        by_address = {contract.address: contract for contract in contracts}
        logs = self.backend.logs(LogFilter(first, end, tuple(by_address), topics))
        found = (by_address[log.address].abi.decode_log(log) for log in logs if log.address in by_address)
        return tuple(event for event in found if event is not None)

    # --- sending ---

    def send(
        self,
        contract: Contract,
        function: str,
        *arguments: Any,
        signer: Signer,
        step: Step | None = None,
        already: Callable[[], bool] | None = None,
        repeat: bool = False,
        salt: bytes = b"",
    ) -> TxReceipt | None:
        """Send a call and wait for it. With `step`, exactly once over all restarts; `already` asks the chain itself.

        With `repeat` a step that was done may be done again (withdrawals); only an unfinished one is resumed. `salt`
        goes behind the arguments, where no contract reads it.

        Returns None when `already` says that the step is done. Raises TransactionReverted (nothing was paid when the
        trial run already reverts), TransactionPending, WalletError, RpcUnavailable.
        """
        call = Call(contract.address, contract.abi.encode(function, *arguments) + salt, signer.address)
        key = "" if step is None else step.key(signer.address)
        return self._sender.send(Order(key, function, signer, call, already, repeat))

    def send_all(self, planned: Sequence[Planned], *, signer: Signer) -> list[Outcome]:
        """Send calls that do not need each other, each exactly once, and wait for all of them together.

        Returns what became of each, in order: its receipt, or why it was refused, which stops no other. Raises
        TransactionPending, RpcUnavailable: then the same calls are resumed when they are sent again.
        """
        return self._sender.send_all([
            Order(one.step.key(signer.address), one.function, signer,
                  Call(one.contract.address, one.contract.abi.encode(one.function, *one.arguments), signer.address))
            for one in planned
        ])  # fmt: skip

    def rehearse(self, contract: Contract, function: str, *arguments: Any, signer: Signer) -> None:
        """Raise TransactionReverted where a call would revert now; nothing is sent."""
        call = Call(contract.address, contract.abi.encode(function, *arguments), signer.address)
        try:
            self.backend.estimate(call)
        except CallReverted as error:
            raise self._sender.reverted(function, error) from error

    def transfer(self, to: bytes, wei: int, *, signer: Signer, step: Step | None = None) -> TxReceipt | None:
        """Send the chain's own coin."""
        key = "" if step is None else step.key(signer.address)
        return self._sender.send(Order(key, "transfer", signer, Call(to, b"", signer.address, wei)))

    def create(self, artifact: Artifact, *arguments: Any, signer: Signer, step: Step | None = None) -> TxReceipt:
        """Deploy a contract and return its receipt (`contract` is the address)."""
        call = Call(None, artifact.bytecode + artifact.abi.encode_constructor(*arguments), signer.address)
        key = "" if step is None else step.key(signer.address)
        receipt = self._sender.send(Order(key, f"deploy {artifact.name}", signer, call))
        assert receipt is not None
        return receipt

    def progress(self, step: Step, signer: Signer) -> Progress:
        """Return what the journal knows of a step."""
        with self._journal.held():  # another process of this wallet may have begun it
            return self._journal.progress(step.key(signer.address))

    # --- time, local chains ---

    @property
    def local(self) -> bool:
        """True when time and balances may be set."""
        return self.backend.local

    def wait_until(self, timestamp: int) -> None:
        """Return when the newest block's time is at least `timestamp`: by moving a local clock, else by waiting."""
        if self.now() >= timestamp:
            return
        if self.local:
            self.backend.advance_to(timestamp)
            return
        while (ahead := timestamp - self.now()) > 0:
            self._sleep(min(max(self.policy.poll, ahead / 2), 30.0))

    def fund(self, address: bytes, wei: int) -> None:
        """Give an account coin on a local chain. Raises ConfigError elsewhere."""
        self.backend.fund(address, wei)

    def release_journal(self) -> None:
        """Let go of the journal only: the back end serves others on."""
        self._journal.close()

    def close(self) -> None:
        """Let go of journal and back end."""
        self._journal.close()
        self.backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, label: str, call: Call, block: int | None) -> bytes:
        try:
            return self.backend.call(call, block)
        except CallReverted as error:
            raise self._sender.reverted(label, error) from error

    def _decode(self, data: bytes, message: str) -> Revert:
        return self._abi.decode_revert(data, message)


def connect(
    network: Network,
    *,
    folder: Path | None = None,
    journal: Path | None = None,
    policy: Policy = DEFAULT,
    verify: bool = False,
) -> Chain:
    """Open the network's chain: the embedded one in `folder` (None: in memory), or an end point by its URL.

    Raises RpcUnavailable, ChainBusy, ConfigError, IntegrityError.
    """
    backend = _open(network, folder, policy, verify=verify)
    try:
        return Chain(backend, network, policy=policy, journal=journal)
    except BaseException:
        backend.close()
        raise


def _open(network: Network, folder: Path | None, policy: Policy, *, verify: bool) -> Backend:
    if network.embedded:
        from fl_platform.chain.embedded import EmbeddedBackend

        return EmbeddedBackend(folder, verify=verify)
    from fl_platform.chain.rpc import RpcBackend
    from fl_platform.chain.two_end_points import WitnessedBackend

    def end_point(url: str) -> RpcBackend:
        return RpcBackend(url, timeout=policy.timeout, log_span=network.log_span, priority=network.priority_wei)

    primary = end_point(network.url)
    return WitnessedBackend(primary, end_point(network.witness_url)) if network.witness_url else primary
