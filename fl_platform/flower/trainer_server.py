"""A small server on a local Unix socket, and its client: how a Flower process reaches the process with the secrets.

A trainer process (model, data, GPU, wallet) and an aggregator process (wallet, chain) are started by their owners and
stay. Flower's processes come and go, hold no secret, and ask through the socket. The file is mode 0600 and the server
also demands the caller's user id, so only processes of the same user get in. A SuperNode executes whatever app a run
brings along, so it should be another user than the trainer, a guest: named by `Guests`, it can ask and no more.

Request: length u32 BE, bytes. Answer: status u8, length u32 BE, bytes.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fl_platform.errors import (
    ConfigError,
    DocumentInvalid,
    FLError,
    PolicyRefused,
    ProcessAbsent,
    RejectedInput,
    RetryError,
    TaskCodeError,
)

logger = logging.getLogger(__name__)

MAX_FRAME_BYTES = 1024 * 1024 + 64  # one protocol message and a short header of ours
REQUEST_TIMEOUT_S = 10.0  # to send a whole request; a caller that drips slower is cut off
MAX_CALLERS = 64  # connections served at a time; more wait in the backlog
_MAX_PATH_BYTES = 107  # of sockaddr_un on Linux; bind() beyond it fails with a message nobody understands
_RETRY_S = 0.5
_OK, _REFUSED, _RETRY, _FAILED = 0, 1, 2, 3


@dataclass(frozen=True)
class Guests:
    """Other users that may ask."""

    uids: frozenset[int]
    group: int  # the socket's group, of which they are members (mode 0660 instead of 0600)


Handler = Callable[[bytes], bytes]
Lock = contextlib.AbstractContextManager[object]


class Answering(Protocol):
    """What a trainer must offer (`round.trainer.Trainer` does)."""

    def handle(self, message: bytes) -> bytes:
        """Answer one order; raises RejectedInput or PolicyRefused for an order it refuses."""


def ask(path: Path, request: bytes, *, timeout_s: float, who: str, patience_s: float = 0.0) -> bytes:
    """Send `request` (at most MAX_FRAME_BYTES) to the server at `path` and return its answer.

    timeout_s: how long the answer may take; patience_s: how long to try again while nobody listens or the server
    dies over it (it is being restarted; whoever is asked keeps a journal, so asking twice is harmless).
    Raises ProcessAbsent when nobody answers in time, RejectedInput when the server refuses, RetryError when it says
    that a later try may help, ConfigError when the path cannot be a socket or the server failed.
    """
    _check_path(path)
    if len(request) > MAX_FRAME_BYTES:
        raise DocumentInvalid(f"request to {who} has {len(request)} bytes, allowed {MAX_FRAME_BYTES}")
    deadline = time.monotonic() + patience_s
    while True:
        try:
            status, body = _exchange(path, request, timeout_s)
            break
        except TimeoutError as error:
            text = f"{who} at {path} did not answer within {timeout_s:g} s; is it busy or stopped?"
            raise ProcessAbsent(text) from error
        except (OSError, EOFError) as error:
            if time.monotonic() >= deadline:
                raise ProcessAbsent(f"no {who} answers at {path} ({error}); start it, or correct the path") from error
            time.sleep(min(_RETRY_S, patience_s))
    if status == _OK:
        return body
    text = body.decode("utf-8", "replace")
    if status == _REFUSED:
        raise RejectedInput(text)
    if status == _RETRY:
        raise RetryError(text)
    raise ConfigError(f"{who} at {path} failed: {text}")


def _exchange(path: Path, request: bytes, timeout_s: float) -> tuple[int, bytes]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        connection.connect(str(path))
        connection.sendall(struct.pack(">I", len(request)) + request)
        deadline = time.monotonic() + timeout_s
        status = _receive(connection, 1, deadline)[0]
        return status, _receive_frame(connection, deadline)


class TrainerServer:
    """Serves one handler on one socket from background threads until `stop`. By default its calls do not overlap."""

    def __init__(self, path: Path, handler: Handler, *, lock: Lock | None, guests: Guests | None) -> None:
        self._path = path
        self._handler = handler
        self._uids = frozenset({os.getuid()}) | (guests.uids if guests else frozenset())
        # Several servers of one process may share a lock: torch's global random state is not for two at a time.
        self._lock = threading.Lock() if lock is None else lock
        self._slots = threading.BoundedSemaphore(MAX_CALLERS)
        self._listener = _listen(path, guests)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._accept, name=f"resident:{path.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the socket and remove its file; a request in progress may still finish its work."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._thread.join()
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._slots.acquire()
            threading.Thread(target=self._serve, args=(connection,), name="resident:caller", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                connection.settimeout(REQUEST_TIMEOUT_S)
                if (caller := _caller_uid(connection)) not in self._uids:
                    logger.warning("refused a caller with user id %d", caller)
                    return
                status, body = self._answer(_receive_frame(connection, time.monotonic() + REQUEST_TIMEOUT_S))
                connection.settimeout(REQUEST_TIMEOUT_S)
                connection.sendall(struct.pack(">BI", status, len(body)) + body)
        except (OSError, EOFError, DocumentInvalid) as error:
            logger.info("a caller went away or broke the frame: %s", error)  # the work is journalled; it may ask again
        finally:
            self._slots.release()

    def _answer(self, request: bytes) -> tuple[int, bytes]:
        try:
            with self._lock:
                body = self._handler(request)
            if len(body) > MAX_FRAME_BYTES:
                raise DocumentInvalid(f"answer has {len(body)} bytes, allowed {MAX_FRAME_BYTES}")
        except RejectedInput as error:
            logger.info("refused a request: %s", error)
            return _REFUSED, f"{type(error).__name__}: {error}".encode()
        except PolicyRefused as error:
            logger.warning("refused a request: %s", error)
            return _REFUSED, error.outside.encode()  # its text holds the site's own numbers
        except RetryError as error:
            logger.warning("could not answer now: %s", error)
            return _RETRY, type(error).__name__.encode()  # its text may name private paths and end points
        except TaskCodeError as error:
            logger.error("%s", error)
            return _FAILED, b"the data owner's own code failed; its log says where"
        except FLError as error:
            logger.error("could not answer: %s", error)
            return _FAILED, type(error).__name__.encode()
        except Exception:
            logger.exception("a handler failed")
            return _FAILED, b"internal error, see its log"
        return _OK, body


def serve(path: Path, handler: Handler, *, lock: Lock | None = None, guests: Guests | None = None) -> TrainerServer:
    """Serve `handler` at `path`. Raises ConfigError when the path is too long or another process serves there."""
    return TrainerServer(path, handler, lock=lock, guests=guests)


@contextlib.contextmanager
def serve_trainer(
    trainer: Answering, path: Path, *, lock: Lock | None = None, guests: Guests | None = None
) -> Iterator[TrainerServer]:
    """Serve a trainer's `handle` at `path` while the block runs; this is all that a SuperNode's ClientApp can reach."""
    server = serve(path, trainer.handle, lock=lock, guests=guests)
    try:
        yield server
    finally:
        server.stop()


def _listen(path: Path, guests: Guests | None) -> socket.socket:
    _check_path(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        listener.bind(str(path))
        # Between bind and chmod a stranger can only connect, and is then refused by its user id.
        path.chmod(0o600)
        if guests is not None:
            os.chown(path, -1, guests.group)
            path.chmod(0o660)
        listener.listen(MAX_CALLERS)
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot listen at {path}: {error}; choose a folder of yours on a local disk") from error
    except ConfigError:
        listener.close()
        raise
    return listener


def _remove_stale(path: Path) -> None:
    """Remove the socket that a killed server left behind, but never a live one and never another kind of file."""
    if not path.exists():
        return
    if not path.is_socket():
        raise ConfigError(f"{path} exists and is not a socket; choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise ConfigError(f"another process already serves {path}; stop it or choose another path")


def _check_path(path: Path) -> None:
    length = len(os.fsencode(path))
    if length > _MAX_PATH_BYTES:
        raise ConfigError(f"socket path has {length} bytes, allowed {_MAX_PATH_BYTES}: {path}; use a shorter folder")


def _caller_uid(connection: socket.socket) -> int:
    """Return the user id of the process at the other end, as the kernel recorded it."""
    if not hasattr(socket, "SO_PEERCRED"):
        return os.getuid()  # not Linux: the file's mode alone guards the socket
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return int(uid)


def _receive_frame(connection: socket.socket, deadline: float) -> bytes:
    (length,) = struct.unpack(">I", _receive(connection, 4, deadline))
    if length > MAX_FRAME_BYTES:  # before any allocation
        raise DocumentInvalid(f"frame claims {length} bytes, allowed {MAX_FRAME_BYTES}")
    return _receive(connection, length, deadline)


def _receive(connection: socket.socket, length: int, deadline: float) -> bytes:
    """Read `length` bytes until `deadline` (monotonic): a time-out per piece would never end for who drips."""
    parts = bytearray()
    while len(parts) < length:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the message did not come whole in time")
        connection.settimeout(left)
        part = connection.recv(min(length - len(parts), 65536))
        if not part:
            raise EOFError("the connection closed in mid-message")
        parts += part
    return bytes(parts)
