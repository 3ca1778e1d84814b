"""CARv1: what is written, what is refused, and that little is held."""

from __future__ import annotations

import io
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import CarInvalid, CidInvalid, CidMismatch, ObjectTooLarge
from fl_platform.store import car, unixfs
from fl_platform.store.cid import DAG_PB, Cid
from fl_platform.store.unixfs import LEAF_BYTES
from fl_platform.store.varint import encode_varint
from tests.support.store_suite import content


def pack(data: bytes) -> tuple[Cid, bytes]:
    """Return an object's CID and CAR."""
    tree = unixfs.build_tree(unixfs.leaf_views(data))
    return tree.root, b"".join(car.object_pieces(tree, unixfs.leaf_views(data)))


def read(data: bytes, root: Cid, *, max_bytes: int = 1 << 30) -> bytes:
    """Read an object from a CAR in memory."""
    return b"".join(car.read_object(io.BytesIO(data), root, max_bytes=max_bytes))


def sections(data: bytes) -> list[bytes]:
    """Cut a CAR behind its header into its sections."""
    source = io.BytesIO(data)
    car.read_header(source)
    return [car.section_head(cid, len(block)) + block for cid, block in car.read_sections(source)]


def test_the_header_is_canonical_dag_cbor() -> None:
    """{"roots": [42(h'00' + cid)], "version": 1} behind its length."""
    root = Cid.of_block(b"hello")
    assert car.header(root).hex() == "3aa265726f6f747381d82a582500" + root.to_bytes().hex() + "6776657273696f6e01"
    assert car.read_header(io.BytesIO(car.header(root))) == root


@pytest.mark.parametrize("size", [0, 1, LEAF_BYTES, LEAF_BYTES + 1, 2 * LEAF_BYTES + 5])
def test_objects_are_read_back_and_their_size_is_foretold(size: int) -> None:
    data = content(size)
    root, packed = pack(data)
    assert read(packed, root) == data
    assert len(packed) == car.car_bytes(unixfs.build_tree(unixfs.leaf_views(data)))


@given(st.permutations(range(4)))
@settings(max_examples=24, deadline=None)
def test_blocks_are_accepted_in_any_order(order: list[int]) -> None:
    data = content(2 * LEAF_BYTES + 5)
    root, packed = pack(data)
    parts = sections(packed)
    assert read(car.header(root) + b"".join(parts[i] for i in order), root) == data


def test_a_block_that_repeats_may_be_sent_once() -> None:
    data = bytes(4 * LEAF_BYTES)
    root, packed = pack(data)
    parts = sections(packed)
    assert len(parts) == 5
    assert read(car.header(root) + b"".join(dict.fromkeys(parts)), root) == data


def test_a_missing_block_is_named() -> None:
    root, packed = pack(content(2 * LEAF_BYTES))
    parts = sections(packed)
    with pytest.raises(CarInvalid, match="ends before block bafk"):
        read(car.header(root) + parts[0] + parts[1], root)


def test_another_root_than_asked_for_is_refused() -> None:
    _, packed = pack(b"one")
    with pytest.raises(CarInvalid, match="not the object asked for"):
        read(packed, Cid.of_block(b"two"))


def test_every_cut_is_noticed() -> None:
    root, packed = pack(content(300))
    for size in range(len(packed)):
        with pytest.raises(CarInvalid):
            read(packed[:size], root)


@pytest.mark.parametrize(
    "start",
    [
        b"\x0a\xa1gversion\x02" + bytes(80),  # CARv2's pragma
        b"PK\x03\x04" + bytes(100),
        b"\x80\x04\x95" + bytes(100),  # a pickle
        b"<html>" + bytes(100),
        b"\x11\xa2eroots\x80gversion\x01" + bytes(80),  # no root
    ],
)
def test_other_files_are_refused(start: bytes) -> None:
    with pytest.raises(CarInvalid, match="not a CARv1 file with one root"):
        car.read_header(io.BytesIO(start))


def test_a_root_of_another_kind_is_refused() -> None:
    header = bytearray(car.header(Cid(0x55, bytes(32))))
    header[15] = 0x71  # dag-cbor
    with pytest.raises(CidInvalid):
        car.read_header(io.BytesIO(bytes(header)))


@pytest.mark.parametrize("length", [0, 35, 36 + car.MAX_BLOCK_BYTES + 1, 1 << 31, (1 << 63) - 1])
def test_a_claimed_length_is_judged_before_anything_is_read(length: int) -> None:
    """Two GiB claimed, ten bytes behind: refused without allocating them."""
    root = Cid.of_block(b"x")
    data = car.header(root) + encode_varint(length) + bytes(10)
    tracemalloc.start()
    try:
        with pytest.raises(CarInvalid, match=f"claims {length} bytes"):
            read(data, root)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_the_largest_allowed_claim_with_nothing_behind_is_truncation() -> None:
    root = Cid.of_block(b"x")
    data = car.header(root) + encode_varint(36 + car.MAX_BLOCK_BYTES) + root.to_bytes() + bytes(10)
    with pytest.raises(CarInvalid, match=r"truncated: .* bytes are missing"):
        read(data, root)


