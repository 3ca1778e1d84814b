"""A daemon beside pinning services: strict ones that work, and ones that do not."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from fl_platform.errors import ConfigError, StoreUnavailable
from fl_platform.store import DiskStore, Store, cid_of
from fl_platform.store.kubo import KuboStore
from fl_platform.store.opening import open_store
from fl_platform.store.pinning import FAILED, REST_S, PinnedStore, PinningService
from fl_platform.store.remote import Timeouts
from tests.support import http_peers
from tests.support.pinning_service import TOKEN, PinningPeer
from tests.support.store_suite import StoreSuite, content


@pytest.fixture
def daemon() -> Iterator[str]:
    with http_peers.serving(http_peers.Daemon().respond) as url:
        yield url


class TestPinnedStore(StoreSuite):
    @pytest.fixture
    def store(self, daemon: str) -> Iterator[Store]:
        peer = PinningPeer()
        with http_peers.serving(peer.respond) as url:
            store = PinnedStore(KuboStore(daemon), [PinningService(f"{url}/psa", token=TOKEN)])
            yield store
            store.close()
        assert peer.refused == []


def test_a_service_is_asked_once_for_each_object_and_told_where_it_is(daemon: str) -> None:
    peer, written = PinningPeer(), Counter[str]()
    with http_peers.serving(peer.respond) as url:
        words = f"kubo:{daemon},pin:{url}/psa"
        store = open_store(words, pin_token=TOKEN, written=written)
        cid = store.put(b"hello")
        assert store.put(b"hello") == cid
        assert open_store(words, pin_token=TOKEN).put(b"hello") == cid  # another run finds it kept
    (pin,) = [status["pin"] for status in peer.pins]
    assert pin["cid"] == str(cid)
    assert pin["origins"] == [f"/ip4/203.0.113.{n}/tcp/4001/p2p/12D3KooWTest" for n in range(1, 21)]
    assert peer.asked == ["GET", "POST", "GET"]
    assert peer.refused == []
    assert written == {f"kubo:{daemon}": 2, f"pin:{url}/psa": 2}


def test_nothing_is_read_from_a_service(daemon: str) -> None:
    peer = PinningPeer()
    with http_peers.serving(peer.respond) as url:
        store = open_store(f"kubo:{daemon},pin:{url}/psa")  # who reads needs no token
        assert not store.has(cid_of(b"x"))
        assert peer.asked == []
        with pytest.raises(ConfigError, match="wants a token: set FL_PLATFORM_PINNING_TOKEN"):
            store.put(b"x")
        assert not store.has(cid_of(b"x"))


def answering(*answers: tuple[int, bytes]) -> http_peers.Respond:
    left = list(answers)

    def respond(handler: http_peers.BaseHTTPRequestHandler) -> None:
        handler.rfile.read(int(handler.headers.get("content-length", "0")))
        status, body = left.pop(0) if len(left) > 1 else left[0]
        http_peers.send(handler, status, body, location="http://127.0.0.1:1/else")

    return respond


NONE = (200, b'{"count": 0, "results": []}')
CID = str(cid_of(b"hello"))


def status(**changes: object) -> bytes:
    return json.dumps({"requestid": "r", "status": "queued", "pin": {"cid": CID}, "delegates": [], **changes}).encode()


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([(401, b'{"error": {"reason": "UNAUTHORIZED"}}')], "answered 401 .*check FL_PLATFORM_PINNING_TOKEN"),
        ([(500, b'{"error": {"reason": "OUT_OF_LUCK"}}')], "answered 500 OUT_OF_LUCK"),
        ([(409, b'{"error": {"reason": "\\u001b[31m"}}')], "answered 409 without a reason"),
        ([(302, b"")], "redirects to"),
        ([(200, b"x" * 200_000)], "longer than"),
        ([(200, b"<html>")], "not JSON"),
        ([(200, b"[" * 60_000)], "not JSON"),
        ([(200, b"[1]")], "of another shape"),
        ([(200, b'{"count": true}')], "does not say how many"),
        ([(200, b'{"count": -1}')], "does not say how many"),
        ([NONE, (200, status())], "answered 200"),
        ([NONE, (202, status(pin={"cid": "another"}))], "confirms another pin"),
        ([NONE, (202, status(pin=7))], "confirms another pin"),
        ([NONE, (202, status(requestid=7))], "confirms another pin"),
        ([NONE, (202, status(status="failed"))], "does not keep .*'failed'"),
        ([NONE, (202, status(status=["queued"]))], "does not keep"),
    ],
)
def test_what_a_service_does_wrong_is_said_and_counted_and_fails_no_put(
    daemon: str, caplog: pytest.LogCaptureFixture, answers: list[tuple[int, bytes]], said: str
) -> None:
    caplog.set_level(logging.WARNING, logger="fl_platform")
    written = Counter[str]()
    with http_peers.serving(answering(*answers)) as url:
        store = open_store(f"kubo:{daemon},pin:{url}", pin_token=TOKEN, written=written)
        for _ in range(3):
            cid = store.put(b"hello")
    assert store.get(cid, max_bytes=5) == b"hello"
    assert written == {f"kubo:{daemon}": 3, f"pin:{url}{FAILED}": 3}
    (line,) = caplog.messages  # once
    assert line.startswith("the object is in the daemon, but perhaps nowhere else: ")
    assert line.isprintable()
    assert TOKEN not in caplog.text
    with http_peers.serving(answering(*answers)) as url, pytest.raises(StoreUnavailable, match=said):
        PinningService(url, token=TOKEN).keep(cid_of(b"hello"), list)


def test_a_service_that_hangs_is_given_up_and_left_alone_for_a_while() -> None:
    calls, now = [], [0.0]

    def respond(handler: http_peers.BaseHTTPRequestHandler) -> None:
        calls.append(handler.command)
        http_peers.stopped(handler, 30)

    with http_peers.serving(respond) as url:
        waits = Timeouts(connect_s=1, read_s=0.2, total_s=1)
        service = PinningService(url, token=TOKEN, timeouts=waits, clock=lambda: now[0])
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match=r"in time|failed a moment ago"):
                service.keep(cid_of(b"hello"), list)
        assert calls == ["GET"]
        now[0] = REST_S
        with pytest.raises(StoreUnavailable, match="in time"):
            service.keep(cid_of(b"hello"), list)
        assert calls == ["GET", "GET"]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("pin:https://pins.example", "name ipfs or kubo:URL beside it"),
        ("disk:x,pin:https://pins.example", "name ipfs or kubo:URL beside it"),
        ("ipfs,pin:", "no pinning service"),
        ("ipfs,pin:pins.example", "no pinning service"),
        ("ipfs,pin:https://pins.example?token=x", "no pinning service"),
        ("ipfs,pin:http://pins.example", "in the clear"),
        ("ipfs,pin:http://[::1", "malformed"),
    ],
)
def test_words_that_name_no_service_beside_a_daemon_are_refused(
    where: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        open_store(where, pin_token=TOKEN)


def test_a_token_is_neither_in_the_words_nor_any_text() -> None:
    with pytest.raises(ConfigError, match="set FL_PLATFORM_PINNING_TOKEN instead") as caught:
        open_store("ipfs,pin:https://me:hunter2@pins.example", pin_token=TOKEN)
    assert "hunter2" not in str(caught.value)
    for bad in ("", "two words", "line\r\nx-other: 1", "x" * 5000):
        with pytest.raises(ConfigError, match="is no token") as caught:
            PinningService("https://pins.example", token=bad)
        assert not bad or bad not in str(caught.value)


def test_services_stand_beside_the_daemon_of_a_list(daemon: str, tmp_path: Path) -> None:
    peer = PinningPeer()
    with http_peers.serving(peer.respond) as url:
        store = open_store(f"disk,kubo:{daemon},pin:{url}/psa", own=tmp_path, pin_token=TOKEN)
        cid = store.put(content(4000))
    assert DiskStore(tmp_path).has(cid)
    assert [pin["pin"]["cid"] for pin in peer.pins] == [str(cid)]
