"""The client of a served store against the real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fl_platform.errors import CidMismatch, StoreFull, StoreReadOnly, StoreRefused, StoreUnavailable
from fl_platform.store import cid_of
from fl_platform.store.hosted import Quotas
from fl_platform.store.served import ServedStore
from fl_platform.store.unixfs import LEAF_BYTES
from tests.support import http_peers
from tests.support.served import MEMBER, STRANGER, serving
from tests.support.store_suite import StoreSuite, content


class TestServedStore(StoreSuite):
    @pytest.fixture
    def store(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedStore]:
        with serving(tmp_path_factory.mktemp("served")) as server:
            store = ServedStore(server.url, signing=lambda: MEMBER)
            yield store
            store.close()

    def test_putting_twice_is_putting_once(self, store: ServedStore) -> None:  # type: ignore[override]
        cid = store.put(content(4000))
        signed: list[bytes] = []
        store._signing = lambda: signed.append(b"") or MEMBER  # type: ignore[func-returns-value]
        assert store.put(content(4000)) == cid
        assert not signed  # what is there is not sent again


def test_a_command_without_a_wallet_reads_and_does_not_write(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        cid = ServedStore(server.url, signing=lambda: MEMBER).put(b"hello")
        reader = ServedStore(server.url)
        assert reader.get(cid, max_bytes=5) == b"hello"
        with pytest.raises(StoreReadOnly, match="this command has no wallet"):
            reader.put(b"another")


def test_a_stranger_is_told_to_join_and_nothing_is_kept(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        store = ServedStore(server.url, signing=lambda: STRANGER)
        with pytest.raises(StoreRefused, match=r"is no member of a task that this store serves.*join first"):
            store.put(content(3 * LEAF_BYTES))
        assert not store.has(cid_of(content(3 * LEAF_BYTES)))
    assert not list(tmp_path.rglob("*.car"))


def test_a_server_that_was_started_again_is_signed_for_again(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        port = server.server_port
        store = ServedStore(server.url, signing=lambda: MEMBER)
        store.put(b"one")
    with serving(tmp_path, port=port):
        cid = store.put(b"two")
        assert store.get(cid, max_bytes=3) == b"two"


def test_a_name_that_the_server_does_not_know_itself_by_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        store = ServedStore(f"http://0.0.0.0:{server.server_port}", signing=lambda: MEMBER)
        with pytest.raises(StoreRefused, match=f"signed for another server: this one is {server.url}"):
            store.put(b"hello")


@pytest.mark.parametrize(
    ("quotas", "match"),
    [
        (Quotas(object_bytes=1000), "over this store's limit of 1000"),
        (Quotas(member_bytes=1000), "over a member's 1000"),
        (Quotas(total_bytes=1000), "over this store's 1000"),
    ],
)
def test_what_is_too_much_is_refused_before_it_is_sent(tmp_path: Path, quotas: Quotas, match: str) -> None:
    with serving(tmp_path, quotas=quotas) as server:
        store = ServedStore(server.url, signing=lambda: MEMBER)
        with pytest.raises(StoreFull, match=match):
            store.put(content(4 * LEAF_BYTES))
        store.put(content(500))


def test_something_else_behind_the_address_is_named() -> None:
    def respond(handler: http_peers.BaseHTTPRequestHandler) -> None:
        http_peers.send(handler, 404, b"<html>", content_type="text/html")

    with http_peers.serving(respond) as url, pytest.raises(StoreUnavailable, match=f"gateway:{url}"):
        ServedStore(url, signing=lambda: MEMBER).put(b"hello")


def test_a_servers_words_reach_the_terminal_as_text() -> None:
    def respond(handler: http_peers.BaseHTTPRequestHandler) -> None:
        if handler.command == "GET":
            http_peers.send(handler, 200, b'{"run": "' + b"0" * 64 + b'"}')
        else:
            http_peers.send(handler, 404 if handler.command == "HEAD" else 403, b"no \x1b[2J\nthanks")

    with http_peers.serving(respond) as url, pytest.raises(StoreRefused) as caught:
        ServedStore(url, signing=lambda: MEMBER).put(b"hello")
    assert "no  [2J thanks" in str(caught.value)


def test_an_object_read_back_is_verified(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        store = ServedStore(server.url, signing=lambda: MEMBER)
        cid = store.put(content(2000))
        path = server.store.disk.path_of(cid)
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        with pytest.raises(CidMismatch, match="hash to"):
            store.get(cid, max_bytes=2000)


def test_a_damaged_object_is_replaced_by_the_next_upload(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        store = ServedStore(server.url, signing=lambda: MEMBER)
        data = content(2 * LEAF_BYTES)
        path = server.store.disk.path_of(store.put(data))
        path.write_bytes(path.read_bytes()[:200])  # its root is gone, so `has` says no
        assert store.get(store.put(data), max_bytes=len(data)) == data
