"""DIV, proved: its paths give floor(x / y) as 256 bits hold it, and 0 where y is 0."""

from __future__ import annotations

from collections.abc import Sequence

import z3

from scripts.proving.execution import Path
from scripts.proving.integers import Words, holds, is_floor, product, wrapped
from scripts.proving.lemmas import NEXT, ONE_FLOOR, SIGNS, WRAPS
from scripts.proving.terms import WORD, make, var


def prove(paths: Sequence[Path], seconds: float) -> None:
    """Raises GaveUp where some path is not shown to give what it should."""
    words = Words()
    cut = make("SDIV", var("x"), var("y"))  # toward zero
    word_of_cut, word_of_y = words.of(cut), words.of(var("y"))
    x, y, size = words.signed(var("x")), words.signed(var("y")), words.magnitude(var("y"))
    quotient, rest = words.parts(cut)
    opposite = (x < 0) != (y < 0)
    candidate = words.named(z3.If(opposite, z3.If(rest == 0, -quotient, -quotient - 1), quotient))
    toward_zero = words.named(z3.If(opposite, -quotient, quotient))
    for one in (candidate, toward_zero):
        words.facts += [SIGNS.at(quotient, size, one, y), NEXT.at(quotient, size, one, y)]

    # The contract sees whether something is left by multiplying words back.
    turns = [words.named((word - value) / WORD) for word, value in ((word_of_y, y), (word_of_cut, toward_zero))]
    words.facts.append(WRAPS.at(y, toward_zero, *turns, word_of_y, word_of_cut)[0])

    floor = z3.Int("floor")
    holds(is_floor(product, candidate, x, y), [*words.facts, y != 0], seconds, "the quotient")
    given = [is_floor(product, one, x, y) for one in (floor, candidate)]
    given += [y != 0, ONE_FLOOR.at(floor, candidate, x, y)]
    for path in paths:
        conditions = [words.says(condition) for condition in path.conditions]
        result = words.of(path.gives())
        holds(result == wrapped(floor), [*words.facts, *given, *conditions], seconds, "a path with a divisor")
        holds(result == 0, [*words.facts, *conditions, y == 0], seconds, "a path without a divisor")
