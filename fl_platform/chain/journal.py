"""What a wallet has already told the chain, on disk before it is told: so that a second start does nothing twice.

One line per entry: canonical JSON, a space, 64 hex digits sha256(digest before || JSON). An entry is forced to disk
before the next step; a line cut short by a kill is dropped, any other damage stops with IntegrityError. Signed
transactions are public; keys and passwords never come here.

Several processes may send from one wallet (`aggregator run` beside `aggregator defend`): who holds the file has read
what the others wrote, so no two choose one nonce and none does again what another has begun.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fl_platform.errors import ConfigError, FLError, IntegrityError
from fl_platform.protocol.canonical import canonical_json, hex_of, parse_canonical

logger = logging.getLogger(__name__)

FORMAT = "fl-platform/journal/1"
TASKLESS = -1  # for steps outside any task (deployments) or round (joins)


@dataclass(frozen=True)
class Step:
    """One thing to be done on chain exactly once."""

    task: int  # task number, TASKLESS outside tasks
    round: int  # round number, TASKLESS outside rounds
    name: str  # "roster", "seal", "join" ...

    def key(self, sender: bytes) -> str:
        """Return the step's name in the journal: what one wallet does once."""
        return f"0x{sender.hex()}/{self.task}/{self.round}/{self.name}"


@dataclass(frozen=True)
class Attempt:
    """One signed transaction for a step; several share a nonce when fees were raised."""

    nonce: int
    transaction: bytes  # hash, 32 bytes
    raw: bytes  # signed


@dataclass
class Progress:
    """How far a step has come."""

    attempts: list[Attempt] = field(default_factory=list)
    outcome: str = ""  # "", "done" or "failed"
    transaction: bytes = b""  # hash of the mined one


