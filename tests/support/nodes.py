"""Real chain nodes for tests: anvil, ganache and a rehearsal of Sepolia, each on its own free loopback port.

    with anvil() as node:
        node.fund("0x...", 10**18)
        client = Web3(HTTPProvider(node.url))

Needs the npm tools (`make tools`), so tests that use these carry the marker `node`. A node is ended by its process id
when the block is left, also by an exception; nothing here looks for processes by name.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
# npm installs the one native build that fits this machine.
ANVIL = next((ROOT / "node_modules" / "@foundry-rs").glob("anvil-*/bin/anvil"), ROOT / "node_modules" / "anvil")
GANACHE = ROOT / "node_modules" / "ganache" / "dist" / "node" / "cli.js"
# The accounts every local tool knows; worthless anywhere else.
MNEMONIC = "test test test test test test test test test test test junk"
HARDFORK = "shanghai"
SEPOLIA_CHAIN_ID = 11155111
# Ganache loads 10 MB of JavaScript: 3 s alone, 15 s and more when the other core is busy.
READY_SECONDS = 60.0
STOP_SECONDS = 10.0


class NodeToolMissing(RuntimeError):
    """An npm tool is not installed; the message names the file looked for and the remedy."""


class NodeFailed(RuntimeError):
    """A node ended or did not answer in time; the message ends with what it printed."""


@dataclass(frozen=True)
class Node:
    """A running chain node."""

    name: str  # anvil, ganache or sepolia-rehearsal
    url: str  # http://127.0.0.1:PORT
    chain_id: int
    pid: int
    accounts: tuple[str, ...] = field(repr=False)  # unlocked by the node, rich

    def rpc(self, method: str, *params: object) -> Any:
        """Call one JSON-RPC method and return its result; an error answer raises NodeFailed."""
        return json_rpc(self.url, method, params)

    def fund(self, address: str, wei: int) -> None:
        """Set the balance of `address` to `wei`."""
        method = "evm_setAccountBalance" if self.name == "ganache" else "anvil_setBalance"
        self.rpc(method, address, hex(wei))

    def advance(self, seconds: int) -> None:
        """Move the clock on by whole seconds and mine one block."""
        self.rpc("evm_increaseTime", seconds)
        self.rpc("evm_mine")


def json_rpc(url: str, method: str, params: Sequence[object] = (), *, timeout: float = 30.0) -> Any:
    """Post one JSON-RPC request to a loopback node; raises OSError when nothing listens and NodeFailed on an error."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}).encode()
    request = urllib.request.Request(url, data=body, headers={"content-type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=timeout) as answer:
        reply = json.load(answer)
    if "error" in reply:
        raise NodeFailed(f"{method} was refused: {reply['error']}")
    return reply["result"]


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _require(tool: Path) -> Path:
    if not tool.exists():
        raise NodeToolMissing(f"{tool.relative_to(ROOT)} is not installed: run `make tools` (it needs Node 20 and npm)")
    return tool


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _await_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> int:
    """Poll until the node answers and return its chain id."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, urllib.error.URLError):
            return int(json_rpc(url, "eth_chainId", timeout=5.0), 16)
        with contextlib.suppress(subprocess.TimeoutExpired):
            # The pause of the poll is a wait for the process, so a node that dies is noticed at once.
            code = process.wait(timeout=0.05)
            raise NodeFailed(f"{process.args!r} ended with {code}: {log.read_text(errors='replace')[-2000:]}")
    raise NodeFailed(f"no answer from {url} in {READY_SECONDS} s: {log.read_text(errors='replace')[-2000:]}")


@contextlib.contextmanager
def _running(name: str, command: Sequence[str], port: int, extra_env: Mapping[str, str]) -> Iterator[Node]:
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
        log = Path(folder) / "log"
        env = {**os.environ, "HOME": folder, **extra_env}
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env)
        try:
            chain_id = _await_ready(process, url, log)
            accounts = tuple(json_rpc(url, "eth_accounts"))
            yield Node(name=name, url=url, chain_id=chain_id, pid=process.pid, accounts=accounts)
        finally:
            _stop(process)


@contextlib.contextmanager
def anvil(*, chain_id: int = 31337, block_time: int | None = None, options: Sequence[str] = ()) -> Iterator[Node]:
    """Run anvil; it mines on every transaction unless `block_time` (seconds) is given."""
    port = free_port()
    command = [str(_require(ANVIL)), "--host", "127.0.0.1", "--port", str(port), "--chain-id", str(chain_id),
               "--hardfork", HARDFORK, "--mnemonic", MNEMONIC, "--silent", *options]  # fmt: skip
    if block_time is not None:
        command += ["--block-time", str(block_time)]
    with _running("anvil", command, port, {}) as node:
        yield node


@contextlib.contextmanager
def ganache(*, chain_id: int = 1337, options: Sequence[str] = ()) -> Iterator[Node]:
    """Run ganache 7.9.2; it mines on every transaction."""
    port = free_port()
    command = ["node", str(_require(GANACHE)), "--server.host", "127.0.0.1", "--server.port", str(port),
               "--chain.chainId", str(chain_id), "--chain.networkId", str(chain_id), "--chain.hardfork", HARDFORK,
               "--wallet.mnemonic", MNEMONIC, "--logging.quiet", *options]  # fmt: skip
    with _running("ganache", command, port, {}) as node:
        yield node


@contextlib.contextmanager
def sepolia_rehearsal(*, accounts: int = 10) -> Iterator[Node]:
    """Run anvil under Sepolia's chain id with one-second blocks: a transaction waits for its block, as out there.

    With `accounts=0` the node holds no key, as a public end point does not.
    """
    options = ["--accounts", str(accounts)]
    with anvil(chain_id=SEPOLIA_CHAIN_ID, block_time=1, options=options) as node:
        yield dataclasses.replace(node, name="sepolia-rehearsal")
