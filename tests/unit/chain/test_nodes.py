"""Real nodes: the shared suite and a whole task on anvil and ganache, and a rehearsal of Sepolia."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from fl_platform.chain.client import Chain, connect
from fl_platform.chain.types import Phase
from fl_platform.config import MINIMAL, Network, resolve
from fl_platform.errors import ConfigError, RpcUnavailable
from fl_platform.ledger.deploy import Deployment, check
from tests.support import nodes
from tests.support.backends import ME, BackendSuite
from tests.support.chain import (
    AGGREGATOR,
    ETHER,
    OWNER,
    Stage,
    claim_leaves,
    roster,
    seal,
    stage,
    wallet,
)

pytestmark = pytest.mark.node
TRAINERS = [wallet(10 + number) for number in range(3)]


@pytest.fixture(scope="module", params=["anvil", "ganache"])
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    """A running node."""
    with getattr(nodes, request.param)() as node:
        yield dataclasses.replace(resolve(request.param, {}), url=node.url)


class TestNodes(BackendSuite):
    """The shared suite; each test leaves the node as it found it."""

    @pytest.fixture
    def chain(self, network: Network) -> Iterator[Chain]:
        """A clean chain on the node."""
        with connect(network, policy=MINIMAL) as chain:
            mark = chain.backend.snapshot()
            chain.fund(ME.address, 100 * ETHER)
            yield chain
            chain.backend.revert(mark)


def live(s: Stage) -> None:
    """Play a task from opening to withdrawal and check every record against the contract."""
    check(s.chain, s.owner.deployment)
    task = s.open(s.spec(rounds=2))
    for trainer in TRAINERS:
        s.join(task, trainer)
    own = s.bond(task, AGGREGATOR)
    for number in range(2):
        roster(own, task, number, TRAINERS)
        seal(own, task, number, TRAINERS)
    history = own.history(task)
    assert history.head.phase is Phase.DONE
    for found in history.rounds:
        record = history.claim_record(found.number)
        assert record is not None
        assert own.ring_digest(task, found.number) == record.digest(task, found.number)
    final = history.final_at(1)
    assert final is not None
    s.chain.wait_until(final)
    own.claim(task, 1, claim_leaves(TRAINERS, own.allotted(task, 1)), TRAINERS[0].address)
    s.as_(TRAINERS[0]).withdraw(task)
    assert own.token_balance(history.opened.token, TRAINERS[0].address) == 2 * ETHER // 3


def test_a_whole_task_runs_on_a_node(network: Network) -> None:
    with stage(network) as s:
        live(s)


def test_sepolia_is_rehearsed_with_one_second_blocks() -> None:
    """Sepolia's own configuration but for URL and waits: confirmations, finality tag, gas settings, chain id."""
    with nodes.sepolia_rehearsal() as node:
        sepolia = resolve("sepolia", {"FL_PLATFORM_SEPOLIA_URL": node.url})
        patient = dataclasses.replace(MINIMAL, poll=0.2, give_up_after=60.0)
        with stage(sepolia, policy=patient) as s:
            assert s.chain.chain_id == 11155111
            live(s)
            assert s.chain.final_head().number <= s.chain.confirmed_head().number < s.chain.head().number


def test_a_restarted_node_is_another_chain(network: Network) -> None:
    with nodes.anvil(chain_id=31337) as node, stage(dataclasses.replace(network, url=node.url)) as s:
        deployment = s.owner.deployment
    other = dataclasses.replace(deployment, genesis=bytes(32))
    with connect(network, policy=MINIMAL) as chain, pytest.raises(ConfigError, match="development chain is a new one"):
        check(chain, Deployment(**{**other.__dict__, "chain_id": chain.chain_id}))


def test_a_stopped_node_is_unavailable_not_a_traceback() -> None:
    with nodes.anvil() as node, connect(Network("anvil", node.url), policy=MINIMAL) as chain:
        chain.fund(OWNER.address, ETHER)
        url = node.url
        chain_after = chain
    with pytest.raises(RpcUnavailable, match=url):
        chain_after.head()
