"""Addresses with a checksum: as the definition's own examples, and as another library computes them."""

from __future__ import annotations

import pytest
from eth_utils import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from fl_platform.chain.addresses import checksum_address, checksummed, parse_address
from fl_platform.errors import ConfigError

EXAMPLES = (
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
)
addresses = st.binary(min_size=20, max_size=20)


@pytest.mark.parametrize("text", EXAMPLES)
def test_the_definition_s_examples(text: str) -> None:
    address = bytes.fromhex(text[2:])
    assert checksum_address(address) == text
    assert parse_address(text) == parse_address(text.lower()) == parse_address("0x" + text[2:].upper()) == address


@given(addresses)
def test_another_library_agrees(address: bytes) -> None:
    assert checksum_address(address) == to_checksum_address(address)


def test_one_wrong_letter_is_refused_with_the_right_form() -> None:
    with pytest.raises(ConfigError, match=f"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD has .* it is {EXAMPLES[2]}"):
        parse_address("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD")


@given(addresses, st.integers(min_value=2, max_value=41))
def test_a_letter_of_the_other_case_never_passes(address: bytes, at: int) -> None:
    right = checksum_address(address)
    wrong = right[:at] + right[at].swapcase() + right[at + 1 :]
    if wrong[2:] in (right[2:], right[2:].lower(), right[2:].upper()):
        assert parse_address(wrong) == address
    else:
        with pytest.raises(ConfigError):
            parse_address(wrong)


@pytest.mark.parametrize("text", ["", "name", "0x12", "0X" + "a" * 40, "a" * 40, "0x" + "a" * 64, " 0x" + "a" * 40])
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse_address(text) is None


def test_addresses_in_a_text_are_shown_and_digests_left() -> None:
    one, digest = EXAMPLES[2], "0x" + "ab" * 32
    text = f"by {one.lower()} ({digest}, {one.lower()}:{digest}), not {one.lower()}0 or {one.lower()[2:]}"
    assert checksummed(text) == f"by {one} ({digest}, {one}:{digest}), not {one.lower()}0 or {one.lower()[2:]}"
