"""Any chain behind a JSON-RPC URL: anvil, ganache, Sepolia, an L2. Transport by web3.py, one request at a time.

Nodes word the same trouble differently; the tables below map what geth, anvil, ganache and the hosted services say to
our errors. The URL may carry credentials, so only its scheme, host and port appear in messages.
"""

from __future__ import annotations

import itertools
import logging
from typing import Any
from urllib.parse import urlsplit

import requests
from web3 import HTTPProvider
from web3.exceptions import Web3Exception
from web3.types import RPCEndpoint

from fl_platform.chain.backend import Backend
from fl_platform.chain.types import BlockRef, Call, CallReverted, FeeQuote, Log, LogFilter, TxReceipt, Underpriced
from fl_platform.errors import ChainError, ConfigError, RpcUnavailable, WalletError
from fl_platform.protocol.keccak import keccak256

logger = logging.getLogger(__name__)

LOCAL_CLIENTS = ("anvil", "ganache", "hardhat")
KNOWN = ("already known", "already imported", "known transaction", "nonce too low", "already in mempool",
         "the tx doesn't have the correct nonce", "has already been")  # fmt: skip
UNDERPRICED = ("underpriced", "fee too low", "less than block base fee", "max fee per gas", "fee cap less")
GAS_MARGIN_PERCENT = 125
WEI = 10**18


