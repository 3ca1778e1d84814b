"""A store that another party serves (`fl-platform store serve`): read as a gateway, filled by signed uploads."""

from __future__ import annotations

import json
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterator

from fl_platform.errors import StoreFull, StoreReadOnly, StoreRefused, StoreUnavailable
from fl_platform.store import car
from fl_platform.store.cid import Cid
from fl_platform.store.gateway import CAR_TYPE, GatewayStore
from fl_platform.store.interface import Leaves
from fl_platform.store.remote import Answer, Timeouts
from fl_platform.store.unixfs import Tree
from fl_platform.store.upload import INFO_PATH, LIFETIME_S, METHOD, Signing, Upload

logger = logging.getLogger(__name__)

SLOWEST_BYTES_PER_S = 128 << 10  # of an upload before it is given up

_RUN = re.compile(r"[0-9a-f]{64}")
_ANOTHER_RUN = 412
_NOT_YOU = (401, 403, 421)
_NO_ROOM = (413, 507)


class ServedStore(GatewayStore):
    """Objects at another party's server; written with a wallet, if there is one."""

    def __init__(
        self,
        url: str,
        *,
        signing: Signing | None = None,
        timeouts: Timeouts | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Use the server at `url`; `signing` unlocks the wallet that uploads, None: this command has none."""
        super().__init__(url, timeouts=timeouts)
        self._signing, self._clock = signing, clock
        self._run = b""

    def _write(self, tree: Tree, leaves: Leaves) -> None:
        if self._signing is None:
            raise StoreReadOnly(
                f"{self._peer.url} takes signed uploads, and this command has no wallet: {tree.root} cannot be stored "
                "there; those that have to store something are signed with --wallet"
            )
        if self.has(tree.root):
            return
        if not self._send(tree, leaves):
            self._run = b""  # it was started again
            if not self._send(tree, leaves):
                raise StoreUnavailable(f"{self._peer.url} changes its run with every request: try again later")
        logger.debug("uploaded %s, %d bytes, to %s", tree.root, tree.length, self._peer.url)

    def _send(self, tree: Tree, leaves: Leaves) -> bool:
        """Upload; False when the server says that the signature is for another run of it."""
        assert self._signing is not None
        size = car.car_bytes(tree)
        deadline = int(self._clock()) + LIFETIME_S
        upload = Upload(self._peer.url, self._number(), tree.root, size, deadline, secrets.token_bytes(32))
        headers = {
            "authorization": upload.header(self._signing()), "content-type": CAR_TYPE, "content-length": str(size),
        }  # fmt: skip

        def body() -> Iterator[bytes]:
            for piece in car.object_pieces(tree, leaves()):
                yield bytes(piece)

        with self._peer.exchange(
            METHOD, f"/ipfs/{tree.root}", params={}, headers=headers, content=body(), extra_s=size / SLOWEST_BYTES_PER_S
        ) as answer:
            if answer.status == _ANOTHER_RUN:
                return False
            self._check(answer, tree.root)
        return True

    def _check(self, answer: Answer, cid: Cid) -> None:
        if answer.status in (200, 201):
            return
        said = answer.body.read_all().decode("utf-8", "replace")
        line = f"{self._peer.url} refuses {cid} ({answer.status}): {_printable(said) or 'it does not say why'}"
        if answer.status in _NOT_YOU:
            raise StoreRefused(line)
        raise StoreFull(line) if answer.status in _NO_ROOM else StoreUnavailable(line)

    def _number(self) -> bytes:
        """Return the number of the server's present run, asked once. Raises StoreUnavailable."""
        if not self._run:
            with self._peer.exchange("GET", INFO_PATH, params={}) as answer:
                text = answer.body.read_all() if answer.status == 200 else b""
            try:
                found = json.loads(text)["run"]
            except (ValueError, KeyError, TypeError, RecursionError):
                found = None
            if not isinstance(found, str) or not _RUN.fullmatch(found):
                raise StoreUnavailable(
                    f"{self._peer.url} is no `fl-platform store serve`: to read from an IPFS gateway, write "
                    f"gateway:{self._peer.url}"
                )
            self._run = bytes.fromhex(found)
        return self._run


def _printable(text: str) -> str:
    """Return a peer's words on one line, without what a terminal would act on."""
    return "".join(c if c.isprintable() else " " for c in text[:300]).strip()
