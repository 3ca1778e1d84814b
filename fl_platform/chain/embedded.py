"""The chain inside this process: nothing to install, and it outlives the process when given a folder.

Opening loads the snapshot, checks it against the log and the head's state root, and replays what the log holds beyond
it; `verify=True` ignores the snapshot and replays every signed transaction, comparing each block hash. One process
holds a folder at a time (ChainBusy). `web3()` shows the same chain to any web3.py program.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from eth_utils.exceptions import ValidationError

from fl_platform.chain import chainlog
from fl_platform.chain.backend import Backend
from fl_platform.chain.chainlog import BLOCK, REVERT, ChainLog, Entry, Lock, Record
from fl_platform.chain.evm import FAUCET_KEY, EvmNode, Genesis, Mark
from fl_platform.chain.types import BlockRef, Call, FeeQuote, Log, LogFilter, TxReceipt, address_of
from fl_platform.errors import ChainError, ConfigError, IntegrityError
from fl_platform.protocol.keccak import keccak256

if TYPE_CHECKING:
    from web3 import Web3

logger = logging.getLogger(__name__)

GENESIS_TIME = 1_700_000_000  # seconds; fixed, so that equal histories give equal hashes
FORMAT = "fl-platform/chain/1"
SNAPSHOT_EVERY = 64  # blocks; bounds what a killed process's successor replays (about 20 ms a block)
TRANSFER_GAS = 21_000


class EmbeddedBackend(Backend):
    """py-evm in this process, optionally kept in a folder."""

    name = "embedded"

    def __init__(self, folder: Path | None = None, *, verify: bool = False, wall_clock: bool = False) -> None:
        """Open or create the chain in `folder` (None: in memory only).

        Block time moves one second per block and where `advance_to` puts it; with `wall_clock` (kept from the chain's
        creation) it follows this machine's clock. Raises ChainBusy, IntegrityError, ConfigError.
        """
        self._folder = folder
        self._lock: Lock | None = None
        self._log: ChainLog | None = None
        self._marks: dict[str, Mark] = {}
        self._unsaved = 0
        genesis = Genesis(int(time.time()) if wall_clock else GENESIS_TIME)
        self._clock: Callable[[], int] = _now if wall_clock else _still
        if folder is None:
            self.node = EvmNode(genesis)
            return
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = Lock(folder)
        try:
            self._open(folder, genesis, verify=verify, wall_clock=wall_clock)
        except BaseException:
            self._release()
            raise

    # --- opening and closing ---

    def _open(self, folder: Path, genesis: Genesis, *, verify: bool, wall_clock: bool) -> None:
        manifest = folder / "chain.json"
        if not manifest.exists():
            document = {"format": FORMAT, "genesis": asdict(genesis), "clock": "wall" if wall_clock else "simulated"}
            temporary = manifest.with_suffix(".new")
            temporary.write_text(json.dumps(document, sort_keys=True))
            temporary.replace(manifest)
        text = manifest.read_bytes()
        try:
            document = json.loads(text)
            if document["format"] != FORMAT:
                raise ValueError(f"format {document['format']!r}")
            genesis = Genesis(**document["genesis"])
            self._clock = _now if document["clock"] == "wall" else _still
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{manifest} is not a chain of this version ({error}); use another folder") from error
        self._log = ChainLog(folder / "chain.log", sha256(text).digest())
        entries = self._log.entries()
        base, start = None if verify else self._from_snapshot(folder / "chain.snap", entries), 0
        if base is None:
            self.node = EvmNode(genesis)
        else:
            self.node, start = base
        blocks = chainlog.effective(entries)
        for record in blocks[start:]:
            self._replay(record)
        self._unsaved = len(blocks) - start

    def _from_snapshot(self, path: Path, entries: list[Entry]) -> tuple[EvmNode, int] | None:
        """Return the node that the snapshot describes and its block count; None when it is not part of this history."""
        snapshot = chainlog.read_snapshot(path)
        if snapshot is None:
            return None
        covered = [entry for entry in entries if entry.end <= snapshot.end]
        if not covered or covered[-1].end != snapshot.end or covered[-1].digest != snapshot.digest:
            logger.warning("%s belongs to another history; replaying the log", path.name)
            return None
        blocks = chainlog.effective(covered)
        if chainlog.effective(entries)[: len(blocks)] != blocks or not blocks:
            return None  # a later revert went below the snapshot
        genesis = Genesis(**json.loads((path.parent / "chain.json").read_bytes())["genesis"])
        try:
            node = EvmNode(genesis, dict(snapshot.store))
            head = node.head()
            if (head.number, head.hash) != (len(blocks), blocks[-1].block_hash):
                raise IntegrityError(f"head is block {head.number}, the log's is {len(blocks)}")
            _check_history(node, blocks)
        except (KeyError, ValidationError, IntegrityError) as error:
            raise IntegrityError(f"{path} contradicts its log ({error}); delete it: it is rebuilt") from error
        return node, len(blocks)

    def _replay(self, record: Record) -> None:
        block = self.node.mine(record.timestamp, record.transactions)
        if (block.number, block.hash, block.timestamp) != (record.number, record.block_hash, record.timestamp):
            raise IntegrityError(
                f"replay of block {record.number} gives 0x{block.hash.hex()}, the log says "
                f"0x{record.block_hash.hex()}; the log or the installed py-evm changed"
            )

    def close(self) -> None:
        """Write a snapshot and let go of the folder."""
        if self._log is not None and self._folder is not None and self._unsaved:
            chainlog.write_snapshot(self._folder / "chain.snap", self.node.store, self._log)
            self._unsaved = 0
        self._release()

    def _release(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    # --- Backend ---

    @property
    def local(self) -> bool:
        return True

    def chain_id(self) -> int:
        return self.node.genesis.chain_id

    def head(self, tag: str = "latest") -> BlockRef:
        return self.node.head()  # one process, one history: its newest block is final until `revert`

    def next_time(self) -> int:
        return max(self.head().timestamp, self._clock())

    def block(self, number: int) -> BlockRef | None:
        return self.node.block(number)

    def call(self, call: Call, block: int | None = None) -> bytes:
        return bytes(self.node.execute(call, block).output)

    def estimate(self, call: Call) -> int:
        computation = self.node.execute(call, ahead=self._clock())
        used = self.node.genesis.gas_limit - computation.get_gas_remaining()
        return min(self.node.genesis.gas_limit, used * 5 // 4 + 20_000)  # every inner call keeps back 1/64

    def balance(self, address: bytes) -> int:
        return int(self.node.state().get_balance(address))

    def nonce(self, address: bytes, *, pending: bool = False) -> int:
        return int(self.node.state().get_nonce(address))

    def code(self, address: bytes) -> bytes:
        return bytes(self.node.state().get_code(address))

    def fees(self) -> FeeQuote:
        return FeeQuote(ceiling=2 * int(self.node.chain.header.base_fee_per_gas) + 1, priority=0)

    def broadcast(self, raw: bytes) -> bytes:
        with self.node.lock:
            digest = keccak256(raw)
            if self.node.receipt(digest) is None:
                self._mine(self._clock(), (raw,))
            return digest

    def receipt(self, transaction: bytes) -> TxReceipt | None:
        return self.node.receipt(transaction)

    def logs(self, wanted: LogFilter) -> tuple[Log, ...]:
        return tuple(
            log
            for log in self.node.logs(wanted.first, wanted.last)
            if (not wanted.addresses or log.address in wanted.addresses)
            and (not wanted.topics or (log.topics and log.topics[0] in wanted.topics))
        )

    def advance_to(self, timestamp: int) -> None:
        with self.node.lock:
            if timestamp > self.node.head().timestamp:
                self._mine(timestamp, ())

    def fund(self, address: bytes, wei: int) -> None:
        from eth_account import Account

        with self.node.lock:
            transfer = {
                "to": address,
                "value": wei,
                "nonce": self.nonce(address_of(FAUCET_KEY)),
                "gas": TRANSFER_GAS,
                "maxFeePerGas": self.fees().ceiling,
                "maxPriorityFeePerGas": 0,
                "chainId": self.chain_id(),
            }
            self.broadcast(bytes(Account.sign_transaction(transfer, FAUCET_KEY).raw_transaction))

    def snapshot(self) -> str:
        with self.node.lock:
            mark = self.node.mark()
            self._marks[f"0x{mark.head.hash.hex()}"] = mark
            return f"0x{mark.head.hash.hex()}"

    def revert(self, snapshot: str) -> None:
        with self.node.lock:
            mark = self._marks.get(snapshot)
            if mark is None:
                raise ConfigError(f"snapshot {snapshot} was not taken in this process")
            if self._log is not None:
                self._log.append(Record(REVERT, mark.head.timestamp, mark.head.number, mark.head.hash, ()))
            self.node.reset(mark)
            self._unsaved += 1

    def web3(self) -> Web3:
        """Return a web3.py object over this chain (reads, and raw transactions, which are recorded like our own)."""
        from web3 import Web3

        from fl_platform.chain.tester import provider_of

        return Web3(provider_of(self))

    def record_block(self) -> BlockRef:
        """Seal the block being built and put it on the record (`tester` builds blocks transaction by transaction)."""
        return self._keep(self.node.seal())

    def _mine(self, timestamp: int, raws: tuple[bytes, ...]) -> BlockRef:
        if self._folder is not None and self._log is None:
            raise ChainError("this embedded chain is closed; open it again")
        return self._keep(self.node.mine(timestamp, raws))

    def _keep(self, block: BlockRef) -> BlockRef:
        if self._log is not None and self._folder is not None:
            raws = self.node.transactions(block.number)
            try:
                self._log.append(Record(BLOCK, block.timestamp, block.number, block.hash, raws))
            except IntegrityError:
                self._release()  # memory is ahead of the disk: nothing more may be said about this chain
                raise
            self._unsaved += 1
            if self._unsaved >= SNAPSHOT_EVERY:
                chainlog.write_snapshot(self._folder / "chain.snap", self.node.store, self._log)
                self._unsaved = 0
        return block


def _check_history(node: EvmNode, blocks: list[Record]) -> None:
    """Demand that every block of the node is the one that the log recorded, and that the head's state opens."""
    for record in blocks:
        block = node.block(record.number)
        if block is None or block.hash != record.block_hash:
            raise IntegrityError(f"block {record.number} differs from the log")
    node.check_state()


def _now() -> int:
    return int(time.time())


def _still() -> int:
    return 0  # the node puts every block one second after its parent
