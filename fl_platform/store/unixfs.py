"""UnixFS files in profile `unixfs-v1-2025`: 1 MiB raw leaves, width 1024, balanced, CIDv1, sha2-256.

The profile fixes the shape of a file's tree by the file's length alone, so a reader knows, before it reads a second
block, how many blocks follow and how large each one is; a tree of any other shape is refused. So one content has one
CID. Formulae: dag-pb (https://ipld.io/specs/codecs/dag-pb/spec/: links before data, fields in order) and UnixFS v1
(https://specs.ipfs.tech/unixfs/: Data{Type=File, filesize, blocksizes}).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from fl_platform.errors import CarInvalid, CidMismatch, ObjectTooLarge
from fl_platform.store.cid import CID_BYTES, DAG_PB, RAW, Cid
from fl_platform.store.varint import decode_varint, encode_varint

PROFILE = "unixfs-v1-2025"
LEAF_BYTES = 1 << 20
WIDTH = 1024
MAX_FILE_BYTES = 1 << 40  # 1 TiB: deep enough for any model, and keeps every length far inside 63 bits

_FILE_TYPE = b"\x08\x02"  # UnixFS field 1 (Type), varint 2 (File)


@dataclass(frozen=True, slots=True)
class Link:
    """A child as its parent knows it."""

    cid: Cid
    total_bytes: int  # dag-pb Tsize: encoded bytes of the child and everything below it
    file_bytes: int  # bytes of the file that lie under the child


@dataclass(frozen=True, slots=True)
class Tree:
    """A file's hash tree without its leaves' bytes."""

    root: Cid
    length: int  # bytes of the file
    leaves: tuple[Cid, ...]  # in file order
    nodes: tuple[tuple[Cid, bytes], ...]  # inner blocks, parents before children, left to right; empty for one leaf


def leaf_count(length: int) -> int:
    """Return how many leaves a file of `length` bytes has; an empty file has one empty leaf."""
    return max(1, -(-length // LEAF_BYTES))


def root_codec(length: int) -> int:
    """Return the codec of the root of a file of `length` bytes: a single leaf is its own root."""
    return RAW if length <= LEAF_BYTES else DAG_PB


def tree_height(length: int) -> int:
    """Return how many levels of inner nodes lie above the leaves of a file of `length` bytes."""
    height = 0
    while LEAF_BYTES * WIDTH**height < length:
        height += 1
    return height


def child_spans(length: int, height: int) -> list[int]:
    """Return the file bytes under each child of a node of that height (>= 1) that spans `length` bytes.

    Balanced means that every leaf has the same depth: a node over the file's last few bytes may have a single child.
    """
    span = LEAF_BYTES * WIDTH ** (height - 1)
    full, rest = divmod(length, span)
    return [span] * full + ([rest] if rest else [])


def leaf_views(data: bytes | memoryview) -> Iterator[memoryview]:
    """Cut a buffer into leaves without copying."""
    view = memoryview(data).cast("B")
    for start in range(0, max(1, len(view)), LEAF_BYTES):
        yield view[start : start + LEAF_BYTES]


class TreeBuilder:
    """Hashes a file leaf by leaf; holds one CID per leaf and no content."""

    def __init__(self) -> None:
        self._links: list[Link] = []
        self._last_was_short = False

    def add_leaf(self, leaf: bytes | memoryview) -> Cid:
        """Hash the next leaf:

        exactly LEAF_BYTES, but for the last. Raises ValueError on a wrong cut (our own mistake).
        """
        size = len(leaf)
        if size > LEAF_BYTES or self._last_was_short or (size == 0 and self._links):
            raise ValueError("every leaf but the last has LEAF_BYTES bytes")
        self._last_was_short = size < LEAF_BYTES
        cid = Cid(RAW, hashlib.sha256(leaf).digest())
        self._links.append(Link(cid, size, size))
        return cid

    def finish(self) -> Tree:
        """Build the inner nodes, bottom up."""
        if not self._links:
            self.add_leaf(b"")
        leaves = tuple(link.cid for link in self._links)
        level = self._links
        levels: list[list[tuple[Cid, bytes]]] = []
        while len(level) > 1:
            blocks: list[tuple[Cid, bytes]] = []
            parents: list[Link] = []
            for start in range(0, len(level), WIDTH):
                children = level[start : start + WIDTH]
                block = encode_node(children)
                cid = Cid.of_block(block, DAG_PB)
                blocks.append((cid, block))
                total = len(block) + sum(child.total_bytes for child in children)
                parents.append(Link(cid, total, sum(child.file_bytes for child in children)))
            levels.append(blocks)
            level = parents
        nodes = tuple(entry for blocks in reversed(levels) for entry in blocks)
        return Tree(root=level[0].cid, length=level[0].file_bytes, leaves=leaves, nodes=nodes)


def build_tree(leaves: Iterable[bytes | memoryview]) -> Tree:
    """Hash a file that comes as leaves of LEAF_BYTES."""
    builder = TreeBuilder()
    for leaf in leaves:
        builder.add_leaf(leaf)
    return builder.finish()


def cid_of(data: bytes | memoryview) -> Cid:
    """Return the CID of a file held in memory."""
    return build_tree(leaf_views(data)).root


def encode_node(children: list[Link]) -> bytes:
    """Encode an inner node as dag-pb with UnixFS file data."""
    parts: list[bytes] = []
    sizes = [_FILE_TYPE, b"\x18", encode_varint(sum(child.file_bytes for child in children))]
    for child in children:
        # PBLink: Hash (field 1), Name (field 2, empty but present), Tsize (field 3)
        link = b"\x0a\x24" + child.cid.to_bytes() + b"\x12\x00\x18" + encode_varint(child.total_bytes)
        parts.append(b"\x12" + encode_varint(len(link)) + link)
        sizes.append(b"\x20" + encode_varint(child.file_bytes))
    data = b"".join(sizes)
    parts.append(b"\x0a" + encode_varint(len(data)) + data)
    return b"".join(parts)


@dataclass(frozen=True, slots=True)
class Node:
    """A decoded inner node."""

    length: int  # file bytes under it
    height: int  # levels of nodes from here down to the leaves, >= 1
    children: tuple[Link, ...]


def decode_node(block: bytes, height: int | None = None) -> Node:
    """Decode an inner node (bytes already hashed against their CID, author untrusted). Raises CarInvalid.

    `height` is what the parent implies, None for a root, whose length implies it. Only the canonical encoding of a
    node of this profile is accepted: the decoder reads links and lengths, encodes them again and compares, so no
    second encoding of one node exists, and a file's length alone decides the shape of its tree.
    """
    cids, totals, offset = _decode_links(block)
    spans = _decode_block_sizes(block, offset)
    if len(spans) != len(cids) or not cids:
        raise CarInvalid(f"UnixFS node has {len(cids)} links and {len(spans)} block sizes: they must match")
    length = sum(spans)
    if length > MAX_FILE_BYTES:
        raise CarInvalid(f"UnixFS node spans {length} bytes, over the limit of {MAX_FILE_BYTES}")
    children = tuple(Link(c, t, s) for c, t, s in zip(cids, totals, spans, strict=True))
    if encode_node(list(children)) != block:
        raise CarInvalid(f"UnixFS node is not in the canonical encoding of profile {PROFILE}")
    height = tree_height(length) if height is None else height
    if height == 0 or spans != child_spans(length, height):
        raise CarInvalid(f"UnixFS node of {length} bytes is not cut as profile {PROFILE} cuts it: add the file again")
    codec = RAW if height == 1 else DAG_PB
    for cid in cids:
        if cid.codec != codec:
            raise CarInvalid(f"UnixFS child {cid} has the wrong codec for its depth")
    return Node(length, height, children)


def _decode_links(block: bytes) -> tuple[list[Cid], list[int], int]:
    """Read the links at the start of a node; return CIDs, Tsizes and the offset of the data field."""
    cids: list[Cid] = []
    totals: list[int] = []
    offset = 0
    while offset < len(block) and block[offset] == 0x12:
        size, start = decode_varint(block, offset + 1)
        body = block[start : start + size]
        if len(body) != size or len(cids) >= WIDTH:
            raise CarInvalid(f"dag-pb node is truncated or has more than {WIDTH} links")
        if body[:2] != b"\x0a\x24" or body[2 + CID_BYTES : 5 + CID_BYTES] != b"\x12\x00\x18":
            raise CarInvalid("dag-pb link is not a plain file link (CIDv1 sha2-256, empty name, size)")
        cids.append(Cid.from_bytes(body[2 : 2 + CID_BYTES]))
        total, end = decode_varint(body, 5 + CID_BYTES)
        if end != size:
            raise CarInvalid("dag-pb link has trailing bytes")
        totals.append(total)
        offset = start + size
    return cids, totals, offset


def link_cids(block: bytes) -> list[Cid]:
    """Return the children an inner node names, in order, without judging the node. Raises CarInvalid."""
    return _decode_links(block)[0]


def _decode_block_sizes(block: bytes, offset: int) -> list[int]:
    """Read the UnixFS data field at `offset`, the last one of a node; return its block sizes."""
    if block[offset : offset + 1] != b"\x0a":
        raise CarInvalid("dag-pb node has no UnixFS data after its links")
    size, start = decode_varint(block, offset + 1)
    data = block[start:]
    if len(data) != size or data[:3] != _FILE_TYPE + b"\x18":
        raise CarInvalid("UnixFS data is truncated, has trailing bytes or is not that of a file")
    _, position = decode_varint(data, 3)
    spans: list[int] = []
    while position < len(data):
        if data[position] != 0x20:
            raise CarInvalid(f"UnixFS data holds field byte {data[position]:#04x}: only block sizes are allowed")
        span, position = decode_varint(data, position + 1)
        spans.append(span)
    return spans


def check_block(cid: Cid, block: bytes | memoryview) -> None:
    """Hash a block against its CID. Raises CidMismatch."""
    if hashlib.sha256(block).digest() != cid.digest:
        raise CidMismatch(
            f"{len(block)} bytes served for block {cid} hash to {hashlib.sha256(block).hexdigest()}: "
            "fetch the object from another store"
        )


def read_leaves(root: Cid, fetch: Callable[[Cid], bytes], *, max_bytes: int) -> Iterator[bytes]:
    """Yield a file's leaves in order, each hashed against its CID and its size checked against its parent's claim.

    `fetch` returns a block's bytes, unverified. At most one block and one path of inner nodes are held.
    Raises ObjectTooLarge before a leaf is fetched, CidMismatch, CarInvalid, and what `fetch` raises.
    """
    head = _checked(root, fetch)
    if root.codec == RAW:
        if len(head) > LEAF_BYTES:
            raise CarInvalid(f"leaf {root} has {len(head)} bytes, over the limit of {LEAF_BYTES}")
        _check_limit(root, len(head), max_bytes)
        yield head
        return
    top = decode_node(head)
    _check_limit(root, top.length, max_bytes)
    stack = [(child, top.height - 1) for child in reversed(top.children)]
    while stack:
        link, height = stack.pop()
        block = _checked(link.cid, fetch)
        length = len(block)
        if height:
            node = decode_node(block, height)
            length = node.length
            stack.extend((child, height - 1) for child in reversed(node.children))
        if length != link.file_bytes:
            raise CarInvalid(f"block {link.cid} holds {length} file bytes where its parent says {link.file_bytes}")
        if not height:
            yield block


def _checked(cid: Cid, fetch: Callable[[Cid], bytes]) -> bytes:
    block = fetch(cid)
    check_block(cid, block)
    return block


def _check_limit(root: Cid, length: int, max_bytes: int) -> None:
    if length > max_bytes:
        raise ObjectTooLarge(
            f"object {root} has {length} bytes, over this reader's limit of {max_bytes}: "
            "raise the limit or refuse the peer"
        )
