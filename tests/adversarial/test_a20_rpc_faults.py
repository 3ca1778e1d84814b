"""A20: RPC outage, lost answers, lagging or lying end points, stuck nonces, underpriced transactions.

Attacker: whoever runs the end point, or the network. Expected loss: time only. Nothing is ever done twice, and two end
points that disagree stop everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fl_platform.chain.client import Chain, Contract
from fl_platform.chain.embedded import EmbeddedBackend
from fl_platform.chain.journal import Step
from fl_platform.chain.two_end_points import WitnessedBackend
from fl_platform.chain.types import BlockRef, Call, FeeQuote, Log, LogFilter, TxReceipt
from fl_platform.config import MINIMAL, NETWORKS
from fl_platform.errors import EndPointsDisagree, IntegrityError, RpcUnavailable, TransactionPending
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.deploy import Deployment
from tests.support.chain import ETHER, wallet
from tests.support.faults import FaultyBackend, Killed, SlowPool, fee_chain
from tests.support.script import TASK, TRAINER, Outcome, outcome, play, prepare

EMBEDDED = NETWORKS["embedded"]
ME, OTHER = wallet(100), wallet(101)


@dataclass(frozen=True)
class Prepared:
    """A chain before the script, the script's undisturbed outcome and number of calls."""

    backend: EmbeddedBackend
    deployment: Deployment
    expected: Outcome
    calls: int
    mark: str


@pytest.fixture(scope="module")
def prepared() -> Iterator[Prepared]:
    """Play the script once undisturbed and take the chain back."""
    with EmbeddedBackend() as backend:
        deployment = prepare(backend)
        mark = backend.snapshot()
        counting = FaultyBackend(backend)
        play(counting, deployment, None)
        expected = outcome(backend, deployment)
        backend.revert(mark)
        yield Prepared(backend, deployment, expected, counting.calls, mark)


@pytest.mark.parametrize("after", [False, True], ids=["before", "answer-lost"])
@pytest.mark.parametrize("error", [RpcUnavailable, Killed], ids=["outage", "killed"])
def test_a_failure_of_any_call_changes_nothing(prepared: Prepared, tmp_path: Path, after: bool, error: type) -> None:
    assert prepared.calls > 40
    # Killed after call k is as good as killed before call k + 1, and an outage differs only in who cleans up.
    every = 1 if error is Killed and after else 4
    for k in range(1, prepared.calls + 1, every):
        prepared.backend.revert(prepared.mark)
        journal = tmp_path / f"{k}.journal"
        with pytest.raises(error):
            play(FaultyBackend(prepared.backend, fail_at=k, after=after, error=error), prepared.deployment, journal)
        play(prepared.backend, prepared.deployment, journal)
        assert outcome(prepared.backend, prepared.deployment) == prepared.expected, f"call {k}"


def test_retries_hide_a_short_outage(prepared: Prepared) -> None:
    prepared.backend.revert(prepared.mark)
    slept: list[float] = []
    faulty = FaultyBackend(prepared.backend, fail_at=7)
    chain = Chain(faulty, EMBEDDED, policy=replace(MINIMAL, backoff=0.5), sleep=slept.append)
    for _ in range(8):
        chain.head()
    assert slept == [0.5]


def test_an_outage_that_lasts_names_the_end_point() -> None:
    class Down(FaultyBackend):
        def chain_id(self) -> int:
            raise RpcUnavailable("https://node.example does not answer; is the URL right?")

    slept: list[float] = []
    with EmbeddedBackend() as backend, pytest.raises(RpcUnavailable, match=r"node\.example"):
        Chain(Down(backend), EMBEDDED, policy=replace(MINIMAL, attempts=4, backoff=1.0), sleep=slept.append)
    assert slept == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("refuse", [False, True], ids=["silent", "underpriced"])
def test_a_stuck_transaction_is_replaced_under_its_nonce(refuse: bool) -> None:
    with EmbeddedBackend() as embedded:
        embedded.fund(ME.address, ETHER)
        pool = SlowPool(embedded, least=5 * embedded.fees().ceiling)
        pool.refuse = refuse
        chain = fee_chain(pool)
        receipt = chain.transfer(OTHER.address, 7, signer=ME, step=Step(1, 0, "pay"))
        assert receipt is not None
        assert embedded.balance(OTHER.address) == 7
        assert embedded.nonce(ME.address) == 1


def test_fees_stop_at_the_limit_and_the_step_waits_in_the_journal(tmp_path: Path) -> None:
    with EmbeddedBackend() as embedded:
        embedded.fund(ME.address, ETHER)
        pool = SlowPool(embedded, least=10**12)
        capped = replace(EMBEDDED, max_fee_gwei=20)
        chain = fee_chain(pool, capped, tmp_path / "journal")
        with pytest.raises(TransactionPending, match=r"not mined after .* run again later"):
            chain.transfer(OTHER.address, 7, signer=ME, step=Step(1, 0, "pay"))
        chain.release_journal()
        assert embedded.nonce(ME.address) == 0
        embedded.broadcast(pool.pool[0])  # hours later somebody mines the first, cheapest one
        chain = fee_chain(pool, capped, tmp_path / "journal")
        chain.transfer(OTHER.address, 7, signer=ME, step=Step(1, 0, "pay"))
        assert embedded.balance(OTHER.address) == 7
        assert embedded.nonce(ME.address) == 1
        chain.release_journal()


