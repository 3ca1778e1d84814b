"""What a store is: objects go in as bytes, come out verified, and are named by their CID.

The hashing and checking is written once, in `unixfs.read_leaves`: a back end derives from `CarBackedStore` and only
says how an object's CAR is opened, written and looked for. So no back end can forget to verify, and none is trusted.

Tests: tests/unit/store/test_disk.py
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from fl_platform.errors import CarInvalid, CidMismatch, FLError, ObjectTooLarge, StoreMissing
from fl_platform.store import car, unixfs
from fl_platform.store.cid import DAG_PB, RAW, Cid
from fl_platform.store.files import AtomicFile, file_leaves, open_file
from fl_platform.store.unixfs import MAX_FILE_BYTES, Tree

Leaves = Callable[[], Iterable[bytes | memoryview]]


class Store(Protocol):
    """A content-addressed store. Whatever it returns has been hashed against the CID that was asked for."""

    def put(self, data: bytes | Path) -> Cid:
        """Store a file's bytes, or those of the file at a path, and return their CID. Idempotent.

        Raises StoreFull, StoreUnavailable, StoreReadOnly.
        """

    def get(self, cid: Cid, *, max_bytes: int) -> bytes:
        """Return an object's bytes, verified.

        Raises StoreMissing, ObjectTooLarge (before its content is read), CidMismatch, CarInvalid, StoreUnavailable.
        """

    def open_blocks(self, cid: Cid, *, max_bytes: int = MAX_FILE_BYTES) -> Iterator[bytes]:
        """Yield an object's bytes in pieces of 1 MiB (the last one shorter), each verified before it is yielded.

        Raises as `get`, possibly after some pieces: a caller that acts on pieces must be able to undo.
        """

    def has(self, cid: Cid) -> bool:
        """Tell whether the object's root is there; its other blocks are only checked by reading."""

    def locate(self, digest: bytes, *, length: int | None = None) -> Cid:
        """Return the CID of the object whose root block has this sha256, as contracts record it.

        Give the object's `length` in bytes where a receipt or a spec fixes it: it decides the codec. Without it the
        root block decides: a node of the profile is taken as one. Raises StoreMissing, StoreUnavailable.
        """

    def export_car(self, cid: Cid, path: Path) -> None:
        """Write an object to a CARv1 file, verified on the way; the file appears whole or not at all."""

    def import_car(self, path: Path) -> Cid:
        """Store the object of a CARv1 file (untrusted) and return its CID.

        Raises CarInvalid, CidMismatch, ConfigError (no such file).
        """


class VerifyingStore(ABC):
    """The part that all back ends share."""

    @abstractmethod
    def has(self, cid: Cid) -> bool:
        """See Store.has."""

    @abstractmethod
    def open_blocks(self, cid: Cid, *, max_bytes: int = MAX_FILE_BYTES) -> Iterator[bytes]:
        """See Store.open_blocks."""

    @abstractmethod
    def _write(self, tree: Tree, leaves: Leaves) -> None:
        """Store an object; `leaves()` yields its leaves in order and may be called more than once."""

    def put(self, data: bytes | Path) -> Cid:
        """See Store.put."""
        if isinstance(data, Path):
            path = data
            return self._put_leaves(lambda: file_leaves(path))
        view = memoryview(data)
        tree = unixfs.build_tree(unixfs.leaf_views(view))
        self._write(tree, lambda: unixfs.leaf_views(view))
        return tree.root

    def _put_leaves(self, leaves: Leaves) -> Cid:
        """Store what is read twice: once to know the root, once to write; what changed in between is refused."""
        tree = unixfs.build_tree(leaves())
        self._write(tree, lambda: _unchanged(tree, leaves()))
        return tree.root

    def get(self, cid: Cid, *, max_bytes: int) -> bytes:
        """See Store.get."""
        pieces = list(self.open_blocks(cid, max_bytes=max_bytes))
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def locate(self, digest: bytes, *, length: int | None = None) -> Cid:
        """See Store.locate."""
        codecs = (DAG_PB, RAW) if length is None else (unixfs.root_codec(length),)
        for codec in codecs:
            cid = Cid(codec, digest)
            # IPFS daemons look blocks up by hash alone, so "has" says nothing about the codec
            if self.has(cid) and (codec == RAW or self._is_tree(cid)):
                return cid
        raise StoreMissing(
            f"no object whose root block has sha256 {digest.hex()} is in this store: "
            "fetch it from the store it was published to"
        )

    def _is_tree(self, cid: Cid) -> bool:
        """Tell whether the root block decodes as a node; no leaf is fetched."""
        try:
            next(self.open_blocks(cid, max_bytes=0), None)
        except ObjectTooLarge:  # decoded, and stopped at its length
            return True
        except FLError:
            return False
        return True

    def export_car(self, cid: Cid, path: Path) -> None:
        """See Store.export_car."""
        tree = unixfs.build_tree(self.open_blocks(cid))
        with AtomicFile(path, folder=path.parent) as file:
            for piece in car.object_pieces(tree, _unchanged(tree, self.open_blocks(cid))):
                file.write(piece)

    def import_car(self, path: Path) -> Cid:
        """See Store.import_car."""
        with open_file(path) as file:
            root = car.read_header(file)

        def leaves() -> Iterator[bytes]:
            with open_file(path) as source:
                yield from car.read_object(source, root, max_bytes=MAX_FILE_BYTES)
                if source.read(1):
                    raise CarInvalid("the CAR goes on behind its object: export the object as a CAR of its own")

        return self._put_leaves(leaves)


class CarBackedStore(VerifyingStore):
    """A back end that holds or serves an object as one CAR."""

    @abstractmethod
    def _open_car(self, cid: Cid) -> AbstractContextManager[car.ByteSource]:
        """Open the object's CAR, unverified. Raises StoreMissing, StoreUnavailable."""

    def open_blocks(self, cid: Cid, *, max_bytes: int = MAX_FILE_BYTES) -> Iterator[bytes]:
        """See Store.open_blocks."""
        with self._open_car(cid) as source:
            yield from car.read_object(source, cid, max_bytes=max_bytes)


def _unchanged(tree: Tree, leaves: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """Pass leaves on while they still are those of the tree."""
    count = 0
    for cid, leaf in zip(tree.leaves, leaves, strict=False):
        if Cid.of_block(leaf) != cid:
            break
        count += 1
        yield leaf
    if count != len(tree.leaves):
        raise CidMismatch("the file changed while it was being stored: store it again when nothing writes to it")
