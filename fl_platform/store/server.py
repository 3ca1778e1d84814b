"""`fl-platform store serve`: a trustless gateway over a folder, which members fill by signed uploads.

    GET, HEAD /ipfs/CID?format=car|raw    the object as CAR, or its root block; anyone
    PUT       /ipfs/CID                   a CAR in reading order, with `Authorization: fl-upload ...` (upload.py)
    GET       /fl-platform/store          the number of this run, which uploads are signed for

Nothing that comes in is trusted: the path is a CID in the one accepted spelling or nothing, no header but the signed
one means anything, lengths are refused before they are read, each phase has an end, and every answer is one line. An
object counts as there once each of its blocks was hashed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from fl_platform.errors import (
    CidMismatch,
    ConfigError,
    DocumentInvalid,
    FLError,
    ObjectTooLarge,
    ReceiptSignatureInvalid,
    RejectedInput,
    RetryError,
    StoreFull,
)
from fl_platform.store import car, unixfs
from fl_platform.store.cid import Cid
from fl_platform.store.gateway import CAR_TYPE, RAW_TYPE
from fl_platform.store.hosted import HostedStore
from fl_platform.store.pacing import Pace, PacedReader
from fl_platform.store.upload import INFO_PATH, MAX_LIFETIME_S, METHOD, SignedUpload

logger = logging.getLogger(__name__)

MAX_NONCES = 100_000  # of members, inside an hour; more is a loop that went wrong
CHUNK_BYTES = 1 << 20
DRAIN_BYTES = 64 << 20  # of a refused body are read and dropped, so that the refusal arrives
DRAIN_S = 2.0
_OBJECT = re.compile(r"/ipfs/(?P<cid>[!->@-~]{1,100})(?:\?format=(?P<form>car|raw))?")
_LENGTH = re.compile(r"[0-9]{1,15}")

Members = Callable[[bytes], bool]  # whether an address (20 bytes) may upload; may raise RetryError


class Refused(Exception):
    """A request that is answered with a status and one line."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


class Gate:
    """Decides which uploads are let in: signed for this run, by a member, before the deadline, once."""

    def __init__(self, members: Members, names: Iterable[str], *, clock: Callable[[], float] = time.time) -> None:
        self.run = secrets.token_bytes(32)
        self.names = tuple(name.rstrip("/") for name in names)
        self._members, self._clock = members, clock
        self._nonces: dict[bytes, int] = {}  # to the deadline, until which it is remembered
        self._lock = threading.Lock()

    def admit(self, signed: SignedUpload) -> bytes:
        """Return the member that may upload this. Raises Refused."""
        upload, now = signed.upload, self._clock()
        if upload.server not in self.names:
            raise Refused(421, f"signed for another server: this one is {' or '.join(self.names)}")
        if upload.run != self.run:
            raise Refused(412, "signed for an earlier run of this server: ask for its number and sign again")
        if not now < upload.deadline:
            raise Refused(401, f"the signature expired at {upload.deadline}, here it is {now:.0f}: check the clock")
        if upload.deadline > now + MAX_LIFETIME_S:
            raise Refused(401, f"the signature is valid for more than {MAX_LIFETIME_S} s: check the clock")
        try:
            genuine = signed.is_genuine()
        except ReceiptSignatureInvalid as error:
            raise Refused(401, str(error)) from error
        if not genuine:
            raise Refused(401, f"0x{signed.account.hex()} did not sign this upload")
        self._check_member(signed.account)
        self._use(upload.nonce, upload.deadline, now)
        return signed.account

    def _check_member(self, account: bytes) -> None:
        try:
            if self._members(account):
                return
        except RetryError as error:
            logger.warning("cannot tell whether 0x%s is a member: %s", account.hex(), error)
            raise Refused(503, "the chain that says who is a member does not answer: try again") from error
        raise Refused(
            403, f"0x{account.hex()} is no member of a task that this store serves, and is not on its list: join first"
        )

    def _use(self, nonce: bytes, deadline: int, now: float) -> None:
        with self._lock:
            if nonce in self._nonces:
                raise Refused(409, "this signature was used before: sign again")
            if len(self._nonces) >= MAX_NONCES:
                self._nonces = {known: until for known, until in self._nonces.items() if until > now}
            if len(self._nonces) >= MAX_NONCES:
                raise Refused(429, f"more than {MAX_NONCES} uploads within an hour: try later")
            self._nonces[nonce] = deadline


