"""The new model: by how much sums move it, and that nothing sees by which power of two a block is stored."""

from __future__ import annotations

import random
from fractions import Fraction
from math import floor

import pytest

from fl_platform.protocol.program import Output
from fl_platform.protocol.rows import STEP_POINT
from fl_platform.protocol.tape import Tape
from fl_platform.rules.compose import Rule, compose
from fl_platform.rules.model import MOST_BITS
from tests.support.rule_rounds import Federation

RULE = compose(Rule(worth="equal"))


def bits_of(fed: Federation, tape: Tape) -> list[int]:
    """Bits that each block's step has in the model in this round."""
    pairs = zip(fed.points, fed.first, tape.named("moved"), strict=True)
    return [point + first + int(moved) for point, first, moved in pairs]


@pytest.mark.parametrize("seed", range(6))
def test_the_factor_is_the_learning_rate_times_the_step_over_the_divisor(seed: int) -> None:
    dice = random.Random(seed)
    fed = Federation(dice, words={"server_lr_num": dice.randrange(0, 9), "server_lr_den": dice.randrange(1, 9)})
    rate = Fraction(fed.rules["server_lr_num"], fed.rules["server_lr_den"])
    for tape in fed.play(RULE, 4):
        divisor = int(tape.output(Output.DIVISOR))
        for bits, factor in zip(bits_of(fed, tape), tape.named("step_factor").tolist(), strict=True):
            exact = rate * Fraction(2) ** (bits + STEP_POINT) / divisor if divisor else 0
            assert factor == floor(exact)


@pytest.mark.parametrize("seed", range(6))
def test_every_integer_is_moved_by_its_block_s_factor(seed: int) -> None:
    fed = Federation(random.Random(seed))
    tape = fed.round(RULE, None)
    before, after = fed.rows.rows[fed.rows.model], fed.rows.rows[int(tape.output(Output.MODEL))]
    sums = fed.rows.rows[int(tape.output(Output.SUMS))]
    for block, factor in enumerate(tape.named("step_factor").tolist()):
        least = 0 if fed.nonnegative[block] else 1 - 2**31
        for at in range(*fed.rows.place(block).indices(len(sums))):
            exact = int(before[at]) + floor(Fraction(factor * int(sums[at]), 2**STEP_POINT) + Fraction(1, 2))
            assert int(after[at]) == max(least, min(exact, 2**31 - 1))


def test_a_round_that_sums_nothing_names_the_same_model() -> None:
    fed = Federation(random.Random(1))
    fed.nonnegative = [0] * len(fed.sizes)
    tape = fed.round(RULE, None, "empty")
    assert int(tape.output(Output.DIVISOR)) == 0
    assert int(tape.output(Output.MODEL)) == fed.rows.model


def test_a_block_that_is_stored_larger_moves_alike() -> None:
    plain, larger = (Federation(random.Random(3), scale_of_first=scale) for scale in (0, 10))
    for one, other in zip(plain.play(RULE, 3), larger.play(RULE, 3), strict=True):
        assert one.named("step_factor").tolist() == other.named("step_factor").tolist()
        assert int(one.output(Output.MODEL)) == int(other.output(Output.MODEL))


@pytest.mark.parametrize(("bits", "meant"), [(-STEP_POINT - 20, -STEP_POINT), (MOST_BITS + 9, MOST_BITS)])
def test_a_step_that_is_far_from_the_model_s_point_is_held_back(bits: int, meant: int) -> None:
    fed = Federation(random.Random(2))
    fed.points[0] = bits - fed.first[0]
    tape = fed.round(RULE, None, "two")
    assert int(tape.named("step_factor")[0]) == 2 ** (meant + STEP_POINT) // int(tape.output(Output.DIVISOR))
