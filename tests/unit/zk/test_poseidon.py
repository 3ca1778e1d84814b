"""The hash that a circuit can afford: the published values, and the short way against the long one."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from zk.curve.bn254 import ORDER
from zk.poseidon import FULL_ROUNDS, PARTIAL_ROUNDS, constants, permute_hash


def by_the_book(inputs: Sequence[int]) -> int:
    """Every lane is mixed with every other in every round."""
    lanes, width = [0, *inputs], len(inputs) + 1
    fixed, half = constants(width), FULL_ROUNDS // 2
    for number, line in enumerate(fixed.rounds):
        lanes = [(lane + constant) % ORDER for lane, constant in zip(lanes, line, strict=True)]
        boxes = 1 if half <= number < half + PARTIAL_ROUNDS[width] else width
        lanes = [pow(lane, 5, ORDER) for lane in lanes[:boxes]] + lanes[boxes:]
        lanes = [sum(m * lane for m, lane in zip(row, lanes, strict=True)) % ORDER for row in fixed.matrix]
    return lanes[0]


def test_it_is_everybody_elses() -> None:
    # circomlib's published vectors, widths 3 and 5
    assert permute_hash([1, 2]) == 7853200120776062878684798364095072458815029376092732009249414926327459813530
    assert permute_hash([1, 2, 3, 4]) == 18821383157269793795438455681495246036402687001665670618754263018637548127333


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_the_short_way_gives_what_the_long_one_gives(count: int) -> None:
    dice = random.Random(count)
    drawn = [[dice.randrange(ORDER) for _ in range(count)] for _ in range(6)]
    for inputs in ([0] * count, [ORDER - 1] * count, *drawn):
        assert permute_hash(inputs) == by_the_book(inputs)
