"""`fl-platform wallet`: keys of other programs become wallets here, and no secret is in what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from eth_account import Account

from fl_platform.chain import wallets
from fl_platform.chain.addresses import checksum_address
from fl_platform.cli.main import run
from tests.support.cli import PASSWORD, CliInside

KEY = bytes(range(1, 33))
ADDRESS = "0x6370ef2f4db3611d657b90667de398a2cc2a370c"
CHECKSUM = checksum_address(bytes.fromhex(ADDRESS[2:]))


@pytest.fixture
def cli(tmp_path: Path) -> CliInside:
    return CliInside(tmp_path)


def keystore(folder: Path, password: str, name: str = "UTC--2026-01-31T09-30-00.0Z--6370ef2f") -> Path:
    path = folder / name
    path.write_text(json.dumps(Account.encrypt(KEY, password, kdf="scrypt", iterations=2**4)))
    return path


def test_a_keystore_of_geth_becomes_a_wallet(cli: CliInside) -> None:
    file = keystore(cli.folder, PASSWORD)
    assert cli.report("wallet", "import", str(file), "--light") == {"name": "wallet-6370ef2f", "address": ADDRESS}
    assert cli.report("wallet", "list") == [{"name": "wallet-6370ef2f", "address": ADDRESS}]
    assert wallets.unlock(cli.folder / "w" / "wallets" / "wallet-6370ef2f.json", PASSWORD)
    assert file.is_file()
    said = cli("wallet", "import", str(file), "other", "--light", code=5).stderr
    assert "is the wallet 'wallet-6370ef2f' of this folder already" in said


def test_a_keystore_may_have_a_password_of_its_own(cli: CliInside) -> None:
    file = keystore(cli.folder, "office2", "hospital.json")  # what NFKC makes of the ligature and the small 2
    (cli.folder / "old").write_text("of\ufb01ce\u00b2\r\nsecond line", encoding="utf-16")
    assert "in a terminal only" in cli("wallet", "import", str(file), "--light", code=5).stderr
    words = ("wallet", "import", str(file), "--light", "--old-password-file")
    made = cli(*words, str(cli.folder / "old"))
    assert "hospital" in made.stdout
    assert wallets.unlock(cli.folder / "w" / "wallets" / "hospital.json", PASSWORD)
    (cli.folder / "old").write_text("wrong")
    assert "wrong password" in cli(*words, str(cli.folder / "old"), code=5).stderr


def test_a_bare_key_comes_from_a_file_or_a_prompt_and_is_never_shown(
    cli: CliInside, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = cli.folder / "metamask.txt"
    file.write_text("0x" + KEY.hex() + "\n")
    made = cli("wallet", "import", str(file), "hospital", "--light")
    assert "delete it" in made.stdout
    assert KEY.hex() not in made.stdout + made.stderr
    assert "in a terminal only" in cli("wallet", "import", "-", code=5).stderr
    monkeypatch.setattr("fl_platform.cli.common.sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(click, "prompt", lambda *_words, **_options: "0x" + bytes(reversed(KEY)).hex())
    assert cli.report("wallet", "import", "-", "typed", "--light")["name"] == "typed"
    monkeypatch.setattr(click, "prompt", lambda *_words, **_options: KEY.hex()[1:])
    said = cli("wallet", "import", "-", "--light", code=5).stderr
    assert "no private key" in said
    assert KEY.hex()[1:] not in said


PHRASE = "test test test test test test test test test test test junk"
ACCOUNTS = {"0": "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266", "1": "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"}


def secret_file(cli: CliInside, text: str, mode: int = 0o600) -> str:
    file = cli.folder / "secret.txt"
    file.write_text(text + "\n")
    file.chmod(mode)
    return str(file)


def test_a_recovery_phrase_becomes_the_wallet_of_one_account(cli: CliInside, monkeypatch: pytest.MonkeyPatch) -> None:
    file = secret_file(cli, PHRASE)
    made = cli("wallet", "import", file, "first", "--light")
    assert "0 of the phrase, at m/44'/60'/0'/0/0" in made.stdout
    assert "delete it" in made.stdout
    assert "junk" not in made.stdout + made.stderr
    assert wallets.unlock(cli.folder / "w" / "wallets" / "first.json", PASSWORD).address.hex() == ACCOUNTS["0"][2:]
    monkeypatch.setattr("fl_platform.cli.common.sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(click, "prompt", lambda *_words, **_options: PHRASE)
    typed = cli.report("wallet", "import", "-", "second", "--account", "1", "--light")
    assert typed["address"] == ACCOUNTS["1"]


def test_a_new_password_is_asked_for_twice_also_where_the_key_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice: dict[str, bool] = {}

    def prompt(text: str, *, confirmation_prompt: bool = False, **_: object) -> str:
        twice[text] = confirmation_prompt
        return PHRASE if "phrase" in text else PASSWORD

    monkeypatch.delenv(wallets.PASSWORD_VARIABLE, raising=False)
    monkeypatch.setattr("fl_platform.cli.common.sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(click, "prompt", prompt)
    assert run(["--workdir", str(tmp_path), "wallet", "import", "-", "typed", "--light"]) == 0
    assert twice == {"Private key in hex, or recovery phrase": False, "Password of the wallets": True}


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o604])
def test_a_bare_secret_that_others_can_read_is_warned_of(cli: CliInside, mode: int) -> None:
    for text in (PHRASE, KEY.hex()):
        said = cli("wallet", "import", secret_file(cli, text, mode), "--light").stdout
        (cli.folder / "secret.txt").unlink()
        assert (f"has mode {mode:04o}" in said) == bool(mode & 0o077)
    locked = keystore(cli.folder, PASSWORD, "locked.json")
    locked.chmod(0o644)
    assert "mode" not in cli("wallet", "import", str(locked), code=5).stdout  # it is there already, and encrypted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PHRASE.replace("junk", "jink"), "word 12 is 'jink', is it 'junk'?"),
        (PHRASE.replace("junk", "test"), "checksum is wrong"),
        (PHRASE.removeprefix("test "), "it has 11 words"),
        (KEY.hex()[:-1], "it has 63 hexadecimal digits, a key has 64"),
        ("0x" + KEY.hex() + "0", "it has 65 hexadecimal digits, a key has 64"),
        ("0" * 64, "no secp256k1 private key"),
        ("f" * 64, "no secp256k1 private key"),
    ],
)
def test_a_secret_that_is_none_is_refused(cli: CliInside, text: str, said: str) -> None:
    refused = cli("wallet", "import", secret_file(cli, text), "--light", code=5).stderr
    assert said in refused
    assert KEY.hex()[:16] not in refused
    assert cli.report("wallet", "list") == []


def test_an_account_is_of_a_phrase(cli: CliInside) -> None:
    refused = cli("wallet", "import", secret_file(cli, KEY.hex()), "--account", "0", code=2)
    assert "--account is of a recovery phrase" in refused.stderr


@pytest.mark.parametrize("text", [KEY.hex(), "0x" + KEY.hex(), KEY.hex()[1:], PHRASE])
def test_a_secret_on_the_command_line_is_neither_taken_nor_repeated(cli: CliInside, text: str) -> None:
    refused = cli("wallet", "import", text, "mine", code=2).stderr
    assert "Give a file, or - to be asked" in refused
    assert text[:20] not in refused


def test_people_see_checksums_and_programs_lower_case(cli: CliInside) -> None:
    file = keystore(cli.folder, PASSWORD, "hospital.json")
    shown = cli("wallet", "import", str(file), "--light")
    listing = cli("wallet", "list")
    assert CHECKSUM in shown.stdout
    assert CHECKSUM in listing.stdout
    assert f"{CHECKSUM}:0x" in cli("wallet", "show", "hospital").stdout
    assert cli.report("wallet", "show", "hospital")["party"].startswith(f"{ADDRESS}:0x")
    wrong = CHECKSUM.replace("F", "f", 1)
    said = cli("why", wrong, code=5).stderr
    assert f"{wrong} has a wrong checksum" in said
    assert CHECKSUM in said
    assert CHECKSUM in cli("wallet", "import", str(file), "other", code=5).stderr
