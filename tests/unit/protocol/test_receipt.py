"""Receipts, against eth-account's independent EIP-712 encoder."""

from dataclasses import fields, replace

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_keys.constants import SECPK1_N
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import DocumentInvalid, ReceiptSignatureInvalid
from fl_platform.protocol.receipt import Domain, Receipt, SignedReceipt, check_signature, recover, sign_receipt

KEY = bytes.fromhex("4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318")
TRAINER = bytes.fromhex(Account.from_key(KEY).address[2:])
DOMAIN = Domain(31337, b"\x11" * 20)

receipts = st.builds(
    Receipt,
    task=st.integers(0, 2**256 - 1),
    round=st.integers(0, 2**64 - 1),
    life=st.integers(0, 2**64 - 1),
    base_round=st.integers(0, 2**64 - 1),
    trainer=st.just(TRAINER),
    length=st.integers(0, 2**64 - 1),
    samples=st.integers(0, 2**64 - 1),
    **{
        name: st.binary(min_size=32, max_size=32)
        for name in ("parent", "update", "key_hash", "leaves_root", "content_root", "commitment", "salt", "extras")
    },
)
EXAMPLE = Receipt(
    7, 3, 1, 3, TRAINER, b"p" * 32, b"u" * 32, 100, b"k" * 32, b"l" * 32, b"c" * 32,
    bytes(32), 60, b"s" * 32,
)  # fmt: skip


def typed_data(receipt: Receipt) -> dict[str, object]:
    names = {
        "base_round": "baseRound", "key_hash": "keyHash", "leaves_root": "leavesRoot", "content_root": "contentRoot",
    }  # fmt: skip
    numbers = dict.fromkeys(("round", "life", "base_round", "length", "samples"), "uint64")
    types = {"task": "uint256", "trainer": "address", **numbers}
    members = [{"name": names.get(f.name, f.name), "type": types.get(f.name, "bytes32")} for f in fields(Receipt)]
    domain = [("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")]
    return {
        "types": {"EIP712Domain": [{"name": n, "type": t} for n, t in domain], "Receipt": members},
        "primaryType": "Receipt",
        "domain": {
            "name": "fl-platform",
            "version": "1",
            "chainId": DOMAIN.chain_id,
            "verifyingContract": "0x" + DOMAIN.ledger.hex(),
        },
        "message": {names.get(f.name, f.name): getattr(receipt, f.name) for f in fields(Receipt)}
        | {"trainer": "0x" + receipt.trainer.hex()},
    }


@settings(max_examples=25, deadline=None)
@given(receipts)
def test_signature_agrees_with_eth_account(receipt: Receipt) -> None:
    signed = sign_receipt(receipt, DOMAIN, KEY)
    reference = Account.sign_message(encode_typed_data(full_message=typed_data(receipt)), KEY)
    assert signed.signature == bytes(reference.signature)
    check_signature(signed, DOMAIN)
    assert Receipt.from_json(receipt.to_json()) == receipt


@pytest.mark.parametrize("name", [f.name for f in fields(Receipt)])
def test_each_field_is_signed(name: str) -> None:
    signed = sign_receipt(EXAMPLE, DOMAIN, KEY)
    value = getattr(EXAMPLE, name)
    changed = replace(EXAMPLE, **{name: value + 1 if isinstance(value, int) else b"\x01" + value[1:]})
    with pytest.raises(ReceiptSignatureInvalid):
        check_signature(SignedReceipt(changed, signed.signature), DOMAIN)


@pytest.mark.parametrize("domain", [Domain(1, b"\x11" * 20), Domain(31337, b"\x12" * 20)])
def test_other_chain_or_contract_is_refused(domain: Domain) -> None:
    with pytest.raises(ReceiptSignatureInvalid):
        check_signature(sign_receipt(EXAMPLE, DOMAIN, KEY), domain)


def test_malleable_signatures_are_refused() -> None:
    digest = EXAMPLE.digest(DOMAIN)
    good = sign_receipt(EXAMPLE, DOMAIN, KEY).signature
    high_s = (SECPK1_N - int.from_bytes(good[32:64], "big")).to_bytes(32, "big")
    variants = [
        good[:32] + high_s + bytes([55 - good[64]]),
        good[:64] + bytes([good[64] - 27]),
        good[:64],
        good + b"\x00",
        bytes(65),
        bytes(64) + b"\x1b",
        b"",
        b"\xff" * 64 + b"\x1b",
    ]
    for signature in variants:
        with pytest.raises(ReceiptSignatureInvalid):
            recover(digest, signature)
    assert recover(digest, good) == TRAINER


@pytest.mark.parametrize(
    "change",
    [
        {"task": -1},
        {"round": 2**64},
        {"trainer": "0x00"},
        {"salt": "0x" + "A" * 64},
        {"salt": 5},
        {"task": True},
        {"extra": 1},
    ],
)
def test_malformed_documents_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(DocumentInvalid):
        Receipt.from_json(EXAMPLE.to_json() | change)
