"""The gateway back end against an honest gateway on loopback, and against pages that are no CAR."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fl_platform.errors import StoreMissing, StoreReadOnly, StoreUnavailable
from fl_platform.store import Cid, MemoryStore, cid_of
from fl_platform.store.gateway import GatewayStore
from tests.support import http_peers
from tests.support.store_suite import StoreSuite, content


class TestGatewayStore(StoreSuite):
    @pytest.fixture
    def writer(self) -> MemoryStore:
        return MemoryStore()

    @pytest.fixture
    def store(self, writer: MemoryStore) -> Iterator[GatewayStore]:
        with http_peers.serving(http_peers.gateway(writer)) as url:
            store = GatewayStore(url)
            yield store
            store.close()


def test_a_gateway_cannot_be_written_to() -> None:
    with pytest.raises(StoreReadOnly, match="Put it in a disk or Kubo store"):
        GatewayStore("http://127.0.0.1:9").put(b"hello")


@pytest.mark.parametrize(
    ("status", "headers", "error", "message"),
    [
        (404, {}, StoreMissing, "try another gateway"),
        (410, {}, StoreMissing, "try another gateway"),
        (429, {}, StoreUnavailable, "answered 429"),
        (502, {}, StoreUnavailable, "answered 502"),
        (
            301,
            {"location": "http://127.0.0.1:1/elsewhere"},
            StoreUnavailable,
            "redirects to 'http://127.0.0.1:1/elsewhere'",
        ),
        (200, {"content_type": "text/html"}, StoreUnavailable, "no trustless gateway"),
        (200, {}, StoreUnavailable, "no trustless gateway"),
        (200, {"content_type": "application/vnd.ipld.raw"}, StoreUnavailable, "no trustless gateway"),
    ],
)
def test_other_answers_are_clear_errors(
    status: int, headers: dict[str, str], error: type[Exception], message: str
) -> None:
    def respond(handler: http_peers.BaseHTTPRequestHandler) -> None:
        http_peers.send(handler, status, b"<html>", **headers)

    with http_peers.serving(respond) as url, pytest.raises(error, match=message):
        GatewayStore(url).get(cid_of(b"hello"), max_bytes=10)


def test_the_request_is_that_of_the_specification() -> None:
    seen: list[tuple[str, str]] = []

    def respond(handler: http_peers.BaseHTTPRequestHandler) -> None:
        seen.append((handler.path, handler.headers["accept"]))
        http_peers.send(handler, 404, b"")

    cid = Cid(0x70, bytes(32))
    with http_peers.serving(respond) as url:
        assert not GatewayStore(url + "/").has(cid)
        with pytest.raises(StoreMissing):
            GatewayStore(url).get(cid, max_bytes=len(content(1)))
    assert seen == [
        (f"/ipfs/{cid}?format=raw", "application/vnd.ipld.raw"),
        (f"/ipfs/{cid}?format=car", "application/vnd.ipld.car; version=1; order=dfs; dups=y"),
    ]
