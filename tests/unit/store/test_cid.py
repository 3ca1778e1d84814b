"""The closed grammar of content identifiers."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_platform.errors import CidInvalid
from fl_platform.store.cid import DAG_PB, RAW, Cid

HELLO = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"  # `echo -n hello | ipfs add --cid-version 1`

cids = st.builds(Cid, st.sampled_from([RAW, DAG_PB]), st.binary(min_size=32, max_size=32))


def test_a_known_cid() -> None:
    assert str(Cid.of_block(b"hello")) == HELLO
    assert Cid.parse(HELLO).digest == hashlib.sha256(b"hello").digest()


@given(cids)
def test_text_and_binary_forms_are_read_back(cid: Cid) -> None:
    assert Cid.parse(str(cid)) == cid
    assert Cid.from_bytes(cid.to_bytes()) == cid
    assert len(str(cid)) == 59


def other(codec: int = 0x71, code: int = 0x12, length: int = 0x20, version: int = 1) -> str:
    """Return the text of a CID that differs in one field."""
    data = bytes((version, codec, code, length)) + bytes(32)
    return "b" + base64.b32encode(data).decode().lower().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "b",
        HELLO + "/readme",
        "/ipfs/" + HELLO,
        HELLO + "\n",
        " " + HELLO,
        HELLO.upper(),
        HELLO[:-1],
        HELLO + "a",
        "z" + HELLO[1:],
        "QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXEN",  # CIDv0
        "zb2rhZfjRh2FHHB2RkHVEvL2vJnCTcu7kwRqgVsf9gpkLgteo",  # base58
        other(codec=0x71),  # dag-cbor
        other(codec=0x70, code=0x14),  # another hash
        other(codec=0x55, length=0x1F),
        other(codec=0x55, version=2),
        "../../etc/passwd",
        "b" + "a" * 57 + "é",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(CidInvalid):
        Cid.parse(text)


def test_spare_bits_in_the_last_character_are_refused() -> None:
    """Base32 leaves two bits over: a decoder that ignores them knows one object under four names."""
    twin = HELLO[:-1] + chr(ord(HELLO[-1]) + 1)
    with pytest.raises(CidInvalid, match="canonical"):
        Cid.parse(twin)


def test_what_is_not_text_is_refused() -> None:
    with pytest.raises(CidInvalid):
        Cid.parse(b"bafk")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data", [b"", bytes(36), Cid(RAW, bytes(32)).to_bytes() + b"\0", b"\x01\x55\x12\x20" + bytes(31)]
)
def test_malformed_binary_forms_are_refused(data: bytes) -> None:
    with pytest.raises(CidInvalid):
        Cid.from_bytes(data)


@pytest.mark.parametrize(("codec", "digest"), [(0x71, bytes(32)), (RAW, bytes(31)), (RAW, b"")])
def test_a_cid_without_encoding_cannot_be_made(codec: int, digest: bytes) -> None:
    with pytest.raises(CidInvalid):
        Cid(codec, digest)
