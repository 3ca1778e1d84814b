"""A development chain that was restarted: what belongs to the old one is put aside whole, and comes back with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fl_platform.chain.client import Chain
from fl_platform.chain.embedded import EmbeddedBackend
from fl_platform.chain.evm import EvmNode, Genesis
from fl_platform.chain.journal import Journal, Step, chain_of
from fl_platform.chain.types import Deployed
from fl_platform.config import MINIMAL
from fl_platform.errors import ConfigError
from fl_platform.task.past import Kept, put_aside
from tests.support.chain import EMBEDDED, Stage, stage, wallet

STEP = Step(1, 0, "seal").key(wallet(1).address)


@pytest.fixture(scope="module")
def s() -> Stage:
    with stage() as made:
        return made


def chain_at(time: int) -> Chain:
    """Return a fresh development chain that was started at a block time."""
    backend = EmbeddedBackend()
    backend.node = EvmNode(Genesis(time))
    return Chain(backend, EMBEDDED, policy=MINIMAL)


def used(root: Path, chain: Chain, s: Stage, *, block: int = 0) -> set[str]:
    """Fill a folder as if the platform had been used on a chain, and return its files."""
    contracts = {name: Deployed(name, at.address, at.transaction, block)
                 for name, at in s.owner.deployment.contracts.items()}  # fmt: skip
    replace(s.owner.deployment, genesis=chain.genesis, contracts=contracts).write(root / "deployments/embedded.json")
    for name in ("embedded", "embedded.owner"):
        Journal(root / "journal" / name, chain.genesis).close()
    for name in ("roles/embedded/one/task-1/round-0.json", "sockets/embedded-1/one", "slices/embedded-1/0.json",
                 "wallets/one.json", "store/x", "roles/sepolia/one/x", "journal/sepolia.one"):  # fmt: skip
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return files(root)


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


MOVED = ("deployments/embedded.json", "journal/embedded", "journal/embedded.owner", "sockets/embedded-1/one",
         "roles/embedded/one/task-1/round-0.json", "slices/embedded-1/0.json")  # fmt: skip


def test_a_restart_puts_everything_of_the_old_chain_aside_and_nothing_else(tmp_path: Path, s: Stage) -> None:
    old, new = chain_at(1_000), chain_at(2_000)
    before = used(tmp_path, old, s)
    assert put_aside(tmp_path, old) == ()
    assert files(tmp_path) == before
    folder = tmp_path / "past" / f"embedded-{old.genesis.hex()[:16]}"
    assert put_aside(tmp_path, new) == (Kept(old.genesis, folder),)
    assert files(tmp_path) == (before - set(MOVED)) | {f"past/{folder.name}/{name}" for name in MOVED}
    assert put_aside(tmp_path, new) == ()
    Journal(tmp_path / "journal" / "embedded.owner", new.genesis).close()


def test_what_was_put_aside_comes_back_with_its_chain(tmp_path: Path, s: Stage) -> None:
    old, new = chain_at(1_000), chain_at(2_000)
    before = used(tmp_path, old, s)
    put_aside(tmp_path, new)
    used(tmp_path, new, s)
    assert [kept.genesis for kept in put_aside(tmp_path, old)] == [new.genesis]
    assert files(tmp_path) == before | {f"past/embedded-{new.genesis.hex()[:16]}/{name}" for name in MOVED}
    assert json.loads((tmp_path / MOVED[0]).read_text())["genesis"] == "0x" + old.genesis.hex()


def test_interrupted_it_goes_on_and_loses_nothing(tmp_path: Path, s: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = chain_at(1_000), chain_at(2_000)
    before, rename = used(tmp_path, old, s), Path.rename
    left: list[int] = []

    def killed(self: Path, target: Path) -> Path:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", killed)
    for moves in (1, 0, 2, 1):
        left[:] = [0] * moves
        with pytest.raises(KeyboardInterrupt):
            put_aside(tmp_path, new)
    monkeypatch.setattr(Path, "rename", rename)
    put_aside(tmp_path, new)
    folder = f"past/embedded-{old.genesis.hex()[:16]}"
    assert files(tmp_path) == (before - set(MOVED)) | {f"{folder}/{name}" for name in MOVED}


def test_a_journal_of_the_new_chain_stays(tmp_path: Path, s: Stage) -> None:
    old, new = chain_at(1_000), chain_at(2_000)
    used(tmp_path, old, s)
    Journal(tmp_path / "journal" / "embedded.late", new.genesis).close()
    put_aside(tmp_path, new)
    assert chain_of(tmp_path / "journal" / "embedded.late") == new.genesis
    assert not (tmp_path / "journal" / "embedded").exists()


def test_a_chain_that_is_shorter_than_its_deployment_was_started_anew(tmp_path: Path, s: Stage) -> None:
    """From the same block 0, as the embedded chain whose folder was deleted."""
    chain = chain_at(1_000)
    for number in (1, 2):
        used(tmp_path, chain, s, block=7)
        (kept,) = put_aside(tmp_path, chain)
        assert kept.folder.name == f"embedded-{chain.genesis.hex()[:16]}-{number}"
        assert not (tmp_path / MOVED[0]).exists()


def test_a_public_network_is_never_restarted(tmp_path: Path, s: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    before = used(tmp_path, chain_at(1_000), s)
    monkeypatch.setattr(EmbeddedBackend, "local", False)
    with pytest.raises(ConfigError, match="mend the URL"):
        put_aside(tmp_path, chain_at(2_000))
    assert files(tmp_path) == before


def test_a_damaged_journal_is_not_taken_for_another_chain_s(tmp_path: Path, s: Stage) -> None:
    chain = chain_at(1_000)
    used(tmp_path, chain, s)
    (tmp_path / "journal" / "embedded.owner").write_text("{")
    assert put_aside(tmp_path, chain) == ()
    assert chain_of(tmp_path / "none") is None
    (tmp_path / "x").write_text("something else that is longer than a first line of a journal" * 4)
    with pytest.raises(ConfigError, match="no journal of this version"):
        Journal(tmp_path / "x", chain.genesis)
