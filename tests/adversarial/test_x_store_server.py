"""A store that strangers reach: forged, replayed, expired and foreign signatures, wrong blocks, paths, slow senders.

Attacker: anybody who can open a connection, a member that sends other bytes than it signed for, another server's
operator who sees an upload. Wants bytes stored in somebody's name or past a quota, a file outside the objects, or the
server's threads.
Expected: one clear status, nothing visible in the folder, and the next honest upload and read work.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fl_platform.errors import StoreFull
from fl_platform.store import MemoryStore, car, cid_of, unixfs
from fl_platform.store.disk import DiskStore
from fl_platform.store.hosted import HostedStore, Quotas
from fl_platform.store.pacing import Pace
from fl_platform.store.served import ServedStore
from fl_platform.store.server import StoreServer
from fl_platform.store.unixfs import LEAF_BYTES
from tests.support.http_peers import car_of
from tests.support.served import CAR, CID, DATA, MEMBER, OTHER, STRANGER, serving, upload_for
from tests.support.store_suite import content


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StoreServer]:
    with serving(tmp_path, quotas=Quotas(object_bytes=8 * LEAF_BYTES)) as found:
        yield found


def exchange(server: StoreServer, raw: bytes) -> tuple[int, str]:
    """Send bytes as they are; return status and body of the answer (0 and nothing where there is none)."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as line:
        answer = b""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it was refused while we sent
            line.sendall(raw)
        with contextlib.suppress(ConnectionResetError):
            while piece := line.recv(1 << 16):
                answer += piece
    head, _, text = answer.partition(b"\r\n\r\n")
    return (int(head.split()[1]) if head else 0), text.decode()


def put(server: StoreServer, authorization: str, *, body: bytes = CAR, cid: str = str(CID), more: str = "",
        length: str | None = None) -> tuple[int, str]:  # fmt: skip
    """Send an upload by hand."""
    size = f"content-length: {len(body)}\r\n" if length is None else length
    head = f"PUT /ipfs/{cid} HTTP/1.1\r\nhost: evil\r\n{size}authorization: {authorization}\r\n{more}\r\n"
    return exchange(server, head.encode() + body)


def nothing_there(server: StoreServer) -> bool:
    """Tell whether the folder shows no object and no rest of one."""
    folder = server.store.disk.folder
    return not [p for p in folder.rglob("*") if p.is_file()]


def works(server: StoreServer) -> bool:
    """Tell whether an honest member can still store, and anybody read."""
    cid = ServedStore(server.url, signing=lambda: OTHER).put(DATA)
    return ServedStore(server.url).get(cid, max_bytes=len(DATA)) == DATA


def test_the_honest_upload_by_hand(server: StoreServer) -> None:
    assert put(server, upload_for(server).header(MEMBER)) == (201, f"{CID} is here\n")
    assert works(server)


def test_signatures_that_are_not_this_uploads(server: StoreServer) -> None:
    upload = upload_for(server)
    good = upload.header(MEMBER)
    forged = good.replace(MEMBER.address.hex(), OTHER.address.hex())
    flipped = good[:-4] + ("0000" if good[-4:] != "0000" else "1111")
    other_object = replace(upload, cid=cid_of(b"x")).header(MEMBER)
    cases = {
        "": 401, "Bearer x": 401, "fl-upload": 401, good + " ": 401, good.upper(): 401,
        forged: 401, flipped: 401, other_object: 401,
        replace(upload, length=len(CAR) + 1).header(MEMBER): 401,
        replace(upload, deadline=int(time.time()) - 1).header(MEMBER): 401,
        replace(upload, deadline=int(time.time()) + 100_000).header(MEMBER): 401,
        replace(upload, server="http://elsewhere:1").header(MEMBER): 421,
        replace(upload, run=bytes(32)).header(MEMBER): 412,
        upload.header(STRANGER): 403,
    }  # fmt: skip
    for header, status in cases.items():
        found, line = put(server, header)
        assert (found, line.count("\n")) == (status, 1), header
    assert nothing_there(server)
    assert works(server)


def test_a_signature_is_worth_one_upload_at_one_server(server: StoreServer, tmp_path: Path) -> None:
    header = upload_for(server).header(MEMBER)
    assert put(server, header)[0] == 201
    server.store.disk.remove(CID)
    assert put(server, header) == (409, "this signature was used before: sign again\n")
    with serving(tmp_path / "other") as other:
        assert put(other, header)[0] == 421
        as_if = replace(upload_for(server), server=other.url).header(MEMBER)  # the same name, another run
        assert put(other, as_if)[0] == 412