class RpcBackend(Backend):
    """One HTTP end point. Raises RpcUnavailable once per failed request; `retry.Retrying` repeats."""

    def __init__(self, url: str, *, timeout: float = 20.0, log_span: int = 10_000, priority: int | None = None) -> None:
        """Connect lazily. `timeout` in seconds, `log_span` in blocks, `priority` in wei per gas (None: the node's)."""
        self.name = shown_url(url)
        self._log_span = log_span
        self._priority = priority
        self._provider = HTTPProvider(url, request_kwargs={"timeout": timeout}, exception_retry_configuration=None)
        self._client: str | None = None
        self._marks = itertools.count()

    def ask(self, method: str, *parameters: Any) -> Any:
        """Send one request and return its result. Raises RpcUnavailable, CallReverted, ChainError."""
        try:
            answer: Any = self._provider.make_request(RPCEndpoint(method), list(parameters))
        except (requests.RequestException, OSError, ValueError, Web3Exception) as error:
            raise RpcUnavailable(
                f"{self.name} does not answer {method} ({type(error).__name__}{_status(error)}); "
                f"is the node running and the URL right? Nothing was lost: run the same command again"
            ) from None
        if not isinstance(answer, dict):
            raise RpcUnavailable(f"{self.name} answered {method} with no JSON-RPC object; is this an RPC end point?")
        if answer.get("error") is not None:
            raise _error(self.name, method, answer["error"])
        if "result" not in answer:
            raise RpcUnavailable(f"{self.name} answered {method} without a result")
        return answer["result"]

    # --- Backend ---

    @property
    def local(self) -> bool:
        if self._client is None:
            try:
                self._client = str(self.ask("web3_clientVersion")).lower()
            except ChainError:
                self._client = "unknown"
        return any(name in self._client for name in LOCAL_CLIENTS)

    def chain_id(self) -> int:
        return _number(self.ask("eth_chainId"))

    def head(self, tag: str = "latest") -> BlockRef:
        found = _block(self.ask("eth_getBlockByNumber", tag, False))
        if found is None:
            raise ChainError(f"{self.name} knows no block {tag!r} yet; wait, or choose another finality")
        return found

    def block(self, number: int) -> BlockRef | None:
        return _block(self.ask("eth_getBlockByNumber", hex(number), False))

    def call(self, call: Call, block: int | None = None) -> bytes:
        return _bytes(self.ask("eth_call", _message(call), "latest" if block is None else hex(block)))

    def estimate(self, call: Call) -> int:
        try:
            return _number(self.ask("eth_estimateGas", _message(call))) * GAS_MARGIN_PERCENT // 100
        except ChainError:
            self.call(call)  # some nodes give the revert data here only
            raise

    def balance(self, address: bytes) -> int:
        return _number(self.ask("eth_getBalance", _hex(address), "latest"))

    def nonce(self, address: bytes, *, pending: bool = False) -> int:
        return _number(self.ask("eth_getTransactionCount", _hex(address), "pending" if pending else "latest"))

    def code(self, address: bytes) -> bytes:
        return _bytes(self.ask("eth_getCode", _hex(address), "latest"))

    def fees(self) -> FeeQuote:
        block = self.ask("eth_getBlockByNumber", "latest", False)
        base = block.get("baseFeePerGas") if isinstance(block, dict) else None
        if base is None:
            return FeeQuote(ceiling=_number(self.ask("eth_gasPrice")) * GAS_MARGIN_PERCENT // 100, priority=None)
        priority = self._priority
        if priority is None:
            try:
                priority = _number(self.ask("eth_maxPriorityFeePerGas"))
            except ChainError:
                priority = WEI // 10**9
        return FeeQuote(ceiling=2 * _number(base) + priority, priority=priority)

    def broadcast(self, raw: bytes) -> bytes:
        # Ganache 7.9.2 runs a mined transaction AGAIN when it gets the same bytes: nonces do not protect there.
        if self.ask("eth_getTransactionByHash", _hex(keccak256(raw))) is not None:
            return keccak256(raw)
        try:
            self.ask("eth_sendRawTransaction", _hex(raw))
        except ChainError as error:
            text = str(error).lower()
            if any(words in text for words in KNOWN):
                return keccak256(raw)
            if any(words in text for words in UNDERPRICED):
                raise Underpriced(str(error)) from error
            if "insufficient funds" in text:
                raise WalletError(f"the sending wallet has too little: {error}; fund it and run again") from error
            raise
        return keccak256(raw)

    def receipt(self, transaction: bytes) -> TxReceipt | None:
        return _receipt(self.ask("eth_getTransactionReceipt", _hex(transaction)))

    def logs(self, wanted: LogFilter) -> tuple[Log, ...]:
        found: list[Log] = []
        for first in range(wanted.first, wanted.last + 1, self._log_span):
            found += self._logs(wanted, first, min(wanted.last, first + self._log_span - 1))
        return tuple(found)

    def _logs(self, wanted: LogFilter, first: int, last: int) -> list[Log]:
        query: dict[str, Any] = {"fromBlock": hex(first), "toBlock": hex(last)}
        if wanted.addresses:
            query["address"] = [_hex(address) for address in wanted.addresses]
        if wanted.topics:
            query["topics"] = [[_hex(topic) for topic in wanted.topics]]
        try:
            return sorted((_log(x) for x in self.ask("eth_getLogs", query)), key=lambda log: (log.block, log.index))
        except ChainError:
            if first == last:
                raise
            middle = (first + last) // 2  # "too many results", in a hundred wordings
            return self._logs(wanted, first, middle) + self._logs(wanted, middle + 1, last)

    # --- local chains ---

    def advance_to(self, timestamp: int) -> None:
        if not self.local:
            super().advance_to(timestamp)
        ahead = timestamp - self.head().timestamp
        if ahead > 0 and "ganache" in str(self._client):
            self.ask("evm_mine", timestamp)
            self.ask("evm_increaseTime", ahead)
        elif ahead > 0:
            self.ask("evm_setNextBlockTimestamp", hex(timestamp))
            self.ask("evm_mine")

    def fund(self, address: bytes, wei: int) -> None:
        if not self.local:
            super().fund(address, wei)
        method = "evm_setAccountBalance" if "ganache" in str(self._client) else "anvil_setBalance"
        self.ask(method, _hex(address), hex(self.balance(address) + wei))

    def snapshot(self) -> str:
        return str(self.ask("evm_snapshot")) if self.local else super().snapshot()

    def revert(self, snapshot: str) -> None:
        if not self.local:
            super().revert(snapshot)
        if not self.ask("evm_revert", snapshot):
            raise ConfigError(f"{self.name} has no snapshot {snapshot}")


def shown_url(url: str) -> str:
    """Return scheme, host and port of a URL: what may be printed (user, path and query can hold credentials)."""
    parts = urlsplit(url)
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        port = ""
    return f"{parts.scheme}://{parts.hostname or '?'}{port}"


def _status(error: Exception) -> str:
    response = getattr(error, "response", None)
    return f", HTTP {response.status_code}" if response is not None else ""


def _error(name: str, method: str, error: Any) -> Exception:
    message = str(error.get("message", error) if isinstance(error, dict) else error)
    code = error.get("code") if isinstance(error, dict) else None
    data = _revert_data(error.get("data") if isinstance(error, dict) else None)
    if "revert" in message.lower() or code == 3:
        return CallReverted(data, message)
    if data and method in ("eth_call", "eth_estimateGas"):
        return CallReverted(data, message)
    if code in (-32005, -32029, 429):
        return RpcUnavailable(f"{name} is busy: {message}; wait, or use another end point")
    return ChainError(f"{name} refused {method}: {message}")


def _revert_data(value: Any) -> bytes:
    if isinstance(value, dict):
        value = value.get("data") or value.get("result") or ""
    if not isinstance(value, str):
        return b""
    text = value.removeprefix("Reverted ").removeprefix("0x")
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _message(call: Call) -> dict[str, str]:
    message = {"from": _hex(call.sender), "data": _hex(call.data), "value": hex(call.value)}
    return message if call.to is None else {**message, "to": _hex(call.to)}


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _number(value: Any) -> int:
    try:
        return int(value, 16)
    except (TypeError, ValueError) as error:
        raise RpcUnavailable(f"the end point answered {value!r} where a number was due") from error


def _bytes(value: Any) -> bytes:
    try:
        return bytes.fromhex(value.removeprefix("0x"))
    except (AttributeError, ValueError) as error:
        raise RpcUnavailable(f"the end point answered {value!r} where bytes were due") from error


def _block(value: Any) -> BlockRef | None:
    if value is None:
        return None
    try:
        number, timestamp = _number(value["number"]), _number(value["timestamp"])
        return BlockRef(number, _bytes(value["hash"]), _bytes(value["parentHash"]), timestamp)
    except (KeyError, TypeError) as error:
        raise RpcUnavailable(f"the end point's block does not parse ({error!r})") from error


def _log(value: Any) -> Log:
    try:
        return Log(
            address=_bytes(value["address"]),
            topics=tuple(_bytes(topic) for topic in value["topics"]),
            data=_bytes(value["data"]),
            block=_number(value["blockNumber"]),
            block_hash=_bytes(value["blockHash"]),
            transaction=_bytes(value["transactionHash"]),
            index=_number(value["logIndex"]),
        )
    except (KeyError, TypeError) as error:
        raise RpcUnavailable(f"the end point's log does not parse ({error!r})") from error


def _receipt(value: Any) -> TxReceipt | None:
    if value is None or value.get("blockNumber") is None:
        return None
    try:
        created = value.get("contractAddress")
        return TxReceipt(
            transaction=_bytes(value["transactionHash"]),
            block=_number(value["blockNumber"]),
            block_hash=_bytes(value["blockHash"]),
            ok=_number(value["status"]) == 1,
            gas_used=_number(value["gasUsed"]),
            gas_price=_number(value.get("effectiveGasPrice", "0x0")),
            contract=None if created is None else _bytes(created),
            logs=tuple(_log(log) for log in value["logs"]),
        )
    except (KeyError, TypeError) as error:
        raise RpcUnavailable(f"the end point's receipt does not parse ({error!r})") from error
