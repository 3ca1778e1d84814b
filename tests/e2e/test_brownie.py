"""Brownie compiles what ships and deploys it to real nodes, and the platform accepts what it finds there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from fl_platform.chain.client import connect
from fl_platform.chain.wallets import create
from fl_platform.config import resolve
from fl_platform.ledger.deploy import CONTRACTS, PROOFS, TOKEN, Deployment, check
from tests.support.brownie import BrownieFailed, run_brownie
from tests.support.nodes import ROOT, Node, anvil, ganache, sepolia_rehearsal

pytestmark = pytest.mark.node

Starter = Callable[[], AbstractContextManager[Node]]
PASSWORD = "a rehearsal's password"


@pytest.fixture(scope="module", autouse=True)
def fresh_build() -> None:
    """Compile everything anew: Brownie stops at a build whose source is gone, and would reuse one that is stale."""
    shutil.rmtree(ROOT / "build" / "contracts", ignore_errors=True)
    run_brownie("compile")


def deploy_with_brownie(node: Node, network: str, file: Path, **more: str) -> Deployment:
    environ = {f"FL_PLATFORM_{network.upper()}_URL": node.url, **more}
    run_brownie("run", "deploy_brownie", "main", str(file), "--network", f"fl-{network}", environ=environ)
    deployment = Deployment.read(file)
    assert deployment.network == network
    with connect(resolve(network, environ), journal=file.with_suffix(".journal")) as chain:
        check(chain, deployment)
    return deployment


@pytest.mark.parametrize(("network", "start"), [("anvil", anvil), ("ganache", ganache)])
def test_brownie_deploys_what_the_platform_ships(network: str, start: Starter, tmp_path: Path) -> None:
    with start() as node:
        deployment = deploy_with_brownie(node, network, tmp_path / "deployment.json")
    assert set(deployment.contracts) == {*CONTRACTS, TOKEN, PROOFS}


def test_brownie_deploys_from_a_keystore_where_the_node_holds_no_account(tmp_path: Path) -> None:
    wallet = create(tmp_path, "deployer", PASSWORD, light=True)
    secrets = {"FL_PLATFORM_WALLET": str(wallet.path), "FL_PLATFORM_PASSWORD": PASSWORD}
    with sepolia_rehearsal(accounts=0) as node:
        assert node.accounts == ()
        node.fund("0x" + wallet.address.hex(), 10**18)
        deployment = deploy_with_brownie(node, "sepolia", tmp_path / "deployment.json", **secrets)
        assert set(deployment.contracts) == {*CONTRACTS, PROOFS}
        with pytest.raises(BrownieFailed, match="FL_PLATFORM_WALLET"):
            deploy_with_brownie(node, "sepolia", tmp_path / "second.json")


@pytest.mark.parametrize(("network", "start"), [("anvil", anvil), ("ganache", ganache)])
def test_brownies_own_tests_pass(network: str, start: Starter) -> None:
    with start() as node:
        said = run_brownie(
            *("test", "tests/brownie", "-c", "tests/brownie/pytest.ini", "--network", f"fl-{network}"),
            environ={f"FL_PLATFORM_{network.upper()}_URL": node.url},
        )
    assert "2 passed" in said
