"""Keystores of other programs: opened as they are, whatever form a password has, and bounded before any work."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest
from eth_keyfile.keyfile import create_keyfile_json

from fl_platform.chain import keystores, wallets
from fl_platform.errors import WalletError

KEY = bytes(range(1, 33))
# Published with the definition of the format (kdf at its real cost), and two of geth's: old keys lost leading zeros.
PBKDF2 = """{"crypto": {"cipher": "aes-128-ctr", "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
"ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46", "kdf": "pbkdf2",
"kdfparams": {"c": 262144, "dklen": 32, "prf": "hmac-sha256",
"salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},
"mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},
"id": "3198bc9c-6672-5ab3-d995-4942343ae5b6", "version": 3}"""
SCRYPT = """{"crypto": {"cipher": "aes-128-ctr", "cipherparams": {"iv": "83dbcc02d8ccb40e466191a123791e0e"},
"ciphertext": "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c", "kdf": "scrypt",
"kdfparams": {"dklen": 32, "n": 262144, "r": 1, "p": 8,
"salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19"},
"mac": "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097"},
"id": "3198bc9c-6672-5ab3-d995-4942343ae5b6", "version": 3}"""
BYTES_31 = """{"crypto": {"cipher": "aes-128-ctr", "cipherparams": {"iv": "e0c41130a323adc1446fc82f724bca2f"},
"ciphertext": "9517cd5bdbe69076f9bf5057248c6c050141e970efa36ce53692d5d59a3984", "kdf": "scrypt",
"kdfparams": {"dklen": 32, "n": 2, "r": 8, "p": 1,
"salt": "711f816911c92d649fb4c84b047915679933555030b3552c1212609b38208c63"},
"mac": "d5e116151c6aa71470e67a7d42c9620c75c4d23229847dcc127794f0732b0db5"}, "version": 3}"""
WIKI = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d"
ETHERS = {"client": "ethers/6.13.5", "path": "m/44'/60'/0'/0/0", "locale": "en", "mnemonicCounter": "00" * 16}


def made(password: bytes, kdf: str = "scrypt", cost: int = 2**4) -> dict[str, Any]:
    """Return a keystore that another program made."""
    return create_keyfile_json(KEY, password, kdf=kdf, iterations=cost)  # type: ignore[arg-type]


def opened(folder: Path, document: object, password: str, *, before: str = "") -> bytes:
    """Return the key of a keystore file."""
    path = folder / "UTC--2026-01-31T09-30-00.000000000Z--6370ef2f4db3611d657b90667de398a2cc2a370c"
    path.write_text(before + (document if isinstance(document, str) else json.dumps(document)), encoding="utf-8")
    found = keystores.read_foreign(path)
    assert isinstance(found, keystores.Keystore)
    return found.private_key(password)


@pytest.mark.parametrize(
    ("text", "password", "key"),
    [(PBKDF2, "testpassword", WIKI), (SCRYPT, "testpassword", WIKI),
     (BYTES_31, "foo", "00fa7b3db73dc7dfdf8c5fbdb796d741e4488628c41fc4febd9160a866ba0f35")],
    ids=["pbkdf2", "scrypt", "31 bytes"],
)  # fmt: skip
def test_published_keystores_open(tmp_path: Path, text: str, password: str, key: str) -> None:
    assert opened(tmp_path, text, password).hex() == key


def upper(value: Any) -> Any:
    """Return a document with every name in capitals."""
    return {name.upper(): upper(item) for name, item in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize("kdf", ["scrypt", "pbkdf2"])
def test_every_program_s_spelling_is_read(tmp_path: Path, kdf: str) -> None:
    plain = made(b"secret", kdf)
    crypto = plain["crypto"]
    odd_iv = {**crypto, "cipherparams": {"iv": "0x" + crypto["cipherparams"]["iv"].upper()}}
    spellings = [
        plain, upper(plain), {**plain, "address": None}, {**plain, "version": "3"}, {**plain, "x-ethers": ETHERS},
        {name: value for name, value in plain.items() if name not in ("address", "id")}, {**plain, "crypto": odd_iv},
        {**plain, "address": "0x" + plain["address"].lower()}, {**plain, "Crypto": {**crypto, "KDF": kdf.upper()}},
    ]  # fmt: skip
    for document in spellings:
        assert opened(tmp_path, document, "secret") == KEY
    assert opened(tmp_path, plain, "secret", before="\ufeff") == KEY


@pytest.mark.parametrize("made_from", ["NFC", "NFD", "NFKC", "NFKD", ""])
@pytest.mark.parametrize("typed", ["of\ufb01ce\u00b2", "Tür Ärzte", "\u1e9b\u0323", "Å \u212b", "한글"])
def test_a_password_opens_in_every_form(tmp_path: Path, made_from: str, typed: str) -> None:
    theirs = normalize(made_from, typed) if made_from else typed
    document = made(theirs.encode(), cost=2)
    for before, after in (("", ""), ("\ufeff", ""), ("", "\r"), ("", "\n")):
        assert opened(tmp_path, document, before + typed + after) == KEY
    with pytest.raises(WalletError, match="wrong password"):
        opened(tmp_path, document, typed + "x")


def test_decomposed_and_composed_open_each_other(tmp_path: Path) -> None:
    for theirs, typed in (("u\u0308", "ü"), ("ü", "u\u0308"), ("u\u0308", "ü\r")):
        assert opened(tmp_path, made(theirs.encode(), cost=2), typed) == KEY


def test_a_password_s_forms_are_each_tried_once() -> None:
    assert keystores.password_forms("plain") == (b"plain",)
    assert keystores.password_forms("ü")[0] == "ü".encode()
    assert len(keystores.password_forms("of\ufb01ce\u00b2")) == 2
    assert keystores.password_forms("\ufeffa\r") == (b"a", "\ufeffa\r".encode())
    assert keystores.password_forms("\udcff") == (b"\xff",)


def changed(document: dict[str, Any], *path: str, to: object) -> dict[str, Any]:
    """Return a document with one value changed."""
    new = copy.deepcopy(document)
    below: Any = new
    for name in path[:-1]:
        below = below[name]
    below[path[-1]] = to
    return new


KDF = ("crypto", "kdfparams")


@pytest.mark.parametrize(
    ("kdf", "path", "to"),
    [
        ("scrypt", (*KDF, "n"), 2**21), ("scrypt", (*KDF, "n"), 3), ("scrypt", (*KDF, "n"), 1),
        ("scrypt", (*KDF, "n"), 0), ("scrypt", (*KDF, "n"), -(2**18)), ("scrypt", (*KDF, "n"), 2**200),
        ("scrypt", (*KDF, "n"), True), ("scrypt", (*KDF, "n"), 2.0**12), ("scrypt", (*KDF, "n"), "4096"),
        ("scrypt", (*KDF, "r"), 2**30), ("scrypt", (*KDF, "p"), 2**30), ("scrypt", (*KDF, "dklen"), 2**30),
        ("scrypt", (*KDF, "dklen"), 16), ("scrypt", (*KDF, "salt"), "00" * 2000), ("scrypt", (*KDF, "salt"), "xx"),
        ("scrypt", ("crypto", "kdf"), "argon2"), ("scrypt", ("crypto", "cipher"), "aes-256-cbc"),
        ("scrypt", ("crypto", "ciphertext"), "00" * 33), ("scrypt", ("crypto", "ciphertext"), ""),
        ("scrypt", ("crypto", "cipherparams"), []), ("scrypt", ("crypto", "mac"), "00"), ("scrypt", KDF, 5),
        ("scrypt", ("crypto", "cipherparams", "iv"), "00" * 17), ("scrypt", ("version",), 1),
        ("scrypt", ("version",), 4),
        ("scrypt", ("crypto",), {}), ("scrypt", ("crypto",), None), ("pbkdf2", (*KDF, "c"), 10**9),
        ("pbkdf2", (*KDF, "c"), 0), ("pbkdf2", (*KDF, "prf"), "hmac-md5"), ("pbkdf2", (*KDF, "prf"), None),
    ],
    ids=str,
)  # fmt: skip
def test_a_file_is_bounded_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kdf: str, path: tuple[str, ...], to: object
) -> None:
    def worked(*_: object) -> bytes:
        raise AssertionError("the key was derived")

    monkeypatch.setattr("eth_keyfile.keyfile.decode_keyfile_json", worked)
    with pytest.raises(WalletError, match="keystore"):
        opened(tmp_path, changed(made(b"secret", kdf), *path, to=to), "secret")


def test_the_cost_of_known_programs_is_allowed() -> None:
    for n, r, p in ((2**18, 8, 1), (2**17, 8, 1), (2**18, 1, 8), (2**13, 8, 1), (2**20, 8, 1)):
        document = changed(made(b"x"), *KDF, to={**made(b"x")["crypto"]["kdfparams"], "n": n, "r": r, "p": p})
        kept = keystores.bounded(document, where="a keystore")["crypto"]["kdfparams"]
        assert (kept["n"], kept["r"], kept["p"]) == (n, r, p)


@pytest.mark.parametrize(
    "text", ["0x" + KEY.hex(), KEY.hex(), KEY.hex().upper(), f"\ufeff {KEY.hex()}\r\n", "0X" + KEY.hex() + "\n"]
)
def test_a_private_key_is_read_from_hex(tmp_path: Path, text: str) -> None:
    (tmp_path / "key").write_text(text)
    assert keystores.read_foreign(tmp_path / "key") == KEY


def test_a_key_that_is_none_is_not_repeated(tmp_path: Path) -> None:
    for text in (KEY.hex()[:-1], KEY.hex() + "0", "g" * 64, KEY.hex() * 2):
        (tmp_path / "key").write_text(text)
        with pytest.raises(WalletError, match="no keystore file") as told:
            keystores.read_foreign(tmp_path / "key")
        assert text[:8] not in str(told.value)
    for key in (bytes(32), b"\xff" * 32):
        with pytest.raises(WalletError, match="no secp256k1 private key"):
            wallets.import_key(tmp_path, "me", key, "secret", light=True)


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WalletError, match="keystore"):
        opened(tmp_path, '{"crypto":' * 6000 + "1" + "}" * 6000, "secret")


def test_an_imported_key_is_encrypted_anew_and_kept_once(tmp_path: Path) -> None:
    info = wallets.import_key(tmp_path, "", KEY, "ours", light=True)
    assert info.name == "wallet-6370ef2f"
    assert wallets.unlock(info.path, "ours").address == info.address
    assert wallets.listed(tmp_path) == (info,)
    with pytest.raises(WalletError, match="is the wallet 'wallet-6370ef2f' of this folder already"):
        wallets.import_key(tmp_path, "other", KEY, "ours", light=True)
    with pytest.raises(WalletError, match="exists; choose another name"):
        wallets.import_key(tmp_path, info.name, bytes(31) + b"\1", "ours", light=True)


@pytest.mark.parametrize(
    ("file", "name"),
    [("hospital.json", "hospital"), ("UTC--2026-01-31T09-30-00.0Z--6370ef2f4db3611d", ""), ("my key.json", "")],
)
def test_a_wallet_is_called_as_its_file_where_that_is_a_name(file: str, name: str) -> None:
    assert wallets.name_of(Path("x") / file) == name
