"""CARv1 files, one object each: a header that names the root, then the blocks.

Reading trusts nothing: the header must be the canonical one of a single root, every length is checked against what a
block of our profile can have before a byte of it is read, and every block is hashed. Formula:
https://ipld.io/specs/transport/car/carv1/. Blocks are written root first and depth first, the order of trustless
gateways; they are read in any order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Protocol

from fl_platform.errors import CarInvalid
from fl_platform.store import unixfs
from fl_platform.store.cid import CID_BYTES, DAG_PB, Cid
from fl_platform.store.unixfs import LEAF_BYTES, Tree
from fl_platform.store.varint import MAX_VARINT_BYTES, decode_varint, encode_varint

# dag-cbor {"roots": [CID], "version": 1}: a CID is tag 42 over a byte string of 37 bytes that starts with 0x00
_HEADER_START = bytes.fromhex("3aa265726f6f747381d82a582500")
_HEADER_END = bytes.fromhex("6776657273696f6e01")
HEADER_BYTES = len(_HEADER_START) + CID_BYTES + len(_HEADER_END)

MAX_BLOCK_BYTES = LEAF_BYTES  # an inner node of width 1024 has about 55 kB, a leaf 1 MiB
NOT_FOUND = "the CAR ends before block {cid}: it is truncated or was cut on the way"


class ByteSource(Protocol):
    """What a CAR is read from: a file, or a network body behind the same call."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; an empty result is the end."""


def header(root: Cid) -> bytes:
    """Return the header of a CAR with one root."""
    return _HEADER_START + root.to_bytes() + _HEADER_END


def section_head(cid: Cid, size: int) -> bytes:
    """Return what stands before a block of `size` bytes: its length and its CID."""
    return encode_varint(CID_BYTES + size) + cid.to_bytes()


def section_bytes(size: int) -> int:
    """Return how many bytes a block of `size` bytes takes in a CAR."""
    return len(encode_varint(CID_BYTES + size)) + CID_BYTES + size


def read_exactly(source: ByteSource, size: int) -> bytes:
    """Read `size` bytes or raise CarInvalid; a source may answer in pieces."""
    data = source.read(size)
    if len(data) == size:
        return data
    pieces = [data]
    missing = size - len(data)
    while missing:
        piece = source.read(missing)
        if not piece:
            raise CarInvalid(f"the CAR is truncated: {missing} of {size} bytes are missing")
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


def read_header(source: ByteSource) -> Cid:
    """Read the header and return the root. Raises CarInvalid for anything but CARv1 with one supported root."""
    data = read_exactly(source, HEADER_BYTES)
    if not (data.startswith(_HEADER_START) and data.endswith(_HEADER_END)):
        raise CarInvalid(f"not a CARv1 file with one root (starts with {data[:8].hex()}): export it as CAR again")
    return Cid.from_bytes(data[len(_HEADER_START) : len(_HEADER_START) + CID_BYTES])


def _read_section_length(source: ByteSource) -> int | None:
    """Read a section's length; None at a clean end."""
    data = b""
    while len(data) < MAX_VARINT_BYTES:
        byte = source.read(1)
        if not byte:
            if data:
                raise CarInvalid("the CAR is truncated inside a section's length")
            return None
        data += byte
        if byte[0] < 0x80:
            break
    return decode_varint(data)[0]


def read_sections(source: ByteSource) -> Iterator[tuple[Cid, bytes]]:
    """Yield (CID, block) for every section behind the header. Blocks are NOT hashed here: `unixfs.read_leaves` does it.

    Raises CarInvalid before reading a block whose claimed length no block of the profile has.
    """
    while (length := _read_section_length(source)) is not None:
        if not CID_BYTES <= length <= CID_BYTES + MAX_BLOCK_BYTES:
            raise CarInvalid(
                f"a CAR section claims {length} bytes: a block has at most {MAX_BLOCK_BYTES}, its CID {CID_BYTES}"
            )
        cid = Cid.from_bytes(read_exactly(source, CID_BYTES))
        yield cid, read_exactly(source, length - CID_BYTES)


