"""Wrapped keys: they open for one recipient in one context, and a bad one can be shown to be bad."""

from __future__ import annotations

import dataclasses

import pytest

from fl_platform.errors import EnvelopeInvalid, PointInvalid, WalletError
from fl_platform.protocol.keccak import keccak256
from fl_platform.store import keywrap
from fl_platform.store.keywrap import KeyBox, RevealKey, WrapContext
from zk.curve import bn254

KEY = bytes(range(32))
KEY_HASH = keccak256(KEY)
CONTEXT = WrapContext(chain_id=31337, contract=b"c" * 20, task=7, round=3, trainer=b"t" * 20, recipient=b"r" * 20)
RECIPIENT = RevealKey.derive(b"aggregator secret, thirty-two bytes")
EPHEMERAL = keywrap.derive_ephemeral(secret=b"trainer secret, thirty-two bytes!", context=CONTEXT, key=KEY)
WRAPPED = keywrap.wrap_key(KEY, recipient=RECIPIENT.public, context=CONTEXT, ephemeral=EPHEMERAL)


def unwrap(wrapped: KeyBox = WRAPPED, recipient: RevealKey = RECIPIENT, context: WrapContext = CONTEXT) -> bytes:
    """Unwrap with one thing changed from the happy path."""
    return keywrap.unwrap_key(wrapped, recipient=recipient, context=context, expected_key_hash=KEY_HASH)


def test_the_recipient_gets_the_key() -> None:
    assert unwrap() == KEY
    assert unwrap(KeyBox.from_bytes(WRAPPED.to_bytes())) == KEY
    assert len(WRAPPED.to_bytes()) == keywrap.WRAPPED_BYTES == 96


def test_wrapping_is_reproducible_and_one_time() -> None:
    again = keywrap.derive_ephemeral(secret=b"trainer secret, thirty-two bytes!", context=CONTEXT, key=KEY)
    other_key = keywrap.derive_ephemeral(secret=b"trainer secret, thirty-two bytes!", context=CONTEXT, key=bytes(32))
    other_round = keywrap.derive_ephemeral(
        secret=b"trainer secret, thirty-two bytes!", context=dataclasses.replace(CONTEXT, round=4), key=KEY
    )
    assert again == EPHEMERAL
    assert len({EPHEMERAL, other_key, other_round}) == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("chain_id", 1),
        ("contract", b"d" * 20),
        ("task", 8),
        ("round", 4),
        ("trainer", b"u" * 20),
        ("recipient", b"s" * 20),
    ],
)
def test_a_key_of_another_context_does_not_open(field: str, value: object) -> None:
    with pytest.raises(EnvelopeInvalid, match="is not the committed one"):
        unwrap(context=dataclasses.replace(CONTEXT, **{field: value}))  # type: ignore[arg-type]


def test_another_recipient_learns_nothing() -> None:
    with pytest.raises(EnvelopeInvalid, match="is not the committed one"):
        unwrap(recipient=RevealKey.derive(b"some other secret of 32 bytes....."))


@pytest.mark.parametrize("offset", [0, 31])
def test_a_changed_box_does_not_open(offset: int) -> None:
    box = bytearray(WRAPPED.box)
    box[offset] ^= 1
    with pytest.raises(EnvelopeInvalid, match="task 7, round 3"):
        unwrap(KeyBox(WRAPPED.ephemeral, bytes(box)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "96 bytes, not 0"),
        (WRAPPED.to_bytes() + b"\0", "96 bytes, not 97"),
        (bytes(96), "infinity"),
        (b"\0" * 31 + b"\1" + b"\0" * 31 + b"\1" + bytes(32), "not on the curve"),
        (b"\xff" * 96, "not below the field"),
    ],
)
def test_malformed_wraps_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(EnvelopeInvalid, match=message):
        KeyBox.from_bytes(data)


def test_a_wrap_that_skipped_parsing_is_still_checked() -> None:
    with pytest.raises(EnvelopeInvalid, match="not on the curve"):
        unwrap(KeyBox(bn254.Point(1, 1), WRAPPED.box))
    with pytest.raises(EnvelopeInvalid, match="box has 32 bytes, not 3"):
        unwrap(KeyBox(WRAPPED.ephemeral, b"box"))


def test_a_key_cannot_be_wrapped_for_a_bad_point() -> None:
    for point in (bn254.INFINITY, bn254.Point(1, 1)):
        with pytest.raises(PointInvalid):
            keywrap.wrap_key(KEY, recipient=point, context=CONTEXT, ephemeral=EPHEMERAL)


@pytest.mark.parametrize(("key", "ephemeral"), [(b"short", 1), (KEY, 0), (KEY, bn254.ORDER)])
def test_our_own_mistakes_are_value_errors(key: bytes, ephemeral: int) -> None:
    with pytest.raises(ValueError):
        keywrap.wrap_key(key, recipient=RECIPIENT.public, context=CONTEXT, ephemeral=ephemeral)


def test_a_bad_wrap_can_be_shown_to_anybody() -> None:
    """The recipient publishes S; with it, a judge without any secret sees that the box holds another key.

    That S is the right point is what a proof of equal discrete logarithms shows: log_G(P) = log_E(S).
    """
    bad = keywrap.wrap_key(bytes(32), recipient=RECIPIENT.public, context=CONTEXT, ephemeral=EPHEMERAL)
    shared = keywrap.shared_point(bad, RECIPIENT)
    assert shared == bn254.multiply(RECIPIENT.public, EPHEMERAL)
    with pytest.raises(EnvelopeInvalid):
        keywrap.open_box(bad, shared=shared, recipient=RECIPIENT.public, context=CONTEXT, expected_key_hash=KEY_HASH)
    good = keywrap.shared_point(WRAPPED, RECIPIENT)
    opened = keywrap.open_box(
        WRAPPED, shared=good, recipient=RECIPIENT.public, context=CONTEXT, expected_key_hash=KEY_HASH
    )
    assert opened == KEY


def test_contexts_have_one_encoding() -> None:
    assert len(CONTEXT.encode()) == 132
    assert CONTEXT.encode().hex().endswith("0000000000000003" + (b"t" * 20 + b"r" * 20).hex())
    for field, value in (
        ("contract", b"c"),
        ("trainer", b""),
        ("round", 1 << 64),
        ("task", -1),
        ("chain_id", 1 << 256),
    ):
        with pytest.raises(ValueError):
            dataclasses.replace(CONTEXT, **{field: value})  # type: ignore[arg-type]


def test_key_pairs() -> None:
    pair = RevealKey.derive(b"x" * 32)
    assert pair == RevealKey.from_secret(pair.secret)
    assert pair != RevealKey.derive(b"x" * 32, label=b"auditor")
    assert str(pair.secret) not in repr(pair)
    assert f"{pair.secret:x}" not in repr(pair)
    for secret in (0, bn254.ORDER):
        with pytest.raises(WalletError):
            RevealKey.from_secret(secret)
    with pytest.raises(ValueError, match="at least 32"):
        RevealKey.derive(b"short")
