"""The operations of a round's cells, and their bounds. Twin of contracts/libraries/Operations.sol.

A cell is a signed integer of 256 bits in two's complement. Every operation is total: it gives a value for all operands,
the same in Python, in Solidity and in a circuit. A program's checker proves by the bounds that no cell of it leaves
2^250, so the wrapping at 2^256 is there for single cells that somebody claims, never for a program's own.

What they give is computed in protocol/arithmetic.py; whoever composes and checks programs needs what stands here alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from enum import IntEnum

Bounds = tuple[int, int]  # least and largest value, both included

BITS = 256
WIDEST = 2**250  # no cell of a program that passed the checker is further from zero
HALF = 1 << (BITS - 1)


class Op(IntEnum):
    """What a column's cells are. The numbers are part of a program's bytes; contracts/libraries/Language.sol has them
    from here."""

    CONST = 0  # the instruction's immediate
    SOURCE = 1  # given from outside; the immediate says which
    PREV = 2  # what a column of the round before held at the own place; the immediate in the first round, and outside
    ADD = 3
    SUB = 4
    MUL = 5
    MULADD = 6  # x * y + z: with z the place before, a sum of products
    DIV = 7  # floor(x / y); 0 where y is 0
    MULDIV = 8  # floor(x * y / z) with an exact product; 0 where z is 0, and where it leaves 256 bits
    ROOT = 9  # floor of the square root; 0 of what is negative
    MIN = 10
    MAX = 11
    CLAMP = 12  # min(max(x, y), z)
    LT = 13  # 1 where x < y, else 0
    EQ = 14  # 1 where x = y, else 0
    SEL = 15  # y where x is not 0, else z
    BITS = 16  # how many bits x has; 0 of what is not positive
    SHIFT = 17  # x * 2^y; floor where y is negative
    GATHER = 18  # the cell of x at the place that y names along x's last axis; 0 outside of it
    MUST = 19  # x is not 0, or the seal falls; the compiler's alone
    LEAST = 20  # hint: the least v of the declared range with sum of (x <= v) * y >= z; none: its upper end
    INVERSE = 21  # hint: the first place of x that holds the own place's number, x's length where none does
    CLAIMED = 22  # the sealer's word, within the declared range; a task lists its claimed columns
    DOT = 23  # inner product of the rows x and y, of the own block or of all that count; 0 where one has no row
    DOT_SHIFTED = 24  # the same, block b times 2^z[b]
    COMBINE = 25  # the content root of the sum of row x times y along x's last axis, which y has and the own has not
    STEP = 26  # the content root of model x moved by sums y, in block b by what z[b] packs (rows.step_body); 0 as DOT
    # The hash of eight cells of x, one after another along its last axis; outside of x they are 0. Of an axis of one
    # place it is that cell modulo r: nothing is hashed that stands alone.
    POSEIDON = 27
    POSEIDON3 = 28  # the hash of x, y, z and five zeros


PLAIN = frozenset(op for op in Op if Op.ADD <= op <= Op.SHIFT)  # of a cell's operands alone
HINTS = frozenset({Op.LEAST, Op.INVERSE})  # brought by who seals; checks hold each to its one right value
CLOSED_ROWS = frozenset({Op.DOT, Op.DOT_SHIFTED, Op.COMBINE})  # of updates, which only key holders read
ROWS = CLOSED_ROWS | {Op.STEP}  # of vectors over all parameters, by their content roots
HASHES = frozenset({Op.POSEIDON, Op.POSEIDON3})  # what a circuit can afford to hash by; read as their remainder by r
GROUP = 8  # cells that one POSEIDON reads
OPERANDS = {
    Op.CONST: 0, Op.SOURCE: 0, Op.PREV: 1, Op.MULADD: 3, Op.MULDIV: 3, Op.ROOT: 1, Op.CLAMP: 3, Op.SEL: 3, Op.BITS: 1,
    Op.LEAST: 3, Op.MUST: 1, Op.INVERSE: 1, Op.CLAIMED: 0, Op.DOT_SHIFTED: 3,
    Op.STEP: 3, Op.POSEIDON: 1, Op.POSEIDON3: 3,
}  # fmt: skip
_TWO = 2  # all others


def operands_of(op: Op) -> int:
    """Return how many operands an operation has."""
    return OPERANDS.get(op, _TWO)


def wrap(value: int) -> int:
    """Return an integer as 256 bits in two's complement hold it."""
    return (value + HALF) % (1 << BITS) - HALF


# --- bounds -----------------------------------------------------------------------------------------------------------


def bounds_of(op: Op, *x: Bounds) -> Bounds:
    """Return the least and the largest that a PLAIN operation can give of operands within these bounds.

    Where they stay inside 2^255 nothing wraps, and they hold; where they do not, they say no more than that.
    """
    return _BOUNDS[op](*x)


def _hull(values: Iterable[int]) -> Bounds:
    found = list(values)
    return min(found), max(found)


def _product(x: Bounds, y: Bounds) -> Bounds:
    return _hull(a * b for a in x for b in y)


def _sum(x: Bounds, y: Bounds) -> Bounds:
    return x[0] + y[0], x[1] + y[1]


def _divisors(y: Bounds) -> list[int]:
    """Return where a quotient can be extreme: the ends, and what is next to zero."""
    return [d for d in {*y, -1, 1} if d != 0 and y[0] <= d <= y[1]]


def _quotient(x: Bounds, y: Bounds) -> Bounds:
    zero = [0] if y[0] <= 0 <= y[1] else []
    return _hull([a // d for a in x for d in _divisors(y)] + zero)


def _shift_bounds(x: Bounds, y: Bounds) -> Bounds:
    least, most = (max(-BITS, min(end, BITS)) for end in y)
    return _hull([a << b if b >= 0 else a >> -b for a in x for b in (least, most)] + [0] * (y[1] >= BITS))


_BOUNDS: dict[Op, Callable[..., Bounds]] = {
    Op.ADD: lambda x, y: _sum(x, y),
    Op.SUB: lambda x, y: (x[0] - y[1], x[1] - y[0]),
    Op.MUL: _product,
    Op.MULADD: lambda x, y, z: _sum(_product(x, y), z),
    Op.DIV: _quotient,
    Op.MULDIV: lambda x, y, z: _quotient(_product(x, y), z),
    Op.ROOT: lambda x: (math.isqrt(max(0, x[0])), math.isqrt(max(0, x[1]))),
    Op.MIN: lambda x, y: (min(x[0], y[0]), min(x[1], y[1])),
    Op.MAX: lambda x, y: (max(x[0], y[0]), max(x[1], y[1])),
    Op.CLAMP: lambda x, y, z: (min(max(x[0], y[0]), z[0]), min(max(x[1], y[1]), z[1])),
    Op.LT: lambda x, y: (int(x[1] < y[0]), int(x[0] < y[1])),
    Op.EQ: lambda x, y: (int(x[0] == x[1] == y[0] == y[1]), int(x[0] <= y[1] and y[0] <= x[1])),
    Op.SEL: lambda x, y, z: _hull([*(() if x == (0, 0) else y), *(() if x[0] > 0 or x[1] < 0 else z)]),
    Op.BITS: lambda x: (max(0, x[0]).bit_length(), max(0, x[1]).bit_length()),
    Op.SHIFT: _shift_bounds,
}
