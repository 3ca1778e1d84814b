"""Wallet files: made, opened, refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eth_account import Account

from fl_platform.chain import keystores, wallets
from fl_platform.chain.signer import Signer
from fl_platform.errors import StoreFull, WalletError
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.receipt import Domain, recover
from tests.support.chain import receipt_of, wallet


def test_a_wallet_opens_with_its_password_only(tmp_path: Path) -> None:
    info = wallets.create(tmp_path, "me", "secret", light=True)
    assert wallets.unlock(info.path, "secret").address == info.address
    with pytest.raises(WalletError, match="wrong password"):
        wallets.unlock(info.path, "Secret")
    assert wallets.listed(tmp_path) == (info,)


def test_the_file_is_what_eth_account_reads_and_writes(tmp_path: Path) -> None:
    info = wallets.create(tmp_path, "me", "secret", light=True)
    assert (
        Account.from_key(Account.decrypt(info.path.read_text(), "secret")).address.lower() == f"0x{info.address.hex()}"
    )
    theirs = tmp_path / "theirs.json"
    theirs.write_text(json.dumps(Account.encrypt(b"\x07" * 32, "other", kdf="scrypt", iterations=2**10)))
    assert wallets.unlock(theirs, "other").address == Signer(b"\x07" * 32).address


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 65, "a b"])
def test_bad_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(WalletError, match="wallet name"):
        wallets.create(tmp_path, name, "secret", light=True)


def test_a_wallet_is_never_overwritten(tmp_path: Path) -> None:
    wallets.create(tmp_path, "me", "secret", light=True)
    with pytest.raises(WalletError, match="exists; choose another name"):
        wallets.create(tmp_path, "me", "secret", light=True)


def test_an_empty_password_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WalletError, match="empty password"):
        wallets.create(tmp_path, "me", "", light=True)


def test_a_missing_wallet_is_said(tmp_path: Path) -> None:
    with pytest.raises(WalletError, match="make one with `fl-platform wallet new`"):
        wallets.unlock(tmp_path / "none.json", "secret")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"crypto": 1}',
        '{"crypto": {}, "version": 3}',
        '{"crypto": {"kdf": "x"}, "version": 9}',
        "\ud800",
    ],
)
def test_other_files_are_no_wallets(tmp_path: Path, text: str) -> None:
    path = tmp_path / "me.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(WalletError, match="keystore"):
        wallets.unlock(path, "secret")
    assert wallets.listed(tmp_path) == ()


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "me.json"
    with path.open("wb") as file:
        file.truncate(keystores.MAX_FILE + 1)
    with pytest.raises(WalletError, match="more than"):
        wallets.unlock(path, "secret")


def test_an_address_that_is_not_the_keys_is_noticed(tmp_path: Path) -> None:
    info = wallets.create(tmp_path, "me", "secret", light=True)
    value = json.loads(info.path.read_text())
    value["address"] = "0x" + "11" * 20
    info.path.write_text(json.dumps(value))
    with pytest.raises(WalletError, match="do not use it"):
        wallets.unlock(info.path, "secret")


def test_a_full_disk_leaves_no_half_wallet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(wallets.os, "fsync", full)
    with pytest.raises(StoreFull, match="free space"):
        wallets.create(tmp_path, "me", "secret", light=True)
    assert list(tmp_path.iterdir()) == []


def test_passwords_come_from_a_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from file\r\nsecond line\n")
    environ = {wallets.PASSWORD_VARIABLE: "from environment"}
    assert wallets.password_from(environ, file) == "from file"
    assert wallets.password_from(environ) == "from environment"
    assert wallets.password_from({}) is None
    with pytest.raises(WalletError, match="cannot read the password file"):
        wallets.password_from(environ, tmp_path / "none")


def test_a_signer_signs_for_itself_only() -> None:
    domain, mine = Domain(1, bytes(20)), receipt_of(wallet(1), 1, 0)
    signed = wallet(1).sign_receipt(mine, domain)
    assert recover(mine.digest(domain), signed.signature) == wallet(1).address
    with pytest.raises(WalletError, match="cannot sign for"):
        wallet(2).sign_receipt(mine, domain)


def test_derived_secrets_differ_by_purpose_and_wallet() -> None:
    secrets = {wallet(n).derive(purpose) for n in (1, 2) for purpose in (b"wrap", b"seed")}
    assert len(secrets) == 4
    assert wallet(1).derive(b"wrap") == wallet(1).derive(b"wrap")
    assert keccak256(b"test wallet 1") not in secrets
