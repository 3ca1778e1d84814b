"""A21: a reorganisation removes a commit, a roster, a seal or a payout.

Attacker: nobody, or a majority of validators. Expected loss: time only. Roles rebuild what they know from the events of
the surviving chain, resend their own steps, and act on nothing that is not confirmed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fl_platform.chain.client import Chain
from fl_platform.chain.embedded import EmbeddedBackend
from fl_platform.chain.journal import Step
from fl_platform.chain.types import BlockRef, Phase, TxReceipt
from fl_platform.config import MINIMAL, NETWORKS
from fl_platform.errors import RpcUnavailable, TransactionPending, UnknownTask
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.deploy import deploy
from fl_platform.protocol.keccak import keccak256
from tests.support.chain import AGGREGATOR, ETHER, OWNER, Stage, claim_leaves, roster, seal, wallet
from tests.support.faults import FaultyBackend

EMBEDDED = NETWORKS["embedded"]
TRAINERS = [wallet(10), wallet(11)]
ME, OTHER = wallet(100), wallet(101)


@dataclass
class Play:
    """A task and the acts that can be undone."""

    backend: EmbeddedBackend
    own: Contracts
    stage: Stage
    task: int

    def trainer(self) -> Contracts:
        """Return the first trainer's contracts."""
        return self.own.with_signer(TRAINERS[0])

    def join(self) -> None:
        """Join as the first trainer."""
        self.trainer().join(self.task, ETHER, keccak256(b"binding"))

    def roster(self) -> None:
        """Roster round 0."""
        roster(self.own, self.task, 0, TRAINERS)

    def seal(self) -> None:
        """Seal round 0."""
        seal(self.own, self.task, 0, TRAINERS)

    def claim(self) -> None:
        """Claim from round 0 once it is final."""
        final = self.own.history(self.task).final_at(0)
        assert final is not None
        self.own.chain.wait_until(final)
        leaves = claim_leaves(TRAINERS, self.own.allotted(self.task, 0))
        self.own.claim(self.task, 0, leaves, TRAINERS[0].address)

    def withdraw(self) -> None:
        """Withdraw what was claimed."""
        self.trainer().withdraw(self.task)


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """An open task with a bonded aggregator; sends are journalled."""
    backend = EmbeddedBackend()
    with Chain(backend, EMBEDDED, policy=MINIMAL, journal=tmp_path / "journal") as chain:
        chain.fund(OWNER.address, 100 * ETHER)
        stage = Stage(chain, Contracts(chain, deploy(chain, OWNER, with_token=True), OWNER))
        task = stage.open(stage.spec(rounds=2))
        own = stage.bond(task, AGGREGATOR)
        for trainer in TRAINERS:
            stage.as_(trainer).mint(trainer.address, ETHER)
        yield Play(backend, own, stage, task)


ACTS: tuple[tuple[str, Callable[[Play], None]], ...] = (
    ("join", Play.join),
    ("roster", Play.roster),
    ("seal", Play.seal),
    ("claim", Play.claim),
    ("withdraw", Play.withdraw),
)


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize("last", range(1, len(ACTS) + 1), ids=[name for name, _ in ACTS])
def test_what_a_reorganisation_removed_is_known_and_done_again(play: Play, last: int, depth: int) -> None:
    marks = []
    for _, act in ACTS[:last]:
        marks.append((play.backend.snapshot(), play.own.history(play.task)))
        act(play)
    done = play.own.history(play.task)
    back = max(0, last - depth)
    play.backend.revert(marks[back][0])
    assert play.own.history(play.task) == marks[back][1]  # knows nothing of what is gone
    for _, act in ACTS[back:last]:
        act(play)
    again = play.own.history(play.task)
    assert (again.head, again.rounds[0].roster, again.claimed) == (done.head, done.rounds[0].roster, done.claimed)
    assert again.withdrawn == done.withdrawn


def test_another_branch_is_followed(play: Play) -> None:
    play.join()
    mark = play.backend.snapshot()
    play.roster()
    first = play.own.history(play.task).rounds[0].roster
    play.backend.revert(mark)
    play.backend.advance_to(play.own.now() + 7)  # the surviving branch has other blocks
    play.trainer().mint(OTHER.address, 1)
    assert play.own.history(play.task).rounds[0].roster is None
    play.roster()
    second = play.own.history(play.task).rounds[0].roster
    assert first is not None
    assert second is not None
    assert second.rostered_at != first.rostered_at
    assert play.own.head(play.task).phase is Phase.ROSTERED


def test_a_task_that_vanished_is_unknown(play: Play) -> None:
    mark = play.backend.snapshot()
    money = play.stage.spec(title="second")
    task = play.stage.open(money)
    assert play.own.history(task).task == task
    play.backend.revert(mark)
    with pytest.raises(UnknownTask, match=f"no task {task}"):
        play.own.history(task)
    assert play.stage.open(money) == task


