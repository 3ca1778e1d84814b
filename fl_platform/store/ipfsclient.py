"""The same daemon through the PyPI package `ipfshttpclient` (extra `ipfs`), for those who have it in their stack.

Version 0.7.0 refuses every daemon since go-ipfs 0.8 and every js-ipfs; that refusal becomes an error that names the
way out. With `any_version=True` the package's version check is left out, which is safe here: CIDs are ours and every
byte is hashed. The package knows no `dag/import`: blocks are put one by one and pinned. Prefer `KuboStore`.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from fl_platform.errors import CarInvalid, CidMismatch, ConfigError, DaemonUnsupported, StoreMissing, StoreUnavailable
from fl_platform.store import car, unixfs
from fl_platform.store.cid import RAW, Cid
from fl_platform.store.interface import Leaves, VerifyingStore
from fl_platform.store.unixfs import MAX_FILE_BYTES, Tree

logger = logging.getLogger(__name__)

DEFAULT_ADDRESS = "/ip4/127.0.0.1/tcp/5001/http"
_MISSING = ("not found", "could not find", "timed out", "timeout", "deadline exceeded")

T = TypeVar("T")


class IpfsClientStore(VerifyingStore):
    """Objects in an IPFS daemon, by ipfshttpclient."""

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        any_version: bool = False,
        timeout_s: float = 30.0,
        lookup_s: float = 10.0,
    ) -> None:
        """Connect. Raises DaemonUnsupported, StoreUnavailable, ConfigError (package missing, malformed address)."""
        self._package = _package()
        self._address = address
        self._lookup = f"{lookup_s:g}s"
        # `connect` asks the daemon's version and refuses; the bare client does not ask
        start = self._package.Client if any_version else self._package.connect
        self._client: Any = self._call(lambda: start(address, timeout=timeout_s), None)

    def has(self, cid: Cid) -> bool:
        """See Store.has."""
        try:
            self._call(lambda: self._client.block.stat(str(cid), opts={"timeout": self._lookup}), cid)
        except StoreMissing:
            return False
        return True

    def open_blocks(self, cid: Cid, *, max_bytes: int = MAX_FILE_BYTES) -> Iterator[bytes]:
        """See Store.open_blocks: block by block, since this package cannot export a CAR."""
        yield from unixfs.read_leaves(cid, self._block, max_bytes=max_bytes)

    def _block(self, cid: Cid) -> bytes:
        """Fetch one block, unverified and bounded. Raises StoreMissing, StoreUnavailable, CarInvalid."""

        def read() -> bytes:
            data = bytearray()
            with self._client.block.get(str(cid), stream=True, opts={"timeout": self._lookup}) as chunks:
                for chunk in chunks:
                    data += chunk
                    if len(data) > car.MAX_BLOCK_BYTES:
                        raise CarInvalid(f"block {cid} goes on behind {car.MAX_BLOCK_BYTES} bytes: use another daemon")
            return bytes(data)

        return self._call(read, cid)

    def _write(self, tree: Tree, leaves: Leaves) -> None:
        for cid, leaf in zip(tree.leaves, leaves(), strict=True):
            self._put_block(cid, bytes(leaf))
        for cid, block in reversed(tree.nodes):  # children before parents
            self._put_block(cid, block)
        self._call(lambda: self._client.pin.add(str(tree.root)), tree.root)
        logger.debug("published %s, %d bytes", tree.root, tree.length)

    def _put_block(self, cid: Cid, block: bytes) -> None:
        # js-ipfs reads `format`, Kubo since 0.15 `cid-codec`; each ignores the other's name
        codec = "raw" if cid.codec == RAW else "dag-pb"
        options = {"format": codec, "cid-codec": codec, "mhtype": "sha2-256", "version": "1"}
        answer = self._call(lambda: self._client.block.put(io.BytesIO(block), opts=options), None)
        if str(answer["Key"]) != str(cid):
            raise CidMismatch(f"{self._address} stored block {cid} as {str(answer['Key'])[:80]!r}: use another daemon")

    def _call(self, function: Callable[[], T], cid: Cid | None) -> T:
        """Call the package and turn each of its errors into one of ours."""
        errors = self._package.exceptions
        try:
            return function()
        except errors.VersionMismatch as error:
            raise DaemonUnsupported(
                f"ipfshttpclient refuses the daemon at {self._address} ({error}): use the `kubo` store, which speaks "
                "to any version, or pass any_version=True (every byte is verified either way)"
            ) from error
        except errors.AddressError as error:
            raise ConfigError(f"{self._address!r} is not a multiaddr such as {DEFAULT_ADDRESS}: {error}") from error
        except errors.ErrorResponse as error:
            if cid is not None and any(word in str(error).lower() for word in _MISSING):
                raise StoreMissing(f"object {cid} is not at {self._address}: publish it there") from error
            raise StoreUnavailable(f"the daemon at {self._address} refused: {str(error)[:300]}") from error
        except errors.Error as error:
            raise StoreUnavailable(
                f"the daemon at {self._address} cannot be reached or broke off ({str(error)[:300]}): check that it runs"
            ) from error

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _package() -> Any:
    try:
        import ipfshttpclient
    except ImportError as error:
        raise ConfigError("the package ipfshttpclient is not installed: pip install 'fl-platform[ipfs]'") from error
    return ipfshttpclient
