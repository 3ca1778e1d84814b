"""A deterministic development chain on py-evm: the engine under the embedded back end (and under EthereumTester).

Everything that enters a block hash is a function of the genesis rules, the signed transactions and the block times:
no wall clock and no random beacon. So a replay of the recorded blocks gives the same hashes, on any machine.

Tests: tests/unit/chain/test_embedded.py
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import rlp
from eth.abc import BlockHeaderAPI, ComputationAPI, SignedTransactionAPI
from eth.chains.base import MiningChain
from eth.consensus.applier import ConsensusApplier
from eth.consensus.noproof import NoProofConsensus
from eth.constants import POST_MERGE_DIFFICULTY
from eth.db.atomic import AtomicDB
from eth.db.backends.memory import MemoryDB
from eth.exceptions import Revert as EvmRevert
from eth.exceptions import VMError
from eth.vm.spoof import SpoofTransaction
from eth_utils.exceptions import ValidationError
from rlp.exceptions import RLPException

from fl_platform.chain.precompiles import FastShanghaiVM
from fl_platform.chain.types import BlockRef, Call, CallReverted, Log, TxReceipt, Underpriced, address_of
from fl_platform.errors import ChainError
from fl_platform.protocol.keccak import keccak256

CHAIN_ID = 131277322940537  # eth-tester's own, so that its provider and ours sign alike
GAS_LIMIT = 30_000_000
FAUCET_KEY = keccak256(b"fl-platform embedded faucet")  # public on purpose: its wei exist on this chain only
FAUCET_WEI = 1 << 160
EMPTY_CODE = keccak256(b"")
BLANK_ROOT = bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")


@dataclass(frozen=True)
class Genesis:
    """What a chain starts from. Two chains with the same genesis and the same blocks are the same chain."""

    timestamp: int  # seconds
    chain_id: int = CHAIN_ID
    gas_limit: int = GAS_LIMIT


@dataclass(frozen=True)
class Mark:
    """A node's whole memory at one moment."""

    head: BlockRef
    store: dict[bytes, bytes]
    receipts: dict[bytes, TxReceipt]
    blocks: tuple[tuple[bytes, ...], ...]


class _Chain(MiningChain):
    """py-evm's Shanghai rules without proof of work, under a constant gas limit."""

    chain_id = CHAIN_ID
    vm_configuration = ConsensusApplier(NoProofConsensus).amend_vm_configuration(((0, FastShanghaiVM),))

    def create_header_from_parent(self, parent_header: BlockHeaderAPI, **params: Any) -> BlockHeaderAPI:
        beacon = keccak256(b"prevrandao" + parent_header.hash)
        fixed = {"gas_limit": parent_header.gas_limit, "timestamp": parent_header.timestamp + 1, "mix_hash": beacon}
        return super().create_header_from_parent(parent_header, **{**fixed, **params})


