"""Deployment: the file, what it is checked against, and going on after a crash."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fl_platform.chain.artifacts import load, parse_artifact
from fl_platform.chain.client import Chain
from fl_platform.chain.embedded import EmbeddedBackend
from fl_platform.chain.types import Deployed
from fl_platform.config import MINIMAL
from fl_platform.errors import ChainError, ConfigError, DeploymentMismatch, IntegrityError
from fl_platform.ledger.deploy import CONTRACTS, TOKEN, Deployment, check, deploy
from tests.support.chain import EMBEDDED, ETHER, OWNER, Stage, stage, wallet
from tests.support.faults import FaultyBackend, Killed


@pytest.fixture(scope="module")
def s() -> Iterator[Stage]:
    with stage() as made:
        yield made


def test_a_file_reads_as_it_was_written(s: Stage, tmp_path: Path) -> None:
    path = tmp_path / "deployments" / "embedded.json"
    s.owner.deployment.write(path)
    again = Deployment.read(path)
    assert again == s.owner.deployment
    check(s.chain, again)
    assert again.first_block == again.contracts["Escrow"].block


def test_without_the_token(s: Stage) -> None:
    made = deploy(s.chain, OWNER, with_token=False, label="second")
    assert set(made.contracts) == set(CONTRACTS)
    assert made.contracts["Escrow"].address != s.owner.deployment.contracts["Escrow"].address
    with pytest.raises(ConfigError, match="no FaucetToken in the deployment"):
        made.contract(TOKEN)


def test_no_file_and_no_deployment_file(tmp_path: Path, s: Stage) -> None:
    with pytest.raises(ConfigError, match=r"`fl-platform follow FILE`, or .* `fl-platform deploy`"):
        Deployment.read(tmp_path / "none.json")
    path = tmp_path / "x.json"
    s.owner.deployment.write(path)
    value = json.loads(path.read_text())
    broken = [
        "",
        "[]",
        "{}",
        json.dumps({**value, "format": "other"}),
        json.dumps({**value, "contracts": {}}),
        json.dumps({**value, "genesis": "0x00"}),
        json.dumps({**value, "chain_id": "many"}),
        json.dumps({**value, "chain_id": float("inf")}),
        "[" * 60_000,
    ]
    for text in broken:
        path.write_text(text)
        with pytest.raises(ConfigError, match="deploy again"):
            Deployment.read(path)


def test_another_chain_is_refused(s: Stage) -> None:
    for changes in ({"chain_id": 5}, {"genesis": bytes(32)}):
        with pytest.raises(ConfigError, match="a restarted development chain is a new one"):
            check(s.chain, replace(s.owner.deployment, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CONTRACTS)
def test_foreign_code_is_refused(s: Stage, name: str) -> None:
    right = s.owner.deployment
    for address, words in ((wallet(5).address, "no code"), (right.contracts[TOKEN].address, "other code")):
        wrong = replace(right, contracts={**right.contracts, name: Deployed(name, address)})
        with pytest.raises(DeploymentMismatch, match=f"{name}: {words}|trusts"):
            check(s.chain, wrong)


def test_right_code_with_foreign_wiring_is_refused(s: Stage) -> None:
    """The same bytes, but an escrow that trusts a ledger of the attacker's."""
    receipt = s.chain.create(
        load("Escrow"), *[wallet(6).address] * len(load("Escrow").abi.constructor_names), signer=OWNER
    )
    assert receipt.contract is not None
    right = s.owner.deployment
    wrong = replace(right, contracts={**right.contracts, "Escrow": Deployed("Escrow", receipt.contract)})
    with pytest.raises(DeploymentMismatch, match="do not send money there"):
        check(s.chain, wrong)


def test_killed_at_any_call_it_goes_on(tmp_path: Path) -> None:
    with EmbeddedBackend() as backend:
        backend.fund(OWNER.address, 100 * ETHER)
        mark = backend.snapshot()
        counting = FaultyBackend(backend)
        with Chain(counting, EMBEDDED, policy=MINIMAL) as chain:
            expected = deploy(chain, OWNER, with_token=True)
        nonce = backend.nonce(OWNER.address)
    with EmbeddedBackend() as backend:
        backend.fund(OWNER.address, 100 * ETHER)
        mark = backend.snapshot()
        for k in range(4, counting.calls + 1, 7):
            backend.revert(mark)
            journal = tmp_path / f"{k}"
            with (
                pytest.raises(Killed),
                Chain(
                    FaultyBackend(backend, fail_at=k, after=bool(k % 2), error=Killed),
                    EMBEDDED,
                    policy=MINIMAL,
                    journal=journal,
                ) as chain,
            ):
                deploy(chain, OWNER, with_token=True)
            chain = Chain(backend, EMBEDDED, policy=MINIMAL, journal=journal)
            assert deploy(chain, OWNER, with_token=True) == expected
            assert backend.nonce(OWNER.address) == nonce
            check(chain, expected)
            chain.release_journal()


def test_a_disturbed_deployment_says_so(tmp_path: Path) -> None:
    with EmbeddedBackend() as backend:
        backend.fund(OWNER.address, 100 * ETHER)

        class Disturbed(FaultyBackend):
            """Another program sends from the same wallet after the second contract."""

            def broadcast(self, raw: bytes) -> bytes:
                digest = self.inner.broadcast(raw)
                self.calls += 1
                if self.calls == 2:
                    Chain(self.inner, EMBEDDED, policy=MINIMAL).transfer(wallet(3).address, 1, signer=OWNER)
                return digest

        class OnlySends(Disturbed):
            def _do(self, call: object) -> object:
                return call()  # type: ignore[operator]

        with pytest.raises(ChainError, match="landed at another address than planned"):
            deploy(Chain(OnlySends(backend), EMBEDDED, policy=MINIMAL), OWNER, with_token=True)


def test_damaged_artifacts_are_refused() -> None:
    with pytest.raises(IntegrityError, match="missing"):
        load("NoSuchContract")
    for text in ("", "{}", '{"contractName": "X", "abi": [], "bytecode": "0xzz"}'):
        with pytest.raises(IntegrityError, match="damaged"):
            parse_artifact(text, "X")
