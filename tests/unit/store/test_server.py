"""The server as a trustless gateway: what a plain gateway client reads from it, and what its answers look like."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fl_platform.errors import ConfigError, RetryError, StoreUnavailable
from fl_platform.store import Cid, DiskStore, cid_of, unixfs
from fl_platform.store.gateway import GatewayStore
from fl_platform.store.hosted import HostedStore, Quotas
from fl_platform.store.served import ServedStore
from fl_platform.store.server import StoreServer
from fl_platform.store.unixfs import LEAF_BYTES
from tests.support.http_peers import car_of
from tests.support.served import CAR, CID, MEMBER, serving, upload_for
from tests.support.store_suite import StoreSuite, content


class TestGatewayOfOurOwn(StoreSuite):
    """Our gateway client reads the operator's folder through our server."""

    @pytest.fixture
    def writer(self, tmp_path_factory: pytest.TempPathFactory) -> DiskStore:
        return DiskStore(tmp_path_factory.mktemp("folder"), durable=False)

    @pytest.fixture
    def store(self, writer: DiskStore) -> Iterator[GatewayStore]:
        with serving(writer.folder) as server:
            store = GatewayStore(server.url)
            yield store
            store.close()


def get(server: StoreServer, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    """Ask as any client does."""
    return httpx.request(method, server.url + path, headers=headers, trust_env=False)


@pytest.mark.parametrize("size", [10, LEAF_BYTES + 5])
def test_both_forms_with_and_without_a_body(tmp_path: Path, size: int) -> None:
    with serving(tmp_path) as server:
        disk = server.store.disk
        cid = disk.put(content(size))
        tree = unixfs.build_tree(unixfs.leaf_views(content(size)))
        root = content(size) if size < LEAF_BYTES else tree.nodes[0][1]
        for form, body in (("car", car_of(disk, cid)), ("raw", root)):
            asked = get(server, f"/ipfs/{cid}?format={form}")
            by_header = get(server, f"/ipfs/{cid}", accept=f"application/vnd.ipld.{form}; version=1")
            head = get(server, f"/ipfs/{cid}?format={form}", "HEAD")
            assert asked.content == by_header.content == body
            assert (head.content, head.headers["content-length"]) == (b"", str(len(body)))
            assert asked.headers["content-type"].startswith(f"application/vnd.ipld.{form}")


def test_a_web_page_is_never_served(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        cid = server.store.disk.put(b"<script>")
        assert get(server, f"/ipfs/{cid}").status_code == 406
        assert get(server, f"/ipfs/{cid}?format=raw").headers["x-content-type-options"] == "nosniff"


def test_what_is_damaged_on_disk_is_not_there(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        cid = server.store.disk.put(b"hello")
        path = server.store.disk.path_of(cid)
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        assert get(server, f"/ipfs/{cid}?format=raw", "HEAD").status_code == 404


def test_a_chain_that_does_not_answer_is_no_refusal(tmp_path: Path) -> None:
    def members(_: bytes) -> bool:
        raise RetryError("the node is down")

    with serving(tmp_path, members=members) as server:
        store = ServedStore(server.url, signing=lambda: MEMBER)
        with pytest.raises(StoreUnavailable, match="does not answer: try again"):
            store.put(b"hello")
        cid = server.store.disk.put(b"old")
        assert store.get(cid, max_bytes=3) == b"old"  # reading needs no chain


def test_a_client_that_waits_for_leave_to_send_gets_it(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        head = (
            f"PUT /ipfs/{CID} HTTP/1.1\r\ncontent-length: {len(CAR)}\r\nexpect: 100-continue\r\n"
            f"authorization: {upload_for(server).header(MEMBER)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as line:
            line.sendall(head.encode())
            assert line.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            line.sendall(CAR)
            assert line.recv(100).startswith(b"HTTP/1.1 201")


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with (
        serving(tmp_path) as server,
        pytest.raises(ConfigError, match=f"cannot listen at 127.0.0.1:{server.server_port}"),
    ):
        StoreServer(server.store, bind=("127.0.0.1", server.server_port), members=lambda _: True)


def test_names_under_which_uploads_are_taken(tmp_path: Path) -> None:
    hosted = HostedStore(DiskStore(tmp_path), Quotas())
    bound = [("127.0.0.1", ["http://127.0.0.1:{}", "http://localhost:{}"]), ("0.0.0.0", [])]
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        bound.append(("::1", ["http://[::1]:{}"]))  # where the machine has IPv6
    for host, names in bound:
        server = StoreServer(hosted, bind=(host, 0), members=lambda _: True, names=["https://a.example/store/"])
        server.server_close()
        assert [*server.gate.names] == [*(name.format(server.server_port) for name in names), "https://a.example/store"]


def test_a_missing_object_says_so(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        found = get(server, f"/ipfs/{Cid(0x70, cid_of(b'x').digest)}?format=car")
    assert found.status_code == 404
    assert "is not in this store" in found.text


def test_every_address_is_no_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="say with --url which one clients use"):
        StoreServer(HostedStore(DiskStore(tmp_path), Quotas()), bind=("0.0.0.0", 0), members=lambda _: True)


@pytest.mark.parametrize(("started", "error"), [(True, KeyboardInterrupt), (False, RuntimeError)])
def test_an_interrupt_as_a_connection_opens_ends_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: bool, error: type[BaseException]
) -> None:
    """Its thread gives the slot back, if it was started; else the server does. Neither is done twice."""

    class Interrupted(threading.Thread):
        def start(self) -> None:
            if started:
                super().start()
                self.join()
            raise error

    hosted = HostedStore(DiskStore(tmp_path), Quotas())
    with StoreServer(hosted, bind=("127.0.0.1", 0), members=lambda _: True) as server:
        ours, theirs = socket.socketpair()
        theirs.close()
        with monkeypatch.context() as patched:
            patched.setattr("socketserver.threading.Thread", Interrupted)
            with pytest.raises(error):
                server.process_request(ours, ("127.0.0.1", 1))
        ours.close()
        assert all(server._slots.acquire(blocking=False) for _ in range(server._slots._initial_value))  # type: ignore[attr-defined]
        assert not server._slots.acquire(blocking=False)
