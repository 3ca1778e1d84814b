"""A25: a pickle, a zip bomb, code in an archive.

Attacker: a peer whose object runs or unfolds when a careless reader opens it. Wants code on the aggregator, or its
memory. Expected: bytes stay bytes. Whatever the store reads, stores, exports or imports, nothing is executed or
inflated; a file that is no CAR is refused by its first bytes, and memory stays near the size of what was sent.
"""

from __future__ import annotations

import gzip
import io
import os
import pickle
import tracemalloc
import zipfile
from functools import cache
from pathlib import Path

import pytest

from fl_platform.errors import CarInvalid, FLError, StoreUnavailable
from fl_platform.store import Cid, DiskStore, MemoryStore, car, cid_of, unixfs
from fl_platform.store.gateway import GatewayStore
from fl_platform.store.keywrap import KeyBox
from fl_platform.store.kubo import KuboStore
from tests.support import http_peers


class Touch:
    """Unpickling this creates a file."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, (f"touch {self._marker}",))


@cache
def gzip_bomb(inflated: int) -> bytes:
    """Return a gzip file of zeros."""
    return gzip.compress(bytes(inflated))


@cache
def zip_bomb(inflated: int) -> bytes:
    """Return a zip of zeros."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", bytes(inflated))
    return buffer.getvalue()


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "executed"


def evil_files(marker: Path) -> dict[str, bytes]:
    """Return files that a careless reader opens to its cost."""
    return {
        "pickle": pickle.dumps(Touch(marker)),
        "old pickle": pickle.dumps(Touch(marker), protocol=0),
        "zip": zip_bomb(1 << 26),
        "gzip": gzip_bomb(1 << 26),
        "script": f"#!/bin/sh\ntouch {marker}\n".encode(),
    }


KINDS = ["pickle", "old pickle", "zip", "gzip", "script"]


def test_the_marker_works(marker: Path) -> None:
    """The attack is real: whoever does unpickle it runs it."""
    pickle.loads(evil_files(marker)["pickle"])  # noqa: S301 - the point of this test
    assert marker.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_as_an_object_it_is_only_bytes(kind: str, marker: Path, tmp_path: Path) -> None:
    evil = evil_files(marker)[kind]
    store = DiskStore(tmp_path / "store")
    tracemalloc.start()
    try:
        cid = store.put(evil)
        store.export_car(cid, tmp_path / "evil.car")
        assert MemoryStore().import_car(tmp_path / "evil.car") == cid
        assert store.get(cid, max_bytes=len(evil)) == evil
        assert tracemalloc.get_traced_memory()[1] < 10 * len(evil) + (4 << 20)
    finally:
        tracemalloc.stop()
    assert not marker.exists()
    assert store.path_of(cid).stat().st_mode & 0o111 == 0


@pytest.mark.parametrize("kind", KINDS)
def test_as_a_car_it_is_refused_by_its_first_bytes(kind: str, marker: Path, tmp_path: Path) -> None:
    path = tmp_path / "evil.car"
    path.write_bytes(evil_files(marker)[kind])
    tracemalloc.start()
    try:
        with pytest.raises(CarInvalid):
            DiskStore(tmp_path / "store").import_car(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert not marker.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_as_an_answer_of_a_daemon_it_is_refused(kind: str, marker: Path) -> None:
    evil = evil_files(marker)[kind]

    def respond(handler: http_peers.BaseHTTPRequestHandler) -> None:
        handler.rfile.read(int(handler.headers.get("content-length", "0")))
        http_peers.send(handler, 200, evil, content_type="application/vnd.ipld.car")

    with http_peers.serving(respond) as url:
        for store in (GatewayStore(url), KuboStore(url)):
            with pytest.raises(FLError):
                store.get(cid_of(b"hello"), max_bytes=100)
        with pytest.raises(StoreUnavailable):
            KuboStore(url).put(b"hello")
    assert not marker.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_as_a_node_or_a_wrapped_key_it_is_refused(kind: str, marker: Path) -> None:
    evil = evil_files(marker)[kind]
    root = Cid.of_block(evil, 0x70)
    with pytest.raises(CarInvalid):
        list(unixfs.read_leaves(root, {root: evil}.__getitem__, max_bytes=1 << 30))
    with pytest.raises(FLError):
        KeyBox.from_bytes(evil)
    with pytest.raises(FLError):
        KeyBox.from_bytes((evil * 96)[:96])
    assert not marker.exists()


def test_two_gigabytes_claimed_with_ten_bytes_behind() -> None:
    """By a CAR section, and by a node that claims a file of 2 GiB: refused by the claim, without the memory."""
    leaf = Cid.of_block(bytes(10))
    section = car.header(leaf) + b"\x80\x80\x80\x80\x08" + bytes(10)
    links = [unixfs.Link(leaf, 1 << 30, 1 << 30)] * 2
    node = unixfs.encode_node(links)
    root = Cid.of_block(node, 0x70)
    tracemalloc.start()
    try:
        with pytest.raises(CarInvalid, match="claims 2147483648 bytes"):
            list(car.read_object(io.BytesIO(section), leaf, max_bytes=1 << 40))
        with pytest.raises(FLError):
            list(unixfs.read_leaves(root, {root: node, leaf: bytes(10)}.__getitem__, max_bytes=1 << 20))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
