"""The RPC back end against a small daemon on loopback that believes everything; the real one is in tests/e2e."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from fl_platform.errors import CarInvalid, CidMismatch, StoreMissing, StoreUnavailable
from fl_platform.store import cid_of
from fl_platform.store.kubo import KuboStore
from tests.support import http_peers
from tests.support.store_suite import StoreSuite, content


class TestKuboStore(StoreSuite):
    @pytest.fixture
    def store(self) -> Iterator[KuboStore]:
        with http_peers.serving(http_peers.Daemon().respond) as url:
            store = KuboStore(url)
            yield store
            store.close()


def test_the_version_is_what_the_daemon_says() -> None:
    with http_peers.serving(http_peers.Daemon().respond) as url:
        assert KuboStore(url).version() == "0.0.0-test"


@pytest.mark.parametrize("size", [100, 3_000_000])
def test_a_daemon_that_returns_other_bytes_is_caught(size: int) -> None:
    daemon = http_peers.Daemon()
    with http_peers.serving(daemon.respond) as url:
        store = KuboStore(url)
        cid = store.put(content(size))
        for digest, block in list(daemon.blocks.items()):
            daemon.blocks[digest] = block[:-1] + bytes([block[-1] ^ 1])
            with pytest.raises(CidMismatch, match="fetch the object from another store"):
                store.get(cid, max_bytes=size)
            daemon.blocks[digest] = block
        assert store.get(cid, max_bytes=size) == content(size)


def test_a_daemon_that_lost_a_leaf_is_noticed() -> None:
    daemon = http_peers.Daemon()
    with http_peers.serving(daemon.respond) as url:
        store = KuboStore(url)
        cid = store.put(content(3_000_000))
        del daemon.blocks[next(digest for digest in daemon.blocks if digest != cid.digest)]
        assert store.has(cid)
        with pytest.raises(CarInvalid, match="ends before block"):
            store.get(cid, max_bytes=3_000_000)


def imported(*lines: object, status: int = 200) -> http_peers.Respond:
    """Return a daemon that gives this answer to everything."""

    def respond(handler: http_peers.BaseHTTPRequestHandler) -> None:
        handler.rfile.read(int(handler.headers.get("content-length", "0")))
        body = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
        http_peers.send(handler, status, body)

    return respond


ROOT = str(cid_of(b"hello"))
OTHER = str(cid_of(b"other"))


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        ([{"Root": {"Cid": {"/": OTHER}, "PinErrorMsg": ""}}], CidMismatch, "imported another root"),
        ([{"Root": {"Cid": {"/": ROOT + "/x"}}}], CidMismatch, "imported another root"),
        ([{"Root": {"Cid": {"/": 7}}}], CidMismatch, "imported another root"),
        ([{"Root": {"Cid": {"/": ROOT}, "PinErrorMsg": "no space"}}], StoreUnavailable, "did not pin .*no space"),
        ([{"Message": "disk is full", "Code": 0, "Type": "error"}], StoreUnavailable, "refused .*disk is full"),
        ([{"Stats": {}}], StoreUnavailable, "did not say that it imported"),
        ([], StoreUnavailable, "did not say that it imported"),
        ([b"<html>"], StoreUnavailable, "not JSON"),
        ([b"[" * 50_000], StoreUnavailable, "not JSON"),
        ([[1]], StoreUnavailable, "another shape"),
        ([b"x" * 200_000], StoreUnavailable, "longer than"),
    ],
)
def test_what_the_daemon_says_of_an_import_is_checked(
    answer: list[object], error: type[Exception], message: str
) -> None:
    with http_peers.serving(imported(*answer)) as url, pytest.raises(error, match=message):
        KuboStore(url).put(b"hello")


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (500, {"Message": "block was not found locally (offline): ipld: could not find x"}, StoreMissing),
        (500, {"Message": "Failed to get block stats: request timed out"}, StoreMissing),
        (500, {"Message": "context deadline exceeded"}, StoreMissing),
        (500, {"Message": "disk I/O error"}, StoreUnavailable),
        (403, b"403 - Forbidden", StoreUnavailable),
        (404, b"404 page not found", StoreUnavailable),  # no RPC at all: not a missing block
    ],
)
def test_refusals_are_told_from_missing_objects(status: int, text: object, error: type[Exception]) -> None:
    with http_peers.serving(imported(text, status=status)) as url, pytest.raises(error):
        KuboStore(url).get(cid_of(b"hello"), max_bytes=10)