class EvmNode:
    """One chain in memory. Not persistent by itself; safe to share between threads of one process."""

    def __init__(self, genesis: Genesis, store: dict[bytes, bytes] | None = None) -> None:
        self.genesis = genesis
        self.lock = threading.RLock()
        self.store: dict[bytes, bytes] = {} if store is None else store
        database = AtomicDB(MemoryDB(self.store))
        kind: Any = type("_Chain", (_Chain,), {"chain_id": genesis.chain_id})
        self.chain: Any = kind(database) if store else kind.from_genesis(database, *_genesis_state(genesis))
        self._receipts: dict[bytes, TxReceipt] = {}  # by transaction hash
        self._blocks: list[tuple[bytes, ...]] = []  # transaction hashes by block number
        for number in range(self.head().number + 1):
            self._index(number)

    # --- reading ---

    def head(self) -> BlockRef:
        """Return the newest block."""
        return _reference(self.chain.get_canonical_head())

    def block(self, number: int) -> BlockRef | None:
        """Return a block, None beyond the head."""
        with self.lock:
            if not 0 <= number < len(self._blocks):
                return None
            return _reference(self.chain.get_canonical_block_header_by_number(number))

    def state(self, block: int | None = None) -> Any:
        """Return py-evm's state after `block` (None: newest); changes to it are never kept."""
        with self.lock:
            number = len(self._blocks) - 1 if block is None else block
            if not 0 <= number < len(self._blocks):
                raise ChainError(f"block {number} does not exist; the newest is {len(self._blocks) - 1}")
            return self.chain.get_vm(self.chain.get_canonical_block_header_by_number(number)).state

    def execute(self, call: Call, block: int | None = None, *, ahead: int | None = None) -> ComputationAPI:
        """Run a message without keeping its effects. Raises CallReverted with the revert data.

        It runs after `block` and at that block's time; with `ahead`, in the block to come, no earlier than that time.
        """
        with self.lock:
            if ahead is not None:
                header = self.chain.header.copy(timestamp=max(self.head().timestamp + 1, ahead))
            else:
                header = self.chain.get_canonical_head() if block is None else self._header(block)
            vm: Any = self.chain.get_vm(header)
            unsigned = vm.get_transaction_builder().create_unsigned_transaction(
                nonce=vm.state.get_nonce(call.sender),
                gas_price=0,
                gas=self.genesis.gas_limit,
                to=call.to or b"",
                value=call.value,
                data=call.data,
            )
            # A read is free, as on every node: without a base fee no balance is needed.
            vm.state.execution_context._base_fee_per_gas = 0
            try:
                computation: ComputationAPI = vm.state.apply_transaction(SpoofTransaction(unsigned, from_=call.sender))
            except ValidationError as error:
                raise ChainError(f"the call cannot run: {error}") from error
        if computation.is_error:
            cause = computation.error
            data = bytes(cause.args[0]) if isinstance(cause, EvmRevert) and cause.args else b""
            raise CallReverted(data, "" if data else f"{type(cause).__name__}: {cause}")
        return computation

    def receipt(self, transaction: bytes) -> TxReceipt | None:
        """Return a mined transaction's receipt."""
        return self._receipts.get(transaction)

    def logs(self, first: int, last: int) -> Iterator[Log]:
        """Yield the logs of blocks first..last in order."""
        for hashes in self._blocks[max(0, first) : last + 1]:
            for transaction in hashes:
                yield from self._receipts[transaction].logs

    def transactions(self, number: int) -> tuple[bytes, ...]:
        """Return the signed transactions of a block, raw."""
        with self.lock:
            block = self.chain.get_block_by_header(self._header(number))
            return tuple(bytes(transaction.encode()) for transaction in block.transactions)

    def check_state(self) -> None:
        """Walk all that hangs under the head's state root. Raises KeyError naming the first missing node."""
        with self.lock:
            pending = [bytes(self.chain.get_canonical_head().state_root)]
            accounts = True
            while pending:
                below: list[bytes] = []
                for root in pending:
                    for account in _leaves(self.store, root):
                        if accounts:
                            _nonce, _balance, storage, code = rlp.decode(account)
                            below += [] if storage == BLANK_ROOT else [storage]
                            if code != EMPTY_CODE and code not in self.store:
                                raise KeyError(code.hex())
                pending, accounts = below, False

    # --- writing ---

    def mark(self) -> Mark:
        """Remember everything as it is now."""
        with self.lock:
            return Mark(self.head(), dict(self.store), dict(self._receipts), tuple(self._blocks))

    def reset(self, mark: Mark) -> None:
        """Go back to `mark` (which stays valid): what a deep reorganisation does."""
        with self.lock:
            self.store = dict(mark.store)
            self.chain = type(self.chain)(AtomicDB(MemoryDB(self.store)))
            self._receipts, self._blocks = dict(mark.receipts), list(mark.blocks)

    def begin(self, timestamp: int) -> None:
        """Set the time of the block being built: at least one second after its parent."""
        with self.lock:
            least = self.head().timestamp + 1
            self.chain.header = self.chain.header.copy(timestamp=max(least, timestamp))

    def apply(self, raw: bytes) -> bytes:
        """Add a signed transaction to the block being built; return its hash. Raises ChainError when it is invalid."""
        with self.lock:
            before = self.chain.header
            try:
                transaction: SignedTransactionAPI = self.chain.get_vm().get_transaction_builder().decode(raw)
                self.chain.apply_transaction(transaction)
            except (ValidationError, VMError, RLPException, ValueError) as error:
                self.chain.header = before
                kind = Underpriced if "base fee" in str(error).lower() else ChainError
                raise kind(f"the chain refused the transaction: {error}") from error
            return bytes(transaction.hash)

    def seal(self) -> BlockRef:
        """Mine the block being built, also when it is empty."""
        with self.lock:
            self.chain.mine_block(mix_hash=self.chain.header.mix_hash)
            self._index(len(self._blocks))
            return self.head()

    def mine(self, timestamp: int, raws: tuple[bytes, ...]) -> BlockRef:
        """Mine one block of these transactions; when one is invalid, none is mined."""
        with self.lock:
            before = self.chain.header
            self.begin(timestamp)
            try:
                for raw in raws:
                    self.apply(raw)
            except ChainError:
                self.chain.header = before
                raise
            return self.seal()

    def _header(self, number: int) -> Any:
        if not 0 <= number < len(self._blocks):
            raise ChainError(f"block {number} does not exist; the newest is {len(self._blocks) - 1}")
        return self.chain.get_canonical_block_header_by_number(number)

    def _index(self, number: int) -> None:
        header = self.chain.get_canonical_block_header_by_number(number)
        if header.transaction_root == BLANK_ROOT:
            self._blocks.append(())
            return
        block = self.chain.get_block_by_header(header)
        receipts = block.get_receipts(self.chain.chaindb)
        done, before, index = [], 0, 0
        for transaction, receipt in zip(block.transactions, receipts, strict=True):
            value = _receipt(header, transaction, receipt, before, index)
            before, index = receipt.gas_used, index + len(value.logs)
            self._receipts[value.transaction] = value
            done.append(value.transaction)
        self._blocks.append(tuple(done))


