"""Keystores of any program (web3 secret storage, version 3): geth's, ethers', and our own; and what MetaMask exports.

A file is untrusted until its key is out of it: what it asks of this machine is bounded before any work is done.
Programs disagree about the bytes of a password (ethers takes its NFKC form, geth what was typed): every form is tried.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from unicodedata import normalize

from fl_platform.chain.phrases import Phrase, parse_phrase
from fl_platform.chain.types import address_of, hex_address
from fl_platform.errors import WalletError, WrongPassword

MAX_FILE = 64 * 1024  # bytes

FORMS: tuple[Literal["NFC", "NFKC", "NFD", "NFKD"], ...] = ("NFC", "NFKC", "NFD", "NFKD")
MAX_SCRYPT_MEMORY = 2**30  # bytes, 128 * n * r: four times geth's standard
MAX_SCRYPT_WORK = 2**25  # n * r * p: 16 times geth's standard, a quarter of a minute
MAX_PBKDF2_ROUNDS = 10_000_000  # ten times the most that a common program takes
MAX_SALT = 1024  # bytes
KEY_BYTES = 32
ADDRESS_DIGITS = 40  # hex of this length is no secret yet
FEW_WORDS = 8  # a file's name may have so many; the shortest phrase has 12
_PRIVATE_KEY = re.compile(r"(?:0[xX])?([0-9a-fA-F]{64})")
_HEX = re.compile(r"(?:0[xX])?([0-9a-fA-F]*)")
_BLANK = "\ufeff \t\r\n"


def plain_password(text: str) -> str:
    """Return a password without what an editor or a shell put around it: a byte order mark, an end of line."""
    return text.removeprefix("\ufeff").rstrip("\r\n")


def password_forms(text: str) -> tuple[bytes, ...]:
    """Return the bytes that a program may have made of a password: as typed first, each once."""
    typed = plain_password(text)
    forms = [typed, *(normalize(form, typed) for form in FORMS), text]
    return tuple(dict.fromkeys(password_bytes(form) for form in forms))


def password_bytes(text: str) -> bytes:
    """Return a password as bytes; what is no UTF-8 in the environment stays the bytes that it was."""
    return text.encode("utf-8", "surrogateescape")


def parse_private_key(text: str) -> bytes | None:
    """Return the key that a text holds in hex, as MetaMask exports it; None when the text is none."""
    found = _PRIVATE_KEY.fullmatch(text.strip(_BLANK))
    return None if found is None else bytes.fromhex(found[1])


def parse_secret(text: str) -> Phrase | bytes | None:
    """Return what MetaMask shows of a wallet: a private key in hex or a recovery phrase; None when the text is neither.

    Raises WalletError: hex of another length, or several words that are no phrase. No right part of it is repeated.
    """
    key = parse_private_key(text)
    if key is not None:
        return key
    digits = _HEX.fullmatch(text.strip(_BLANK))
    if digits is not None and digits[1]:
        raise WalletError(f"that is no private key: it has {len(digits[1])} hexadecimal digits, a key has 64; export "
                          f"it again, whole")  # fmt: skip
    return parse_phrase(text)


def looks_secret(text: str) -> bool:
    """Say whether a text where a file's name belongs may be a key or a phrase, also one that is not whole."""
    digits = _HEX.fullmatch(text.strip(_BLANK))
    return (digits is not None and len(digits[1]) > ADDRESS_DIGITS) or len(text.split()) > FEW_WORDS


@dataclass(frozen=True)
class Keystore:
    """A keystore file; still locked, and all of it unverified."""

    path: Path
    document: Mapping[str, Any]  # every name in lower case

    @property
    def address(self) -> bytes:
        """The address that the file names, 20 bytes; empty where it names none (geth and MetaMask may leave it out)."""
        found = _HEX.fullmatch(str(self.document.get("address")))
        return bytes.fromhex(found[1]) if found is not None and len(found[1]) == ADDRESS_DIGITS else b""

    def private_key(self, password: str) -> bytes:
        """Return the 32-byte key under a password in any of its forms.

        Raises WalletError: no keystore of version 3, more work than any program asks for, a wrong password, or a key
        that is not the stated address's.
        """
        from eth_keyfile.keyfile import decode_keyfile_json

        keystore = bounded(self.document, where=str(self.path))
        for form in password_forms(password):
            try:
                key = bytes(decode_keyfile_json(keystore, form)).rjust(KEY_BYTES, b"\0")
            except ValueError as error:
                if "MAC" in str(error):
                    continue
                raise WalletError(f"{self.path} is no keystore version 3 file; restore it from a copy") from None
            except MemoryError:
                raise WalletError(f"{self.path} needs more memory than is free; open it on a larger machine") from None
            self._compare(key)
            return key
        raise WrongPassword(f"wrong password for {self.path}; try again")

    def _compare(self, key: bytes) -> None:
        try:
            found = address_of(key)
        except Exception:
            raise WalletError(f"{self.path} holds no secp256k1 private key; restore it from a copy") from None
        if self.address not in (b"", found):
            raise WalletError(
                f"{self.path} says address {hex_address(self.address)}, its key is {hex_address(found)}; do not use it"
            )


