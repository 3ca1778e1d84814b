"""The bounded HTTP exchange: body reading, refused codings, explained failures."""

from __future__ import annotations

import gzip
import socket

import pytest

from fl_platform.errors import StoreUnavailable
from fl_platform.store.remote import HttpPeer, Timeouts
from tests.support import http_peers


def ask(peer: HttpPeer) -> bytes:
    """Return what a peer answers to a plain request."""
    with peer.exchange("GET", "/", params={}) as answer:
        return answer.body.read_all()


def test_a_body_is_read_in_any_sizes() -> None:
    body = bytes(range(256)) * 1000

    def respond(handler: http_peers.BaseHTTPRequestHandler) -> None:
        http_peers.send(handler, 200, body, content_type="Application/X; a=B")

    with http_peers.serving(respond) as url:
        peer = HttpPeer(url, timeouts=Timeouts())
        with peer.exchange("GET", "/", params={}) as answer:
            assert answer.content_type == "application/x; a=b"
            read = b""
            for size in (1, 7, 100_000, 0):
                read += answer.body.read(size)
            assert read + answer.body.read_all(limit=len(body)) == body
            assert answer.body.read(1) == b""
        peer.close()


def test_a_compressed_answer_is_refused_unread() -> None:
    """A few kB that unfold into 64 MiB: we ask for no coding and accept none."""

    def respond(handler: http_peers.BaseHTTPRequestHandler) -> None:
        assert handler.headers["accept-encoding"] == "identity"
        http_peers.send(handler, 200, gzip.compress(bytes(1 << 26)), content_encoding="gzip")

    with http_peers.serving(respond) as url, pytest.raises(StoreUnavailable, match="content coding 'gzip'"):
        ask(HttpPeer(url, timeouts=Timeouts()))


def test_an_address_where_nothing_listens_is_explained() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    peer = HttpPeer(f"http://127.0.0.1:{port}", timeouts=Timeouts())
    with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{port} cannot be reached .*check that it runs"):
        ask(peer)


@pytest.mark.parametrize("url", ["http://exa mple/", "http://[::1", "nonsense"])
def test_an_address_that_is_none_is_explained(url: str) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        ask(HttpPeer(url, timeouts=Timeouts()))
