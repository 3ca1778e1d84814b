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
from fl_platform.chain.client import Chain, Contract, Planned
from fl_platform.chain.embedded import EmbeddedBackend
from fl_platform.chain.journal import Step
from fl_platform.chain.types import TxReceipt
from fl_platform.config import MINIMAL, NETWORKS
from fl_platform.errors import TransactionPending, TransactionReverted
from tests.support.chain import ETHER, wallet
from tests.support.faults import BlockByBlock, Killed, Meanwhile, SlowPool, fee_chain

EMBEDDED = NETWORKS["embedded"]
LIMITED = replace(EMBEDDED, max_fee_gwei=20)
NEVER, ALWAYS = 10**15, 0  # what a pool asks, wei a gas
ME, OTHER, THIRD = wallet(100), wallet(101), wallet(102)
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


# --- many at once -----------------------------------------------------------------------------------------------------

MANY = 64


@pytest.fixture
def pool(embedded: EmbeddedBackend) -> BlockByBlock:
    return BlockByBlock(embedded)


@pytest.fixture
def token(embedded: EmbeddedBackend) -> Contract:
    artifact = load("FaucetToken")
    made = Chain(embedded, EMBEDDED, policy=MINIMAL).create(artifact, signer=ME)
    assert made.contract is not None
    return Contract("FaucetToken", made.contract, artifact.abi)


def on(pool: BlockByBlock, journal: Path | None = None) -> Chain:
    """Return a chain that sees a new block at each pause."""
    return Chain(pool, EMBEDDED, policy=MINIMAL, journal=journal, sleep=pool.mine)


def mints(token: Contract, count: int = MANY) -> list[Planned]:
    return [Planned(token, "mint", (OTHER.address, 1 + i), Step(1, 0, f"mint {i}")) for i in range(count)]


def minted(embedded: EmbeddedBackend, token: Contract) -> int:
    return int(Chain(embedded, EMBEDDED, policy=MINIMAL).read(token, "balanceOf", OTHER.address))


def test_many_that_do_not_need_each_other_are_mined_in_one_block(
    embedded: EmbeddedBackend, pool: BlockByBlock, token: Contract
) -> None:
    first = embedded.nonce(ME.address)
    found = on(pool).send_all(mints(token), signer=ME)
    assert {one.block for one in found if isinstance(one, TxReceipt)} == {embedded.head().number}
    assert (len(found), pool.blocks) == (MANY, 1)
    assert embedded.nonce(ME.address) == first + MANY
    assert minted(embedded, token) == MANY * (MANY + 1) // 2
    assert on(pool).send_all([], signer=ME) == []


def test_one_that_is_refused_stops_no_other(embedded: EmbeddedBackend, pool: BlockByBlock, token: Contract) -> None:
    planned = mints(token, 5)
    planned[2] = Planned(token, "transferFrom", (OTHER.address, ME.address, 1), Step(1, 0, "not allowed"))
    found = on(pool).send_all(planned, signer=ME)
    assert [type(one) for one in found] == [TxReceipt, TxReceipt, TransactionReverted, TxReceipt, TxReceipt]
    assert (minted(embedded, token), pool.blocks) == (12, 1)


def test_one_that_reverts_in_its_block_stops_no_other(
    embedded: EmbeddedBackend, pool: BlockByBlock, token: Contract
) -> None:
    """Its trial run passed, on a block that did not have what comes before it."""
    chain = on(pool)
    chain.send(token, "mint", ME.address, 5, signer=ME)
    spend = [Planned(token, "transfer", (OTHER.address, 5), Step(1, 0, f"spend {i}")) for i in range(2)]
    found = chain.send_all([*spend, *mints(token, 3)], signer=ME)
    assert [isinstance(one, TxReceipt) for one in found] == [True, False, True, True, True]
    assert minted(embedded, token) == 5 + 6


@pytest.mark.parametrize("lost", [False, True], ids=["handed-in", "dropped"])
@pytest.mark.parametrize("before", [1, 3])
def test_a_process_that_is_killed_between_them_sends_each_once(
    embedded: EmbeddedBackend, pool: BlockByBlock, token: Contract, tmp_path: Path, before: int, lost: bool
) -> None:
    first, hand_in = embedded.nonce(ME.address), pool.broadcast

    def killed(raw: bytes) -> bytes:
        if len(pool.pool) == before:
            raise Killed
        return hand_in(raw)

    pool.broadcast = killed  # type: ignore[method-assign]
    chain = on(pool, tmp_path / "journal")
    with pytest.raises(Killed):
        chain.send_all(mints(token, 5), signer=ME)
    chain.release_journal()
    pool.broadcast = hand_in  # type: ignore[method-assign]
    if lost:
        pool.pool.clear()
    found = on(pool, tmp_path / "journal").send_all(mints(token, 5), signer=ME)
    assert all(isinstance(one, TxReceipt) for one in found)
    assert (minted(embedded, token), embedded.nonce(ME.address)) == (15, first + 5)
    assert pool.blocks == 1


def test_what_a_wallet_cannot_pay_for_at_once_it_sends_in_lots(
    embedded: EmbeddedBackend, pool: BlockByBlock, token: Contract
) -> None:
    """Limits are several times what is used at last: nobody needs coin for all of them together."""
    lot = 5 * 2 * embedded.fees().ceiling * 60_000
    embedded.fund(THIRD.address, lot)
    found = on(pool).send_all(mints(token, 20), signer=THIRD)
    assert all(isinstance(one, TxReceipt) for one in found)
    assert 1 < pool.blocks < 20


def test_a_stranger_that_takes_a_nonce_has_one_sent_anew(
    embedded: EmbeddedBackend, pool: BlockByBlock, token: Contract
) -> None:
    def sleep(_seconds: float) -> None:
        if not pool.blocks:  # another program's transaction has the first nonce of ours
            Chain(embedded, EMBEDDED, policy=MINIMAL).transfer(OTHER.address, 1, signer=ME)
            pool.pool.pop(next(iter(pool.pool)))
        pool.mine()

    chain = Chain(pool, EMBEDDED, policy=MINIMAL, sleep=sleep)
    found = chain.send_all(mints(token, 4), signer=ME)
    assert all(isinstance(one, TxReceipt) for one in found)
    assert minted(embedded, token) == 10
