"""Wallets on disk: web3 secret storage (keystore version 3, scrypt), one file per wallet, readable by its owner only.

The password comes from the caller (a prompt, an environment variable or a file that the command line names); never from
argv, never into a log or an error.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fl_platform.chain import keystores
from fl_platform.chain.signer import Signer
from fl_platform.chain.types import hex_address
from fl_platform.errors import StoreFull, WalletError, WrongPassword

SCRYPT_ROUNDS = 2**18  # n of scrypt: about a second and 256 MB; the standard's "non-light" value
SCRYPT_ROUNDS_LIGHT = 2**12  # for throw-away wallets of demos and tests
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
PASSWORD_VARIABLE = "FL_PLATFORM_PASSWORD"


@dataclass(frozen=True)
class WalletInfo:
    """A wallet file that is there; still locked."""

    name: str
    address: bytes  # 20 bytes, as the file says (unverified until unlocked)
    path: Path


def create(
    folder: Path, name: str, password: str, *, light: bool = False, private_key: bytes | None = None
) -> WalletInfo:
    """Make a wallet (or keep a given key) under a password. Raises WalletError when the name is bad or taken."""
    if not NAME.fullmatch(name):
        raise WalletError(f"wallet name {name!r}: use 1 to 64 letters, digits, dots, dashes, underscores")
    typed = keystores.password_bytes(keystores.plain_password(password))
    if not typed:
        raise WalletError(f"an empty password protects nothing; set one (prompt, {PASSWORD_VARIABLE} or a file)")
    from eth_keyfile.keyfile import create_keyfile_json

    key = secrets.token_bytes(32) if private_key is None else private_key
    address = Signer(key).address
    rounds = SCRYPT_ROUNDS_LIGHT if light else SCRYPT_ROUNDS
    document = create_keyfile_json(key, typed, kdf="scrypt", iterations=rounds)
    path = folder / f"{name}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise WalletError(f"{path} exists; choose another name (a wallet is never overwritten)") from None
    except OSError as error:
        raise WalletError(
            f"cannot write {path}: {error.strerror}; mend the path or its permissions, or name another --workdir"
        ) from error
    _write(handle, path, json.dumps(document).encode())
    return WalletInfo(name, address, path)


def _write(handle: int, path: Path, data: bytes) -> None:
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise StoreFull(f"cannot write wallet {path}: {error.strerror}; free space and run again") from error


def unlock(path: Path, password: str) -> Signer:
    """Open a wallet file. Raises WalletError when it is missing or malformed, or the password is wrong."""
    try:
        return Signer(keystores.read(path).private_key(password))
    except WrongPassword as error:
        raise WrongPassword(
            f"{error} with the right one: it is read from --password-file, else {PASSWORD_VARIABLE}, else asked for"
        ) from None


def listed(folder: Path) -> tuple[WalletInfo, ...]:
    """Return the wallets in a folder, by name. Files that are no keystore are passed over."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            address = keystores.read(path).address
        except WalletError:
            continue
        if address:
            found.append(WalletInfo(path.stem, address, path))
    return tuple(found)


def import_key(folder: Path, name: str, key: bytes, password: str, *, light: bool = False) -> WalletInfo:
    """Keep a key of another program as a wallet here, encrypted anew. An empty name: one after its address.

    Raises WalletError when the name is bad or taken, or when the key is a wallet of this folder already: two names of
    one key would have two journals, and their transactions would take each other's nonces.
    """
    address = Signer(key).address
    for info in listed(folder):
        if info.address == address:
            raise WalletError(f"{hex_address(address)} is the wallet {info.name!r} of this folder already; use that")
    return create(folder, name or f"wallet-{address.hex()[:8]}", password, light=light, private_key=key)


def name_of(path: Path) -> str:
    """Return the wallet's name that a file's own suggests; empty for geth's time stamps and what is no name here."""
    return path.stem if NAME.fullmatch(path.stem) and not path.stem.startswith("UTC--") else ""


def password_from(environ: Mapping[str, str], file: Path | None = None) -> str | None:
    """Return the password: a file's first line, else the environment's, else None (then ask). Raises WalletError."""
    if file is not None:
        try:
            data = file.read_bytes()
            wide = data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # Windows' PowerShell writes these
            return data.decode("utf-16" if wide else "utf-8").split("\n", 1)[0].rstrip("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise WalletError(f"cannot read the password file {file}: {type(error).__name__}") from None
    return environ.get(PASSWORD_VARIABLE)