def test_a_section_length_that_never_ends_is_refused() -> None:
    root = Cid.of_block(b"x")
    with pytest.raises(CarInvalid, match="more than 9"):
        read(car.header(root) + b"\xff" * 20, root)
    with pytest.raises(CarInvalid, match="inside a section's length"):
        read(car.header(root) + b"\xff", root)


def test_blocks_that_nobody_asked_for_are_bounded() -> None:
    """A peer that sends other blocks for ever is cut off at what the reader was ready to hold."""
    root, _ = pack(content(2 * LEAF_BYTES))
    filler = [Cid.of_block(bytes([i]) * LEAF_BYTES) for i in range(8)]
    stream = car.header(root) + b"".join(
        car.section_head(cid, LEAF_BYTES) + bytes([i]) * LEAF_BYTES for i, cid in enumerate(filler)
    )
    with pytest.raises(CarInvalid, match="no place for yet"):
        read(stream, root, max_bytes=3 * LEAF_BYTES)


def test_one_block_repeated_for_ever_is_cut_off() -> None:
    class Endless:
        """A source that sends the header and then one small block without end."""

        def __init__(self, root: Cid) -> None:
            self._rest = car.header(root)
            self._again = car.section_head(Cid.of_block(b"again"), 5) + b"again"

        def read(self, size: int, /) -> bytes:
            while len(self._rest) < size:
                self._rest += self._again
            piece, self._rest = self._rest[:size], self._rest[size:]
            return piece

    root = Cid.of_block(b"x")
    with pytest.raises(CarInvalid, match="goes on after"):
        list(car.read_object(Endless(root), root, max_bytes=1000))


def test_a_wrong_block_under_a_right_cid_is_a_mismatch() -> None:
    data = content(LEAF_BYTES + 10)
    root, packed = pack(data)
    damaged = bytearray(packed)
    damaged[-1] ^= 1
    with pytest.raises(CidMismatch):
        read(bytes(damaged), root)
    parts = sections(packed)
    inner = bytearray(parts[0])
    inner[-1] ^= 1  # a block size inside the root node
    with pytest.raises(CidMismatch, match=str(root)):
        read(car.header(root) + bytes(inner) + b"".join(parts[1:]), root)


def test_a_large_object_is_refused_before_its_leaves_are_read() -> None:
    root, packed = pack(content(3 * LEAF_BYTES))
    source = io.BytesIO(packed)
    with pytest.raises(ObjectTooLarge):
        list(car.read_object(source, root, max_bytes=LEAF_BYTES))
    assert source.tell() < 1000
    assert root.codec == DAG_PB


@pytest.mark.parametrize("data", [b"", content(10), content(3 * LEAF_BYTES + 7), bytes(4 * LEAF_BYTES)])
def test_a_car_in_reading_order_is_copied_as_it_is(data: bytes) -> None:
    root, packed = pack(data)
    assert b"".join(car.read_in_order(io.BytesIO(packed), root, max_bytes=len(data))) == packed


def test_a_copy_holds_one_block_whatever_comes() -> None:
    root, packed = pack(content(40 * LEAF_BYTES))
    source = io.BytesIO(packed)
    tracemalloc.start()
    try:
        for _ in car.read_in_order(source, root, max_bytes=40 * LEAF_BYTES):
            pass
        assert tracemalloc.get_traced_memory()[1] < 5 * LEAF_BYTES
    finally:
        tracemalloc.stop()


def test_a_copy_takes_no_other_order_and_no_block_but_once_in_its_place() -> None:
    data = content(LEAF_BYTES) + bytes(2 * LEAF_BYTES)
    root, packed = pack(data)
    parts = sections(packed)
    for wrong, match in (
        ([parts[0], parts[2], parts[1], parts[3]], "reading order"),
        (parts[:3], "ends before block"),  # the repeated leaf is sent once
        ([*parts, parts[3]], "goes on behind"),
        ([parts[0], parts[1], parts[1], *parts[2:]], "reading order"),
    ):
        with pytest.raises(CarInvalid, match=match):
            list(car.read_in_order(io.BytesIO(car.header(root) + b"".join(wrong)), root, max_bytes=len(data)))
    with pytest.raises(CarInvalid, match="root is"):
        list(car.read_in_order(io.BytesIO(packed), Cid.of_block(b"x"), max_bytes=len(data)))
    with pytest.raises(ObjectTooLarge):
        list(car.read_in_order(io.BytesIO(packed), root, max_bytes=len(data) - 1))