def test_a_nonce_is_remembered_as_long_as_its_signature_is_good(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        header = upload_for(server).header(MEMBER)
        put(server, header)
        (deadline,) = server.gate._nonces.values()
        server.gate._clock = lambda: deadline - 1
        assert put(server, header)[0] == 409
        server.gate._clock = lambda: deadline
        assert put(server, header)[0] == 401


def wrong_cars() -> dict[str, bytes]:
    """Return CARs that are not the object, by what is wrong with them; each has the length that is signed for."""
    flipped = bytearray(CAR)
    flipped[-1] ^= 1
    inner = bytearray(CAR)
    inner[200] ^= 1
    store = MemoryStore()
    other = car_of(store, store.put(content(100)))
    tree = unixfs.build_tree(unixfs.leaf_views(DATA))
    swapped = list(car.object_pieces(tree, unixfs.leaf_views(DATA)))
    swapped[3:5], swapped[5:7] = swapped[5:7], swapped[3:5]
    return {
        "a flipped bit in the last leaf": bytes(flipped), "in the root": bytes(inner), "another root": other,
        "blocks in another order": b"".join(map(bytes, swapped)), "cut": CAR[:-1], "more behind it": CAR + b"\x00",
        "no CAR": b"GIF89a" * 100, "nothing": b"",
        "a section of 2^62 bytes": car.header(CID) + b"\xff" * 8 + b"\x3f" + bytes(100),
        "a pickle": b"\x80\x04\x95" + bytes(90),
    }  # fmt: skip


@pytest.mark.parametrize("what", wrong_cars())
def test_blocks_that_are_not_the_objects(server: StoreServer, what: str) -> None:
    body = wrong_cars()[what]
    status, line = put(server, upload_for(server, body=body).header(MEMBER), body=body)
    assert (status, line.count("\n")) == (422, 1)
    assert nothing_there(server)
    assert works(server)


def test_a_sender_that_stops_in_the_middle_leaves_nothing(server: StoreServer) -> None:
    header = upload_for(server).header(MEMBER)
    head = f"PUT /ipfs/{CID} HTTP/1.1\r\ncontent-length: {len(CAR)}\r\nauthorization: {header}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.server_port)) as line:
        line.sendall(head + CAR[: LEAF_BYTES + 5000])
        line.shutdown(socket.SHUT_WR)
        assert b" 422 " in line.recv(1 << 16).split(b"\r\n")[0]
    assert nothing_there(server)
    assert works(server)


@pytest.mark.parametrize(
    "length",
    ["", "content-length: 5\r\ncontent-length: 6\r\n", "content-length: -1\r\n", "content-length: 0x10\r\n",
     "content-length: 9999999999999999\r\n", "content-length: 12\r\ntransfer-encoding: chunked\r\n"],
)  # fmt: skip
def test_lengths_that_say_nothing(server: StoreServer, length: str) -> None:
    assert put(server, upload_for(server).header(MEMBER), length=length)[0] == 411
    assert works(server)


def test_an_object_over_the_limit_is_refused_by_its_length_alone(server: StoreServer) -> None:
    status, line = put(server, "", length=f"content-length: {8 * LEAF_BYTES + 1}\r\n", body=b"")
    assert (status, "over this store's limit" in line) == (413, True)


PATHS = [
    "/ipfs/../../etc/passwd", "/ipfs/%2e%2e/%2e%2e/etc/passwd", f"/ipfs/{CID}/../x", f"/ipfs/{CID}%00", f"//{CID}",
    f"/ipfs/{str(CID).upper()}", f"/ipfs/{CID}/", f"/ipfs/{CID}?format=tar", f"/ipfs/{CID}?format=car&x=1",
    f"/IPFS/{CID}", f"http://127.0.0.1/ipfs/{CID}?format=car", "/", "/members/xy", f"/ipfs/{str(CID)[:-1]}",
    "/ipfs/QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPBdG?format=car", "/ipfs/" + "b" * 50_000, "*",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_path_is_a_cid_or_nothing(server: StoreServer, path: str, method: str) -> None:
    works(server)
    status, body = exchange(server, f"{method} {path} HTTP/1.1\r\n\r\n".encode())
    assert status in (400, 404, 406)
    assert "root:" not in body
    if method == "HEAD":
        assert not body


def test_uploads_go_to_cids_only(server: StoreServer) -> None:
    for path in ("../../x", "x%2f..", str(CID).upper(), f"{CID}/x", ""):
        assert put(server, upload_for(server).header(MEMBER), cid=path)[0] == 400
    assert nothing_there(server)


@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "x" * 100])
def test_other_methods_do_nothing(server: StoreServer, method: str) -> None:
    works(server)
    assert exchange(server, f"{method} /ipfs/{CID} HTTP/1.1\r\ncontent-length: 0\r\n\r\n".encode())[0] == 405
    assert server.store.disk.holds(CID)


