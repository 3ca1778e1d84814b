"""A party's line survives the way to another machine, and anything else is refused."""

from __future__ import annotations

import pytest

from fl_platform.chain.addresses import checksum_address
from fl_platform.errors import ConfigError, PointInvalid
from fl_platform.task.party_text import parse_party, party_text
from fl_platform.task.workspace import party
from tests.support.chain import wallet


def test_a_party_is_read_as_it_was_written() -> None:
    mine = party(wallet(1))
    assert parse_party(f"  {party_text(mine)}\n") == mine


@pytest.mark.parametrize("text", ["", "0x12", "0x" + "a" * 40, "0x" + "a" * 40 + ":0x" + "b" * 127, "name:name"])
def test_other_words_are_no_party(text: str) -> None:
    with pytest.raises(ConfigError, match="wallet show"):
        parse_party(text)


def test_an_address_with_a_wrong_checksum_is_refused() -> None:
    mine = party(wallet(1))
    address, _, key = party_text(mine).partition(":")
    right = checksum_address(mine.address)
    assert parse_party(f"{right}:{key}") == parse_party(f"0x{address[2:].upper()}:{key}") == mine
    at = next(place for place, letter in enumerate(right) if letter.isupper())
    with pytest.raises(ConfigError, match=f"wrong checksum.*{right}"):
        parse_party(f"{right[:at]}{right[at].lower()}{right[at + 1 :]}:{key}")


@pytest.mark.parametrize("key", ["00" * 64, "01" * 64, "ff" * 64])
def test_a_key_that_is_no_usable_point_is_refused(key: str) -> None:
    with pytest.raises(PointInvalid):
        parse_party("0x" + "a" * 40 + ":0x" + key)
