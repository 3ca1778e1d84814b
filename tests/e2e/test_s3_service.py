"""The store in a bucket of a real S3 service that checks signatures, and in buckets of services that lie."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from fl_platform.errors import (
    CarInvalid,
    CidMismatch,
    ConfigError,
    FLError,
    StoreFull,
    StoreMissing,
    StoreReadOnly,
    StoreRefused,
    StoreUnavailable,
)
from fl_platform.store import Cid, DiskStore, cid_of, s3
from fl_platform.store.opening import open_store
from fl_platform.store.remote import Timeouts
from fl_platform.store.s3 import S3Address, S3Store
from fl_platform.store.unixfs import LEAF_BYTES
from tests.support import http_peers
from tests.support.s3_service import BUCKET, Keys, S3Service, environment, s3_service
from tests.support.store_suite import StoreSuite, content

pytestmark = pytest.mark.node

KEYS = Keys("AKIDEXAMPLE", "not-a-real-secret")


@pytest.fixture(scope="module")
def service() -> Iterator[S3Service]:
    with s3_service() as running:
        yield running


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Leave no credentials or settings of this machine's user in sight."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION",
                 "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    act_as(monkeypatch, None, tmp_path_factory.mktemp("home"))


def act_as(monkeypatch: pytest.MonkeyPatch, keys: Keys | None, home: Path = Path("/nonexistent")) -> None:
    for name, value in environment(keys, home).items():
        monkeypatch.setenv(name, value)


def opened(words: str, *, timeouts: Timeouts | None = None) -> S3Store:
    return S3Store(S3Address.parse(words), timeouts=timeouts)


@pytest.fixture
def bucket(service: S3Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Store]:
    """The bucket, with the rights to write."""
    act_as(monkeypatch, service.writer)
    store = opened(service.words)
    yield store
    store.close()


class TestS3(StoreSuite):
    @pytest.fixture
    def store(self, bucket: S3Store) -> S3Store:
        return bucket


def key(cid: Cid) -> str:
    return f"task/7/{cid}.car"


# --- a service that works ---------------------------------------------------------------------------------------------


def test_an_object_is_its_car_under_the_prefix(service: S3Service, bucket: S3Store, tmp_path: Path) -> None:
    cid = bucket.put(content(LEAF_BYTES + 5))
    bucket.export_car(cid, tmp_path / "car")
    kept = service.client().get_object(Bucket=BUCKET, Key=key(cid))
    assert kept["Body"].read() == (tmp_path / "car").read_bytes()
    assert kept["ContentType"] == "application/vnd.ipld.car"


def test_what_is_there_is_not_sent_again_and_a_part_of_it_is_replaced(service: S3Service, bucket: S3Store) -> None:
    cid = bucket.put(content(9000))
    other = service.client()
    whole = other.get_object(Bucket=BUCKET, Key=key(cid))["Body"].read()
    other.put_object(Bucket=BUCKET, Key=key(cid), Body=whole, Metadata={"mark": "mine"})
    bucket.put(content(9000))
    assert other.head_object(Bucket=BUCKET, Key=key(cid))["Metadata"] == {"mark": "mine"}
    other.put_object(Bucket=BUCKET, Key=key(cid), Body=whole[:-1])
    with pytest.raises(CarInvalid, match="truncated"):
        bucket.get(cid, max_bytes=9000)
    bucket.put(content(9000))
    assert bucket.get(cid, max_bytes=9000) == content(9000)


@pytest.mark.parametrize("size", [600, 2 * LEAF_BYTES + 1])
def test_who_controls_the_bucket_cannot_forge(service: S3Service, bucket: S3Store, size: int) -> None:
    cid, other = bucket.put(content(size)), bucket.put(b"another object")
    client = service.client()
    whole = client.get_object(Bucket=BUCKET, Key=key(cid))["Body"].read()
    for forged, error in (
        (whole[:-1] + bytes([whole[-1] ^ 1]), CidMismatch),
        (client.get_object(Bucket=BUCKET, Key=key(other))["Body"].read(), CarInvalid),
        (b"", CarInvalid),
        (b"<html>" * 500, CarInvalid),
    ):
        client.put_object(Bucket=BUCKET, Key=key(cid), Body=forged)
        with pytest.raises(error):
            bucket.get(cid, max_bytes=size)
    client.put_object(Bucket=BUCKET, Key=key(cid), Body=whole)
    assert bucket.get(cid, max_bytes=size) == content(size)


def test_a_reader_reads_and_is_refused_as_a_writer(
    service: S3Service, bucket: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    cid = bucket.put(content(700))
    act_as(monkeypatch, service.reader)
    reader = opened(service.words)
    assert reader.get(cid, max_bytes=700) == content(700)
    assert reader.locate(cid.digest) == cid
    assert not reader.has(cid_of(b"never"))
    with pytest.raises(StoreRefused, match=r"403 AccessDenied.*check the credentials"):
        reader.put(b"what a reader brings")


def test_without_credentials_what_is_public_is_read_and_nothing_written(tmp_path: Path) -> None:
    mine, signed = DiskStore(tmp_path), list[str]()
    cid = mine.put(content(800))

    def respond(handler: http_peers.BaseHTTPRequestHandler) -> None:
        signed.extend(name for name in handler.headers if name.lower() == "authorization" or "amz" in name.lower())
        http_peers.send(handler, 200, http_peers.car_of(mine, cid))

    with http_peers.serving(respond) as url:
        store = opened(f"s3://bucket?endpoint={url}")
        assert store.get(cid, max_bytes=800) == content(800)
        with pytest.raises(StoreReadOnly, match=r"no credentials for s3://.*AWS_ACCESS_KEY_ID"):
            store.put(b"hello")
    assert signed == []


@pytest.mark.parametrize("which", ["key", "secret"])
def test_wrong_credentials_are_named_by_kind_and_never_told(
    service: S3Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, which: str
) -> None:
    keys = Keys("AKIDWRONG", "wrong") if which == "key" else Keys(service.writer.access, KEYS.secret)
    act_as(monkeypatch, keys)
    caplog.set_level(logging.DEBUG)
    store = opened(service.words)
    said = []
    for act in (lambda: store.put(b"hello"), lambda: store.get(cid_of(b"hello"), max_bytes=5),
                lambda: store.has(cid_of(b"hello"))):  # fmt: skip
        with pytest.raises(StoreUnavailable, match=r"InvalidAccessKeyId|SignatureDoesNotMatch") as caught:
            act()
        said.append(str(caught.value))
    assert all(keys.access not in line and keys.secret not in line for line in said)
    assert KEYS.secret not in caplog.text


def test_no_bucket_is_said(service: S3Service, monkeypatch: pytest.MonkeyPatch) -> None:
    act_as(monkeypatch, service.writer)
    store = opened(f"s3://nobodys-bucket?endpoint={service.url}")
    with pytest.raises(StoreRefused, match=r"404 NoSuchBucket.*make the bucket"):
        store.put(b"hello")
    with pytest.raises(StoreUnavailable, match=r"404 NoSuchBucket.*make the bucket"):
        store.get(cid_of(b"hello"), max_bytes=5)
    assert not store.has(cid_of(b"hello"))


def test_end_point_and_credentials_come_from_where_every_aws_tool_finds_them(
    service: S3Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "credentials").write_text(
        f"[lab]\naws_access_key_id = {service.writer.access}\naws_secret_access_key = {service.writer.secret}\n"
    )
    act_as(monkeypatch, None, tmp_path)
    monkeypatch.setenv("AWS_PROFILE", "lab")
    monkeypatch.setenv("AWS_ENDPOINT_URL", service.url)
    store = opened(f"s3://{BUCKET}")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(ConfigError, match="ProfileNotFound"):
        store.has(cid_of(b"x"))
    monkeypatch.setenv("AWS_PROFILE", "lab")
    assert store.get(store.put(b"by profile"), max_bytes=20) == b"by profile"
    monkeypatch.setenv("AWS_ENDPOINT_URL", service.url.replace("//", "//user:hunter2@"))
    with pytest.raises(ConfigError, match="holds a user or password") as caught:
        opened(f"s3://{BUCKET}").has(cid_of(b"x"))
    assert "hunter2" not in str(caught.value)


def test_it_is_one_of_several(service: S3Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    act_as(monkeypatch, service.writer)
    cid = open_store(f"disk,{service.words}", own=tmp_path / "mine").put(b"to both")
    assert DiskStore(tmp_path / "mine").has(cid)
    away = open_store(f"s3://empty-bucket?endpoint={service.url},{service.words}")
    assert away.get(cid, max_bytes=7) == b"to both"


# --- services that do not ---------------------------------------------------------------------------------------------


def answers(*statuses_and_bodies: tuple[int, bytes]) -> tuple[http_peers.Respond, list[str]]:
    """Return a service that answers so in turn (the last one for ever), and the methods that it was asked by."""
    left, asked = list(statuses_and_bodies), list[str]()

    def respond(handler: http_peers.BaseHTTPRequestHandler) -> None:
        asked.append(handler.command)
        handler.rfile.read(int(handler.headers.get("content-length", "0")))
        status, body = left.pop(0) if len(left) > 1 else left[0]
        http_peers.send(handler, status, body, location="http://127.0.0.1:1/elsewhere")

    return respond, asked


def error(code: str) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>m</Message></Error>".encode()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "PAUSE_S", 0.0)
    act_as(monkeypatch, KEYS)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (404, error("NoSuchKey"), StoreMissing, "is not in s3://"),
        (404, b"<html>no such page</html>", StoreUnavailable, "without an S3 error code.*is the end point an S3"),
        (403, error("AccessDenied"), StoreMissing, "may not read it"),
        (403, error("RequestTimeTooSkewed"), StoreUnavailable, "this machine's clock"),
        (301, error("PermanentRedirect"), StoreUnavailable, "301 PermanentRedirect.*another region"),
        (307, b"", StoreUnavailable, "another region"),
        (400, error("AuthorizationHeaderMalformed"), StoreUnavailable, "another region"),
        (400, error("\x1b[31m"), StoreUnavailable, "without an S3 error code"),
        (503, error("SlowDown"), StoreUnavailable, "503 SlowDown.*try again later"),
        (403, b"x" * 200_000, StoreUnavailable, "longer than"),
        (200, b"<html>welcome</html>" * 9, CarInvalid, "not a CARv1"),
    ],
)
def test_what_is_no_object_is_told_apart(status: int, body: bytes, kind: type[FLError], message: str) -> None:
    respond, _ = answers((status, body))
    with http_peers.serving(respond) as url, pytest.raises(kind, match=message) as caught:
        opened(f"s3://bucket?endpoint={url}").get(cid_of(b"hello"), max_bytes=5)
    assert str(caught.value).isprintable()


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "EntityTooLarge", StoreFull), (507, "XMinioStorageFull", StoreFull), (413, "", StoreFull),
        (403, "AccessDenied", StoreRefused), (401, "Unauthorized", StoreRefused), (400, "BadDigest", StoreUnavailable),
        (302, "", StoreUnavailable),
    ],
)  # fmt: skip
def test_what_refuses_an_upload_is_told_apart(status: int, code: str, kind: type[FLError]) -> None:
    respond, asked = answers((404, b""), (status, error(code) if code else b""))
    with http_peers.serving(respond) as url, pytest.raises(kind, match=f"answered {status} {code}"):
        opened(f"s3://bucket?endpoint={url}").put(b"hello")
    assert asked == ["HEAD", "PUT"]  # a redirect was not followed: the signature goes nowhere else


@pytest.mark.usefixtures("hasty")
def test_what_the_service_cannot_do_just_now_is_asked_again() -> None:
    respond, asked = answers((503, b""), (404, b""), (500, error("InternalError")), (503, b""), (200, b""))
    with http_peers.serving(respond) as url:
        assert opened(f"s3://bucket?endpoint={url}").put(content(3000)) == cid_of(content(3000))
    assert asked == ["HEAD", "HEAD", "PUT", "PUT", "PUT"]


@pytest.mark.usefixtures("hasty")
def test_an_object_over_what_one_request_takes_is_refused_unsent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "MAX_CAR_BYTES", 1000)
    with pytest.raises(StoreFull, match="S3 takes 1000 in one request: put it in a disk store"):
        opened("s3://bucket?endpoint=http://127.0.0.1:1").put(content(2000))


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("part", ["head", "body"])
def test_a_service_that_drips_is_given_up(part: str) -> None:
    def respond(handler: http_peers.BaseHTTPRequestHandler) -> None:
        lines = [b"HTTP/1.1 200 OK\r\n"] if part == "head" else [b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n"]
        handler.wfile.write(lines[0])
        while not http_peers.stopped(handler, 0.05):
            handler.wfile.write(b"x")

    waits = Timeouts(connect_s=1, read_s=5, total_s=0.5)
    with http_peers.serving(respond) as url, pytest.raises(StoreUnavailable, match=r"did not finish in 0\.5 s"):
        opened(f"s3://bucket?endpoint={url}", timeouts=waits).get(cid_of(b"hello"), max_bytes=5)


@pytest.mark.usefixtures("hasty")
def test_a_compressed_answer_is_refused() -> None:
    def respond(handler: http_peers.BaseHTTPRequestHandler) -> None:
        http_peers.send(handler, 200, b"x" * 100, content_encoding="gzip")

    with http_peers.serving(respond) as url, pytest.raises(StoreUnavailable, match="content coding 'gzip'"):
        opened(f"s3://bucket?endpoint={url}").get(cid_of(b"hello"), max_bytes=5)


@pytest.mark.usefixtures("hasty")
def test_nobody_there_is_said() -> None:
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        opened("s3://bucket?endpoint=http://127.0.0.1:9").get(cid_of(b"hello"), max_bytes=5)
