"""What the network back ends share: one bounded HTTP exchange whose every phase ends by a deadline.

A daemon or gateway may be down, hang, drip a byte a minute, redirect, compress or send without end. So: no redirects,
no content coding (a small body must not unfold into a large one), no proxies from the environment, bounded answers,
and a watchdog that shuts the socket down when the total time is up, because a read timeout alone never fires on a
drip.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import httpx

from fl_platform.errors import StoreUnavailable

CHUNK_BYTES = 1 << 16
MAX_ANSWER_BYTES = 1 << 16  # a JSON answer or an error text


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait, in seconds."""

    connect_s: float = 5.0
    read_s: float = 30.0  # for each piece
    total_s: float = 300.0  # for one object, whatever the peer does


class Watchdog:
    """Shuts a connection's socket down when its time is up; a blocked read or write then ends with an error."""

    def __init__(self, total_s: float) -> None:
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self.expired = False
        self._timer = threading.Timer(total_s, self._expire)
        self._timer.daemon = True

    def __enter__(self) -> Watchdog:
        """Start the clock."""
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the clock."""
        self._timer.cancel()

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Take note of each connection that httpcore opens (its `trace` extension)."""
        if event not in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            return
        found = info["return_value"].get_extra_info("socket")
        if found is not None:
            with self._lock:
                self._sockets.append(found)
            if self.expired:
                self._shut_down()

    def _expire(self) -> None:
        self.expired = True
        self._shut_down()

    def _shut_down(self) -> None:
        with self._lock:
            for one in self._sockets:
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:  # closed already
                    continue


class Body:
    """A response's body behind `read(size)`, as `car.ByteSource` wants it."""

    def __init__(self, response: httpx.Response) -> None:
        self._chunks: Iterator[bytes] = response.iter_raw(CHUNK_BYTES)
        self._rest = memoryview(b"")

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, as they come; empty at the end."""
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        piece = bytes(self._rest[:size])
        self._rest = self._rest[size:]
        return piece

    def read_all(self, limit: int = MAX_ANSWER_BYTES) -> bytes:
        """Return a short answer whole. Raises StoreUnavailable when it goes on behind `limit` bytes."""
        data = bytearray()
        while piece := self.read(CHUNK_BYTES):
            data += piece
            if len(data) > limit:
                raise StoreUnavailable(f"the answer is longer than {limit} bytes: this is no store's end point")
        return bytes(data)


@dataclass(frozen=True, slots=True)
class Answer:
    """One open response."""

    status: int
    content_type: str  # lower case, with parameters; empty when missing
    location: str  # where a redirect points; empty when missing
    length: int | None  # of the body, as the peer says; None when it does not
    body: Body


def _length(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else None


def _tls(url: str) -> ssl.SSLContext:
    """Return what TLS connections are checked against.

    Loading the certificate authorities takes a tenth of a second and more; behind plain http they are never asked, so a
    context that trusts nobody does.
    """
    if url.lower().startswith("http://"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.create_ssl_context(trust_env=False)


class HttpPeer:
    """An HTTP end point that is not trusted and not waited for beyond its deadline."""

    def __init__(self, url: str, *, timeouts: Timeouts) -> None:
        self.url = url.rstrip("/")
        self._timeouts = timeouts
        waits = httpx.Timeout(timeouts.read_s, connect=timeouts.connect_s)
        # One connection per exchange: a kept one would have been opened under another exchange's watchdog.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.Client(
            timeout=waits, limits=limits, verify=_tls(self.url), trust_env=False, follow_redirects=False
        )

    @contextmanager
    def exchange(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        content: Iterable[bytes] | None = None,
        extra_s: float = 0.0,
    ) -> Iterator[Answer]:
        """Send a request and yield the answer. `extra_s`: on top of the total, for a request that is large itself.

        Raises StoreUnavailable for everything that the transport does wrong.
        """
        sent = {"accept-encoding": "identity", **(headers or {})}
        with Watchdog(self._timeouts.total_s + extra_s) as watchdog:
            try:
                request = self._client.build_request(
                    method,
                    self.url + path,
                    params=params,
                    headers=sent,
                    content=content,
                    extensions={"trace": watchdog.trace},
                )
                response = self._client.send(request, stream=True)
                try:
                    self._refuse_coding(response)
                    yield Answer(
                        status=response.status_code,
                        content_type=response.headers.get("content-type", "").lower(),
                        location=response.headers.get("location", ""),
                        length=_length(response.headers.get("content-length", "")),
                        body=Body(response),
                    )
                finally:
                    response.close()
            except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError) as error:
                raise StoreUnavailable(self._explain(error, watchdog)) from error

    def _refuse_coding(self, response: httpx.Response) -> None:
        coding = response.headers.get("content-encoding", "identity")
        if coding.lower() != "identity":
            raise StoreUnavailable(
                f"{self.url} answers with content coding {coding!r}, which was not asked for: use another one"
            )

    def _explain(self, error: Exception, watchdog: Watchdog) -> str:
        if watchdog.expired:
            return (
                f"{self.url} did not finish in {self._timeouts.total_s:g} s: try another end point, or raise the limit"
            )
        if isinstance(error, httpx.TimeoutException):
            return f"{self.url} did not answer in time ({type(error).__name__}): check that it runs, or try another one"
        return (
            f"{self.url} cannot be reached or broke off ({error or type(error).__name__}): check that it runs, or name "
            "another with --store"
        )

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()
