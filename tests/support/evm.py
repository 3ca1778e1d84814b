"""One EVM for contract tests: py-evm's Shanghai rules without signatures and blocks, so that a call costs milliseconds.

Gas is what a mined transaction would use: intrinsic gas, cold slots at the start of every call, refunds. Snapshots are
state roots, so going back is free.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import rlp
from eth.abc import ComputationAPI
from eth.exceptions import Revert as EvmRevert
from eth.vm.spoof import SpoofTransaction
from eth_keys.datatypes import PrivateKey

from fl_platform.chain.abi import Abi
from fl_platform.chain.artifacts import Artifact, load, load_file
from fl_platform.chain.evm import EvmNode, Genesis
from fl_platform.chain.types import Log
from fl_platform.ledger.evidence import commitment_of
from fl_platform.protocol.keccak import keccak256

START = 1_700_000_000  # Unix seconds; any fixed time will do
GAS = 12_000_000
MOCKS = Path(__file__).parent / "artifacts"


class Reverted(Exception):
    """A call reverted with this custom error (name, arguments)."""

    def __init__(self, name: str, values: tuple[Any, ...], text: str) -> None:
        super().__init__(text)
        self.name = name
        self.values = values


@dataclass(frozen=True)
class Outcome:
    """What a mined call did."""

    gas: int
    output: tuple[Any, ...]
    events: tuple[tuple[str, Mapping[str, Any]], ...]

    def event(self, name: str) -> Mapping[str, Any]:
        """Return the arguments of the only event called `name`."""
        (found,) = [values for event, values in self.events if event == name]
        return found


@dataclass(frozen=True)
class Account:
    """A test account with a known key."""

    key: bytes
    address: bytes


@cache
def account(name: str) -> Account:
    """Return the account called `name`; the same one in every run."""
    key = keccak256(b"test account " + name.encode())
    return Account(key, PrivateKey(key).public_key.to_canonical_address())


def created_at(sender: bytes, nonce: int) -> bytes:
    """Return the address of the contract that `sender` creates with its `nonce`-th transaction."""
    return keccak256(rlp.encode([sender, nonce]))[12:]


@cache
def artifact(name: str) -> Artifact:
    """Return a shipped contract's artifact, or a mock's."""
    mock = MOCKS / f"{name}.json"
    return load_file(mock) if mock.exists() else load(name)


@cache
def _known() -> Abi:
    """Every event and error of every contract, for decoding."""
    names = [
        "Escrow", "FaucetToken", "Reputation", "RoundLedger", "LedgerOracle", "Settlement", "TaskRegistry", "HookToken",
        "ReentrantClaimer", "RefusingToken", "MockDisputes", "LibraryHarness", "KeyHarness", "SettlementProofs",
        "Referee", "Poseidon", "Sources", "Tapes", "Reveals", "Complaints",
    ]  # fmt: skip
    first, *rest = [artifact(name).abi for name in names]
    return first.merged(*rest)


class Evm:
    """A chain in memory whose clock the test sets."""

    def __init__(self) -> None:
        node = EvmNode(Genesis(timestamp=START))
        self._vm: Any = node.chain.get_vm()
        self._state: Any = self._vm.state
        self._state.execution_context._base_fee_per_gas = 0
        self.now = START
        self.block = 1  # number of the block that the next call is mined in: each has its own

    def snapshot(self) -> tuple[bytes, int]:
        """Return a mark to go back to."""
        root = self._state.make_state_root()
        self._state.persist()
        return bytes(root), self.now

    def restore(self, mark: tuple[bytes, int]) -> None:
        """Go back to a mark; it stays valid."""
        root, self.now = mark
        kind = type(self._state)
        self._state = kind(self._state._db, self._state.execution_context, root)

    def create(self, sender: bytes, name: str, *arguments: Any) -> Contract:
        """Deploy a contract."""
        return self.create_counted(sender, name, *arguments)[1]

    def create_counted(self, sender: bytes, name: str, *arguments: Any) -> tuple[int, Contract]:
        """Deploy a contract; return what it cost too."""
        made = artifact(name)
        nonce = self._state.get_nonce(sender)
        gas, _ = self._run(sender, b"", made.bytecode + made.abi.encode_constructor(*arguments), static=False)
        return gas, Contract(self, name, created_at(sender, nonce))

    def code(self, address: bytes) -> bytes:
        """Return a contract's code."""
        return bytes(self._state.get_code(address))

    def nonce(self, sender: bytes) -> int:
        """Return how many transactions `sender` made."""
        return int(self._state.get_nonce(sender))

    def storage(self, address: bytes, slot: int) -> int:
        """Return a storage word."""
        return int(self._state.get_storage(address, slot))

    def store(self, address: bytes, slot: int, word: int) -> None:
        """Overwrite a storage word, for states that calls alone would take too long to reach."""
        self._state.set_storage(address, slot, word)
        self._state.lock_changes()

    def transact(self, sender: bytes, to: bytes, data: bytes) -> tuple[int, ComputationAPI]:
        """Mine one call; return its gas and the computation. Raises Reverted and keeps nothing."""
        return self._run(sender, to, data, static=False)

    def read(self, to: bytes, data: bytes) -> bytes:
        """Call without effects."""
        _gas, computation = self._run(bytes(20), to, data, static=True)
        return bytes(computation.output)

    def _run(self, sender: bytes, to: bytes, data: bytes, *, static: bool) -> tuple[int, ComputationAPI]:
        state = self._state
        state.execution_context._timestamp = self.now
        state.execution_context._block_number = self.block
        self.block += not static
        unsigned = self._vm.get_transaction_builder().create_unsigned_transaction(
            nonce=state.get_nonce(sender), gas_price=0, gas=GAS, to=to, value=0, data=data
        )
        transaction: Any = SpoofTransaction(unsigned, from_=sender)
        mark = state.snapshot() if static else None
        computation = state.apply_transaction(transaction)
        gas = int(self._vm.finalize_gas_used(transaction, computation))
        if mark is None:
            state.lock_changes()
        else:
            state.revert(mark)
        if computation.is_error:
            cause = computation.error
            output = bytes(cause.args[0]) if isinstance(cause, EvmRevert) and cause.args else b""
            found = _known().decode_revert(output, str(cause))
            raise Reverted(found.name, found.values, found.text)
        return gas, computation


