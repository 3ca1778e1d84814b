"""Several processes of one wallet and one journal: each step is sent once, whatever one does while another waits.

Two `Chain` objects on one file stand for two processes; what the second does happens while the first pauses.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from fl_platform.chain.artifacts import load
from fl_platform.chain.client import Chain, Contract
from fl_platform.chain.embedded import EmbeddedBackend
from fl_platform.chain.journal import Step
from fl_platform.chain.types import TxReceipt
from fl_platform.config import MINIMAL, NETWORKS
from fl_platform.errors import TransactionPending, TransactionReverted
from tests.support.chain import ETHER, wallet
from tests.support.faults import Meanwhile, SlowPool, fee_chain

EMBEDDED = NETWORKS["embedded"]
LIMITED = replace(EMBEDDED, max_fee_gwei=20)
NEVER, ALWAYS = 10**15, 0  # what a pool asks, wei a gas
ME, OTHER = wallet(100), wallet(101)
PAY = Step(1, 0, "pay")


@pytest.fixture
def embedded() -> Iterator[EmbeddedBackend]:
    """A chain on which both wallets have coin."""
    with EmbeddedBackend() as backend:
        backend.fund(ME.address, ETHER)
        yield backend


def pay(chain: Chain) -> TxReceipt | None:
    return chain.transfer(OTHER.address, 7, signer=ME, step=PAY)


def waiting(embedded: EmbeddedBackend, journal: Path, happens: Callable[[], object]) -> Chain:
    """A process whose transactions nobody mines; something happens while it waits for the first."""
    return fee_chain(SlowPool(embedded, NEVER), LIMITED, journal, Meanwhile(happens))


def test_two_at_one_step_send_it_once(embedded: EmbeddedBackend, tmp_path: Path) -> None:
    """The second adopts the first's stuck transaction and replaces it; the first finds the replacement mined."""
    second = fee_chain(SlowPool(embedded, 5 * embedded.fees().ceiling), EMBEDDED, tmp_path / "journal")
    receipt = pay(waiting(embedded, tmp_path / "journal", partial(pay, second)))
    assert receipt is not None
    assert receipt == pay(second)
    assert embedded.balance(OTHER.address) == 7
    assert embedded.nonce(ME.address) == 1


def test_another_step_takes_the_next_nonce(embedded: EmbeddedBackend, tmp_path: Path) -> None:
    second = Chain(embedded, EMBEDDED, policy=MINIMAL, journal=tmp_path / "journal")
    first = Chain(embedded, EMBEDDED, policy=MINIMAL, journal=tmp_path / "journal")
    for number in range(3):
        for chain in (first, second):
            chain.transfer(OTHER.address, 1, signer=ME, step=Step(1, number, f"by {id(chain)}"))
    assert (embedded.balance(OTHER.address), embedded.nonce(ME.address)) == (6, 6)


@pytest.mark.parametrize("stuck", [False, True], ids=["done", "under-way"])
def test_what_another_began_anew_is_not_sent_twice(embedded: EmbeddedBackend, tmp_path: Path, stuck: bool) -> None:
    """A program without the journal takes the nonce while two wait at one step: one of them begins anew."""
    second = fee_chain(SlowPool(embedded, NEVER if stuck else ALWAYS), LIMITED, tmp_path / "journal")

    def meanwhile() -> None:
        Chain(embedded, EMBEDDED, policy=MINIMAL).transfer(OTHER.address, 1, signer=ME)
        with contextlib.suppress(TransactionPending):
            pay(second)

    first = waiting(embedded, tmp_path / "journal", meanwhile)
    if stuck:
        with pytest.raises(TransactionPending):
            pay(first)
    else:
        pay(first)
    pay(Chain(embedded, EMBEDDED, policy=MINIMAL, journal=tmp_path / "journal"))
    assert (embedded.balance(OTHER.address), embedded.nonce(ME.address)) == (8, 2)


def test_a_failure_seen_late_leaves_the_next_attempt(embedded: EmbeddedBackend, tmp_path: Path) -> None:
    """Two wait for a transaction that will revert; one notes it and tries anew before the other looks."""
    plain = Chain(embedded, EMBEDDED, policy=MINIMAL)
    embedded.fund(OTHER.address, ETHER)
    artifact = load("FaucetToken")
    made = plain.create(artifact, signer=OTHER)
    assert made.contract is not None
    token = Contract("FaucetToken", made.contract, artifact.abi)
    plain.send(token, "mint", OTHER.address, 10, signer=OTHER)

    def allow(amount: int) -> None:
        plain.send(token, "approve", ME.address, amount, signer=OTHER)

    def take(chain: Chain) -> None:
        chain.send(token, "transferFrom", OTHER.address, ME.address, 5, signer=ME, step=PAY)

    def meanwhile() -> None:
        allow(0)
        with pytest.raises(TransactionReverted):
            take(Chain(embedded, EMBEDDED, policy=MINIMAL, journal=tmp_path / "journal"))
        allow(10)
        with pytest.raises(TransactionPending):
            take(fee_chain(SlowPool(embedded, NEVER), LIMITED, tmp_path / "journal"))

    allow(5)
    with pytest.raises(TransactionReverted):
        take(waiting(embedded, tmp_path / "journal", meanwhile))
    third = Chain(embedded, EMBEDDED, policy=MINIMAL, journal=tmp_path / "journal")
    assert {attempt.nonce for attempt in third.progress(PAY, ME).attempts} == {1}
    for _ in range(2):
        take(Chain(embedded, EMBEDDED, policy=MINIMAL, journal=tmp_path / "journal"))
    assert plain.read(token, "balanceOf", ME.address) == 5
    assert embedded.nonce(ME.address) == 2
