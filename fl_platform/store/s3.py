"""A bucket of any S3-compatible service (extra `s3`): one object a CID, its CAR, under PREFIX/CID.car.

botocore finds the credentials (AWS_* in the environment, ~/.aws, roles), the region and the end point, and signs each
request in its headers; the exchange itself is `remote.HttpPeer`'s: one deadline, no redirects, bounded answers. No
credential is ever part of an address, a message or a file of ours. The service is a carrier: what it sends is hashed
block by block from the root that was asked for, and who controls the bucket can withhold, but not forge.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fl_platform.errors import (
    ConfigError,
    FLError,
    StoreFull,
    StoreMissing,
    StoreReadOnly,
    StoreRefused,
    StoreUnavailable,
)
from fl_platform.store import car
from fl_platform.store.cid import Cid
from fl_platform.store.gateway import CAR_TYPE
from fl_platform.store.interface import CarBackedStore, Leaves
from fl_platform.store.remote import Answer, HttpPeer, Timeouts
from fl_platform.store.unixfs import Tree

logger = logging.getLogger(__name__)

FORM = "s3://BUCKET[/PREFIX][?endpoint=URL&region=NAME]"
MAX_CAR_BYTES = 5 << 30  # what the protocol takes in one request
SLOWEST_BYTES_PER_S = 128 << 10  # of an upload before it is given up
ATTEMPTS = 3  # the protocol asks its clients to repeat what was answered with 500 or 503
PAUSE_S = 0.2  # before the second attempt; twice that before the third

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# No character that anybody escapes, and no segment that anybody resolves: the signature covers the path as it is sent.
_PATH = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_MAX_PREFIX = 512
_REGION = re.compile(r"[a-z0-9-]{1,40}")
_CODE = re.compile(rb"<Code>([A-Za-z0-9.]{1,80})</Code>")
_NO_CONTENT = hashlib.sha256(b"").hexdigest()
# botocore alone knows the second only
_REGION_FROM = {"region": ("region", ["AWS_REGION", "AWS_DEFAULT_REGION"], None, None)}
_AGAIN = (500, 502, 503, 504)
_FULL = ("EntityTooLarge", "QuotaExceeded", "XMinioStorageFull", "ServiceQuotaExceeded")


@dataclass(frozen=True, slots=True)
class S3Address:
    """Where objects lie."""

    words: str  # as they were given; they hold no secret
    bucket: str
    prefix: str  # without slashes around it; may be empty
    endpoint: str  # empty: what AWS_ENDPOINT_URL or ~/.aws say, else Amazon's
    region: str  # empty: what AWS_REGION, AWS_DEFAULT_REGION or ~/.aws say, else us-east-1

    @classmethod
    def parse(cls, words: str) -> S3Address:
        """Read what a person typed. Raises ConfigError."""
        try:
            parts = urlsplit(words)
            options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError as error:
            raise ConfigError(f"{words.partition('?')[0]!r} has a malformed address behind it: give {FORM}") from error
        given = dict(options)
        prefix = parts.path.strip("/")
        if parts.scheme != "s3" or parts.fragment or len(given) != len(options) or given.keys() - _OPTIONS:
            raise ConfigError(f"{parts.path!r} does not name a bucket: give {FORM}, and no other option")
        if not _BUCKET.fullmatch(parts.netloc):
            named = parts.netloc.rpartition("@")[2]  # before it stood a password
            raise ConfigError(f"{named[:80]!r} is no bucket's name (3 to 63 of a-z, 0-9, dot, hyphen): give {FORM}")
        if prefix and (len(prefix) > _MAX_PREFIX or not _PATH.fullmatch(prefix)):
            raise ConfigError(
                f"{prefix[:80]!r} is no prefix: at most {_MAX_PREFIX} of A-Z, a-z, 0-9, _, -, . and / between names "
                "that start with no dot"
            )
        endpoint = checked_endpoint(given["endpoint"]) if "endpoint" in given else ""
        region = given.get("region", "")
        if "region" in given and not _REGION.fullmatch(region):
            raise ConfigError(f"{region[:80]!r} is no region: give one such as eu-west-1")
        return cls(words, parts.netloc, prefix, endpoint, region)

    def path_of(self, cid: Cid) -> str:
        """Return the path below the end point; buckets are named in the path, which every service takes."""
        return "/" + "/".join(part for part in (self.bucket, self.prefix, f"{cid}.car") if part)


_OPTIONS = {"endpoint", "region"}


def checked_endpoint(url: str) -> str:
    """Return a service's address, checked. Raises ConfigError, which does not repeat what may hold a password."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError("the S3 end point is no address: give http(s)://HOST[:PORT]") from error
    if "@" in parts.netloc:
        raise ConfigError("the S3 end point holds a user or password: credentials belong in AWS_* or ~/.aws")
    path = parts.path.strip("/")
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise ConfigError(f"{url[:200]!r} is no S3 end point: give http(s)://HOST[:PORT]")
    if path and not _PATH.fullmatch(path):
        raise ConfigError(f"{url[:200]!r} has a path that cannot be signed as it is: give http(s)://HOST[:PORT]")
    return url.rstrip("/")


