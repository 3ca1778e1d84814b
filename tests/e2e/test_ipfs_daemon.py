"""The store against a real js-ipfs daemon: one suite, by RPC and by ipfshttpclient, and what happens when it lies."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator

import pytest

from fl_platform.errors import CarInvalid, CidMismatch, DaemonUnsupported, StoreUnavailable
from fl_platform.store import Cid, Store, car, cid_of, unixfs
from fl_platform.store.gateway import GatewayStore
from fl_platform.store.ipfsclient import IpfsClientStore
from fl_platform.store.kubo import KuboStore
from fl_platform.store.opening import open_store
from fl_platform.store.remote import HttpPeer, Timeouts
from fl_platform.store.unixfs import LEAF_BYTES
from tests.support import http_peers
from tests.support.ipfs_daemon import IpfsDaemon, ipfs_daemon
from tests.support.pinning_service import TOKEN, PinningPeer
from tests.support.store_suite import StoreSuite, content

pytestmark = [
    pytest.mark.node,
    # ipfshttpclient 0.7.0 passes urllib3 an argument that urllib3 3 will refuse
    pytest.mark.filterwarnings("ignore:The 'strict' parameter is no longer needed:FutureWarning"),
]


@pytest.fixture(scope="module")
def daemon() -> Iterator[IpfsDaemon]:
    with ipfs_daemon() as running:
        yield running


@pytest.fixture
def kubo(daemon: IpfsDaemon) -> Iterator[KuboStore]:
    store = KuboStore(daemon.rpc, lookup_s=0.5)
    yield store
    store.close()


class TestRpc(StoreSuite):
    @pytest.fixture
    def store(self, kubo: KuboStore) -> KuboStore:
        return kubo


class TestIpfsHttpClient(StoreSuite):
    @pytest.fixture
    def store(self, daemon: IpfsDaemon) -> Iterator[IpfsClientStore]:
        store = IpfsClientStore(daemon.multiaddr, any_version=True, lookup_s=0.5)
        yield store
        store.close()


def test_ipfshttpclient_refuses_the_version_and_we_say_what_to_do(daemon: IpfsDaemon) -> None:
    with pytest.raises(DaemonUnsupported, match=r"use the `kubo` store.*any_version=True"):
        IpfsClientStore(daemon.multiaddr)


def test_ipfshttpclient_without_a_daemon() -> None:
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        IpfsClientStore("/ip4/127.0.0.1/tcp/9/http")


def test_the_daemon_says_its_version(kubo: KuboStore) -> None:
    assert kubo.version() == "0.18.1"


def test_a_service_is_asked_to_keep_what_the_daemon_has(daemon: IpfsDaemon, kubo: KuboStore) -> None:
    peer = PinningPeer()
    with http_peers.serving(peer.respond) as url:
        cid = open_store(f"kubo:{daemon.rpc},pin:{url}/psa", pin_token=TOKEN).put(b"to be kept")
    ((kept, origins),) = [(status["pin"]["cid"], status["pin"]["origins"]) for status in peer.pins]
    assert (kept, origins, peer.refused) == (str(cid), kubo.addresses(), [])  # none: it listens on loopback alone


@pytest.mark.parametrize("size", [0, 1000, LEAF_BYTES + 1, 5_000_000])
def test_the_daemons_own_add_gives_our_cid(daemon: IpfsDaemon, size: int) -> None:
    """`ipfs add` by another implementation, of the same bytes, in the same profile."""
    boundary = b"----fl-platform-test"
    body = b"--" + boundary + b'\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n'
    body += b"Content-Type: application/octet-stream\r\n\r\n" + content(size) + b"\r\n--" + boundary + b"--\r\n"
    request = urllib.request.Request(
        f"{daemon.rpc}/api/v0/add?cid-version=1&raw-leaves=true&chunker=size-{LEAF_BYTES}&cid-base=base32",
        data=body,
        headers={"content-type": "multipart/form-data; boundary=" + boundary.decode()},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        assert json.load(answer)["Hash"] == str(cid_of(content(size)))


def test_one_client_reads_what_the_other_wrote(daemon: IpfsDaemon, kubo: KuboStore) -> None:
    client = IpfsClientStore(daemon.multiaddr, any_version=True)
    data = content(LEAF_BYTES + 99)
    assert client.get(kubo.put(data), max_bytes=len(data)) == data
    other = content(LEAF_BYTES + 98)
    assert kubo.get(client.put(other), max_bytes=len(other)) == other
    client.close()


def import_without_asking(daemon: IpfsDaemon, data: bytes) -> None:
    """Hand the daemon a CAR as it is."""
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="object.car"\r\n'
    body = head + b"Content-Type: application/octet-stream\r\n\r\n" + data + b"\r\n--b--\r\n"
    peer = HttpPeer(daemon.rpc, timeouts=Timeouts())
    headers = {"content-type": "multipart/form-data; boundary=b"}
    with peer.exchange("POST", "/api/v0/dag/import", params={}, headers=headers, content=[body]) as answer:
        assert answer.status == 200
    peer.close()


@pytest.mark.parametrize("size", [500, LEAF_BYTES + 500])
@pytest.mark.parametrize("client", ["rpc", "ipfshttpclient"])
def test_blocks_that_the_daemon_swallowed_unhashed_are_caught(
    daemon: IpfsDaemon, kubo: KuboStore, size: int, client: str
) -> None:
    """js-ipfs stores any bytes under any CID that `dag/import` brings; whoever reads through it must hash."""
    data = os.urandom(size)
    tree = unixfs.build_tree(unixfs.leaf_views(data))
    packed = bytearray(b"".join(car.object_pieces(tree, unixfs.leaf_views(data))))
    packed[-1] ^= 1  # the last byte of the last leaf
    import_without_asking(daemon, bytes(packed))
    store: Store = kubo if client == "rpc" else IpfsClientStore(daemon.multiaddr, any_version=True)
    assert store.has(tree.root)
    with pytest.raises(CidMismatch, match="fetch the object from another store"):
        store.get(tree.root, max_bytes=size)


def test_a_tree_of_another_profile_is_refused(daemon: IpfsDaemon, kubo: KuboStore) -> None:
    """256 KiB leaves, as `ipfs add` cuts by default: right hashes, but not the object's one CID."""
    data = os.urandom(600_000)
    links = []
    blocks = []
    for start in range(0, len(data), 1 << 18):
        leaf = data[start : start + (1 << 18)]
        blocks.append((Cid.of_block(leaf), leaf))
        links.append(unixfs.Link(blocks[-1][0], len(leaf), len(leaf)))
    node = unixfs.encode_node(links)
    root = Cid.of_block(node, 0x70)
    packed = car.header(root) + b"".join(car.section_head(c, len(b)) + b for c, b in [(root, node), *blocks])
    import_without_asking(daemon, packed)
    with pytest.raises(CarInvalid, match="not cut as profile"):
        kubo.get(root, max_bytes=1 << 20)


def test_a_gateway_that_does_not_speak_car_is_refused(daemon: IpfsDaemon, kubo: KuboStore) -> None:
    """The gateway of js-ipfs answers with the file itself, which nobody can verify block by block."""
    cid = kubo.put(b"hello, gateway")
    gateway = GatewayStore(daemon.gateway)
    with pytest.raises(StoreUnavailable, match="no trustless gateway"):
        gateway.get(cid, max_bytes=100)
    gateway.close()