def _genesis_state(genesis: Genesis) -> tuple[dict[str, Any], dict[bytes, Any]]:
    parameters = {
        "coinbase": bytes(20),
        "difficulty": POST_MERGE_DIFFICULTY,
        "extra_data": b"fl-platform",
        "gas_limit": genesis.gas_limit,
        "mix_hash": keccak256(b"prevrandao"),
        "receipt_root": BLANK_ROOT,
        "timestamp": genesis.timestamp,
        "transaction_root": BLANK_ROOT,
    }
    faucet = {"balance": FAUCET_WEI, "nonce": 0, "code": b"", "storage": {}}
    return parameters, {address_of(FAUCET_KEY): faucet}


def _reference(header: BlockHeaderAPI) -> BlockRef:
    return BlockRef(header.block_number, bytes(header.hash), bytes(header.parent_hash), header.timestamp)


def _receipt(header: BlockHeaderAPI, transaction: Any, receipt: Any, gas_before: int, first_log: int) -> TxReceipt:
    digest, place = bytes(transaction.hash), (header.block_number, bytes(header.hash))
    logs = tuple(
        Log(bytes(log.address), tuple(t.to_bytes(32, "big") for t in log.topics), bytes(log.data), *place, digest, i)
        for i, log in enumerate(receipt.logs, first_log)
    )
    price = min(transaction.max_fee_per_gas, transaction.max_priority_fee_per_gas + header.base_fee_per_gas)
    created = None if transaction.to else _created(transaction.sender, transaction.nonce)
    ok = bytes(receipt.state_root) == b"\x01"
    return TxReceipt(digest, *place, ok, receipt.gas_used - gas_before, price, created, logs)


def _leaves(store: dict[bytes, bytes], root: bytes) -> Iterator[bytes]:
    """Yield the values of a hexary trie; every node is looked up, so a missing one shows."""
    pending: list[Any] = [root]
    while pending:
        reference = pending.pop()
        node = rlp.decode(store[reference]) if isinstance(reference, bytes) else reference
        if len(node) == 17:
            pending += [child for child in node[:16] if child]
        elif node[0][0] & 0x20:
            yield node[1]
        else:
            pending.append(node[1])


def _created(sender: bytes, nonce: int) -> bytes:
    return keccak256(rlp.encode([sender, nonce]))[12:]
