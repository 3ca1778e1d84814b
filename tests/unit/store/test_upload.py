"""What is signed: every field counts, and a header says one thing in one spelling."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from fl_platform.errors import DocumentInvalid
from fl_platform.store import cid_of
from fl_platform.store.upload import SignedUpload, Upload
from tests.support.served import MEMBER

CID = cid_of(b"hello")
UPLOAD = Upload("http://127.0.0.1:8790", bytes(range(32)), CID, 123, 1_700_000_000, bytes(31) + b"\x05")


def test_the_digest_is_eip_712s() -> None:
    """A wallet that shows typed data shows these fields, and signs the same digest."""
    typed: dict[str, Any] = {
        "types": {
            "EIP712Domain": [{"name": "name", "type": "string"}, {"name": "version", "type": "string"}],
            "Upload": [
                {"name": "method", "type": "string"}, {"name": "server", "type": "string"},
                {"name": "run", "type": "bytes32"}, {"name": "cid", "type": "bytes"},
                {"name": "length", "type": "uint64"}, {"name": "deadline", "type": "uint64"},
                {"name": "nonce", "type": "bytes32"},
            ],
        },
        "primaryType": "Upload",
        "domain": {"name": "fl-platform store", "version": "1"},
        "message": {
            "method": "PUT", "server": UPLOAD.server, "run": UPLOAD.run, "cid": CID.to_bytes(),
            "length": UPLOAD.length, "deadline": UPLOAD.deadline, "nonce": UPLOAD.nonce,
        },
    }  # fmt: skip
    signed = Account.sign_message(encode_typed_data(full_message=typed), bytes([7]) * 32)
    assert bytes(signed.message_hash) == UPLOAD.digest()
    assert bytes(signed.signature) == MEMBER.sign_digest(UPLOAD.digest())


@pytest.mark.parametrize(
    "change",
    [{"server": "http://127.0.0.1:8791"}, {"run": bytes(32)}, {"cid": cid_of(b"x")}, {"length": 124},
     {"deadline": 1_700_000_001}, {"nonce": bytes(32)}],
)  # fmt: skip
def test_every_field_is_signed(change: dict[str, Any]) -> None:
    assert replace(UPLOAD, **change).digest() != UPLOAD.digest()


def test_a_header_is_read_as_it_was_written() -> None:
    signed = SignedUpload.parse(UPLOAD.header(MEMBER), cid=CID, length=123)
    assert (signed.upload, signed.account, signed.is_genuine()) == (UPLOAD, MEMBER.address, True)
    assert not SignedUpload.parse(UPLOAD.header(MEMBER), cid=CID, length=124).is_genuine()


@pytest.mark.parametrize("damage", ["", "x", " ", "\n", "upper", "twice"])
def test_another_spelling_is_no_header(damage: str) -> None:
    header = UPLOAD.header(MEMBER)
    bad = {"": "", "upper": header.upper(), "twice": header + header}.get(damage, header + damage)
    with pytest.raises(DocumentInvalid, match="not signed"):
        SignedUpload.parse(bad, cid=CID, length=123)
