"""Signed key packages: one box for each recipient, in order, for one receipt and one domain; all else is no reveal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fl_platform.errors import ReceiptSignatureInvalid
from fl_platform.protocol.bundle import Entry, WrappedKey
from fl_platform.protocol.keypackage import (
    KEYED_AGGREGATORS,
    MAX_BOXES,
    boxes_hash,
    check_package,
    has_package,
    package_digest,
    recipients,
    wrap_keys,
)
from fl_platform.protocol.receipt import Domain, Receipt, sign_digest
from fl_platform.protocol.spec import MAX_AUDITORS, Party, TaskSpec
from tests.support.rounds import DOMAIN, address_of, private_key
from tests.support.specs import small_spec

RECEIPT = Receipt(
    task=7, round=1, life=0, base_round=1, trainer=address_of(1), parent=bytes(32), update=bytes(32),
    length=100, key_hash=bytes(32),
    leaves_root=bytes(32), content_root=bytes(32), commitment=bytes(32), samples=1, salt=bytes(32),
)  # fmt: skip
PARTIES = tuple(Party(bytes([0xC0 + i]) * 20, bytes([0xC0 + i]) * 64) for i in range(5))
SPEC = small_spec(aggregators=PARTIES[:3], auditors=PARTIES[3:])  # the third aggregator gets no key
KEYS = tuple(WrappedKey(party.address, bytes([i]) * 64, bytes([i]) * 32) for i, party in enumerate(recipients(SPEC)))


def sign(keys: tuple[WrappedKey, ...], receipt: Receipt = RECEIPT, number: int = 1, spec: TaskSpec = SPEC) -> bytes:
    return sign_digest(package_digest(receipt, keys, DOMAIN, spec), private_key(number))


def test_the_first_two_aggregators_and_all_auditors_get_a_key_in_this_order() -> None:
    assert KEYED_AGGREGATORS == 2
    assert recipients(SPEC) == (*PARTIES[:2], *PARTIES[3:])
    assert recipients(replace(SPEC, aggregators=PARTIES[:1], auditors=())) == PARTIES[:1]


def test_the_trainers_own_signature_counts_and_no_other() -> None:
    signature = sign(KEYS)
    check_package(RECEIPT, KEYS, signature, DOMAIN, SPEC)
    garbled = (*KEYS[:3], replace(KEYS[3], ciphertext=bytes(32)))
    with pytest.raises(ReceiptSignatureInvalid, match="are signed by"):
        check_package(RECEIPT, garbled, signature, DOMAIN, SPEC)
    for keys in (KEYS[::-1], KEYS[:3], (*KEYS, KEYS[0])):
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


OTHERS: dict[str, tuple[WrappedKey, ...]] = {
    "none": (),
    "the first alone": KEYS[:1],
    "all but the last": KEYS[:-1],
    "all but the first": KEYS[1:],
    "one twice": (KEYS[0], KEYS[0], *KEYS[2:]),
    "one more": (*KEYS, KEYS[0]),
    "one more, of nobody": (*KEYS, replace(KEYS[0], recipient=bytes(20))),
    "one of the aggregator that gets none": (*KEYS[:2], replace(KEYS[2], recipient=PARTIES[2].address), KEYS[3]),
    "two in the other order": (KEYS[1], KEYS[0], *KEYS[2:]),
    "the auditors first": (*KEYS[2:], *KEYS[:2]),
}


@pytest.mark.parametrize("keys", OTHERS.values(), ids=OTHERS.keys())
def test_boxes_for_others_than_the_tasks_recipients_in_order_are_no_reveal_though_signed(
    keys: tuple[WrappedKey, ...],
) -> None:
    entry = Entry(RECEIPT, bytes(65), 10, keys, sign(keys), forced=False)
    assert not has_package(entry, DOMAIN, SPEC)
    with pytest.raises(ReceiptSignatureInvalid, match="one for each of the task's 4 recipients, in order"):
        check_package(RECEIPT, keys, sign(keys), DOMAIN, SPEC)


def test_who_stands_in_two_lists_gets_two_boxes() -> None:
    both = small_spec(aggregators=PARTIES[:1], auditors=PARTIES[:1])
    key = WrappedKey(PARTIES[0].address, bytes(64), bytes(32))
    check_package(RECEIPT, (key, key), sign((key, key), spec=both), DOMAIN, both)
    with pytest.raises(ReceiptSignatureInvalid, match="one for each of the task's 2 recipients"):
        check_package(RECEIPT, (key,), sign((key,), spec=both), DOMAIN, both)


def test_keys_without_a_signature_are_no_reveal() -> None:
    entry = Entry(RECEIPT, bytes(65), 10, KEYS, sign(KEYS), forced=False)
    assert has_package(entry, DOMAIN, SPEC)
    assert not has_package(replace(entry, keys_signature=b""), DOMAIN, SPEC)
    assert not has_package(replace(entry, keys=KEYS[:1]), DOMAIN, SPEC)
    assert not has_package(replace(entry, keys=(), keys_signature=sign(())), DOMAIN, SPEC)


def test_the_recipients_key_is_bound_as_the_task_froze_it() -> None:
    party = replace(SPEC.aggregators[0], wrap_key=bytes(63) + b"\1")
    other = replace(SPEC, aggregators=(party, *SPEC.aggregators[1:]))
    assert boxes_hash(KEYS[:1], SPEC) != boxes_hash(KEYS[:1], other)
    assert boxes_hash(KEYS[1:], SPEC) == boxes_hash(KEYS[1:], other)
    with pytest.raises(ReceiptSignatureInvalid, match="are signed by"):
        check_package(RECEIPT, KEYS, sign(KEYS), DOMAIN, other)
    assert wrap_keys(other)[party.address] == party.wrap_key


def test_a_task_of_all_parties_that_it_can_have_fits_one_package() -> None:
    aggregators = 8  # check_spec's limit
    assert aggregators + MAX_AUDITORS <= MAX_BOXES
