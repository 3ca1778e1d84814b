"""Files that appear whole or not at all, and the reading of a file leaf by leaf.

Tests: tests/unit/store/test_disk.py
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

from fl_platform.errors import ConfigError, FLError, StoreFull
from fl_platform.store.unixfs import LEAF_BYTES

PARTIAL_PREFIX = ".partial-"

# EFBIG is what a file-size limit of the process (ulimit -f) answers; to the caller it is a full disk all the same.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def disk_error(error: OSError, path: Path) -> FLError:
    """Turn an operating system's refusal to write into an error that says what to do."""
    if error.errno in _FULL:
        return StoreFull(
            f"cannot write {path}: {error.strerror}. Nothing half-written was left; free some space (or raise the "
            "file-size limit) and run the same command again"
        )
    return ConfigError(f"cannot write {path}: {error.strerror}. Give a folder that this user may write to")


class AtomicFile:
    """A context that writes `path` under another name, syncs it and renames it at the end; an error leaves nothing.

    With `durable` the file and its folder are synced to the disk before the context ends: what was reported stored
    survives a power cut. Raises StoreFull and ConfigError.
    """

    def __init__(self, path: Path, *, folder: Path, durable: bool = True) -> None:
        self._path = path
        self._folder = folder  # where the partial file lies; must be on the same file system as `path`
        self._durable = durable

    def __enter__(self) -> AtomicFile:
        """Create the partial file."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=PARTIAL_PREFIX, dir=self._folder)
        except OSError as error:
            raise disk_error(error, self._path) from error
        self._partial = Path(name)
        # Unbuffered: a full disk shows up at the write, not at some later close that nobody checks.
        self._file: IO[bytes] = os.fdopen(handle, "wb", buffering=0)
        return self

    def write(self, piece: bytes | memoryview) -> None:
        """Write all of a piece."""
        view = memoryview(piece).cast("B") if len(piece) else memoryview(b"")
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise disk_error(error, self._path) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Publish the file, or remove what there is of it."""
        try:
            if kind is None:
                self._publish()
        except OSError as failure:
            raise disk_error(failure, self._path) from failure
        finally:
            with contextlib.suppress(OSError):
                self._file.close()
            self._partial.unlink(missing_ok=True)

    def _publish(self) -> None:
        if self._durable:
            os.fsync(self._file.fileno())
        self._file.close()
        self._partial.chmod(0o644)
        self._partial.replace(self._path)
        if self._durable:
            _sync_folder(self._path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def open_file(path: Path, *, buffering: int = -1) -> Iterator[IO[bytes]]:
    """Open a file that a person named. Raises ConfigError when it cannot be opened or read."""
    try:
        with path.open("rb", buffering=buffering) as file:
            yield file
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}. Give a file that exists and may be read") from error


def file_leaves(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes in leaves; an empty file yields one empty leaf. Raises ConfigError."""
    with open_file(path, buffering=0) as file:
        first = True
        while (leaf := _read_leaf(file)) or first:
            first = False
            yield leaf


def _read_leaf(file: IO[bytes]) -> bytes:
    leaf = file.read(LEAF_BYTES)
    while 0 < len(leaf) < LEAF_BYTES:
        more = file.read(LEAF_BYTES - len(leaf))
        if not more:
            break
        leaf += more
    return leaf
