"""Recovery phrases: published ones lead to their published addresses, and what is wrong is said by its place."""

from __future__ import annotations

import pytest

from fl_platform.chain.phrases import MAX_ACCOUNT, Phrase, parse_phrase, path_of
from fl_platform.chain.types import address_of
from fl_platform.errors import WalletError

JUNK = "test test test test test test test test test test test junk"
# The development phrase of anvil, hardhat and ganache; and BIP-39's first test vectors of 12 and 24 words, with what
# ethers 6.17.0 derives: HDNodeWallet.fromPhrase(PHRASE, "", "m/44'/60'/0'/0/0").address
KNOWN = [
    (JUNK, 0, "f39fd6e51aad88f6f4ce6ab8827279cfffb92266"),
    (JUNK, 1, "70997970c51812dc3a010c7d01b50e0d17dc79c8"),
    (JUNK, 7, "14dc79964da2c08b23698b3d3cc7ca32193d9955"),
    (" ".join(["abandon"] * 11 + ["about"]), 0, "9858effd232b4033e47d90003d41ec34ecaeda94"),
    (" ".join(["abandon"] * 23 + ["art"]), 0, "f278cf59f82edcf871d630f28ecc8056f25c1cdb"),
]


@pytest.mark.parametrize(("text", "account", "address"), KNOWN)
def test_known_phrases_lead_to_their_accounts(text: str, account: int, address: str) -> None:
    found = parse_phrase(text)
    assert found is not None
    assert address_of(found.private_key(account)).hex() == address


@pytest.mark.parametrize(
    "text", [f"\ufeff{JUNK}\r\n", JUNK.upper(), JUNK.replace(" ", "\n"), JUNK.replace(" ", "\u3000 \t")]
)
def test_a_phrase_is_read_however_it_is_written_down(text: str) -> None:
    assert parse_phrase(text) == Phrase(tuple(JUNK.split()))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (JUNK.removeprefix("test "), "it has 11 words, a phrase 12, 15, 18, 21, 24"),
        (f"{JUNK} test", "it has 13 words"),
        (JUNK.replace("junk", "jink"), "word 12 is 'jink', is it 'junk'"),
        (
            JUNK.replace("test test", "tests xqzv", 1),
            "word 1 is 'tests' and word 2 is 'xqzv'",
        ),
        (JUNK.replace("junk", "test"), "checksum is wrong"),
        (f"junk {JUNK.removesuffix(' junk')}", "checksum is wrong"),
        (" ".join(["ábaco"] * 12), "12 of its 12 words are none"),
    ],
)
def test_what_is_no_phrase_is_said_by_its_place(text: str, said: str) -> None:
    with pytest.raises(WalletError, match="no recovery phrase") as told:
        parse_phrase(text)
    assert said in str(told.value)
    assert "ábaco" not in str(told.value)


@pytest.mark.parametrize("text", ["", "test", '{"version": 3}', "a b1 c", "word " * 100, "0x" + "ab" * 32])
def test_other_texts_are_no_phrases(text: str) -> None:
    assert parse_phrase(text) is None


def test_a_phrase_does_not_show_itself() -> None:
    assert "junk" not in repr(parse_phrase(JUNK))


def test_accounts_have_an_end() -> None:
    assert path_of(MAX_ACCOUNT) == "m/44'/60'/0'/0/2147483647"
    for account in (-1, MAX_ACCOUNT + 1):
        with pytest.raises(WalletError, match="accounts 0 to 2,147,483,647"):
            path_of(account)
