"""What the proofs say of products and quotients, of all integers."""

from __future__ import annotations

import itertools

import z3

from scripts.proving.integers import Existence, Lemma, Mul, is_floor
from scripts.proving.terms import WORD


def _one_floor(
    mul: Mul, one: z3.ArithRef, other: z3.ArithRef, x: z3.ArithRef, y: z3.ArithRef
) -> z3.BoolRef:  # two floors of one quotient would lie a divisor apart
    return z3.Implies(z3.And(is_floor(mul, one, x, y), is_floor(mul, other, x, y)), one == other)


def _signs(mul: Mul, a: z3.ArithRef, b: z3.ArithRef, x: z3.ArithRef, y: z3.ArithRef) -> z3.BoolRef:
    cases = [
        z3.Implies(z3.And(x == i * a, y == j * b), mul(x, y) == i * j * mul(a, b))
        for i, j in itertools.product((1, -1), repeat=2)
    ]
    return z3.And(*cases)


def _next(mul: Mul, a: z3.ArithRef, b: z3.ArithRef, x: z3.ArithRef, y: z3.ArithRef) -> z3.BoolRef:
    cases = [z3.Implies(z3.And(x == -a - 1, y == j * b), mul(x, y) == -j * mul(a, b) - j * b) for j in (1, -1)]
    return z3.And(*cases)


ONE_FLOOR = Lemma("a quotient has one floor", 4, _one_floor)
SIGNS = Lemma("a product's sign", 4, _signs)
NEXT = Lemma("a product with the next factor", 4, _next)
NOT_NEGATIVE = Lemma(
    "a product is not negative", 2, lambda mul, a, b: z3.Implies(z3.And(a >= 0, b >= 0), mul(a, b) >= 0)
)
WRAPS = Existence(
    "words' product is that of what they stand for, modulo 2^256",
    6,
    lambda mul, a, b, i, j, v, w, there: z3.Implies(
        z3.And(v == a + i * WORD, w == b + j * WORD), mul(v, w) == mul(a, b) + there * WORD
    ),
    lambda a, b, i, j, v, w: i * b + j * a + i * j * WORD,
)


def at_most(most: int) -> Lemma:
    """Return: a factor of at most so much gives at most so often the other."""

    def statement(mul: Mul, a: z3.ArithRef, b: z3.ArithRef) -> z3.BoolRef:
        return z3.Implies(z3.And(a <= most, b >= 0), mul(a, b) <= most * b)

    return Lemma(f"a factor's upper bound {most}", 2, statement)


def at_least(least: int) -> Lemma:
    """Return: a factor of at least so much gives at least so often the other."""

    def statement(mul: Mul, a: z3.ArithRef, b: z3.ArithRef) -> z3.BoolRef:
        return z3.Implies(z3.And(a >= least, b >= 0), mul(a, b) >= least * b)

    return Lemma(f"a factor's lower bound {least}", 2, statement)
