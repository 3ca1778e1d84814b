"""The only way into an aggregator's SuperLink from outside: what SuperNodes say, and nothing else.

A SuperLink serves its control API on the same port, and without accounts whoever reaches that may start a run: code on
every SuperNode. So the SuperLink listens on loopback, and this gate, with TLS, hands on `POST /v1/fleet/...` alone. It
reads nothing and decides nothing more: nodes sign their messages for the SuperLink, and it checks them.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from fl_platform.errors import ConfigError
from fl_platform.flower.keys import CertificateFiles

FLEET = "/v1/fleet/"
MAX_REQUEST_BYTES = 4 << 20  # orders and receipts are kilobytes; updates go through the store
SHORT_BYTES = 64 << 10  # of a request; of longer ones
MAX_LONG = 64  # are read at once, and the others told to come again: strangers cannot fill the memory
REQUEST_S = 20.0  # to send a whole request, or to begin one; who drips slower is cut off
_WAIT_S = 60.0  # of one request to the SuperLink
_START_S = 10.0
_VERB = re.compile(r"[a-z-]{1,64}")
_HOP = {b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"host", b"content-length"}


@contextlib.contextmanager
def fleet_gate(certificates: CertificateFiles, *, listen: str, port: int, superlink: int) -> Iterator[None]:
    """Listen on `listen:port` while the block runs, for the SuperLink on loopback's port `superlink`.

    Raises ConfigError: the port is taken.
    """
    listener = _listener(listen, port)
    app = Starlette(routes=[Route(FLEET + "{verb}", _hand_on, methods=["POST"])], lifespan=_lifespan)
    app.state.superlink = f"https://127.0.0.1:{superlink}"
    app.state.authority = certificates.authority
    config = uvicorn.Config(
        app, http=_Impatient, log_level="warning", access_log=False, ws="none", ssl_certfile=certificates.certificate,
        ssl_keyfile=certificates.key, server_header=False, timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="fleet-gate", daemon=True)
    thread.start()
    deadline = time.monotonic() + _START_S
    while not server.started and thread.is_alive() and time.monotonic() < deadline:
        thread.join(0.02)
    try:
        if not server.started:
            raise ConfigError(f"the gate to the SuperLink did not open at {listen}:{port}")
        yield
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


class _Impatient(H11Protocol):
    """Closes a connection on which no request has begun for REQUEST_S: uvicorn waits for a header for ever."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look_again(self.cycle)

    def _look_again(self, before: object) -> None:
        self.loop.call_later(REQUEST_S, self._look, before)

    def _look(self, before: object) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is before and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()
        else:
            self._look_again(self.cycle)


def _listener(listen: str, port: int) -> socket.socket:
    kind = socket.AF_INET6 if ":" in listen else socket.AF_INET
    listener = socket.socket(kind, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((listen, port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"cannot listen on {listen}:{port}: {error.strerror}; end what uses it, or choose another with --port (and "
            "hand the invitation out again: it names the port)"
        ) from error
    return listener


@contextlib.asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    trust = ssl.create_default_context(cafile=str(app.state.authority))
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
    async with httpx.AsyncClient(verify=trust, timeout=_WAIT_S, limits=limits) as client:
        app.state.client, app.state.long = client, asyncio.Semaphore(MAX_LONG)
        yield


async def _hand_on(request: Request) -> Response:
    """Hand one request on, and its answer back as it comes."""
    try:
        async with asyncio.timeout(REQUEST_S):
            body = await _body(request)
    except (TimeoutError, ClientDisconnect):
        return Response(status_code=408, headers={"Connection": "close"})
    if isinstance(body, Response):
        return body
    client: httpx.AsyncClient = request.app.state.client
    headers = [(name, value) for name, value in request.headers.raw if name not in _HOP]
    verb = request.path_params["verb"]
    if not _VERB.fullmatch(verb):
        return Response(status_code=404)
    url = request.app.state.superlink + FLEET + verb
    try:
        answer = await client.send(client.build_request("POST", url, headers=headers, content=body), stream=True)
    except httpx.HTTPError:
        return Response("the SuperLink does not answer", status_code=502)
    kept = [(name, value) for name, value in answer.headers.raw if name.lower() not in _HOP]
    response = StreamingResponse(_read(answer), status_code=answer.status_code)
    response.raw_headers = kept
    return response


async def _body(request: Request) -> bytes | Response:
    """Return what a request brings, or why it is not taken."""
    body, long = bytearray(), request.app.state.long
    async with contextlib.AsyncExitStack() as stack:
        async for part in request.stream():
            if len(body) <= SHORT_BYTES < len(body) + len(part):
                if long.locked():
                    return Response("busy", status_code=503, headers={"Connection": "close"})
                await stack.enter_async_context(long)
            body += part
            if len(body) > MAX_REQUEST_BYTES:
                text = f"more than {MAX_REQUEST_BYTES} bytes"
                return Response(text, status_code=413, headers={"Connection": "close"})
    return bytes(body)


async def _read(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for part in answer.aiter_raw():
            yield part
    finally:
        await answer.aclose()

