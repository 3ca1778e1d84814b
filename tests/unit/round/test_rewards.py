"""Getting one's money out of a task that ended badly: residual shares after a compensation, credit without a leaf."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fl_platform.chain.client import Chain
from fl_platform.config import MINIMAL
from fl_platform.errors import TaskClosed
from fl_platform.ledger.contracts import Contracts
from fl_platform.round.rewards import Paid, Wish, collect
from fl_platform.store.memory import MemoryStore
from fl_platform.task.reading import TaskReader
from tests.support.chain import AGGREGATOR, EMBEDDED, OWNER, Stage, roster, stage, wallet

TRAINERS = [wallet(10 + number) for number in range(2)]


@pytest.fixture
def s() -> Iterator[Stage]:
    with stage() as made:
        yield Stage(Chain(made.chain.backend, EMBEDDED, policy=MINIMAL), made.owner, made.judge)


def ended_without_a_seal(s: Stage, *, rostered: bool) -> tuple[TaskReader, Contracts]:
    """Return a task whose aggregators were all late, its books closed."""
    task = s.open(s.spec(rounds=2))
    for trainer in TRAINERS:
        s.join(task, trainer)
    own = s.bond(task, AGGREGATOR)
    if rostered:
        roster(own, task, 0, TRAINERS)
    for _ in range(2):
        s.chain.wait_until(own.window(task)[1])
        own.advance(task)
    s.chain.wait_until(own.history(task).closes_at())
    own.close_task(task)
    return TaskReader(own, MemoryStore(), task), own


def test_after_the_window_of_a_compensation_a_claim_divides_it_into_residual_shares(s: Stage) -> None:
    reader, own = ended_without_a_seal(s, rostered=True)
    settled = own.settled(reader.task)
    s.chain.wait_until(settled.closed_at + reader.history().opened.windows.unbonding)
    paid = collect(reader, own, Wish([t.address for t in TRAINERS], withdraw=True), now=own.now())
    half = settled.total // 2
    assert paid == tuple(Paid(trainer.address, half, half) for trainer in TRAINERS)
    again = collect(reader, own, Wish([TRAINERS[0].address], withdraw=True), now=own.now())
    assert again == (Paid(TRAINERS[0].address, 0, 0),)


def test_credit_is_paid_out_where_nothing_was_ever_sealed(s: Stage) -> None:
    reader, own = ended_without_a_seal(s, rostered=False)
    credit = own.member(reader.task, OWNER.address).credit
    assert credit > 0
    with pytest.raises(TaskClosed, match=r"ended without a sealed round.*the bounty is its owner"):
        collect(reader, own, Wish([OWNER.address]), now=own.now())
    assert collect(reader, own, Wish([OWNER.address], withdraw=True), now=own.now()) == (
        Paid(OWNER.address, 0, credit),
    )
    with pytest.raises(TaskClosed, match=r"ended without a sealed round.*the bounty is its owner"):
        collect(reader, own, Wish([OWNER.address], withdraw=True), now=own.now())
