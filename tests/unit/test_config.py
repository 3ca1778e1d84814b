"""Networks: names, environment, URLs."""

from __future__ import annotations

import pytest

from fl_platform.config import DEFAULT, MINIMAL, NETWORKS, resolve
from fl_platform.errors import ConfigError


def test_the_embedded_chain_needs_nothing() -> None:
    assert resolve("embedded", {}).embedded


@pytest.mark.parametrize("name", ["anvil", "ganache"])
def test_local_nodes_have_a_default_that_the_environment_overrides(name: str) -> None:
    assert resolve(name, {}).url == "http://127.0.0.1:8545"
    assert resolve(name, {f"FL_PLATFORM_{name.upper()}_URL": "http://127.0.0.1:1"}).url == "http://127.0.0.1:1"


def test_sepolia_is_complete_but_for_its_url() -> None:
    with pytest.raises(ConfigError, match="set FL_PLATFORM_SEPOLIA_URL"):
        resolve("sepolia", {})
    found = resolve("sepolia", {"FL_PLATFORM_SEPOLIA_URL": "https://a", "FL_PLATFORM_SEPOLIA_WITNESS_URL": "https://b"})
    assert (found.url, found.witness_url, found.chain_id) == ("https://a", "https://b", 11155111)
    assert found.confirmations > 1
    assert found.finality == "safe"
    assert found.explorer.startswith("https://")
    assert found.priority_wei


def test_any_url_is_a_network_and_other_names_are_none() -> None:
    assert resolve("https://node.example/key", {}).url == "https://node.example/key"
    with pytest.raises(ConfigError, match="unknown; use one of embedded, anvil, ganache, sepolia"):
        resolve("mainnet", {})


def test_presets_and_names() -> None:
    assert MINIMAL.backoff == 0
    assert MINIMAL.give_up_after < DEFAULT.give_up_after
    assert all(name == network.name for name, network in NETWORKS.items())
