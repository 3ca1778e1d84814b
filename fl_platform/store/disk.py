"""The default store: a folder of CAR files on this machine.

`FOLDER/objects/xy/CID.car`, one CARv1 an object, sharded by two characters of the CID (the last but two: the first
ones are the same for every CID). Objects are written under another name, synced and renamed, so an object is there
whole or not at all, whatever is killed when. The folder is not trusted on reading: every block is hashed, and any
damage, also to the CAR's own framing, is a CidMismatch.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fl_platform.errors import CidMismatch, DocumentInvalid, FLError, StoreMissing, StoreUnavailable
from fl_platform.store import car
from fl_platform.store.cid import Cid
from fl_platform.store.files import PARTIAL_PREFIX, AtomicFile, disk_error
from fl_platform.store.interface import CarBackedStore, Leaves
from fl_platform.store.unixfs import MAX_FILE_BYTES, Tree

logger = logging.getLogger(__name__)

# A partial file that nobody has touched for this long belongs to a process that was killed.
STALE_SECONDS = 3600


class DiskStore(CarBackedStore):
    """Objects in a folder. Safe for several processes: writers never touch a published file but to replace it whole."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        """Use `folder`, made on the first write. `durable=False` skips the syncing, for throw-away runs."""
        self._folder = Path(folder)
        self._durable = durable
        self._remove_stale_partials()

    @property
    def folder(self) -> Path:
        """Return where the objects lie."""
        return self._folder

    @property
    def partials(self) -> Path:
        """Return where files lie that are still being written."""
        return self._folder / "partial"

    def path_of(self, cid: Cid) -> Path:
        """Return where an object lies or would lie."""
        text = str(cid)
        return self._folder / "objects" / text[-3:-1] / f"{text}.car"

    def has(self, cid: Cid) -> bool:
        """Tell whether the object's file is there; reading verifies it."""
        return self.path_of(cid).is_file()

    def cids(self) -> Iterator[Cid]:
        """Yield the CID of every object, sorted; files with other names are passed over."""
        for path in sorted((self._folder / "objects").glob("??/*.car"), key=lambda p: p.name):
            try:
                yield Cid.parse(path.stem)
            except DocumentInvalid:
                logger.warning("the store's folder holds a file that is no object: %s", path.name)

    def open_blocks(self, cid: Cid, *, max_bytes: int = MAX_FILE_BYTES) -> Iterator[bytes]:
        """See Store.open_blocks; damage of any kind is a CidMismatch."""
        try:
            yield from super().open_blocks(cid, max_bytes=max_bytes)
        except OSError as error:
            raise StoreUnavailable(
                f"object {cid} in {self._folder} cannot be read: {error.strerror}. Check the disk"
            ) from error
        except (DocumentInvalid, CidMismatch) as error:
            raise CidMismatch(
                f"object {cid} in {self._folder} is damaged ({error}): "
                f"delete {self.path_of(cid).name} and fetch it again"
            ) from error

    @contextmanager
    def _open_car(self, cid: Cid) -> Iterator[car.ByteSource]:
        try:
            file = self.path_of(cid).open("rb")
        except FileNotFoundError:
            raise StoreMissing(
                f"object {cid} is not in {self._folder}: "
                "fetch it from the store it was published to, or check the folder"
            ) from None
        except OSError as error:
            raise StoreUnavailable(f"cannot open object {cid} in {self._folder}: {error.strerror}") from error
        with file:
            yield file
            # only reached when the reader took the whole object: the file must end with it
            if file.read(1):
                raise CidMismatch(f"the file of {cid} goes on behind its object")

    def _write(self, tree: Tree, leaves: Leaves) -> None:
        if self.holds(tree.root):
            return
        with AtomicFile(self.path_of(tree.root), folder=self.partials, durable=self._durable) as file:
            for piece in car.object_pieces(tree, leaves()):
                file.write(piece)
        logger.debug("stored %s, %d bytes", tree.root, tree.length)

    def receive(
        self, root: Cid, source: car.ByteSource, *, max_bytes: int, before: Callable[[], None] = lambda: None
    ) -> None:
        """Store an object from a CAR (untrusted) as it streams in; no more than one block is held in memory.

        The blocks must come in reading order, each as often as it is read: what this store writes itself. Nothing is
        visible until all are verified and `before` has returned. Raises CarInvalid, CidMismatch, ObjectTooLarge,
        StoreFull, ConfigError, and what `source` raises.
        """
        with AtomicFile(self.path_of(root), folder=self.partials, durable=self._durable) as file:
            for piece in car.read_in_order(source, root, max_bytes=max_bytes):
                file.write(piece)
            before()

    def remove(self, cid: Cid) -> int:
        """Delete an object and return the bytes that are free now; 0 when it is not there. Raises ConfigError."""
        path = self.path_of(cid)
        try:
            size = path.stat().st_size
            path.unlink()
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise disk_error(error, path) from error
        return size

    def holds(self, cid: Cid) -> bool:
        """Tell whether the object is there undamaged, having read it; a damaged one may be written anew."""
        if not self.has(cid):
            return False
        try:
            for _ in self.open_blocks(cid):
                pass
        except FLError:
            logger.warning("object %s is damaged on disk: it is replaced", cid)
            return False
        return True

    def _remove_stale_partials(self) -> None:
        """Remove what killed writers left; it was never visible as an object."""
        for path in self.partials.glob(f"{PARTIAL_PREFIX}*"):
            try:
                if time.time() - path.stat().st_mtime > STALE_SECONDS:
                    path.unlink()
            except OSError:  # another process removed it first, or it is not ours to remove
                logger.debug("could not remove %s", path.name)