class Contract:
    """A deployed contract."""

    def __init__(self, evm: Evm, name: str, address: bytes) -> None:
        self.evm = evm
        self.name = name
        self.address = address
        self.abi = artifact(name).abi

    def send(self, sender: Account | bytes, function: str, *arguments: Any) -> Outcome:
        """Mine a call from `sender`."""
        source = sender if isinstance(sender, bytes) else sender.address
        gas, computation = self.evm.transact(source, self.address, self.abi.encode(function, *arguments))
        output = self.abi.decode_output(function, len(arguments), bytes(computation.output))
        return Outcome(gas, output, _events(computation))

    def show(self, sender: Account | bytes, function: str, *arguments: Any, referee: Contract | None = None) -> Outcome:
        """Mine evidence that `sender` has committed to at `referee` (None: this contract) a block before."""
        who = sender if isinstance(sender, bytes) else sender.address
        (referee or self).send(sender, "commit", commitment_of(who, self.abi.encode(function, *arguments)))
        return self.send(sender, function, *arguments)

    def call(self, function: str, *arguments: Any) -> Any:
        """Read; returns the single output, or the tuple of outputs."""
        data = self.evm.read(self.address, self.abi.encode(function, *arguments))
        output = self.abi.decode_output(function, len(arguments), data)
        return output[0] if len(output) == 1 else output


def _events(computation: Any) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    found = []
    for address, topics, data in computation.get_log_entries():
        words = tuple(topic.to_bytes(32, "big") for topic in topics)
        decoded = _known().decode_log(Log(bytes(address), words, bytes(data), 0, bytes(32), bytes(32), 0))
        if decoded is not None:
            found.append((decoded.name, decoded.values))
    return tuple(found)
