"""Frozen configuration, read once at the edge and passed down. Nothing below reads the environment.

A network says how to reach a chain and when to believe it; `resolve` turns a name (or a URL) and the environment into
one. `MINIMAL` is for tests, `DEFAULT` for everything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fl_platform.errors import ConfigError


@dataclass(frozen=True)
class Network:
    """One chain and how to use it."""

    name: str
    url: str = ""  # empty: the embedded chain
    witness_url: str = ""  # a second end point that must agree; empty: none
    url_variable: str = ""  # environment variable that holds the URL
    witness_variable: str = ""
    chain_id: int | None = None  # None: whatever the end point says
    confirmations: int = 1  # blocks, the transaction's own included, before a step counts as done
    finality: str = "latest"  # what reads wait for: "latest", "safe" or "finalized"
    log_span: int = 10_000  # blocks per eth_getLogs; hosted end points refuse more
    max_fee_gwei: int = 500  # refuse to offer more per gas
    priority_wei: int | None = None  # tip per gas; None: what the node suggests
    explorer: str = ""  # link prefix for people

    @property
    def embedded(self) -> bool:
        """True when the chain runs inside this process."""
        return not self.url


@dataclass(frozen=True)
class Policy:
    """How patient to be with a chain. Seconds."""

    attempts: int = 6  # tries of one call before RpcUnavailable reaches the user
    backoff: float = 0.5  # before the second try; doubles each time
    backoff_limit: float = 20.0
    timeout: float = 20.0  # of one request
    poll: float = 1.0  # between looks for a receipt
    bump_after: float = 90.0  # a transaction unmined for so long is sent again with higher fees
    give_up_after: float = 900.0  # then TransactionPending: run again later, nothing is lost


DEFAULT = Policy()
MINIMAL = Policy(attempts=3, backoff=0.0, timeout=10.0, poll=0.02, bump_after=2.0, give_up_after=20.0)

NETWORKS: Mapping[str, Network] = {
    "embedded": Network("embedded", chain_id=131277322940537),
    "anvil": Network("anvil", "http://127.0.0.1:8545", url_variable="FL_PLATFORM_ANVIL_URL"),
    "ganache": Network("ganache", "http://127.0.0.1:8545", url_variable="FL_PLATFORM_GANACHE_URL"),
    "sepolia": Network(
        "sepolia",
        url_variable="FL_PLATFORM_SEPOLIA_URL",
        witness_variable="FL_PLATFORM_SEPOLIA_WITNESS_URL",
        chain_id=11155111,
        confirmations=2,
        finality="safe",
        log_span=2_000,
        max_fee_gwei=200,
        priority_wei=1_000_000_000,  # Sepolia's nodes suggest close to nothing, and then nobody includes it
        explorer="https://sepolia.etherscan.io",
    ),
}


def resolve(name: str, environ: Mapping[str, str]) -> Network:
    """Return the network called `name`, or one for an http(s) URL. Raises ConfigError with what to set."""
    if name.startswith(("http://", "https://")):
        return Network("rpc", name)
    found = NETWORKS.get(name)
    if found is None:
        raise ConfigError(f"network {name!r} is unknown; use one of {', '.join(NETWORKS)} or an http(s) URL")
    if found.url_variable:
        found = replace(found, url=environ.get(found.url_variable, found.url))
        if not found.url:
            raise ConfigError(f"set {found.url_variable} to the URL of a {name} end point")
    if found.witness_variable:
        found = replace(found, witness_url=environ.get(found.witness_variable, ""))
    return found
