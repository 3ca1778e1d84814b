"""HTTP peers for tests, on loopback: an honest trustless gateway, a daemon that speaks Kubo's RPC, and hostile ones.

Each is a real server on a free port, ended when its `with` block is left. A hostile one is a function that gets the
open request handler and writes to the socket what it likes.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fl_platform.errors import FLError
from fl_platform.store import car
from fl_platform.store.cid import Cid
from fl_platform.store.interface import CarBackedStore
from fl_platform.store.unixfs import MAX_FILE_BYTES, build_tree, link_cids
from fl_platform.store.varint import encode_varint

# What a daemon says of itself: usable, of its own machine only, and what no daemon should say.
ADDRESSES = [
    "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWTest", "/ip6/::1/tcp/4001", 7, "no multiaddr", "/ip4/1\n",
    *[f"/ip4/203.0.113.{n}/tcp/4001/p2p/12D3KooWTest" for n in (1, *range(1, 40))],
]  # fmt: skip

Respond = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def serving(respond: Respond) -> Iterator[str]:
    """Serve every request with `respond`; yields the base address."""
    released = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        stop = released

        def do_GET(self) -> None:
            self.close_connection = True
            try:
                respond(self)
            except (BrokenPipeError, ConnectionResetError):
                return  # the client gave up, as it should

        do_POST = do_GET
        do_PUT = do_GET
        do_HEAD = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def stopped(handler: BaseHTTPRequestHandler, seconds: float) -> bool:
    """Wait, but no longer than the server lives; say whether it has ended."""
    event: threading.Event = handler.stop  # type: ignore[attr-defined]
    return event.wait(seconds)


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    """Answer with a whole body; underscores in header names stand for hyphens."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


def car_of(store: CarBackedStore, cid: Cid) -> bytes:
    """Return an object's CAR."""
    tree = build_tree(store.open_blocks(cid))
    return b"".join(car.object_pieces(tree, store.open_blocks(cid, max_bytes=MAX_FILE_BYTES)))


def gateway(store: CarBackedStore, *, damage: Callable[[bytes], bytes] = lambda data: data) -> Respond:
    """Return an honest trustless gateway over a store; `damage` is what it does to the CAR on the way."""

    def respond(handler: BaseHTTPRequestHandler) -> None:
        address = urlsplit(handler.path)
        form = parse_qs(address.query).get("format", [""])[0]
        try:
            cid = Cid.parse(address.path.removeprefix("/ipfs/"))
            data = car_of(store, cid)
        except FLError as error:
            send(handler, 404, str(error).encode(), content_type="text/plain")
            return
        send(handler, 200, damage(data), content_type=f"application/vnd.ipld.{form}; version=1; order=dfs; dups=y")

    return respond


class Daemon:
    """Speaks the part of Kubo's RPC that we use.

    Like js-ipfs it believes what it imports and finds blocks by hash alone.
    """

    def __init__(self) -> None:
        self.blocks: dict[bytes, bytes] = {}

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        body = handler.rfile.read(int(handler.headers.get("content-length", "0")))
        address = urlsplit(handler.path)
        command = address.path.removeprefix("/api/v0/")
        argument = parse_qs(address.query).get("arg", [""])[0]
        if command == "version":
            self._json(handler, {"Version": "0.0.0-test"})
        elif command == "id":
            self._json(handler, {"ID": "12D3KooWTest", "Addresses": ADDRESSES})
        elif command == "dag/import":
            head, _, rest = body.partition(b"\r\n\r\n")
            boundary = head.split(b"\r\n", 1)[0]
            self._json(handler, *self._import(rest[: rest.rindex(b"\r\n" + boundary)]))
        elif Cid.parse(argument).digest not in self.blocks:
            error = {"Message": "block was not found locally (offline)", "Code": 0, "Type": "error"}
            send(handler, 500, json.dumps(error).encode(), content_type="application/json")
        elif command == "block/stat":
            self._json(handler, {"Key": argument})
        else:
            try:
                data = self._export(Cid.parse(argument))
            except FLError as error:
                send(handler, 500, json.dumps({"Message": f"Failed to export DAG: {error}", "Type": "error"}).encode())
                return
            send(handler, 200, data, content_type="application/vnd.ipld.car")

    def _import(self, data: bytes) -> list[dict[str, Any]]:
        source = io.BytesIO(data)
        root = car.read_header(source)
        self.blocks.update((cid.digest, block) for cid, block in car.read_sections(source))
        return [{"Root": {"Cid": {"/": str(root)}, "PinErrorMsg": ""}}, {"Stats": {"BlockCount": 1}}]

    def _export(self, root: Cid) -> bytes:
        """Breadth first and each block once: another order than ours."""
        queue, seen, out = [root], set(), [car.header(root)]
        while queue:
            cid = queue.pop(0)
            if cid in seen or cid.digest not in self.blocks:
                continue
            seen.add(cid)
            block = self.blocks[cid.digest]
            out.append(encode_varint(36 + len(block)) + cid.to_bytes() + block)
            if cid.codec == 0x70:
                queue.extend(link_cids(block))
        return b"".join(out)

    def _json(self, handler: BaseHTTPRequestHandler, *lines: dict[str, Any]) -> None:
        send(
            handler, 200, b"".join(json.dumps(line).encode() + b"\n" for line in lines), content_type="application/json"
        )