class S3Store(CarBackedStore):
    """Objects in a bucket. Safe for several threads. Without credentials it reads what the bucket shows anybody."""

    def __init__(self, address: S3Address, *, timeouts: Timeouts | None = None) -> None:
        """Use a bucket; the service is first spoken to when an object is. Raises ConfigError (extra missing)."""
        _package()
        self._address = address
        self._timeouts = timeouts or Timeouts()
        self._lock = threading.Lock()
        self._opened: _Service | None = None

    def has(self, cid: Cid) -> bool:
        """Tell whether the object is in the bucket, as far as these credentials see it. Raises StoreUnavailable."""
        return self._size(cid) is not None

    def _size(self, cid: Cid) -> int | None:
        """Return how many bytes the service says that the object's CAR has (0: unsaid), or None: not there."""
        with self._ask("HEAD", cid) as answer:
            if answer.status == 200:
                return answer.length or 0
            if answer.status == 404:
                return None
        try:
            with self._open(cid) as answer:  # a HEAD does not say why it was refused
                return answer.length or 0
        except StoreMissing:
            return None

    @contextmanager
    def _open_car(self, cid: Cid) -> Iterator[car.ByteSource]:
        with self._open(cid) as answer:
            yield answer.body

    @contextmanager
    def _open(self, cid: Cid) -> Iterator[Answer]:
        with self._ask("GET", cid) as answer:
            if answer.status != 200:
                raise self._not_read(answer, cid)
            yield answer

    def _write(self, tree: Tree, leaves: Leaves) -> None:
        size = car.car_bytes(tree)
        if size > MAX_CAR_BYTES:
            raise StoreFull(
                f"{tree.root} takes {size} bytes, and S3 takes {MAX_CAR_BYTES} in one request: put it in a disk store "
                "or a `fl-platform store serve`"
            )
        if not self._service().signs:
            raise StoreReadOnly(
                f"there are no credentials for {self._address.words}: {tree.root} cannot be stored there; set "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE for one in ~/.aws"
            )
        if self._size(tree.root) == size:  # another length is damage, and is replaced
            return

        def body() -> Iterator[bytes]:
            for piece in car.object_pieces(tree, leaves()):
                yield bytes(piece)

        # The signature covers the content, so that the service refuses what was damaged or exchanged on its way.
        digest = hashlib.sha256()
        for piece in body():
            digest.update(piece)
        headers = {"content-type": CAR_TYPE, "content-length": str(size)}
        with self._ask("PUT", tree.root, digest=digest.hexdigest(), headers=headers, body=body, size=size) as answer:
            if answer.status != 200:
                raise self._not_written(answer, tree.root)
        logger.debug("stored %s, %d bytes, in %s", tree.root, tree.length, self._address.words)

    @contextmanager
    def _ask(
        self,
        method: str,
        cid: Cid,
        *,
        digest: str = _NO_CONTENT,
        headers: Mapping[str, str] | None = None,
        body: Callable[[], Iterator[bytes]] | None = None,
        size: int = 0,
    ) -> Iterator[Answer]:
        """Ask the service, again where it says that it cannot just now."""
        service = self._service()
        path = self._address.path_of(cid)
        for attempt in range(ATTEMPTS):
            sent = {**service.signed(method, path, digest), **(headers or {})}
            content = None if body is None else body()
            with service.peer.exchange(
                method, path, params={}, headers=sent, content=content, extra_s=size / SLOWEST_BYTES_PER_S
            ) as answer:
                if answer.status not in _AGAIN or attempt == ATTEMPTS - 1:
                    yield answer
                    return
                logger.info("%s answers %d: asking again", self._address.words, answer.status)
            time.sleep(PAUSE_S * 2**attempt)

    def _not_read(self, answer: Answer, cid: Cid) -> FLError:
        """Return the error for what is no object. Services hide with "denied" what a reader may not list."""
        code = _code(answer)
        if answer.status == 404 and code == "NoSuchKey":
            return StoreMissing(
                f"object {cid} is not in {self._address.words}: publish it there, or read from the store it was "
                "published to"
            )
        if answer.status == 403 and code == "AccessDenied":
            return StoreMissing(
                f"object {cid} is not in {self._address.words}, or these credentials may not read it (AccessDenied): "
                "give some that may read and list, or read from another store"
            )
        return StoreUnavailable(self._said(answer, code, cid))

    def _not_written(self, answer: Answer, cid: Cid) -> FLError:
        code = _code(answer)
        line = self._said(answer, code, cid)
        if code in _FULL or answer.status in (413, 507):
            return StoreFull(line)
        return StoreRefused(line) if answer.status in (401, 403, 404) else StoreUnavailable(line)

    def _said(self, answer: Answer, code: str, cid: Cid) -> str:
        what = f"{self._address.words} answered {answer.status} {code or 'without an S3 error code'} for {cid}"
        if answer.status in _AGAIN:
            return f"{what}: try again later"
        if 300 <= answer.status < 400 or code == "AuthorizationHeaderMalformed":
            return f"{what}: the bucket lies in another region or behind another end point; name it with ?region="
        if code == "NoSuchBucket":
            return f"{what}: make the bucket, or mend its name or the end point"
        if not code:
            return f"{what}: is the end point an S3 service?"
        return f"{what}: check the credentials, their rights, the region and this machine's clock"

    def _service(self) -> _Service:
        with self._lock:
            if self._opened is None:
                self._opened = _Service(self._address, self._timeouts)
            return self._opened

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            if self._opened is not None:
                self._opened.peer.close()
                self._opened = None


