"""A real js-ipfs daemon for tests: on loopback only, in a folder of its own, ended by its process id.

    with ipfs_daemon() as daemon:
        store = KuboStore(daemon.rpc)

Needs `npm ci --prefix scripts/node_tools/ipfs` (Node 20), so tests that use it carry the marker `node`.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

FOLDER = Path(__file__).resolve().parents[2] / "scripts" / "node_tools" / "ipfs"
# It loads 900 packages: 3 s alone, several times that when the cores are busy.
READY_SECONDS = 90.0
STOP_SECONDS = 15.0


class IpfsDaemonFailed(RuntimeError):
    """The daemon is not installed, ended, or did not answer in time; the message says which."""


@dataclass(frozen=True)
class IpfsDaemon:
    """A running daemon."""

    rpc: str  # http://127.0.0.1:PORT
    multiaddr: str  # the same for ipfshttpclient
    gateway: str  # http://127.0.0.1:PORT
    pid: int


@contextmanager
def ipfs_daemon() -> Iterator[IpfsDaemon]:
    """Start a daemon on free ports and yield it; its repository goes with it."""
    if not (FOLDER / "node_modules" / "ipfs-daemon").exists():
        raise IpfsDaemonFailed("js-ipfs is missing: run `npm ci --prefix scripts/node_tools/ipfs` (needs Node 20)")
    with tempfile.TemporaryDirectory(prefix="fl-ipfs-") as folder, (Path(folder) / "log").open("wb") as log:
        process = subprocess.Popen(
            ["node", str(FOLDER / "daemon.js"), str(Path(folder) / "repo")],
            stdin=subprocess.PIPE,  # closed when this process dies, however it dies; the daemon follows
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, "FL_IPFS_FOLLOW_STDIN": "1"},
        )
        try:
            yield _await_ready(process, Path(folder) / "log")
        finally:
            _stop(process)


def _await_ready(process: subprocess.Popen[bytes], log: Path) -> IpfsDaemon:
    assert process.stdout is not None
    line = _first_line(process.stdout, READY_SECONDS)
    if not line.startswith(b"{"):
        raise IpfsDaemonFailed(f"js-ipfs did not start: {line!r} {log.read_text(errors='replace')[-2000:]}")
    found = json.loads(line)
    rpc, gateway = int(found["rpc"]), int(found["gateway"])
    return IpfsDaemon(
        rpc=f"http://127.0.0.1:{rpc}",
        multiaddr=f"/ip4/127.0.0.1/tcp/{rpc}/http",
        gateway=f"http://127.0.0.1:{gateway}",
        pid=process.pid,
    )


def _first_line(stream: IO[bytes], seconds: float) -> bytes:
    """Return the first line of a pipe; what there is of it when time is up or the writer ends."""
    deadline = time.monotonic() + seconds
    data = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while b"\n" not in data and selector.select(max(0.0, deadline - time.monotonic())):
            piece = os.read(stream.fileno(), 4096)
            if not piece:
                break
            data += piece
    return data


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