class StoreServer(ThreadingHTTPServer):
    """Serves one hosted store until it is shut down; holds at most `pace.connections` at a time."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, store: HostedStore, *, bind: tuple[str, int], members: Members, names: Iterable[str] = (),
                 pace: Pace | None = None, clock: Callable[[], float] = time.time) -> None:  # fmt: skip
        """Listen at `bind` (host, port; port 0 takes a free one).

        members: who may upload. names: addresses (http://...) under which clients reach this server beside `bind`.
        Raises ConfigError when the address cannot be had.
        """
        self.store, self.pace = store, pace or Pace()
        self._slots = threading.BoundedSemaphore(self.pace.connections)
        if ":" in bind[0]:
            self.address_family = socket.AF_INET6
        try:
            super().__init__(bind, _Handler)
        except (OSError, OverflowError) as error:
            raise ConfigError(f"cannot listen at {bind[0]}:{bind[1]}: {_why(error)}; choose another --bind") from error
        known = (*_names(bind[0], self.server_address[1]), *names)
        if not known:
            self.server_close()
            raise ConfigError(f"{bind[0]} is every address of this machine: say with --url which one clients use")
        self.gate = Gate(members, known, clock=clock)

    @property
    def url(self) -> str:
        """The first address under which this server takes uploads."""
        return self.gate.names[0]

    def server_bind(self) -> None:
        """Bind without asking a name server for our own name, as the base class does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, or not at all while too many are open."""
        if not self._slots.acquire(blocking=False):
            with contextlib.suppress(OSError):
                request.send(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread could be started, so none will release; an interrupt may come after it was
            self._slots.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """See process_request."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong with one connection; the others go on. A client that has gone is no event."""
        if not isinstance(sys.exc_info()[1], OSError):
            logger.warning("a request failed", exc_info=True)


def _why(error: Exception) -> str:
    below = isinstance(error, PermissionError)
    return f"{error}{' (ports below 1024 are for root)' if below else ''}"


def _names(host: str, port: int) -> tuple[str, ...]:
    """Return the addresses that a bound address speaks for; none for "all interfaces"."""
    if host in ("127.0.0.1", "localhost"):
        return (f"http://127.0.0.1:{port}", f"http://localhost:{port}")
    if host in ("", "0.0.0.0", "::"):
        return ()
    return (f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}",)


@dataclass(frozen=True)
class _Body:
    """A request's body, which ends after `length` bytes."""

    stream: Any
    left: list[int]

    def read(self, size: int, /) -> bytes:
        piece: bytes = self.stream.read(min(size, self.left[0]))
        self.left[0] -= len(piece)
        return piece


class _Handler(BaseHTTPRequestHandler):
    """One request; the connection is closed after it."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "fl-platform", ""

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.place = cast(StoreServer, self.server)
        self.reader = PacedReader(self.connection, self.place.pace)
        self.rfile = self.reader.buffered()

    def handle_expect_100(self) -> bool:
        return True  # said in do_PUT, once the upload is let in

    def do_GET(self) -> None:
        self._answer(self._read)

    def do_HEAD(self) -> None:
        self._answer(self._read)

    def do_PUT(self) -> None:
        self._answer(self._write)

    def _answer(self, act: Callable[[], None]) -> None:
        self.close_connection = True
        try:
            try:
                act()
            except Refused as refused:
                self._say(refused.status, str(refused))
                self._drain()
            except StoreFull as error:
                self._say(507, str(error))
                self._drain()
            except TimeoutError:
                self._say(408, "too slow: the upload was cut off and nothing of it is kept")
            except FLError as error:
                logger.error("%s %.200r: %s", self.command, self.path, error)
                self._say(500, "this store cannot serve that: its operator's log says why")
        except OSError:  # the other side has gone
            logger.debug("a client left in the middle")

    # --- reading -----------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        if self.path == INFO_PATH:
            info = {"run": self.place.gate.run.hex(), "object_bytes": self.place.store.quotas.object_bytes}
            self._send(200, "application/json", json.dumps(info).encode())
            return
        cid, form = self._object()
        try:
            file = self.place.store.disk.path_of(cid).open("rb")
        except FileNotFoundError:
            raise Refused(404, f"object {cid} is not in this store") from None
        with file:
            if form == "raw":
                try:
                    block = _root_block(file, cid)
                except (DocumentInvalid, CidMismatch) as error:
                    logger.error("object %s is damaged on disk: %s", cid, error)
                    raise Refused(404, f"object {cid} is damaged here: store it again") from error
                self._send(200, RAW_TYPE, block)
                return
            size = file.seek(0, 2)
            file.seek(0)
            self._head(200, f"{CAR_TYPE}; version=1; order=dfs; dups=y", size)
            if self.command == "HEAD":
                return
            self.reader.allow_body()
            while piece := file.read(CHUNK_BYTES):
                self.reader.send(piece)

    def _object(self) -> tuple[Cid, str]:
        """Return what the path names, and in which form. Raises Refused."""
        found = _OBJECT.fullmatch(self.path)
        if found is None:
            raise Refused(400, "ask for /ipfs/CID?format=car or /ipfs/CID?format=raw")
        try:
            cid = Cid.parse(found["cid"])
        except RejectedInput as error:
            raise Refused(400, str(error)) from error
        accepted = self.headers.get("accept", "")
        form = found["form"] or ("raw" if RAW_TYPE in accepted else "car" if CAR_TYPE in accepted else "")
        if not form and self.command != METHOD:
            raise Refused(406, "this gateway is trustless: ask with ?format=car or ?format=raw")
        return cid, form

    # --- writing -----------------------------------------------------------------------------------------------------

    def _write(self) -> None:
        cid, _ = self._object()
        length = self._length()
        try:
            signed = SignedUpload.parse(self.headers.get("authorization", ""), cid=cid, length=length)
        except DocumentInvalid as error:
            raise Refused(401, str(error)) from error
        account = self.place.gate.admit(signed)
        if self.headers.get("expect", "").lower() == "100-continue":
            self.reader.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.reader.allow_body()
        body = _Body(self.rfile, [length])
        try:
            new = self.place.store.receive(cid, body, length=length, account=account)
        except (DocumentInvalid, CidMismatch, ObjectTooLarge) as error:
            raise Refused(422, str(error)) from error
        logger.info("0x%s stored %s, %d bytes%s", account.hex(), cid, length, "" if new else " (was there)")
        self._say(201 if new else 200, f"{cid} is here")
        if not new:
            self._drain()

    def _length(self) -> int:
        """Return the length that the request claims, once it is one that may be read. Raises Refused."""
        claimed = self.headers.get_all("content-length", [])
        if len(claimed) != 1 or "transfer-encoding" in self.headers or not _LENGTH.fullmatch(claimed[0]):
            raise Refused(411, "say once how long the CAR is (content-length), and send it as it is")
        length, limit = int(claimed[0]), self.place.store.quotas.object_bytes
        if length > limit:
            raise Refused(413, f"the CAR has {length} bytes, over this store's limit of {limit}")
        return length

    # --- answering ---------------------------------------------------------------------------------------------------

    def _head(self, status: int, kind: str, size: int) -> None:
        lines = [
            f"HTTP/1.1 {status} {self.responses.get(status, ('',))[0]}",
            f"content-type: {kind}", f"content-length: {size}", "x-content-type-options: nosniff", "connection: close",
        ]  # fmt: skip
        self.reader.send("\r\n".join((*lines, "", "")).encode("latin-1", "replace"))

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self._head(status, kind, len(body))
        if self.command != "HEAD":
            self.reader.send(body)

    def _say(self, status: int, line: str) -> None:
        self._send(status, "text/plain; charset=utf-8", (line[:1000].replace("\n", " ") + "\n").encode())

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what the base class refuses (a method, a broken request line): nothing of it is repeated."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self._say(405 if code == 501 else code, "this store takes GET, HEAD and PUT of /ipfs/CID")

    def log_message(self, format: str, *args: Any) -> None:
        logger.debug("%s %.300r", self.address_string(), format % args)

    def _drain(self) -> None:
        """Read on for a moment: a socket that is closed with bytes unread takes the answer back."""
        if self.command != METHOD:
            return
        self.reader.allow_s(DRAIN_S)
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            left = DRAIN_BYTES
            while left > 0 and (piece := self.rfile.read1(CHUNK_BYTES)):
                left -= len(piece)


def _root_block(file: Any, cid: Cid) -> bytes:
    """Return the first block of an object's CAR, verified. Raises CarInvalid, CidMismatch."""
    car.read_header(file)
    found, block = next(car.read_sections(file), (None, b""))
    if found != cid:
        raise DocumentInvalid(f"the file of {cid} begins with another block: delete it and upload it again")
    unixfs.check_block(cid, block)
    return block
