"""Asking others to keep what an IPFS daemon has: the IPFS Pinning Service API, beside a daemon's store.

https://ipfs.github.io/pinning-services-api-spec/. A service is no store: nothing is written to it and nothing read. It
is asked after a put, told where the daemon can be dialled, and not waited for: it fetches the object when it likes.
What it fails to promise is logged once and counted, and fails no put, since the object is in the daemon.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from fl_platform.errors import ConfigError, FLError, StoreUnavailable
from fl_platform.store.cid import Cid
from fl_platform.store.interface import Store
from fl_platform.store.kubo import KuboStore
from fl_platform.store.remote import Answer, HttpPeer, Timeouts
from fl_platform.store.unixfs import MAX_FILE_BYTES

logger = logging.getLogger(__name__)

TOKEN_VARIABLE = "FL_PLATFORM_PINNING_TOKEN"
MAX_ORIGINS = 20  # the specification's limit
REST_S = 60.0  # a service that failed is left alone for so long
FAILED = " (failed)"  # behind a service's name in what is counted

_WAITS = Timeouts(connect_s=5.0, read_s=10.0, total_s=15.0)
_TOKEN = re.compile(r"[!-~]{1,4096}")
_KEPT = ("queued", "pinning", "pinned")
_REASON = re.compile(r"[A-Za-z0-9_]{1,60}")


class PinningService:
    """One service that is asked to keep objects. Safe for several threads."""

    def __init__(
        self, url: str, *, token: str | None, timeouts: Timeouts = _WAITS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Use the service whose pins lie under `url`/pins. Raises ConfigError.

        token: what it knows us by; None where nothing will be put.
        """
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
        except ValueError as error:
            raise ConfigError("pin: has a malformed address behind it: give pin:https://HOST") from error
        if "@" in parts.netloc:
            raise ConfigError(f"the address behind pin: holds a user or password: set {TOKEN_VARIABLE} instead")
        if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
            raise ConfigError(f"{url[:200]!r} is no pinning service: give pin:https://HOST")
        if parts.scheme == "http" and not _is_loopback(host):
            raise ConfigError(f"{url[:200]!r} would be sent the token in the clear: give pin:https://HOST")
        if token is not None and not _TOKEN.fullmatch(token):
            raise ConfigError(f"{TOKEN_VARIABLE} is no token: 1 to 4096 printable characters without spaces")
        self._peer = HttpPeer(url, timeouts=timeouts)
        self._token, self._clock = token, clock
        self._lock = threading.Lock()
        self._asked: set[Cid] = set()
        self._rests_until = float("-inf")

    @property
    def name(self) -> str:
        """The service as --store names it."""
        return f"pin:{self._peer.url}"

    def check(self) -> None:
        """Raise ConfigError where there is no token."""
        if self._token is None:
            raise ConfigError(f"{self.name} wants a token: set {TOKEN_VARIABLE}")

    def keep(self, cid: Cid, origins: Callable[[], Sequence[str]]) -> None:
        """Ask for an object to be kept, once. Raises StoreUnavailable, ConfigError (no token).

        origins: addresses at which the object can be fetched now.
        """
        self.check()
        with self._lock:
            if cid in self._asked:
                return
            if self._clock() < self._rests_until:
                raise StoreUnavailable(f"{self.name} failed a moment ago, and was not asked for {cid}")
        try:
            if not self._keeps(cid):
                self._ask(cid, origins())
        except StoreUnavailable:
            with self._lock:
                self._rests_until = self._clock() + REST_S
            raise
        with self._lock:
            self._asked.add(cid)

    def _keeps(self, cid: Cid) -> bool:
        params = {"cid": str(cid), "status": ",".join(_KEPT), "limit": "1"}
        with self._peer.exchange("GET", "/pins", params=params, headers=self._headers()) as answer:
            count = self._json(answer, 200, cid).get("count")
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise StoreUnavailable(f"{self.name} does not say how many pins of {cid} it has: {_NOT_ONE}")
        return count > 0

    def _ask(self, cid: Cid, origins: Sequence[str]) -> None:
        pin = {"cid": str(cid), "name": f"fl-platform {cid}", "origins": list(origins)[:MAX_ORIGINS]}
        body = json.dumps(pin).encode()
        headers = {**self._headers(), "content-type": "application/json", "content-length": str(len(body))}
        with self._peer.exchange("POST", "/pins", params={}, headers=headers, content=[body]) as answer:
            found = self._json(answer, 202, cid)
        status, named = found.get("status"), found.get("pin")
        if not isinstance(named, dict) or named.get("cid") != str(cid) or not isinstance(found.get("requestid"), str):
            raise StoreUnavailable(f"{self.name} confirms another pin than {cid}: {_NOT_ONE}")
        if status not in _KEPT:
            raise StoreUnavailable(f"{self.name} does not keep {cid}: its status is {str(status)[:40]!r}")
        logger.debug("%s was asked to keep %s: %s", self.name, cid, status)

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._token}", "accept": "application/json"}

    def _json(self, answer: Answer, wanted: int, cid: Cid) -> dict[str, object]:
        """Return an answer's object (untrusted, at most 64 KiB). Raises StoreUnavailable."""
        if 300 <= answer.status < 400:
            raise StoreUnavailable(f"{self.name} redirects to {answer.location[:200]!r}: give that address instead")
        try:
            found = json.loads(answer.body.read_all())
        except (ValueError, RecursionError):
            found = None
        if answer.status in (401, 403):
            raise StoreUnavailable(f"{self.name} answered {answer.status} for {cid}: check {TOKEN_VARIABLE}")
        if answer.status != wanted:
            raise StoreUnavailable(f"{self.name} answered {answer.status} {_reason(found)} for {cid}: see its account")
        if not isinstance(found, dict):
            raise StoreUnavailable(f"{self.name} answers something that is not JSON or of another shape: {_NOT_ONE}")
        return found

    def close(self) -> None:
        """Close idle connections."""
        self._peer.close()