def test_a_reorganisation_while_reading_is_asked_again(play: Play) -> None:
    class Shifting(FaultyBackend):
        """Its newest block changes between two questions, once."""

        shifts = 1

        def block(self, number: int) -> BlockRef | None:
            found = self.inner.block(number)
            if found and self.shifts and number == self.inner.head().number and number > 0:
                self.shifts -= 1
                return replace(found, hash=bytes(32))
            return found

    with pytest.raises(RpcUnavailable, match="reorganised while it was read"):
        Contracts(Chain(Shifting(play.backend), EMBEDDED, policy=MINIMAL), play.own.deployment).history(play.task)
    views = Contracts(Chain(Shifting(play.backend), EMBEDDED, policy=MINIMAL), play.own.deployment)
    with pytest.raises(RpcUnavailable):
        views.history(play.task)
    assert views.history(play.task) == play.own.history(play.task)


class Deep(FaultyBackend):
    """Grows a block whenever it is looked at, and drops the block with the transaction once it is `drop_at` deep."""

    def __init__(self, inner: EmbeddedBackend, drop_at: int) -> None:
        super().__init__(inner)
        self.drop_at, self.mark, self.mined_at = drop_at, inner.snapshot(), 0

    def receipt(self, transaction: bytes) -> TxReceipt | None:
        found = self.inner.receipt(transaction)
        if found is not None and self.drop_at:
            if self.inner.head().number - found.block + 1 >= self.drop_at:
                self.drop_at = 0
                self.inner.revert(self.mark)
                return None
            self.inner.advance_to(self.inner.head().timestamp + 1)
        elif found is not None:
            self.inner.advance_to(self.inner.head().timestamp + 1)
        return found


@pytest.mark.parametrize("drop_at", [0, 1, 2, 3])
def test_a_step_counts_only_when_confirmed_and_is_sent_again_when_dropped(drop_at: int, tmp_path: Path) -> None:
    with EmbeddedBackend() as embedded:
        embedded.fund(ME.address, ETHER)
        deep = Deep(embedded, drop_at)
        network = replace(EMBEDDED, confirmations=4)
        with Chain(deep, network, policy=MINIMAL, journal=tmp_path / "journal", sleep=lambda _: None) as chain:
            receipt = chain.transfer(OTHER.address, 5, signer=ME, step=Step(1, 0, "pay"))
            assert receipt is not None
            assert embedded.head().number - receipt.block + 1 >= 4
            assert embedded.balance(OTHER.address) == 5
            assert embedded.nonce(ME.address) == 1
            assert chain.confirmed_head().number == embedded.head().number - 3


def test_unconfirmed_is_not_done() -> None:
    with EmbeddedBackend() as embedded:
        embedded.fund(ME.address, ETHER)
        clock = iter(range(10**6))
        policy = replace(MINIMAL, give_up_after=20.0)
        chain = Chain(
            embedded, replace(EMBEDDED, confirmations=2), policy=policy, sleep=lambda _: None, clock=lambda: next(clock)
        )
        with pytest.raises(TransactionPending, match="is not confirmed after"):
            chain.transfer(OTHER.address, 5, signer=ME, step=Step(1, 0, "pay"))


def test_a_done_step_that_was_reorganised_away_is_sent_again(play: Play) -> None:
    mark = play.backend.snapshot()
    step = Step(9, 9, "pay")
    chain = play.own.chain
    first = chain.transfer(OTHER.address, 5, signer=OWNER, step=step)
    play.backend.revert(mark)
    second = chain.transfer(OTHER.address, 5, signer=OWNER, step=step)
    assert first is not None
    assert second is not None
    assert second.transaction == first.transaction  # the same bytes, so both branches can hold it only once
    assert chain.balance(OTHER.address) == 5


def test_a_gap_that_nobody_can_fill_is_waited_for(tmp_path: Path) -> None:
    """Another program's transaction was dropped: ours is not renumbered, or it could run twice."""
    with EmbeddedBackend() as embedded:
        embedded.fund(ME.address, ETHER)
        mark = embedded.snapshot()
        Chain(embedded, EMBEDDED, policy=MINIMAL).transfer(OTHER.address, 1, signer=ME)
        with Chain(embedded, EMBEDDED, policy=MINIMAL, journal=tmp_path / "journal") as chain:
            chain.transfer(OTHER.address, 5, signer=ME, step=Step(1, 0, "pay"))
            embedded.revert(mark)
            with pytest.raises(TransactionPending, match="waits for transaction 0 of 0x"):
                chain.transfer(OTHER.address, 5, signer=ME, step=Step(1, 0, "pay"))
            Chain(embedded, EMBEDDED, policy=MINIMAL).transfer(OTHER.address, 1, signer=ME)
            chain.transfer(OTHER.address, 5, signer=ME, step=Step(1, 0, "pay"))
            assert embedded.balance(OTHER.address) == 6
