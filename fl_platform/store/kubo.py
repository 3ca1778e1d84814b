"""An IPFS daemon behind the RPC of Kubo (and js-ipfs): publish by `dag/import` of our own CAR, read by `dag/export`.

The daemon is a carrier: the CID is ours, the root that it reports is compared as bytes, and whatever it returns is
hashed. (js-ipfs stores what `dag/import` brings without hashing it.) Its RPC is administrator access: bind it to
loopback.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from fl_platform.errors import CidInvalid, CidMismatch, StoreMissing, StoreUnavailable
from fl_platform.store import car
from fl_platform.store.cid import Cid
from fl_platform.store.interface import CarBackedStore, Leaves
from fl_platform.store.remote import Answer, HttpPeer, Timeouts
from fl_platform.store.unixfs import Tree

logger = logging.getLogger(__name__)

DEFAULT_URL = "http://127.0.0.1:5001"
_MULTIADDR = re.compile(r"/[A-Za-z0-9._:%/-]{1,300}")
_HERE_ONLY = ("/ip4/127.", "/ip6/::1/", "/dns/localhost/", "/dns4/localhost/")
_MISSING = ("not found", "could not find", "no link named")


class KuboStore(CarBackedStore):
    """Objects in an IPFS daemon, pinned there."""

    def __init__(self, url: str = DEFAULT_URL, *, timeouts: Timeouts | None = None, lookup_s: float = 10.0) -> None:
        """Use the daemon at `url`. `lookup_s` is how long it may search the network for a block that it lacks."""
        self._peer = HttpPeer(url, timeouts=timeouts or Timeouts())
        self._lookup = f"{lookup_s:g}s"

    def version(self) -> str:
        """Return the daemon's version, as it says. Raises StoreUnavailable."""
        with self._peer.exchange("POST", "/api/v0/version", params={}) as answer:
            found = _json_line(self._checked(answer, None).body.read_all(), self._peer.url)
        return str(found.get("Version", "unknown"))[:80]

    def addresses(self) -> list[str]:
        """Return the multiaddrs under which others can dial the daemon, as it says, at most 100; loopback left out.

        Raises StoreUnavailable.
        """
        with self._peer.exchange("POST", "/api/v0/id", params={}) as answer:
            found = _json_line(self._checked(answer, None).body.read_all(), self._peer.url).get("Addresses")
        named = found if isinstance(found, list) else []
        usable = (one for one in named if isinstance(one, str) and _MULTIADDR.fullmatch(one))
        return [one for one in dict.fromkeys(usable) if not one.startswith(_HERE_ONLY)][:100]

    def has(self, cid: Cid) -> bool:
        """Tell whether the daemon has, or finds in time, the root block."""
        try:
            with self._peer.exchange("POST", "/api/v0/block/stat", params=self._ask(cid)) as answer:
                self._checked(answer, cid).body.read_all()
        except StoreMissing:
            return False
        return True

    def _ask(self, cid: Cid) -> dict[str, str]:
        return {"arg": str(cid), "timeout": self._lookup}

    @contextmanager
    def _open_car(self, cid: Cid) -> Iterator[car.ByteSource]:
        # The daemon applies `timeout` to the whole export, so a long object must not inherit the short look-up time:
        # whether the root is there is asked first.
        if not self.has(cid):
            raise StoreMissing(_missing(cid, self._peer.url))
        with self._peer.exchange("POST", "/api/v0/dag/export", params={"arg": str(cid), "progress": "false"}) as answer:
            yield self._checked(answer, cid).body

    def _write(self, tree: Tree, leaves: Leaves) -> None:
        boundary = f"fl-platform-{tree.root}"  # holds the content's hash, so the content cannot hold it
        head, tail = _multipart(boundary)
        size = len(head) + car.car_bytes(tree) + len(tail)

        def body() -> Iterator[bytes]:
            yield head
            for piece in car.object_pieces(tree, leaves()):
                yield bytes(piece)
            yield tail

        headers = {"content-type": f"multipart/form-data; boundary={boundary}", "content-length": str(size)}
        with self._peer.exchange(
            "POST", "/api/v0/dag/import", params={"pin-roots": "true"}, headers=headers, content=body()
        ) as answer:
            text = self._checked(answer, None).body.read_all()
        self._check_import(text, tree.root)
        logger.debug("published %s, %d bytes", tree.root, tree.length)

    def _check_import(self, text: bytes, root: Cid) -> None:
        """Check what the daemon says it imported. Raises CidMismatch, StoreUnavailable."""
        reported = False
        for line in text.splitlines():
            if not line.strip():
                continue
            found = _json_line(line, self._peer.url)
            if found.get("Type") == "error":
                raise StoreUnavailable(f"{self._peer.url} refused {root}: {str(found.get('Message'))[:200]}")
            entry = found.get("Root")
            if not isinstance(entry, dict):
                continue  # statistics
            named = _named_root(entry)
            if named is None or named.to_bytes() != root.to_bytes():
                raise CidMismatch(
                    f"{self._peer.url} imported another root than {root}: {entry!r:.200}; use another daemon"
                )
            if entry.get("PinErrorMsg"):
                raise StoreUnavailable(f"{self._peer.url} did not pin {root}: {str(entry['PinErrorMsg'])[:200]}")
            reported = True
        if not reported:
            raise StoreUnavailable(f"{self._peer.url} did not say that it imported {root}: is it an IPFS daemon's RPC?")

    def _checked(self, answer: Answer, cid: Cid | None) -> Answer:
        if answer.status == 200:
            return answer
        text = answer.body.read_all().decode("utf-8", "replace")[:300]
        if cid is not None and answer.status == 500 and _means_missing(text):
            raise StoreMissing(_missing(cid, self._peer.url))
        raise StoreUnavailable(
            f"{self._peer.url} answered {answer.status}: {text or 'nothing'}. Is it an IPFS daemon's RPC?"
        )

    def close(self) -> None:
        """Close idle connections."""
        self._peer.close()


def _missing(cid: Cid, url: str) -> str:
    return f"object {cid} is not at {url}: publish it there, or read from the store it was published to"


def _means_missing(text: str) -> bool:
    """Tell a missing block from a failure: daemons answer 500 to both, and to a look-up that ran out of time."""
    lowered = text.lower()
    return any(word in lowered for word in (*_MISSING, "timed out", "timeout", "deadline exceeded"))


def _multipart(boundary: str) -> tuple[bytes, bytes]:
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="object.car"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return head.encode("ascii"), f"\r\n--{boundary}--\r\n".encode("ascii")


def _named_root(entry: dict[str, object]) -> Cid | None:
    link = entry.get("Cid")
    text = link.get("/") if isinstance(link, dict) else None
    try:
        return Cid.parse(text) if isinstance(text, str) else None
    except CidInvalid:
        return None


def _json_line(line: bytes, url: str) -> dict[str, object]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise StoreUnavailable(f"{url} answers something that is not JSON: is it an IPFS daemon's RPC?") from error
    if not isinstance(found, dict):
        raise StoreUnavailable(f"{url} answers JSON of another shape: is it an IPFS daemon's RPC?")
    return found