@pytest.mark.parametrize(
    "raw",
    [b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 5, b"G " + b"a" * 70_000],
)
def test_what_is_no_request(server: StoreServer, raw: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as line:
        line.sendall(raw)
        line.shutdown(socket.SHUT_WR)
        answer = line.recv(1 << 16)
    assert b"<" not in answer  # neither a page nor the request's own words
    assert works(server)


def test_headers_are_not_believed(server: StoreServer) -> None:
    """Neither a host, nor a forwarding, nor another method in a header changes what a request is."""
    more = "x-http-method-override: DELETE\r\nx-forwarded-host: a\r\nforwarded: host=a\r\nx-original-url: /x\r\n"
    assert put(server, upload_for(server).header(MEMBER), more=more)[0] == 201
    more = f"x-account: {MEMBER.address.hex()}\r\n"
    assert put(server, upload_for(server).header(STRANGER), more=more)[0] == 403


# --- time and number --------------------------------------------------------------------------------------------------

FAST = Pace(connections=4, head_s=0.2, idle_s=0.2, spare_s=0.4, bytes_per_s=1 << 30)


def drip(server: StoreServer, head: bytes, byte: bytes) -> float:
    """Send a byte every now and then until the server hangs up; return after how many seconds."""
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=0.05) as line:
        line.sendall(head)
        while time.monotonic() < started + 20:
            try:
                line.sendall(byte)
                if not line.recv(1 << 16):
                    break
            except TimeoutError:  # nothing said yet
                continue
            except OSError:
                break
    return time.monotonic() - started


def test_a_sender_that_drips_is_cut_off(tmp_path: Path) -> None:
    with serving(tmp_path, pace=FAST) as server:
        assert drip(server, b"GET /ipfs/", b"b") < 15
        assert drip(server, b"GET / HTTP/1.1\r\n", b"a: b\r\n") < 15
        header = upload_for(server).header(MEMBER)
        head = f"PUT /ipfs/{CID} HTTP/1.1\r\ncontent-length: {len(CAR)}\r\nauthorization: {header}\r\n\r\n".encode()
        assert drip(server, head + CAR[:100], CAR[100:101]) < 15
        assert nothing_there(server)
        assert works(server)


def test_connections_that_say_nothing_are_closed_and_make_room(tmp_path: Path) -> None:
    with serving(tmp_path, pace=FAST) as server:
        silent = [socket.create_connection(("127.0.0.1", server.server_port), timeout=20) for _ in range(4)]
        for line in silent:
            assert line.recv(1) == b""  # hung up on, all of them
            line.close()
        assert works(server)


def test_more_connections_than_there_are_slots_are_turned_away(tmp_path: Path) -> None:
    with serving(tmp_path, pace=replace(FAST, connections=1, head_s=20, idle_s=20)) as server:
        first = socket.create_connection(("127.0.0.1", server.server_port), timeout=20)
        first.sendall(b"GET /")
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as second:
            assert second.recv(100).startswith(b"HTTP/1.1 503")
        first.close()


def test_many_uploads_of_one_object_at_once_count_once(server: StoreServer) -> None:
    start = threading.Barrier(6)
    found: list[int] = []

    def one(number: int) -> None:
        upload = replace(upload_for(server), nonce=bytes([number]) * 32)
        start.wait()
        found.append(put(server, upload.header(MEMBER))[0])

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) <= {200, 201}
    assert len(found) == 6
    assert server.store.used() == server.store.used(MEMBER.address) == len(CAR)
    assert server.store.disk.holds(CID)


def test_uploads_at_once_cannot_pass_a_quota_together(tmp_path: Path) -> None:
    hosted = HostedStore(DiskStore(tmp_path, durable=False), Quotas(member_bytes=2 * len(CAR) - 1))

    class Meanwhile:
        """A source in whose middle a second upload of the same member begins."""

        def read(self, size: int, /) -> bytes:
            with pytest.raises(StoreFull, match="over a member's"):
                hosted.receive(cid_of(b"x"), self, length=len(CAR), account=MEMBER.address)
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        hosted.receive(CID, Meanwhile(), length=len(CAR), account=MEMBER.address)
    with pytest.raises(ConnectionResetError):  # the reservation is gone with the upload that broke off
        hosted.receive(CID, Meanwhile(), length=len(CAR), account=MEMBER.address)


def test_the_servers_number_is_all_that_it_tells(server: StoreServer) -> None:
    status, body = exchange(server, b"GET /fl-platform/store HTTP/1.1\r\n\r\n")
    assert (status, set(json.loads(body))) == (200, {"run", "object_bytes"})