def read(path: Path) -> Keystore:
    """Read a keystore file, not yet its key. Raises WalletError."""
    return _parsed(path, _text(path))


def read_foreign(path: Path) -> Keystore | Phrase | bytes:
    """Read what another program exported (untrusted): a keystore, a recovery phrase, or a 32-byte key in hex.

    Raises WalletError: none of them, or a keystore that asks for more work than any program does.
    """
    text = _text(path)
    try:
        secret = parse_secret(text)
    except WalletError as error:
        raise WalletError(f"{path} is no keystore file, and {error}") from None
    if secret is not None:
        return secret
    found = _parsed(path, text)
    bounded(found.document, where=str(path))
    return found


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE:
            raise WalletError(f"{path} has more than {MAX_FILE} bytes: no keystore file")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise WalletError(f"no wallet {path}; make one with `fl-platform wallet new`") from None
    except (OSError, ValueError) as error:
        raise WalletError(f"{path} is no keystore file ({type(error).__name__}); restore it from a copy") from None


def _parsed(path: Path, text: str) -> Keystore:
    try:
        document = _lowered(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise WalletError(f"{path} is no keystore file ({type(error).__name__}); restore it from a copy") from None
    if not isinstance(document, dict) or not isinstance(document.get("crypto"), dict):
        raise WalletError(f"{path} is no keystore file; restore it from a copy")
    return Keystore(path, document)


def bounded(document: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Return the part of a keystore that holds its key, checked before anything is computed. Raises WalletError.

    Names in lower case; hex with 0x or without; version as a number or as text. Everything else, as ethers'
    `x-ethers`, is left out.
    """
    version = document.get("version")
    if str(version) != "3":
        raise WalletError(
            f"{where} is no keystore version 3 file: it says version {str(version)[:16]!r}; export the key again with "
            f"a current program, or import the private key in hex"
        )
    try:
        crypto = document["crypto"]
        kdf, cipher = str(crypto["kdf"]).lower(), str(crypto["cipher"]).lower()
        if cipher != "aes-128-ctr":
            raise ValueError(f"cipher {cipher[:32]!r} instead of aes-128-ctr")
        parameters = {**_kdf(kdf, crypto["kdfparams"]), "salt": _hex(crypto["kdfparams"], "salt", 0, MAX_SALT)}
        return {
            "version": 3,
            "crypto": {
                "cipher": cipher,
                "cipherparams": {"iv": _hex(crypto["cipherparams"], "iv", 1, 16)},
                # Old programs dropped a key's leading zeros.
                "ciphertext": _hex(crypto, "ciphertext", 1, KEY_BYTES),
                "kdf": kdf,
                "kdfparams": parameters,
                "mac": _hex(crypto, "mac", 32, 32),
            },
        }
    except KeyError as error:
        raise WalletError(f"{where} is no keystore file: {error} is missing; restore it from a copy") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise WalletError(f"{where} is no usable keystore file: {error}") from None


def _kdf(kdf: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of a key derivation. Raises ValueError where they are none, or ask for too much."""
    length = _number(given, "dklen", KEY_BYTES, 64)
    if kdf == "pbkdf2":
        prf = str(given["prf"]).lower()
        if prf != "hmac-sha256":
            raise ValueError(f"prf {prf[:32]!r} instead of hmac-sha256")
        return {"dklen": length, "c": _number(given, "c", 1, MAX_PBKDF2_ROUNDS), "prf": prf}
    if kdf != "scrypt":
        raise ValueError(f"kdf {kdf[:32]!r} is neither scrypt nor pbkdf2")
    memory = MAX_SCRYPT_MEMORY // 128
    n, r, p = (_number(given, name, 1, most) for name, most in (("n", memory), ("r", 2**10), ("p", 2**10)))
    if n < 2 or n & (n - 1):
        raise ValueError(f"scrypt's n is {n}, no power of two")
    if n * r > memory or n * r * p > MAX_SCRYPT_WORK:
        raise ValueError(
            f"scrypt with n {n}, r {r}, p {p} takes {128 * n * r:,} bytes {p} times over, more than the "
            f"{MAX_SCRYPT_MEMORY:,} bytes and {MAX_SCRYPT_WORK:,} steps allowed; export the key with usual settings"
        )
    return {"dklen": length, "n": n, "r": r, "p": p}


def _number(given: Mapping[str, Any], name: str, least: int, most: int) -> int:
    value = given[name]
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name} is {str(value)[:32]!r}, allowed are {least} to {most:,}")
    return value


def _hex(given: Mapping[str, Any], name: str, least: int, most: int) -> str:
    found = _HEX.fullmatch(str(given[name]))
    digits = found[1] if found else ""
    digits = "0" * (len(digits) % 2) + digits
    if found is None or not least <= len(digits) // 2 <= most:
        raise ValueError(f"{name} is not {least} to {most} bytes in hex")
    return digits


def _lowered(value: Any) -> Any:
    """Return a document with lower-case names at every level: some programs write `Crypto`."""
    return {str(name).lower(): _lowered(item) for name, item in value.items()} if isinstance(value, dict) else value
