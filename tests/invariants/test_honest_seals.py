"""No honest seal can be refuted: random federations judged by the product, held against the ledger's own views.

A round that falls here costs an honest aggregator its bond there.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.support.judged_rounds import JudgedTask
from tests.support.rounds import STAKE, Round, address_of, anchored_spec, ints_like

SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 12))]
RULES: tuple[dict[str, object], ...] = ({}, {}, {"selection": "multi-krum"}, {"directions": 2}, {"directions": 0})


def drawn(task: JudgedTask, dice: random.Random, trainers: int) -> Round:
    """Draw a round: honest and idle updates, copies, silent trainers, old parents, wrong stakes, forced receipts."""
    way = ints_like(task.spec, dice.randrange(2**20))
    updates = [
        ints_like(task.spec, dice.randrange(2**20), towards=way, share=dice.choice((0, 0.7))) for _ in range(trainers)
    ]
    if trainers > 2 and dice.random() < 0.4:
        updates[1] = updates[0]
    if dice.random() < 0.3:
        updates[-1] = updates[-1] * 0
    made = task.draw(updates, reference=None if dice.random() < 0.15 else way)
    number_of = {address_of(number): number for number in range(trainers + 1)}
    for i, entry in enumerate(list(made.entries)):
        chance = dice.random()
        if chance < 0.15:
            made.entries[i] = replace(entry, keys=(), keys_signature=b"")
        elif chance < 0.25:
            made.sign(i, number_of[entry.receipt.trainer], parent=b"\x09" * 32)
        elif chance < 0.3 and entry.stake:
            made.entries[i] = replace(entry, stake=entry.stake + 5)
    for number in dice.sample(range(1, trainers + 1), dice.choice((0, 0, 1))):
        task.force(made, number, ints_like(task.spec, number), salt=b"\1" * 32)
    return made


@pytest.mark.parametrize("seed", SEEDS)
def test_no_honest_seal_can_be_refuted(seed: int) -> None:
    dice = random.Random(seed)
    spec = anchored_spec()
    rule = replace(spec.aggregation, duplicate_bps=9_500, **dice.choice(RULES))  # type: ignore[arg-type]
    trainers = dice.choice((1, 3, 5))
    stakes = {number: STAKE * dice.randint(1, 3) for number in range(1, trainers + 1)}
    task = JudgedTask.open(replace(spec, aggregation=rule), trainers=stakes)
    for number in range(2):
        one = task.seal(drawn(task, dice, trainers))
        assert list(task.against(one)) == [], f"seed {seed} round {number}"
        assert list(task.differences(one)) == [], f"seed {seed} round {number}"
        assert task.bond() > 0
