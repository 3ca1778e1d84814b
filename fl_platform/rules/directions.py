"""The span of earlier rounds' sums, which anybody can copy from the chain.

Directions are brought to unit length; then steps of Cholesky give the factors by which each vector of an orthonormal
basis is a sum of them. An update's cosine with such a vector is one sum and one division. Cells are 2^-30 fine. A
direction of whose squared length less than `LEAST` is new is left out: a combination of those before it, no sum at all,
or so near to one that rounding would decide.

With a_b and e_b the exponents of block b then and now, <q, P> = sum_b 2^(a_b - e_b - m) <q_b, S_b>, m the least of
a_b - e_b: shifts are to the left alone, and exact. 2^m is a direction's length, which no cosine sees.
"""

from __future__ import annotations

from fl_platform.protocol.building import Builder, Cells
from fl_platform.protocol.sources import Axis, Source
from fl_platform.rules.carried import MOVES, Carried
from fl_platform.rules.cosines import LENGTH_BITS, MOST, ONE, cosine, length_of

LEAST = ONE >> 16  # a direction within 0.2 degrees of the span of newer ones adds nothing
# How much of each direction, as it was sealed, a basis vector is: bits behind the point beside ONE's, and what none
# comes near: a direction is a step long at least, and no root of LEAST makes more than 2^8 of it.
_FACTOR_BITS = 60
_LARGEST_FACTOR = 1 << 66
_RANGE = MOVES[1] - MOVES[0]
# Exponents move by one a round, so the newest sixteen sums are at most 32 apart; two of them must fit a shift of 63.
_WIDEST = 31


def components(b: Builder, content: Cells, length: Cells, carried: Carried, count: int) -> tuple[Cells, ...]:
    """Return each entry's cosines with the basis, `count` columns, parts of ONE; `length`: of the entry's row."""
    past = carried.past
    assert past is not None
    shifts = _shifts(b, carried)
    pairs = b.dot(past, past.swapped(), shifts=shifts + shifts.swapped())
    lengths = length_of(b, b.maximum(pairs.diagonal(), 0))
    left = cosine(b, pairs, lengths, lengths.swapped(), 2 * ONE)
    products = b.dot(content, past, shifts=shifts)
    here = b.numbers(lengths)
    # how much of the first direction is in what the second one has without the basis
    part = b.select(here == here.swapped(), b.muldiv(ONE, 1 << _FACTOR_BITS, lengths), 0)
    found: list[Cells] = []
    for k in range(count):
        column = b.gather(left, k)
        rest = b.gather(column, k)
        root = b.root(b.select(rest < LEAST, 0, rest * ONE))  # 0: left out, as what is divided by it is 0
        lower = b.clamp(b.muldiv(column, ONE, root), -2 * ONE, 2 * ONE)
        factor = b.clamp(b.muldiv(b.gather(part, k), ONE, root), -_LARGEST_FACTOR, _LARGEST_FACTOR)
        along = b.running(products, Axis.DIRECTION, weight=factor).last()
        inside = along // (length * (1 << _FACTOR_BITS - 2 * LENGTH_BITS))
        found.append(b.name(f"component{k}", b.clamp(inside, -MOST, MOST)))
        if k + 1 < count:
            left = left - lower * lower.swapped() // ONE
            part = part - factor * lower.swapped() // ONE
    return tuple(found)


def hand_on(b: Builder, carried: Carried, sums: Cells, divisor: Cells) -> None:
    """Put this round's sum before the others; a round that summed nothing changed no model, and is no direction."""
    past, moved = carried.past, carried.past_moved
    assert past is not None
    assert moved is not None
    newest = b.numbers(past == 0) == 0
    b.carry(past, b.select(divisor, b.select(newest, sums, past.before()), past))
    b.carry(moved, b.select(divisor, b.select(newest, carried.moved, moved.before()), moved))


def _shifts(b: Builder, carried: Carried) -> Cells:
    """a_b - e_b - m of each direction, by block."""
    assert carried.past_moved is not None
    above = carried.past_moved - carried.moved + _RANGE  # 0 to 2 * _RANGE
    below = b.largest(b.select(b.source(Source.BLOCK_COUNTS), 2 * _RANGE - above, 0), Axis.BLOCK)
    return b.clamp(above - (2 * _RANGE - below), 0, _WIDEST)
