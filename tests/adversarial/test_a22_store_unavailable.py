"""A22: the store is down, hangs, or drips.

Attacker: whoever runs a gateway or daemon, or sits before it. Wants an honest peer to wait past the round's deadline.
Expected: every wait ends by its limit with StoreUnavailable; another store that has the object is enough; without one
the update counts as not delivered, and objects of others are read as before.
"""

from __future__ import annotations

import socket
import time
from http.server import BaseHTTPRequestHandler

import pytest

from fl_platform.errors import RetryError, StoreUnavailable
from fl_platform.store import MemoryStore, car, cid_of
from fl_platform.store.fallback import FallbackStore
from fl_platform.store.gateway import GatewayStore
from fl_platform.store.kubo import KuboStore
from fl_platform.store.remote import Timeouts
from tests.support import http_peers
from tests.support.store_suite import content

FAST = Timeouts(connect_s=0.5, read_s=0.25, total_s=0.5)
LIMIT_S = 4.0  # the total limit, and slack for a busy machine
DATA = content(5000)
CID = cid_of(DATA)
CAR = car.header(CID) + car.section_head(CID, len(DATA)) + DATA


def hang(handler: BaseHTTPRequestHandler) -> None:
    """Take the request and say nothing."""
    http_peers.stopped(handler, 10)


def hang_in_the_body(handler: BaseHTTPRequestHandler) -> None:
    """Send half of the object and then nothing."""
    handler.send_response(200)
    handler.send_header("content-type", "application/vnd.ipld.car")
    handler.send_header("content-length", str(len(CAR)))
    handler.end_headers()
    handler.wfile.write(CAR[: len(CAR) // 2])
    http_peers.stopped(handler, 10)


def drip_the_body(handler: BaseHTTPRequestHandler) -> None:
    """Send a byte often enough that no read ever times out."""
    handler.send_response(200)
    handler.send_header("content-type", "application/vnd.ipld.car")
    handler.send_header("content-length", str(len(CAR)))
    handler.end_headers()
    for byte in CAR:
        handler.wfile.write(bytes([byte]))
        if http_peers.stopped(handler, 0.1):
            return


def drip_the_headers(handler: BaseHTTPRequestHandler) -> None:
    """The same before the body: a response whose headers never end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nx-long: ")
    while not http_peers.stopped(handler, 0.1):
        handler.wfile.write(b"x")


def break_off(handler: BaseHTTPRequestHandler) -> None:
    """Close in the middle of the object."""
    handler.send_response(200)
    handler.send_header("content-type", "application/vnd.ipld.car")
    handler.send_header("content-length", str(len(CAR)))
    handler.end_headers()
    handler.wfile.write(CAR[: len(CAR) // 2])


def close_at_once(handler: BaseHTTPRequestHandler) -> None:
    """Close without an answer."""
    handler.connection.shutdown(socket.SHUT_RDWR)


def no_http(handler: BaseHTTPRequestHandler) -> None:
    """Speak something else."""
    handler.wfile.write(b"220 smtp.example ESMTP\r\n")


HOSTILE = [hang, hang_in_the_body, drip_the_body, drip_the_headers, break_off, close_at_once, no_http]
hostile = pytest.mark.parametrize("respond", HOSTILE, ids=lambda one: one.__name__)
clients = pytest.mark.parametrize("client", [GatewayStore, KuboStore])


@hostile
@clients
def test_every_wait_ends_by_its_limit(respond: http_peers.Respond, client: type[GatewayStore | KuboStore]) -> None:
    with http_peers.serving(respond) as url:
        store = client(url, timeouts=FAST)
        start = time.monotonic()
        with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1"):
            store.get(CID, max_bytes=len(DATA))
        assert time.monotonic() - start < LIMIT_S
        store.close()


@hostile
def test_publishing_ends_by_its_limit_too(respond: http_peers.Respond) -> None:
    with http_peers.serving(respond) as url, pytest.raises(StoreUnavailable):
        KuboStore(url, timeouts=FAST).put(DATA)


@clients
def test_a_refused_connection_is_told_at_once(client: type[GatewayStore | KuboStore]) -> None:
    start = time.monotonic()
    with pytest.raises(StoreUnavailable, match="check that it runs"):
        client("http://127.0.0.1:9", timeouts=FAST).get(CID, max_bytes=len(DATA))
    assert time.monotonic() - start < 1.0


@hostile
def test_a_second_gateway_is_enough(respond: http_peers.Respond) -> None:
    public = MemoryStore()
    public.put(DATA)
    with http_peers.serving(respond) as bad, http_peers.serving(http_peers.gateway(public)) as good:
        store = FallbackStore(MemoryStore(), [GatewayStore(bad, timeouts=FAST), GatewayStore(good)])
        assert store.get(CID, max_bytes=len(DATA)) == DATA


def test_one_lost_update_does_not_touch_the_others() -> None:
    """The error is of the branch that means "try again, or not delivered"; the next object is read as before."""
    local = MemoryStore()
    mine = local.put(b"an honest trainer's update")
    with http_peers.serving(hang) as bad:
        store = FallbackStore(local, [GatewayStore(bad, timeouts=FAST)])
        with pytest.raises(RetryError):
            store.get(CID, max_bytes=len(DATA))
        assert store.get(mine, max_bytes=100) == b"an honest trainer's update"


def test_a_store_that_comes_back_is_used_again() -> None:
    public = MemoryStore()
    public.put(DATA)
    calls = []

    def flaky(handler: BaseHTTPRequestHandler) -> None:
        calls.append(handler.path)
        (close_at_once if len(calls) == 1 else http_peers.gateway(public))(handler)

    with http_peers.serving(flaky) as url:
        store = GatewayStore(url)
        with pytest.raises(StoreUnavailable):
            store.get(CID, max_bytes=len(DATA))
        assert store.get(CID, max_bytes=len(DATA)) == DATA