_NOT_ONE = "is it a pinning service?"


class PinnedStore:
    """An IPFS daemon whose objects some services are asked to keep. All that is read comes from the daemon."""

    def __init__(
        self, daemon: KuboStore, services: Sequence[PinningService], *, written: Counter[str] | None = None
    ) -> None:
        """Use a daemon; `written` counts what each service was asked for, and apart from it what failed."""
        self._daemon = daemon
        self._services = tuple(services)
        self._written: Counter[str] = Counter() if written is None else written
        self._lock = threading.Lock()
        self._named: set[str] = set()

    def put(self, data: bytes | Path) -> Cid:
        """See Store.put; then the services are asked. Raises ConfigError (no token) before anything is stored."""
        self._check()
        return self._kept(self._daemon.put(data))

    def import_car(self, path: Path) -> Cid:
        """See Store.import_car; then the services are asked."""
        self._check()
        return self._kept(self._daemon.import_car(path))

    def _check(self) -> None:
        for service in self._services:
            service.check()

    def _kept(self, cid: Cid) -> Cid:
        for service in self._services:
            try:
                service.keep(cid, self._daemon.addresses)
            except StoreUnavailable as error:
                self._failed(service.name, error)
                continue
            with self._lock:
                self._written[service.name] += 1
        return cid

    def _failed(self, name: str, error: FLError) -> None:
        with self._lock:
            self._written[name + FAILED] += 1
            new, self._named = name not in self._named, self._named | {name}
        if new:
            logger.warning("the object is in the daemon, but perhaps nowhere else: %s", error)

    def get(self, cid: Cid, *, max_bytes: int) -> bytes:
        """See Store.get."""
        return self._daemon.get(cid, max_bytes=max_bytes)

    def open_blocks(self, cid: Cid, *, max_bytes: int = MAX_FILE_BYTES) -> Iterator[bytes]:
        """See Store.open_blocks."""
        return self._daemon.open_blocks(cid, max_bytes=max_bytes)

    def has(self, cid: Cid) -> bool:
        """See Store.has."""
        return self._daemon.has(cid)

    def locate(self, digest: bytes, *, length: int | None = None) -> Cid:
        """See Store.locate."""
        return self._daemon.locate(digest, length=length)

    def export_car(self, cid: Cid, path: Path) -> None:
        """See Store.export_car."""
        self._daemon.export_car(cid, path)

    def close(self) -> None:
        """Close idle connections."""
        self._daemon.close()
        for service in self._services:
            service.close()


def pinned(store: Store, services: Sequence[PinningService], written: Counter[str] | None) -> Store:
    """Return the store, with the services beside it where it is a daemon that can tell them its addresses."""
    return PinnedStore(store, services, written=written) if services and isinstance(store, KuboStore) else store


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reason(found: object) -> str:
    """Return the reason in a service's error, if it is one word."""
    error = found.get("error") if isinstance(found, dict) else None
    reason = error.get("reason") if isinstance(error, dict) else None
    return reason if isinstance(reason, str) and _REASON.fullmatch(reason) else "without a reason"
