"""The embedded chain's files: an append-only log of its blocks (the truth) and a snapshot of its database (a shortcut).

    chain.json   genesis rules and clock, canonical JSON; its digest starts the log's hash chain
    chain.log    per record: u32 length | body | sha256(digest before || body); a body is
                 kind u8 | block time u64 | block number u64 | block hash 32 | count u32 | count x (u32 | signed tx)
    chain.snap   "FLSNAP1\\0" | log bytes covered u64 | log digest there 32 | count u64
                 | count x (u32 key length, u32 value length, key, value) | sha256

A record is on disk (fsync) before its transaction is acknowledged. What a kill leaves half-written at the end of the
log was never acknowledged and is cut off; any other damage stops with IntegrityError. Big-endian throughout; no pickle.

Tests: tests/unit/chain/test_embedded.py
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fl_platform.errors import ChainBusy, ConfigError, IntegrityError
from fl_platform.protocol.keccak import keccak256

logger = logging.getLogger(__name__)

BLOCK = 1
REVERT = 2  # forget every block after number
SNAPSHOT_MAGIC = b"FLSNAP1\0"
_HEAD = struct.Struct(">BQQ32sI")
_LENGTH = struct.Struct(">I")
_PAIR = struct.Struct(">II")


@dataclass(frozen=True)
class Record:
    """One entry of the log."""

    kind: int  # BLOCK or REVERT
    timestamp: int  # of the block, seconds
    number: int  # of the block; REVERT: the newest block that stays
    block_hash: bytes  # 32 bytes
    transactions: tuple[bytes, ...]  # signed, raw

    def body(self) -> bytes:
        """Return the record's bytes without framing."""
        head = _HEAD.pack(self.kind, self.timestamp, self.number, self.block_hash, len(self.transactions))
        return head + b"".join(_LENGTH.pack(len(raw)) + raw for raw in self.transactions)


@dataclass(frozen=True)
class Entry:
    """A record and where the log stands after it."""

    record: Record
    end: int  # bytes
    digest: bytes  # running digest, 32 bytes


class Lock:
    """Exclusive hold on a folder by this process, gone with it even when it is killed."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._handle, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._handle)
            raise ChainBusy(
                f"the embedded chain in {folder} is held by process {holder}; wait for it or end it, "
                f"or use a node (--network anvil) to share one chain"
            ) from error
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go. Safe to call twice."""
        if self._handle >= 0:
            os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = -1


class ChainLog:
    """The append-only file. Read it once with `entries`, then append."""

    def __init__(self, path: Path, start: bytes) -> None:
        self._path = path
        self._start = start  # digest the chain of digests begins with
        self.end = 0
        self.digest = start
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)

    def entries(self) -> list[Entry]:
        """Read and check everything; cut off an unfinished end. Raises IntegrityError on any other damage."""
        data = self._path.read_bytes()
        found: list[Entry] = []
        end, digest = 0, self._start
        while end < len(data):
            framed = _frame(data, end)
            if framed is None:
                logger.warning("chain log: %d bytes of an unfinished record cut off", len(data) - end)
                os.ftruncate(self._handle, end)
                break
            body, stated, following = framed
            digest = hashlib.sha256(digest + body).digest()
            if digest != stated:
                raise IntegrityError(f"{self._path}: record {len(found)} at byte {end} is damaged; restore a copy")
            end = following
            found.append(Entry(_parse(body, self._path), end, digest))
        self.end, self.digest = end, digest
        return found

    def append(self, record: Record) -> None:
        """Write one record and force it to disk. On failure nothing of it stays. Raises IntegrityError when full."""
        body = record.body()
        digest = hashlib.sha256(self.digest + body).digest()
        data = _LENGTH.pack(len(body)) + body + digest
        try:
            if os.pwrite(self._handle, data, self.end) != len(data):
                raise OSError("short write")
            os.fsync(self._handle)
        except OSError as error:
            os.ftruncate(self._handle, self.end)
            raise IntegrityError(f"cannot write {self._path}: {error}; free space and run again") from error
        self.end, self.digest = self.end + len(data), digest

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def effective(entries: list[Entry]) -> list[Record]:
    """Return the blocks that survive all reverts, in order, without gaps."""
    blocks: list[Record] = []
    for entry in entries:
        if entry.record.kind == REVERT:
            del blocks[entry.record.number :]
        else:
            blocks.append(entry.record)
    return blocks


def write_snapshot(path: Path, store: Mapping[bytes, bytes], log: ChainLog) -> None:
    """Write the database beside the log, atomically."""
    parts = [SNAPSHOT_MAGIC, struct.pack(">Q", log.end), log.digest, struct.pack(">Q", len(store))]
    for key, value in store.items():
        parts += (_PAIR.pack(len(key), len(value)), key, value)
    data = b"".join(parts)
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.write(hashlib.sha256(data).digest())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        logger.warning("no snapshot written (%s); the next start replays the log instead", error)


@dataclass(frozen=True)
class Snapshot:
    """A database dump that matches the log up to `end`."""

    end: int
    digest: bytes
    store: dict[bytes, bytes]


def read_snapshot(path: Path) -> Snapshot | None:
    """Read a snapshot; None when there is none. Raises IntegrityError when it is damaged.

    Every 32-byte key must be the Keccak digest of its value: trie nodes, code and headers vouch for themselves, so what
    hangs under the head's state root is the state that the root names.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        if data[:8] != SNAPSHOT_MAGIC or hashlib.sha256(data[:-32]).digest() != data[-32:]:
            raise ValueError("checksum")
        end, digest, count = struct.unpack_from(">Q32sQ", data, 8)
        store, at = {}, 56
        for _ in range(count):
            key_length, value_length = _PAIR.unpack_from(data, at)
            middle = at + 8 + key_length
            key, value = data[at + 8 : middle], data[middle : middle + value_length]
            if key_length == 32 and keccak256(value) != key:
                raise ValueError(f"value of {key.hex()} is not what its key names")
            store[key] = value
            at = middle + value_length
        if at != len(data) - 32:
            raise ValueError("length")
    except (ValueError, struct.error) as error:
        raise IntegrityError(f"{path} is damaged ({error}); delete it: the chain is rebuilt from its log") from error
    return Snapshot(end, digest, store)


def _frame(data: bytes, at: int) -> tuple[bytes, bytes, int] | None:
    """Return (body, stated digest, next position), None when the record is unfinished (cut short or never filled)."""
    if len(data) - at < 4:
        return None
    (length,) = _LENGTH.unpack_from(data, at)
    following = at + 4 + length + 32
    if length == 0 and not any(data[at:]):
        return None
    if following > len(data):
        return None
    return data[at + 4 : at + 4 + length], data[at + 4 + length : following], following


def _parse(body: bytes, path: Path) -> Record:
    try:
        kind, timestamp, number, block_hash, count = _HEAD.unpack_from(body)
        at, raws = _HEAD.size, []
        for _ in range(count):
            (length,) = _LENGTH.unpack_from(body, at)
            raws.append(body[at + 4 : at + 4 + length])
            at += 4 + length
        if at != len(body) or kind not in (BLOCK, REVERT):
            raise ValueError("unknown kind or length")
    except (struct.error, ValueError) as error:
        raise ConfigError(f"{path}: a record does not parse ({error}); was it written by another version?") from error
    return Record(kind, timestamp, number, block_hash, tuple(raws))
