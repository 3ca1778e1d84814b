"""A23: wrong bytes, another codec, a path in a CID.

Attacker: a store that answers with something else, or a peer whose receipt names a CID that means trouble. Wants other
bytes taken for the committed ones, or a file outside the store's folder touched. Expected: CidMismatch or CidInvalid;
nothing of the bytes reaches the caller.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from fl_platform.errors import CarInvalid, CidInvalid, CidMismatch, FLError
from fl_platform.store import Cid, DiskStore, MemoryStore, cid_of
from fl_platform.store.gateway import GatewayStore
from fl_platform.store.kubo import KuboStore
from fl_platform.store.unixfs import LEAF_BYTES
from tests.support import http_peers
from tests.support.store_suite import content

SMALL, LARGE = content(3000), content(LEAF_BYTES + 3000)


def regions(size: int) -> list[float]:
    """Return where to flip: start, header, first section, middle, end."""
    return [0, 20, 55, 62, 100, 110, size // 2, size - 1]


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["one leaf", "tree"])
@pytest.mark.parametrize("region", range(8))
def test_a_gateway_that_flips_one_bit(data: bytes, region: int) -> None:
    public = MemoryStore()
    cid = public.put(data)

    def flip(whole: bytes) -> bytes:
        damaged = bytearray(whole)
        damaged[int(regions(len(whole))[region])] ^= 0x10
        return bytes(damaged)

    wrong = (CidMismatch, CarInvalid, CidInvalid)
    with http_peers.serving(http_peers.gateway(public, damage=flip)) as url, pytest.raises(wrong):
        GatewayStore(url).get(cid, max_bytes=len(data))


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["one leaf", "tree"])
def test_a_gateway_that_answers_with_another_object(data: bytes) -> None:
    public = MemoryStore()
    cid = public.put(data)
    other = http_peers.car_of(public, public.put(b"another object"))
    with http_peers.serving(http_peers.gateway(public, damage=lambda _: other)) as url:
        store = GatewayStore(url)
        with pytest.raises(CarInvalid, match="not the object asked for"):
            store.get(cid, max_bytes=len(data))


def test_a_gateway_that_relabels_another_object() -> None:
    """Right header and CIDs, another object's bytes."""
    public = MemoryStore()
    cid = public.put(SMALL)

    def relabel(whole: bytes) -> bytes:
        return whole[: -len(SMALL)] + bytes(len(SMALL))

    with http_peers.serving(http_peers.gateway(public, damage=relabel)) as url, pytest.raises(CidMismatch):
        GatewayStore(url).get(cid, max_bytes=len(SMALL))


def test_pieces_before_the_wrong_one_are_the_right_ones() -> None:
    """A streaming reader sees only verified bytes, and then the error."""
    public = MemoryStore()
    cid = public.put(LARGE)

    def flip_last(whole: bytes) -> bytes:
        return whole[:-1] + bytes([whole[-1] ^ 1])

    with http_peers.serving(http_peers.gateway(public, damage=flip_last)) as url:
        pieces = GatewayStore(url).open_blocks(cid)
        assert next(pieces) == LARGE[:LEAF_BYTES]
        with pytest.raises(CidMismatch):
            next(pieces)


@pytest.mark.parametrize("kind", ["memory", "disk", "daemon"])
def test_the_same_digest_under_another_codec(kind: str, tmp_path: Path) -> None:
    """A leaf asked for as a node, and a node as a leaf: the first does not decode, the second is not the file."""
    daemon = http_peers.Daemon()
    with http_peers.serving(daemon.respond) as url:
        store = {"memory": MemoryStore(), "disk": DiskStore(tmp_path), "daemon": KuboStore(url)}[kind]
        leaf, tree = store.put(SMALL), store.put(LARGE)
        with pytest.raises(FLError):
            store.get(Cid(0x70, leaf.digest), max_bytes=1 << 30)
        with contextlib.suppress(FLError):  # not there under that name
            assert store.get(Cid(0x55, tree.digest), max_bytes=1 << 30) != LARGE


@pytest.mark.parametrize(
    "text",
    [
        "../../../etc/passwd",
        "/etc/passwd",
        str(cid_of(b"x")) + "/../../x",
        str(cid_of(b"x")) + "?format=raw",
        str(cid_of(b"x")) + "\x00",
        "ipfs://" + str(cid_of(b"x")),
        str(cid_of(b"x")).upper(),
    ],
)
def test_a_path_or_an_address_is_no_cid(text: str) -> None:
    with pytest.raises(CidInvalid):
        Cid.parse(text)


def test_no_object_lies_outside_the_folder(tmp_path: Path) -> None:
    store = DiskStore(tmp_path / "store")
    for data in (b"", SMALL, LARGE):
        assert store.path_of(store.put(data)).resolve().is_relative_to((tmp_path / "store").resolve())
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
