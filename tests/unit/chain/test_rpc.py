"""An end point that misbehaves in every way HTTP and JSON-RPC allow: our own error, never a traceback. Real sockets."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from fl_platform.chain.client import Chain, connect
from fl_platform.chain.rpc import RpcBackend, shown_url
from fl_platform.chain.types import Call, CallReverted, LogFilter, Underpriced
from fl_platform.config import MINIMAL, NETWORKS, Network
from fl_platform.errors import ChainError, ConfigError, FLError, RpcUnavailable, WalletError
from fl_platform.protocol.keccak import keccak256

Answer = Callable[[str, list[Any]], Any]
WORD = "0x" + "11" * 32
BLOCK = {"number": "0x5", "hash": WORD, "parentHash": WORD, "timestamp": "0x64", "baseFeePerGas": "0x7"}


class Server:
    """Answers JSON-RPC with what a test says."""

    def __init__(self) -> None:
        self.answer: Answer = lambda method, params: {"result": "0x1"}
        self.raw: tuple[int, bytes] | None = None
        self.asked: list[tuple[str, list[Any]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.asked.append((request["method"], request["params"]))
                status, body = outer.raw or (200, b"")
                if outer.raw is None:
                    body = json.dumps(
                        {"jsonrpc": "2.0", "id": 1, **outer.answer(request["method"], request["params"])}
                    ).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def rpc(server: Server) -> RpcBackend:
    return RpcBackend(server.url, timeout=5.0, log_span=100)


def error(message: str, code: int = -32000, data: object = None) -> Answer:
    return lambda method, params: {"error": {"code": code, "message": message, "data": data}}


@pytest.mark.parametrize(
    "raw",
    [
        (200, b"<html>login</html>"),
        (200, b""),
        (200, b"[]"),
        (200, b'"text"'),
        (200, b'{"jsonrpc":"2.0","id":1}'),
        (200, b'{"jsonrpc":"2.0","id":1,"result":{}}'),
        (200, b'{"jsonrpc":"2.0","id":1,"result":"zz"}'),
        (401, b"no key"),
        (429, b"slow down"),
        (500, b"oops"),
        (503, b"maintenance"),
        (200, b"\xff\xfe\x00"),
        (200, b"[" * 5000),
    ],
)
def test_nonsense_is_unavailable(server: Server, rpc: RpcBackend, raw: tuple[int, bytes]) -> None:
    server.raw = raw
    with pytest.raises(RpcUnavailable) as caught:
        rpc.chain_id()
    assert caught.value.exit_code == 6


def test_nothing_listens() -> None:
    with pytest.raises(
        RpcUnavailable, match=r"127\.0\.0\.1:9 does not answer eth_chainId .*run the same command again"
    ):
        connect(Network("anvil", "http://127.0.0.1:9"), policy=MINIMAL)


def test_no_such_host() -> None:
    with pytest.raises(RpcUnavailable, match=r"no-such-host\.invalid"):
        connect(Network("x", "https://no-such-host.invalid/v3/KEY"), policy=MINIMAL)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pass@node.example/v3/KEY?x=1", "https://node.example"),
        ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
        ("http://node.example:99999/KEY", "http://node.example"),
        ("ws://node.example:1/KEY", "ws://node.example:1"),
    ],
)
def test_urls_are_shown_without_credentials(url: str, shown: str) -> None:
    assert shown_url(url) == shown


@pytest.mark.parametrize(
    ("message", "code", "data", "found"),
    [
        ("execution reverted: why", 3, "0x08c379a0" + "00" * 4, bytes.fromhex("08c379a0") + bytes(4)),
        ("VM Exception while processing transaction: revert", -32000, "0x1234", b"\x12\x34"),
        ("execution reverted", -32000, None, b""),
        ("Transaction failed", -32003, "Reverted 0xabcd", b"\xab\xcd"),
        ("VM Exception: revert", -32000, {"data": "0x99", "hash": "0x1"}, b"\x99"),
        ("execution reverted", 3, "not hex", b""),
    ],
)
def test_revert_data_is_found_in_every_dialect(
    server: Server, rpc: RpcBackend, message: str, code: int, data: object, found: bytes
) -> None:
    server.answer = error(message, code, data)
    with pytest.raises(CallReverted) as caught:
        rpc.call(Call(bytes(20), b""))
    assert caught.value.data == found


RAW = b"\x02" + bytes(50)


def sending(message: str, code: int = -32000) -> Answer:
    def answer(method: str, params: list[Any]) -> Any:
        refused = {"error": {"code": code, "message": message}}
        return {"result": None} if method == "eth_getTransactionByHash" else refused

    return answer


@pytest.mark.parametrize("message", ["already known", "nonce too low: next nonce 4, tx nonce 3", "Known transaction"])
def test_known_transactions_are_taken_as_sent(server: Server, rpc: RpcBackend, message: str) -> None:
    server.answer = sending(message)
    assert rpc.broadcast(RAW) == keccak256(RAW)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("replacement transaction underpriced", Underpriced),
        ("max fee per gas less than block base fee: address 0x..", Underpriced),
        ("insufficient funds for gas * price + value", WalletError),
        ("intrinsic gas too low", ChainError),
    ],
)
def test_refusals_are_told_apart(server: Server, rpc: RpcBackend, message: str, kind: type[FLError]) -> None:
    server.answer = sending(message)
    with pytest.raises(kind, match=re.escape(message)):
        rpc.broadcast(RAW)


def test_a_transaction_that_the_node_has_is_not_handed_in_again(server: Server, rpc: RpcBackend) -> None:
    server.answer = lambda method, params: {"result": {"hash": WORD}}
    assert rpc.broadcast(RAW) == keccak256(RAW)
    assert [method for method, _ in server.asked] == ["eth_getTransactionByHash"]


def test_rate_limits_are_retried(server: Server) -> None:
    calls = 0

    def answer(method: str, params: list[Any]) -> Any:
        nonlocal calls
        calls += 1
        limited = {"error": {"code": -32005, "message": "daily request count exceeded"}}
        return limited if calls < 3 else {"result": BLOCK if method == "eth_getBlockByNumber" else "0x7a69"}

    server.answer = answer
    chain = Chain(RpcBackend(server.url), NETWORKS["anvil"], policy=MINIMAL)
    assert chain.chain_id == 31337


def test_another_chain_is_refused(server: Server) -> None:
    with pytest.raises(ConfigError, match="is chain 1, sepolia is 11155111"):
        Chain(RpcBackend(server.url), NETWORKS["sepolia"], policy=MINIMAL)


def test_fees_follow_the_block_with_a_legacy_fallback(server: Server, rpc: RpcBackend) -> None:
    base = {"eth_getBlockByNumber": BLOCK, "eth_maxPriorityFeePerGas": "0x3", "eth_gasPrice": "0x64"}
    server.answer = lambda method, params: {"result": base[method]}
    assert (rpc.fees().ceiling, rpc.fees().priority) == (2 * 7 + 3, 3)
    base["eth_getBlockByNumber"] = {k: v for k, v in BLOCK.items() if k != "baseFeePerGas"}
    assert (rpc.fees().ceiling, rpc.fees().priority) == (125, None)


def test_logs_are_read_in_spans_and_halved_when_refused(server: Server, rpc: RpcBackend) -> None:
    def answer(method: str, params: list[Any]) -> Any:
        first, last = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
        if last - first >= 50:
            return {"error": {"code": -32602, "message": "query returned more than 10000 results"}}
        return {"result": []}

    server.answer = answer
    assert rpc.logs(LogFilter(0, 199)) == ()
    spans = [(int(p[0]["fromBlock"], 16), int(p[0]["toBlock"], 16)) for _, p in server.asked]
    assert [s for s in spans if s[1] - s[0] < 50] == [(0, 49), (50, 99), (100, 149), (150, 199)]


def test_public_chains_do_not_move_time_or_give_coin(server: Server, rpc: RpcBackend) -> None:
    server.answer = lambda method, params: {"result": "Geth/v1.14"}
    for act in (lambda: rpc.advance_to(5), lambda: rpc.fund(bytes(20), 1), rpc.snapshot, lambda: rpc.revert("0x1")):
        with pytest.raises(ConfigError, match="is no local chain"):
            act()


def test_a_public_chain_is_waited_for(server: Server) -> None:
    times = iter([*range(100, 130, 3)] * 3)

    def answer(method: str, params: list[Any]) -> Any:
        if method == "eth_getBlockByNumber":
            return {"result": {**BLOCK, "timestamp": hex(next(times))}}
        return {"result": "Geth/v1.14" if method == "web3_clientVersion" else "0x1"}

    server.answer = answer
    slept: list[float] = []
    chain = Chain(RpcBackend(server.url), Network("x", server.url), policy=MINIMAL, sleep=slept.append)
    chain.wait_until(115)
    assert slept == sorted(slept, reverse=True)
    assert 0 < len(slept) < 6