def test_the_step_starts_afresh_when_its_nonce_is_gone(tmp_path: Path) -> None:
    with EmbeddedBackend() as embedded:
        embedded.fund(ME.address, ETHER)
        pool = SlowPool(embedded, least=10**12)
        stuck = fee_chain(pool, replace(EMBEDDED, max_fee_gwei=20), tmp_path / "journal")
        with pytest.raises(TransactionPending):
            stuck.transfer(OTHER.address, 7, signer=ME, step=Step(1, 0, "pay"))
        stuck.release_journal()
        Chain(embedded, EMBEDDED, policy=MINIMAL).transfer(OTHER.address, 1, signer=ME)
        fresh = Chain(embedded, EMBEDDED, policy=MINIMAL, journal=tmp_path / "journal")
        fresh.transfer(OTHER.address, 7, signer=ME, step=Step(1, 0, "pay"))
        fresh.transfer(OTHER.address, 7, signer=ME, step=Step(1, 0, "pay"))
        assert embedded.balance(OTHER.address) == 8
        fresh.release_journal()


def test_a_lagging_nonce_is_overruled_by_what_was_seen_mined() -> None:
    class Lagging(FaultyBackend):
        def nonce(self, address: bytes, *, pending: bool = False) -> int:
            return max(0, self.inner.nonce(address) - 1) if pending else self.inner.nonce(address)

    with EmbeddedBackend() as embedded:
        embedded.fund(ME.address, ETHER)
        chain = Chain(Lagging(embedded), EMBEDDED, policy=MINIMAL)
        for _ in range(3):
            chain.transfer(OTHER.address, 1, signer=ME)
        assert embedded.balance(OTHER.address) == 3


class Liar(FaultyBackend):
    """Tells another story in one respect."""

    def __init__(self, inner: EmbeddedBackend, lie: str) -> None:
        super().__init__(inner)
        self.lie = lie

    def block(self, number: int) -> BlockRef | None:
        found = self.inner.block(number)
        return replace(found, hash=bytes(32)) if found and self.lie == "block" else found

    def call(self, call: Call, block: int | None = None) -> bytes:
        data = self.inner.call(call, block)
        return bytes(len(data)) if self.lie == "call" else data

    def logs(self, wanted: LogFilter) -> tuple[Log, ...]:
        return () if self.lie == "logs" else self.inner.logs(wanted)

    def receipt(self, transaction: bytes) -> TxReceipt | None:
        found = self.inner.receipt(transaction)
        return replace(found, ok=False) if found and self.lie == "receipt" else found

    def code(self, address: bytes) -> bytes:
        return b"\x60\x00" if self.lie == "code" else self.inner.code(address)

    def chain_id(self) -> int:
        return 1 if self.lie == "chain" else self.inner.chain_id()

    def fees(self) -> FeeQuote:
        return FeeQuote(10**12, 10**12) if self.lie == "fees" else self.inner.fees()


@pytest.mark.parametrize("lie", ["block", "call", "logs", "receipt", "code", "chain"])
@pytest.mark.parametrize("liar_first", [True, False])
def test_a_lying_end_point_stops_everything(prepared: Prepared, lie: str, liar_first: bool) -> None:
    prepared.backend.revert(prepared.mark)
    pair = (Liar(prepared.backend, lie), prepared.backend)
    both = WitnessedBackend(*(pair if liar_first else pair[::-1]))
    token = prepared.deployment.contract("FaucetToken")
    with pytest.raises(EndPointsDisagree, match="differs between end points"):
        everything(Chain(both, EMBEDDED, policy=MINIMAL), token)


def everything(chain: Chain, token: Contract) -> None:
    """Touch every kind of answer."""
    chain.head()
    chain.backend.code(token.address)
    chain.read(token, "totalSupply")
    chain.events([token])
    chain.send(token, "mint", TRAINER.address, 1, signer=TRAINER)


def test_honest_end_points_agree_and_one_may_be_down(prepared: Prepared) -> None:
    prepared.backend.revert(prepared.mark)
    token = prepared.deployment.contract("FaucetToken")
    everything(Chain(WitnessedBackend(prepared.backend, prepared.backend), EMBEDDED, policy=MINIMAL), token)

    class Down(FaultyBackend):
        def _do(self, call: object) -> object:
            raise RpcUnavailable("down")

    for pair in ((Down(prepared.backend), prepared.backend), (prepared.backend, Down(prepared.backend))):
        everything(Chain(WitnessedBackend(*pair), EMBEDDED, policy=MINIMAL), token)


def test_an_end_point_that_hides_events_is_caught_without_a_witness(prepared: Prepared) -> None:
    prepared.backend.revert(prepared.mark)
    play(prepared.backend, prepared.deployment, None)
    topic = prepared.deployment.contract("RoundLedger").abi.event_topic("RoundSealed")

    class HidesSeals(FaultyBackend):
        def logs(self, wanted: LogFilter) -> tuple[Log, ...]:
            return tuple(log for log in self.inner.logs(wanted) if log.topics[0] != topic)

    views = Contracts(Chain(HidesSeals(prepared.backend), EMBEDDED, policy=MINIMAL), prepared.deployment)
    with pytest.raises(IntegrityError, match="the events show no seal of 0"):
        views.history(TASK)
