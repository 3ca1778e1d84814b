"""A39: theft of a trainer's key from files, logs, errors, process list or memory dumps of our own making.

Attacker: somebody who reads what the platform writes. Expected loss: nothing; the key lies encrypted on disk and in one
process's memory, nowhere else.
"""

from __future__ import annotations

import copy
import logging
import pickle
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from fl_platform.chain import wallets
from fl_platform.chain.artifacts import Artifact
from fl_platform.chain.client import Chain
from fl_platform.chain.embedded import EmbeddedBackend
from fl_platform.chain.journal import Step
from fl_platform.chain.rpc import RpcBackend
from fl_platform.chain.signer import Signer
from fl_platform.config import MINIMAL, NETWORKS
from fl_platform.errors import RpcUnavailable, TransactionReverted, WalletError
from fl_platform.protocol.keccak import keccak256
from tests.support.chain import AGGREGATOR, OWNER
from tests.support.script import TRAINER, play, prepare

KEY = keccak256(b"a key that must not show")
PASSWORD = "correct horse battery staple"
SECRETS = (KEY.hex(), str(int.from_bytes(KEY, "big")), repr(KEY), PASSWORD)


def hidden(text: str) -> bool:
    """Return whether no secret is in `text`, in any spelling."""
    return not any(secret.lower() in text.lower() for secret in SECRETS)


def test_no_key_in_logs_journal_or_chain_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    signer = Signer(KEY)
    network = NETWORKS["embedded"]
    with Chain(EmbeddedBackend(tmp_path / "chain"), network, policy=MINIMAL, journal=tmp_path / "journal") as chain:
        chain.fund(signer.address, 10**18)
        chain.transfer(bytes(20), 1, signer=signer, step=Step(1, 1, "pay"))
        with pytest.raises(TransactionReverted) as caught:
            chain.create(_reverting(), signer=signer)
        assert hidden("".join(traceback.format_exception(caught.value)))
    assert caplog.text
    assert hidden(caplog.text)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert KEY not in data, path
            assert KEY.hex().encode() not in data, path


def _reverting() -> Artifact:
    return Artifact("Reverting", (), bytes.fromhex("60006000fd"), b"", (), bytes(32))


def test_a_whole_script_logs_no_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with EmbeddedBackend() as backend:
        play(backend, prepare(backend), None, to_the_end=True)
    for signer in (OWNER, AGGREGATOR, TRAINER):
        assert signer._key.hex() not in caplog.text


def test_a_signer_shows_its_address_only() -> None:
    signer = Signer(KEY)
    assert repr(signer) == f"Signer(0x{signer.address.hex()})"
    assert hidden(f"{signer} {signer!r} {[signer]} {vars(type(signer))}")
    for steal in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            steal(signer)


def test_a_bad_key_is_not_quoted() -> None:
    with pytest.raises(WalletError) as caught:
        Signer(KEY + b"\x01")
    assert hidden("".join(traceback.format_exception(caught.value)))


def test_a_wallet_file_is_encrypted_and_private(tmp_path: Path) -> None:
    info = wallets.create(tmp_path, "me", PASSWORD, light=True, private_key=KEY)
    assert info.path.stat().st_mode & 0o777 == 0o600
    assert hidden(info.path.read_text())
    assert wallets.unlock(info.path, PASSWORD).address == Signer(KEY).address


def test_a_wrong_password_is_not_quoted(tmp_path: Path) -> None:
    info = wallets.create(tmp_path, "me", "another one", light=True, private_key=KEY)
    with pytest.raises(WalletError, match="wrong password") as caught:
        wallets.unlock(info.path, PASSWORD)
    assert hidden("".join(traceback.format_exception(caught.value)))


def test_no_function_takes_a_key_or_password_from_argv() -> None:
    """The library reads neither argv nor the environment: an edge hands both in, so a process list shows nothing."""
    code = (
        "import sys; sys.argv = ['x', 'SECRET']; import os\n"
        "import fl_platform.chain.wallets, fl_platform.chain.signer, fl_platform.ledger.contracts, inspect\n"
        "for m in (fl_platform.chain.wallets, fl_platform.chain.signer, fl_platform.ledger.contracts):\n"
        "    text = inspect.getsource(m); assert 'sys.argv' not in text and 'os.environ' not in text, m\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "url", ["http://user:hunter2@127.0.0.1:9/v3/APIKEY123?token=TOKEN9", "http://127.0.0.1:9/APIKEY123"]
)
def test_end_point_credentials_are_stripped(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="fl_platform")
    with pytest.raises(RpcUnavailable, match=r"http://127\.0\.0\.1:9 does not answer") as caught:
        Chain(RpcBackend(url, timeout=2.0), NETWORKS["anvil"], policy=MINIMAL)
    ours = "".join(r.getMessage() for r in caplog.records if r.name.startswith("fl_platform"))
    shown = "".join(traceback.format_exception(caught.value)) + ours
    for secret in ("hunter2", "APIKEY123", "TOKEN9"):
        assert secret not in shown
