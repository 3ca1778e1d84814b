"""Whoever has a wallet of geth, ethers or MetaMask takes part with it: imported, joined, trained, paid.

geth's file is written here as geth writes it (its layout, its numbers under --lightkdf, `geth account new`); no line of
ours that reads keystores has a part in it. That of ethers is its own work. MetaMask exports no keystore: it shows a
private key, or the recovery phrase of all its accounts.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from Crypto.Cipher import AES
from eth_hash.auto import keccak

from fl_platform.chain.types import address_of
from tests.support.cli import CliInside

GETH_KEY = bytes(range(1, 33))
GETH_PASSWORD = "Grübel, Mölln"  # geth takes the bytes that were typed
# npm install ethers@6.17.0, then
#   const wallet = HDNodeWallet.fromPhrase(PHRASE, "", "m/44'/60'/0'/0/1");
#   const { address, privateKey, path, mnemonic: { entropy } } = wallet;
#   encryptKeystoreJsonSync({ address, privateKey, mnemonic: { path, entropy, locale: "en" } }, ETHERS_PASSWORD,
#                           { scrypt: { N: 1024, r: 8, p: 1 } })
ETHERS = """{"address":"70997970c51812dc3a010c7d01b50e0d17dc79c8","id":"5085b6ed-45dc-41ad-a69a-7b2d921f3c22",\
"version":3,"Crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"2f86c2d57d9496df1815722538f58532"},"ciphertext":\
"bc4de5f30244e199edb628c6eec4f9e7f778ab586d2126668da36bbb6fb58007","kdf":"scrypt","kdfparams":{"salt":\
"2f523a1865e2a652bcde7772a1c20ff77d84993ed1b5714f1d5df2f95c06646c","n":1024,"dklen":32,"p":1,"r":8},"mac":\
"2347ee9e5633ce9be1ab25d1c97ac31bdd4f207f33e10be53e7fd6efee8f7268"},"x-ethers":{"client":"ethers/6.17.0",\
"gethFilename":"UTC--2026-11-29T00-51-13.0Z--70997970c51812dc3a010c7d01b50e0d17dc79c8","path":"m/44'/60'/0'/0/1",\
"locale":"en","mnemonicCounter":"4657dbed5a02040528036812ac186bb4","mnemonicCiphertext":\
"5e562f2c4d04646181c8f3a03a1c2748","version":"0.1"}}"""
ETHERS_PASSWORD = "Größe 2²"  # ethers takes its NFKC form, "Größe 22"
PHRASE = "test test test test test test test test test test test junk"
METAMASK_KEY = "0x" + bytes(range(2, 34)).hex()
ADDRESSES = {
    "geth": "0x6370ef2f4db3611d657b90667de398a2cc2a370c",
    "ethers": "0x70997970c51812dc3a010c7d01b50e0d17dc79c8",  # account 1 of the phrase
    "phrase": "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",  # account 0, anvil's first
    "second": "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc",  # account 2
    "key": "0x" + address_of(bytes(range(2, 34))).hex(),
}
POT = 10 * 10**18


def geth_keystore(folder: Path) -> Path:
    """Write a key as geth does: n 4096, p 6; hex without 0x, an address without its checksum, no end of line."""
    salt, iv, address = bytes(range(32)), bytes(range(16)), ADDRESSES["geth"][2:]
    derived = hashlib.scrypt(GETH_PASSWORD.encode(), salt=salt, n=4096, r=8, p=6, dklen=32)
    cipher = AES.new(derived[:16], AES.MODE_CTR, nonce=b"", initial_value=iv).encrypt(GETH_KEY)
    document = {
        "address": address,
        "crypto": {
            "cipher": "aes-128-ctr", "ciphertext": cipher.hex(), "cipherparams": {"iv": iv.hex()}, "kdf": "scrypt",
            "kdfparams": {"dklen": 32, "n": 4096, "p": 6, "r": 8, "salt": salt.hex()},
            "mac": keccak(derived[16:] + cipher).hex(),
        },
        "id": "472e8b3d-afb6-45b5-8111-72c89895099a", "version": 3,
    }  # fmt: skip
    path = folder / f"UTC--2026-01-31T09-30-00.123456789Z--{address}"
    path.write_text(json.dumps(document, separators=(",", ":")))
    return path


def written(folder: Path, name: str, text: str) -> Path:
    """Write a file as a careful person does."""
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(text)
    return path


@pytest.fixture
def cli(tmp_path: Path) -> CliInside:
    """A folder with keystores of geth and ethers, and their passwords."""
    geth_keystore(tmp_path).rename(tmp_path / "geth.key")
    written(tmp_path, "ethers.json", ETHERS)
    written(tmp_path, "geth-password", GETH_PASSWORD + "\n")
    written(tmp_path, "ethers-password", ETHERS_PASSWORD + "\n")
    return CliInside(tmp_path)


def imported(cli: CliInside) -> dict[str, str]:
    """Import every program's wallet by the name that it has here, and return their addresses."""
    files = {
        "geth": (geth_keystore(cli.folder), "--old-password-file", str(cli.folder / "geth-password")),
        "ethers": (cli.folder / "ethers.json", "--old-password-file", str(cli.folder / "ethers-password")),
        "phrase": (written(cli.folder, "phrase", PHRASE),),
        "second": (cli.folder / "phrase", "--account", "2"),
        "key": (written(cli.folder, "key", METAMASK_KEY + "\n"),),
    }
    return {
        name: cli.report("wallet", "import", str(file), name, *options, "--light")["address"]
        for name, (file, *options) in files.items()
    }


def test_wallets_of_every_program_join_and_are_paid(cli: CliInside) -> None:
    assert imported(cli) == ADDRESSES
    cli("wallet", "new", "--light", "owner", "aggregator")
    cli("deploy", "--wallet", "owner")
    cli("wallet", "fund", "owner", "aggregator", *ADDRESSES, "--tokens", "100")
    cli(
        "task", "open", "--wallet", "owner", "--trainers", "5", "--rounds", "1", "--pot", "10", "--epochs", "1",
        "--worth", "equal", "--byzantine", "0", "--aggregator", "aggregator", "--windows", "minutes",
    )  # fmt: skip
    for name, address in ADDRESSES.items():
        assert cli.report("trainer", "join", "1", "--wallet", name)["trainer"] == address
    cli("aggregator", "bond", "1", "--wallet", "aggregator")
    (sealed,) = cli.report("aggregator", "run", "1", "--wallet", "aggregator", "--local")["sealed"]
    assert sealed["verdicts"] == dict.fromkeys(ADDRESSES.values(), "admitted")
    paid = cli.report("rewards", "claim", "1", "--wallet", "geth", "--all", "--withdraw", "--fast-forward")
    assert {one["account"] for one in paid if one["withdrawn_wei"] > POT // 6} == set(ADDRESSES.values())
    assert cli.report("audit", "1", "--key", "aggregator")["ok"]


@pytest.mark.parametrize("file", ["geth.key", "ethers.json"])
def test_a_wrong_password_opens_no_keystore(cli: CliInside, file: str) -> None:
    wrong = written(cli.folder, "wrong", "Grubel, Molln")
    words = ("wallet", "import", str(cli.folder / file), "mine", "--old-password-file", str(wrong))
    assert f"wrong password for {cli.folder / file}" in cli(*words, code=5).stderr
    assert cli.report("wallet", "list") == []
