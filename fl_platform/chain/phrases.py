"""Recovery phrases (BIP-39), as MetaMask shows them: checked word by word, and the keys below them (BIP-44).

A phrase is a secret of all its accounts. It is never kept here, and a complaint names no word of it that is right.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from unicodedata import normalize

from fl_platform.errors import WalletError

if TYPE_CHECKING:
    from eth_account.hdaccount.mnemonic import Mnemonic

COUNTS = (12, 15, 18, 21, 24)
MAX_WORDS = 64  # in a text that may be meant as a phrase; longer ones are something else
MAX_ACCOUNT = 2**31 - 1  # of BIP-32's indices that need no hardened key
LONGEST = 16  # letters of a wrong word that are shown; BIP-39's have eight at most
NAMED = 3  # wrong words at most; with more it is something else


@dataclass(frozen=True)
class Phrase:
    """A recovery phrase whose words and checksum are right."""

    words: tuple[str, ...] = field(repr=False)

    def private_key(self, account: int = 0) -> bytes:
        """Return the 32-byte key of an account, counted from 0; MetaMask's "Account 1" is account 0."""
        from eth_account.hdaccount.deterministic import HDPath
        from eth_account.hdaccount.mnemonic import Mnemonic

        return bytes(HDPath(path_of(account)).derive(Mnemonic.to_seed(" ".join(self.words))))


def path_of(account: int) -> str:
    """Return where an account's key lies below a phrase. Raises WalletError where there is none."""
    if not 0 <= account <= MAX_ACCOUNT:
        raise WalletError(f"account {account}: a phrase has accounts 0 to {MAX_ACCOUNT:,}; MetaMask's first is 0")
    return f"m/44'/60'/0'/0/{account}"


def parse_phrase(text: str) -> Phrase | None:
    """Return the phrase that a text holds; None when the text is not several words of letters.

    Raises WalletError: several words, but no phrase. It says how many words there are, or which ones are wrong.
    """
    words = tuple(normalize("NFKC", text.strip("\ufeff")).lower().split())
    if not 1 < len(words) <= MAX_WORDS or not all(word.isalpha() for word in words):
        return None
    if len(words) not in COUNTS:
        allowed = ", ".join(map(str, COUNTS))
        raise WalletError(f"that is no recovery phrase: it has {len(words)} words, a phrase {allowed}; look for a word "
                          f"that is missing or there twice")  # fmt: skip
    _check(words)
    return Phrase(words)


def _check(words: Sequence[str]) -> None:
    from eth_account.hdaccount.mnemonic import Mnemonic

    english = Mnemonic()
    wrong = [(place, word) for place, word in enumerate(words, 1) if word not in english.wordlist]
    if len(wrong) > NAMED:  # perhaps another language's, and right there
        raise WalletError(
            f"that is no recovery phrase of English words (BIP-39), the only ones that are read here: {len(wrong)} of "
            f"its {len(words)} words are none; import the account's private key"
        )
    if wrong:
        named = " and ".join(f"word {place} is {word[:LONGEST]!r}" for place, word in wrong)
        meant = _meant(words, wrong[0][0] - 1, english) if len(wrong) == 1 else ""
        raise WalletError(f"that is no recovery phrase of English words (BIP-39): {named}{meant}")
    if not english.is_mnemonic_valid(" ".join(words)):
        raise WalletError(
            "that is no recovery phrase: each word is one of BIP-39's, but their checksum is wrong; a word was taken "
            "for another, or two changed places: compare with the paper"
        )


def _meant(words: Sequence[str], place: int, english: Mnemonic) -> str:
    """Ask whether a word like the one at a place was meant, where one makes the checksum right; else say nothing."""
    for near in difflib.get_close_matches(words[place], english.wordlist, n=16, cutoff=0.5):
        if english.is_mnemonic_valid(" ".join([*words[:place], near, *words[place + 1 :]])):
            return f", is it {near!r}?"
    return ""
