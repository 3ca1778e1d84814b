"""Who may ask for what shows others' integers: for whom updates' keys are wrapped, bonded or not, and nobody else."""

from __future__ import annotations

import random

import pytest

from fl_platform.dispute.questions import Node, Question
from fl_platform.protocol.operations import Op
from tests.support.bound_rounds import ASK_BOND, REFERENCE, BoundTask, RefereeWorld, Sealed, referee_world
from tests.support.evm import Account, Reverted, account

AUDITOR, STRANGER = account("auditor"), account("stranger")


@pytest.fixture
def world() -> RefereeWorld:
    return referee_world()


def played(world: RefereeWorld) -> tuple[BoundTask, Sealed]:
    task = BoundTask(random.Random(1), world, auditors=(account("other auditor").address, AUDITOR.address))
    return task, task.play()


def questions(sealed: Sealed) -> list[Question]:
    """Return one of each kind."""
    columns = sealed.target.program.columns
    product, total = (next(n for n, c in enumerate(columns) if c.op is op) for op in (Op.DOT, Op.COMBINE))
    place = (0,) * len(columns[product].axes)
    return [Question(Node.SUMS, product, place, level=1), Question(Node.PREFIXES, total, level=1)]


def ask(world: RefereeWorld, sealed: Sealed, who: Account | bytes, question: Question) -> None:
    world.fill(who)
    world.disputes.send(who, "ask", sealed.target.encoded(), question.encoded(), bytes(32))


@pytest.mark.parametrize("who", ["first", "second", "auditor"])
def test_who_has_keys_may_ask(world: RefereeWorld, who: str) -> None:
    task, sealed = played(world)
    first, second, *_ = task.run.params.aggregators
    asker, asked = {"first": first, "second": second, "auditor": AUDITOR.address}[who], questions(sealed)
    for question in asked:
        ask(world, sealed, asker, question)
    assert world.escrow.call("bondOf", task.run.task, asker) == len(asked) * ASK_BOND


@pytest.mark.parametrize("who", ["third", "trainer", "owner", "reference", "stranger"])
def test_nobody_else_may(world: RefereeWorld, who: str) -> None:
    task, sealed = played(world)
    people = {
        "third": task.run.params.aggregators[2], "trainer": task.people[0].address, "owner": world.owner.address,
        "reference": REFERENCE.address, "stranger": STRANGER.address,
    }  # fmt: skip
    for question in questions(sealed):
        with pytest.raises(Reverted, match="Mismatch"):
            ask(world, sealed, people[who], question)
    ask(world, sealed, people[who], Question(Node.COLUMNS, level=1))  # what shows no integers everybody may ask for
