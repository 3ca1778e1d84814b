"""Signed key packages: every box counts, in its order, for one receipt and one domain; unsigned keys are no reveal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fl_platform.errors import ReceiptSignatureInvalid
from fl_platform.protocol.bundle import Entry, WrappedKey
from fl_platform.protocol.keypackage import MAX_BOXES, boxes_hash, check_package, has_package, package_digest, wrap_keys
from fl_platform.protocol.receipt import Domain, Receipt, sign_digest
from fl_platform.protocol.spec import MAX_AUDITORS
from tests.support.rounds import DOMAIN, address_of, private_key
from tests.support.specs import small_spec

RECEIPT = Receipt(
    task=7, round=1, life=0, base_round=1, trainer=address_of(1), parent=bytes(32), update=bytes(32),
    length=100, key_hash=bytes(32),
    leaves_root=bytes(32), content_root=bytes(32), commitment=bytes(32), samples=1, salt=bytes(32),
)  # fmt: skip
SPEC = small_spec()
KEYS = tuple(WrappedKey(bytes([i]) * 20, bytes([i]) * 64, bytes([i]) * 32) for i in range(3))


def sign(keys: tuple[WrappedKey, ...], receipt: Receipt = RECEIPT, number: int = 1) -> bytes:
    return sign_digest(package_digest(receipt, keys, DOMAIN, SPEC), private_key(number))


def test_the_trainers_own_signature_counts_and_no_other() -> None:
    signature = sign(KEYS)
    check_package(RECEIPT, KEYS, signature, DOMAIN, SPEC)
    garbled = (*KEYS[:2], replace(KEYS[2], ciphertext=bytes(32)))
    for keys in (garbled, KEYS[::-1], KEYS[:2], (*KEYS, KEYS[0])):
        with pytest.raises(ReceiptSignatureInvalid):
            check_package(RECEIPT, keys, signature, DOMAIN, SPEC)
    with pytest.raises(ReceiptSignatureInvalid):
        check_package(replace(RECEIPT, round=2), KEYS, signature, DOMAIN, SPEC)
    with pytest.raises(ReceiptSignatureInvalid):
        check_package(RECEIPT, KEYS, signature, Domain(DOMAIN.chain_id + 1, DOMAIN.ledger), SPEC)
    for other in (sign(KEYS, number=2), b"", signature[:64], bytes(65)):
        with pytest.raises(ReceiptSignatureInvalid):
            check_package(RECEIPT, KEYS, other, DOMAIN, SPEC)


@pytest.mark.parametrize(
    "key",
    [WrappedKey(bytes(19), bytes(64), bytes(32)), WrappedKey(bytes(20), bytes(65), bytes(32)),
     WrappedKey(bytes(20), bytes(64), bytes(48))],
)  # fmt: skip
def test_boxes_have_one_shape(key: WrappedKey) -> None:
    with pytest.raises(ReceiptSignatureInvalid, match="20, 64 and 32"):
        boxes_hash((key,), SPEC)


def test_a_package_without_end_is_refused_before_it_is_hashed() -> None:
    many = (KEYS[0],) * (MAX_BOXES + 1)
    with pytest.raises(ReceiptSignatureInvalid, match="at most"):
        check_package(RECEIPT, many, sign(many), DOMAIN, SPEC)


def test_keys_without_a_signature_are_no_reveal() -> None:
    entry = Entry(RECEIPT, bytes(65), 10, KEYS, sign(KEYS), forced=False)
    assert has_package(entry, DOMAIN, SPEC)
    assert not has_package(replace(entry, keys_signature=b""), DOMAIN, SPEC)
    assert not has_package(replace(entry, keys=KEYS[:1]), DOMAIN, SPEC)
    assert not has_package(replace(entry, keys=(), keys_signature=sign(())), DOMAIN, SPEC)


def test_the_recipients_key_is_bound_as_the_task_froze_it() -> None:
    party = replace(SPEC.aggregators[0], wrap_key=bytes(63) + b"\1")
    other = replace(SPEC, aggregators=(party,))
    keys = (replace(KEYS[0], recipient=party.address),)
    assert boxes_hash(keys, SPEC) != boxes_hash(keys, other)
    assert boxes_hash(KEYS, SPEC) == boxes_hash(KEYS, other)
    assert wrap_keys(other)[party.address] == party.wrap_key


def test_a_task_of_all_parties_that_it_can_have_fits_one_package() -> None:
    aggregators = 8  # check_spec's limit
    assert aggregators + MAX_AUDITORS <= MAX_BOXES