class Journal:
    """The steps of one chain, in one file (None: in memory, for reads and throw-away chains)."""

    def __init__(self, path: Path | None, chain: bytes) -> None:
        """Open or create; `chain` is block 0's hash. Raises ConfigError (another chain), IntegrityError."""
        self._path, self._chain = path, chain
        self._steps: dict[str, Progress] = {}
        self._signed: dict[str, dict[int, Attempt]] = {}  # sender -> nonce -> the newest that was signed
        self._digest = hashlib.sha256(FORMAT.encode() + chain).digest()
        self._end, self._line = 0, 0  # bytes and lines of the file that are known here
        self._lock = threading.RLock()  # several wallets may send at once
        self._held = False
        self._handle = -1
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            with self.held():
                pass
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out for as long as it takes to choose, write down and hand in one transaction.

        What they wrote since is read first. May be nested; never held while a transaction is waited for. Raises
        ConfigError (closed, another chain), IntegrityError.
        """
        if self._path is None:
            yield
            return
        with self._lock:
            if self._held:
                yield
                return
            self._take()
            self._held = True
            try:
                self._catch_up(self._path)
                yield
            finally:
                self._held = False
                if self._handle >= 0:
                    fcntl.flock(self._handle, fcntl.LOCK_UN)

    def progress(self, key: str) -> Progress:
        """Return how far a step has come."""
        return self._steps.setdefault(key, Progress())

    def signed(self, sender: bytes, nonce: int) -> bytes | None:
        """Return the last transaction that a wallet signed under a nonce here, None when there is none."""
        found = self._signed.get(_hex(sender), {}).get(nonce)
        return None if found is None else found.raw

    def last(self, sender: bytes) -> Attempt | None:
        """Return what a wallet signed under its highest nonce here, None when there is nothing."""
        found = self._signed.get(_hex(sender))
        return None if found is None else found[max(found)]

    def intend(self, key: str, attempt: Attempt) -> None:
        """Note that `attempt` is about to be sent."""
        body = {"nonce": attempt.nonce, "transaction": _hex(attempt.transaction), "raw": _hex(attempt.raw)}
        self._write({"step": key, "state": "intent", **body})

    def finish(self, key: str, transaction: bytes, *, ok: bool) -> None:
        """Note that a step's transaction is mined: for good when `ok`, reverted (so it may be tried anew) when not."""
        self._write({"step": key, "state": "done" if ok else "failed", "transaction": _hex(transaction)})

    def forget(self, key: str) -> None:
        """Note that none of a step's transactions can be mined any more, so that it starts afresh."""
        self._write({"step": key, "state": "lost"})

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _write(self, entry: Mapping[str, Any]) -> None:
        body = canonical_json(entry)
        with self.held(), self._lock:
            digest = hashlib.sha256(self._digest + body).digest()
            if self._path is not None:
                self._append(body + b" " + digest.hex().encode() + b"\n")
            self._digest = digest
            self._apply(dict(entry))

    def _take(self) -> None:
        if self._handle < 0:
            raise ConfigError(f"journal {self._path} is closed")
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            logger.info("journal: waiting for another process of this wallet to hand in its transaction")
            fcntl.flock(self._handle, fcntl.LOCK_EX)

    def _append(self, line: bytes) -> None:
        try:
            if os.write(self._handle, line) != len(line):
                raise OSError("short write")
            os.fsync(self._handle)
        except OSError as error:
            os.ftruncate(self._handle, self._end)
            raise IntegrityError(f"cannot write {self._path}: {error}; free space and run again") from error
        self._end += len(line)
        self._line += 1

    def _apply(self, entry: dict[str, Any]) -> None:
        progress = self.progress(entry["step"])
        state = entry["state"]
        if state == "intent":
            progress.outcome = ""
            attempt = Attempt(entry["nonce"], hex_of(entry["transaction"]), hex_of(entry["raw"]))
            progress.attempts.append(attempt)
            self._signed.setdefault(entry["step"].partition("/")[0], {})[attempt.nonce] = attempt
        elif state == "done":
            progress.outcome, progress.transaction = "done", hex_of(entry["transaction"])
        elif state in ("failed", "lost"):
            self._steps[entry["step"]] = Progress(outcome=state)
        else:
            raise ValueError(f"unknown state {state!r}")

    def _catch_up(self, path: Path) -> None:
        """Read what is new in the file. Nobody writes meanwhile: an unfinished line is a killed process's."""
        size = os.fstat(self._handle).st_size
        if size < self._end:
            raise IntegrityError(f"{path} was cut from {self._end} to {size} bytes while in use; restore a copy")
        data = os.pread(self._handle, size - self._end, self._end)
        if self._end == 0:
            first = canonical_json({"format": FORMAT, "chain": _hex(self._chain)}) + b"\n"
            if len(data) < len(first) and first.startswith(data):  # new, or killed while its first line was written
                os.ftruncate(self._handle, 0)
                self._append(first)
                return
            if not data.startswith(first):
                raise ConfigError(self._other(path, data))
            self._end, self._line = len(first), 1
            data = data[len(first) :]
        *lines, rest = data.split(b"\n")
        if rest:
            logger.warning("journal: %d bytes of an unfinished entry cut off", len(rest))
            os.ftruncate(self._handle, size - len(rest))
        for line in lines:
            self._load_line(line, f"{path}:{self._line + 1}")
            self._end += len(line) + 1
            self._line += 1

    def _other(self, path: Path, data: bytes) -> str:
        """Say whose journal it is, and the way on."""
        theirs = _chain_in(data)
        if theirs is None:
            return f"{path} is no journal of this version; use another working directory"
        return (
            f"{path} belongs to another chain (block 0 is {_hex(theirs)[:18]}, this chain's {_hex(self._chain)[:18]}): "
            f"a development chain that was restarted is a new one; `fl-platform deploy` puts what belongs to the old "
            f"one aside and starts anew. On any other network mend the URL"
        )

    def _load_line(self, line: bytes, where: str) -> None:
        body, _, stated = line.rpartition(b" ")
        digest = hashlib.sha256(self._digest + body).digest()
        if digest.hex().encode() != stated:
            raise IntegrityError(f"{where} is damaged; restore a copy, or compare with the chain by hand")
        entry = parse_canonical(body, what=where)
        if not isinstance(entry, dict):
            raise IntegrityError(f"{where} is no entry")
        self._digest = digest
        self._apply(entry)


def chain_of(path: Path) -> bytes | None:
    """Return the genesis (32 bytes) of a journal's chain; None where there is no journal of this version."""
    try:
        with path.open("rb") as stream:
            return _chain_in(stream.read(4096))
    except OSError:
        return None


def _chain_in(data: bytes) -> bytes | None:
    try:
        first = parse_canonical(data.partition(b"\n")[0], what="journal")
        if isinstance(first, dict) and first.get("format") == FORMAT:
            return hex_of(first["chain"])
    except (FLError, ValueError, KeyError, TypeError):
        pass
    return None


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
