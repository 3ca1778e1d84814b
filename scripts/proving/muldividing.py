"""MULDIV, proved: its paths give floor(x * y / z) of the exact product, and 0 where z is 0 or that leaves 256 bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import z3

from scripts.proving import wide
from scripts.proving.execution import GaveUp, Path
from scripts.proving.integers import Words, holds, is_floor, product, wrapped
from scripts.proving.lemmas import NEXT, NOT_NEGATIVE, ONE_FLOOR, SIGNS, at_most
from scripts.proving.terms import HALF, WORD, Term, const, make, replace, var

OPERANDS = var("x"), var("y"), var("z")
_QUOTIENT = var("quotient of 512 bits")
_BELOW_A_WORD = at_most(WORD - 1)


@dataclass(frozen=True)
class Setting:
    """What is known where each operand has a given sign: their magnitudes as terms, and the floor as an integer."""

    words: Words
    magnitudes: tuple[Term, ...]
    floor: z3.ArithRef
    given: tuple[z3.BoolRef, ...]


def setting(negative: Sequence[bool], seconds: float) -> Setting:
    """Prove what is known where these operands are negative. Raises GaveUp where it does not follow."""
    words = Words()
    magnitudes = tuple(make("SUB", 0, term) if below else term for term, below in zip(OPERANDS, negative, strict=True))
    a, b, c = (words.of(term) for term in magnitudes)
    x, y, z = (words.signed(term) for term in OPERANDS)
    signs = [value < 0 if below else value >= 0 for value, below in zip((x, y, z), negative, strict=True)]
    low, rest = make("MUL", *magnitudes[:2]), make("MULMOD", *magnitudes)
    high = words.parts(low)[0]
    quotient, left = words.parts(rest)
    short, _ = words.parts(make("DIV", low, magnitudes[2]))
    whole = words.named(product(a, b))
    opposite = z3.Xor(z3.Xor(x < 0, y < 0), z < 0)
    candidate = words.named(z3.If(opposite, z3.If(left == 0, -quotient, -quotient - 1), quotient))
    floor, exact = z3.Int("floor"), product(x, y)
    given = [
        *words.facts, *signs, z != 0, SIGNS.at(a, b, x, y), SIGNS.at(quotient, c, candidate, z),
        NEXT.at(quotient, c, candidate, z), ONE_FLOOR.at(short, quotient, whole, c), NOT_NEGATIVE.at(quotient, c),
        _BELOW_A_WORD.at(quotient, c),
    ]  # fmt: skip
    holds(is_floor(product, candidate, exact, z), given, seconds, "the quotient")
    given += [is_floor(product, floor, exact, z), ONE_FLOOR.at(floor, candidate, exact, z)]
    given.append(z3.Implies(z3.And(high > 0, high < c), words.of(_QUOTIENT) == quotient))  # wide.py
    holds(floor == candidate, given, seconds, "the floor")
    holds(z3.Implies(high >= c, quotient >= WORD), given, seconds, "a quotient of more than 256 bits")
    return Setting(words, magnitudes, floor, (*given, floor == candidate, z3.Implies(high >= c, quotient >= WORD)))


def _negatives(path: Path) -> tuple[bool, ...]:
    """Return which operands a path has found to be negative."""
    found = dict(path.conditions)
    try:
        return tuple(found[make("SLT", term, 0)] for term in OPERANDS)
    except KeyError as error:
        raise GaveUp("a path does not ask for every operand's sign") from error


def _prove_path(path: Path, setting: Setting, seconds: float) -> None:
    words = setting.words
    known = {wide.algorithm(*setting.magnitudes).result: _QUOTIENT}
    conditions = [words.says((replace(term, known), is_true)) for term, is_true in path.conditions]
    if path.reverted:
        holds(z3.BoolVal(False), [*setting.given, *words.facts, *conditions], seconds, "a path that reverts")
        return
    result = words.of(replace(path.gives(), known))
    floor = setting.floor
    inside = z3.And(floor >= -HALF, floor < HALF)
    claim = result == z3.If(inside, wrapped(floor), 0)
    holds(claim, [*setting.given, *words.facts, *conditions], seconds, "a path")


def prove(paths: Sequence[Path], seconds: float, progress: Callable[[str], None]) -> None:
    """Raises GaveUp where some path is not shown to give what it should."""
    settings: dict[tuple[bool, ...], Setting] = {}
    for index, path in enumerate(paths):
        progress(f"paths: {index + 1} of {len(paths)}")
        if (OPERANDS[2], False) in path.conditions:
            if path.gives() is not const(0):
                raise GaveUp("a path without a divisor gives other than 0")
            continue
        negative = _negatives(path)
        if negative not in settings:
            settings[negative] = setting(negative, seconds)
        _prove_path(path, settings[negative], seconds)
    wide.prove(seconds, progress)
