"""Operations of cells: what each gives by its definition, totality, and bounds that hold."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.protocol.arithmetic import apply, give
from fl_platform.protocol.operations import PLAIN, Op, bounds_of, operands_of, wrap
from tests.support.operation_cells import LEAST, MOST, questions

MANY = settings(max_examples=600, deadline=None)


def slowly(op: Op, x: int, y: int = 0, z: int = 0) -> int:
    """Return an operation's exact value from the words of its definition, by other means than the module's."""
    words = {
        Op.ADD: lambda: x + y, Op.SUB: lambda: x - y, Op.MUL: lambda: x * y,
        Op.MULADD: lambda: sum([x] * y if 0 < y < 9 else [x * y], z),
        Op.DIV: lambda: math.floor(Fraction(x, y)) if y else 0,
        Op.MULDIV: lambda: math.floor(Fraction(x * y, z)) if z else 0,
        Op.ROOT: lambda: math.isqrt(x) if x > 0 else 0, Op.MIN: lambda: min(x, y), Op.MAX: lambda: max(x, y),
        Op.CLAMP: lambda: min(max(x, y), z), Op.LT: lambda: int(x < y), Op.EQ: lambda: int(x == y),
        Op.SEL: lambda: y if x else z, Op.BITS: lambda: len(bin(x)) - 2 if x > 0 else 0,
        Op.SHIFT: lambda: math.floor(Fraction(x) * Fraction(2) ** max(-600, min(y, 600))),
    }  # fmt: skip
    return words[op]()


@MANY
@given(questions())
def test_every_operation_gives_what_its_words_say(question: tuple[Op, tuple[int, ...]]) -> None:
    op, operands = question
    exact = slowly(op, *operands)
    wanted = 0 if op is Op.MULDIV and not LEAST <= exact <= MOST else wrap(exact)
    assert apply(op, *operands) == wanted


@MANY
@given(questions(), st.data())
def test_bounds_hold(question: tuple[Op, tuple[int, ...]], data: st.DataObject) -> None:
    op, ends = question
    bounds = tuple((min(end, other), max(end, other)) for end in ends for other in [data.draw(st.integers(-50, 50))])
    inside = tuple(data.draw(st.integers(low, high)) for low, high in bounds)
    low, high = bounds_of(op, *bounds)
    if LEAST <= low <= high <= MOST:
        assert low <= apply(op, *inside) == slowly(op, *inside) <= high


@MANY
@given(st.sampled_from(sorted(PLAIN)), st.lists(st.tuples(*[st.integers(-1000, 1000)] * 3), min_size=1, max_size=20))
def test_fast_arrays_give_what_single_cells_give(op: Op, cells: list[tuple[int, int, int]]) -> None:
    columns = [np.array(column, np.int64) for column in zip(*cells, strict=True)][: operands_of(op)]
    if op is Op.SHIFT:
        columns[1] %= 40
    wanted = [apply(op, *(int(value) for value in row)) for row in zip(*columns, strict=True)]
    assert [int(value) for value in give(op, *columns)] == wanted


@pytest.mark.parametrize("op", sorted(PLAIN), ids=lambda op: op.name)
def test_each_has_as_many_operands_as_it_says(op: Op) -> None:
    apply(op, *(3,) * operands_of(op))
    with pytest.raises(TypeError):
        apply(op, *(3,) * (operands_of(op) + 1))