class _Service:
    """The service's end point, and who signs for it."""

    def __init__(self, address: S3Address, timeouts: Timeouts) -> None:
        """Look up end point, region and credentials as every AWS tool does. Raises ConfigError."""
        self._package = _package()
        errors = self._package.exceptions
        try:
            session = self._package.session.get_session(_REGION_FROM)
            meta = session.create_client(
                "s3", region_name=address.region or None, endpoint_url=address.endpoint or None
            ).meta
            self._credentials: Any = session.get_credentials()
        except (errors.BotoCoreError, ValueError) as error:
            raise ConfigError(
                f"botocore cannot open {address.words} ({type(error).__name__}): mend AWS_* in the environment or "
                "the profile in ~/.aws"
            ) from error
        self.peer = HttpPeer(checked_endpoint(str(meta.endpoint_url)), timeouts=timeouts)
        named = str(meta.region_name or "")
        self._region = named if named and named != "aws-global" else "us-east-1"
        self._words = address.words

    @property
    def signs(self) -> bool:
        """Tell whether there are credentials."""
        return self._credentials is not None

    def signed(self, method: str, path: str, digest: str) -> dict[str, str]:
        """Return the headers that sign a request whose content has this sha256. Raises StoreUnavailable."""
        if self._credentials is None:
            return {}
        try:
            frozen = self._credentials.get_frozen_credentials()
            request = self._package.awsrequest.AWSRequest(method=method, url=self.peer.url + path)
            auth = self._package.auth.S3SigV4Auth(frozen, "s3", self._region)
            auth.payload = lambda _request: digest
            auth.add_auth(request)
        except self._package.exceptions.BotoCoreError as error:
            raise StoreUnavailable(
                f"the credentials for {self._words} cannot be renewed ({type(error).__name__}): log in again"
            ) from error
        return {str(name): str(value) for name, value in request.headers.items()}


def _code(answer: Answer) -> str:
    """Return the error code of an answer (untrusted); empty when it has none. Raises StoreUnavailable (endless)."""
    found = _CODE.search(answer.body.read_all())
    return found[1].decode("ascii") if found else ""


def _package() -> Any:
    try:
        import botocore.auth
        import botocore.awsrequest
        import botocore.exceptions
        import botocore.session
    except ImportError as error:
        raise ConfigError("the package botocore is not installed: pip install 'fl-platform[s3]'") from error
    return botocore
