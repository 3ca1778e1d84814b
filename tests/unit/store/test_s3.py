"""Naming a bucket, and the store without its package; with it and a real service: tests/e2e/test_s3_service.py."""

from __future__ import annotations

import sys

import pytest

from fl_platform.errors import ConfigError
from fl_platform.store import cid_of
from fl_platform.store.opening import open_store
from fl_platform.store.s3 import S3Address, S3Store

CID = cid_of(b"hello")


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    for open_it in (lambda: open_store("s3://bucket"), lambda: S3Store(S3Address.parse("s3://bucket"))):
        with pytest.raises(ConfigError, match=r"pip install 'fl-platform\[s3\]'"):
            open_it()


@pytest.mark.parametrize(
    ("words", "path", "endpoint", "region"),
    [
        ("s3://bucket", f"/bucket/{CID}.car", "", ""),
        ("s3://bucket/", f"/bucket/{CID}.car", "", ""),
        ("s3://my.bucket-1/a/b_2.c/", f"/my.bucket-1/a/b_2.c/{CID}.car", "", ""),
        ("s3://bucket?region=eu-west-1", f"/bucket/{CID}.car", "", "eu-west-1"),
        ("s3://bucket/x?endpoint=http://127.0.0.1:9000/", f"/bucket/x/{CID}.car", "http://127.0.0.1:9000", ""),
        ("s3://bucket?region=auto&endpoint=https://x.example/s3", f"/bucket/{CID}.car", "https://x.example/s3", "auto"),
    ],
)
def test_an_address_is_a_bucket_a_prefix_and_where_the_service_is(
    words: str, path: str, endpoint: str, region: str
) -> None:
    address = S3Address.parse(words)
    assert address.path_of(CID) == path
    assert (address.endpoint, address.region) == (endpoint, region)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("s3://", "no bucket's name"),
        ("s3:bucket", "no bucket's name"),
        ("s3://Bucket", "no bucket's name"),
        ("s3://b", "no bucket's name"),
        ("s3://key:word@bucket", "no bucket's name"),
        ("s3://bucket:80", "no bucket's name"),
        ("s3://bucket/a//b", "no prefix"),
        ("s3://bucket/../other", "no prefix"),
        ("s3://bucket/a%2fb", "no prefix"),
        ("s3://bucket/" + "a" * 600, "at most 512"),
        ("s3://bucket?acl=public", "no other option"),
        ("s3://bucket?endpoint", "give s3://"),
        ("s3://bucket?region=eu-west-1&region=x", "no other option"),
        ("s3://bucket#x", "no other option"),
        ("s3://bucket?region=Europe", "no region"),
        ("s3://bucket?region=", "no region"),
        ("s3://bucket?endpoint=", "no S3 end point"),
        ("s3://bucket?endpoint=127.0.0.1:9000", "no S3 end point"),
        ("s3://bucket?endpoint=ftp://host", "no S3 end point"),
        ("s3://bucket?endpoint=http://host/?x=1", "no S3 end point"),
        ("s3://bucket?endpoint=http://host/a b", "cannot be signed"),
        ("s3://bucket?endpoint=http://[::1", "no address"),
    ],
)
def test_anything_else_is_refused_with_what_to_give(words: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        S3Address.parse(words)


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    for words in ("s3://bucket?endpoint=https://user:hunter2@host", "s3://user:hunter2@bucket"):
        with pytest.raises(ConfigError) as caught:
            S3Address.parse(words)
        assert "hunter2" not in str(caught.value)