class BlockBuffer:
    """Answers "the block of this CID" from blocks that arrive in some order; keeps those that came early.

    A stream in reading order is held one block at a time. A block that the tree names more than once may be sent once
    (`dups=n`): `expect` counts what is still to come, so that it is kept until its last use.
    """

    def __init__(self, blocks: Iterator[tuple[Cid, bytes]], *, max_held_bytes: int) -> None:
        self._blocks = blocks
        self._held: dict[Cid, bytes] = {}
        self._held_bytes = 0
        self._limit = max_held_bytes
        self._pulled_bytes = 0
        self._pull_limit = 2 * max_held_bytes + (1 << 16)  # an endless stream of repeats is refused, not followed
        self._wanted: Counter[Cid] = Counter()

    def fetch(self, cid: Cid) -> bytes:
        """Return the block, reading on as far as needed. Raises CarInvalid when it does not come."""
        self._wanted[cid] -= 1
        block = self._held.get(cid)
        if block is None:
            block = self._pull(cid)
        if cid.codec == DAG_PB:
            # hashed again by the reader; decoded here only to know which blocks will be asked for more than once
            unixfs.check_block(cid, block)
            self._wanted.update(unixfs.link_cids(block))
        if self._wanted[cid] > 0:
            self._hold(cid, block)
        else:
            del self._wanted[cid]
            if self._held.pop(cid, None) is not None:
                self._held_bytes -= len(block)
        return block

    def _pull(self, cid: Cid) -> bytes:
        for other, block in self._blocks:
            self._pulled_bytes += CID_BYTES + len(block)
            if self._pulled_bytes > self._pull_limit:
                raise CarInvalid(f"the CAR goes on after {self._pull_limit} bytes: its object may not have that many")
            if other == cid:
                return block
            self._hold(other, block)
        raise CarInvalid(NOT_FOUND.format(cid=cid))

    def _hold(self, cid: Cid, block: bytes) -> None:
        if cid in self._held:
            return
        self._held_bytes += len(block)
        if self._held_bytes > self._limit:
            raise CarInvalid(f"the CAR sends more than {self._limit} bytes that its root has no place for yet")
        self._held[cid] = block


def read_object(source: ByteSource, root: Cid, *, max_bytes: int) -> Iterator[bytes]:
    """Yield the leaves of the object `root` from a CAR, each verified.

    Raises as `unixfs.read_leaves` and CarInvalid.
    """
    found = read_header(source)
    if found != root:
        raise CarInvalid(f"the CAR's root is {found}, not the object asked for, {root}")
    # early blocks are bounded by what the caller is ready to hold; inner nodes take less than a thousandth more
    limit = max_bytes + (max_bytes >> 8) + MAX_BLOCK_BYTES
    buffer = BlockBuffer(read_sections(source), max_held_bytes=limit)
    yield from unixfs.read_leaves(root, buffer.fetch, max_bytes=max_bytes)


def read_in_order(source: ByteSource, root: Cid, *, max_bytes: int) -> Iterator[bytes]:
    """Yield the pieces of a CAR whose blocks come exactly as `object_pieces` sends them, each block verified before.

    So a copy needs memory for one block, whoever sends it. Raises as `read_object`, and CarInvalid for another order
    and for what follows the object.
    """
    found = read_header(source)
    if found != root:
        raise CarInvalid(f"the CAR's root is {found}, not {root}")
    yield header(root)
    sections = read_sections(source)
    pending: list[bytes] = []

    def fetch(cid: Cid) -> bytes:
        sent, block = next(sections, (None, b""))
        if sent is None:
            raise CarInvalid(NOT_FOUND.format(cid=cid))
        if sent != cid:
            raise CarInvalid(f"the CAR sends block {sent} where {cid} is next: send blocks in reading order, repeated")
        pending.extend((section_head(cid, len(block)), block))
        return block

    for _ in unixfs.read_leaves(root, fetch, max_bytes=max_bytes):
        yield from pending
        pending.clear()
    if source.read(1):
        raise CarInvalid("the CAR goes on behind its object: send one object, and no more")


def object_pieces(tree: Tree, leaves: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """Yield an object as CAR, piece by piece.

    `leaves` are the tree's leaves in order; they are not hashed again here.
    """
    yield header(tree.root)
    nodes = dict(tree.nodes)
    remaining = iter(leaves)
    stack = [tree.root]
    while stack:
        cid = stack.pop()
        block: bytes | memoryview | None = nodes.get(cid)
        if block is None:
            block = next(remaining)
        else:
            stack.extend(reversed(unixfs.link_cids(bytes(block))))
        yield section_head(cid, len(block))
        yield block


def car_bytes(tree: Tree) -> int:
    """Return the size of the CAR that `write_object` makes."""
    total = HEADER_BYTES + sum(section_bytes(len(block)) for _, block in tree.nodes)
    full, rest = divmod(tree.length, LEAF_BYTES)
    total += full * section_bytes(LEAF_BYTES)
    return total + (section_bytes(rest) if rest or not full else 0)
