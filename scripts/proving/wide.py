"""The 512-bit division inside MULDIV (OpenZeppelin's Math.mulDiv), proved: it gives floor(a * b / c).

Holds of all words a, b, c where the product has a high word, smaller than c. The steps are those of the algorithm: the
product's two words by the remainder theorem, the remainder taken off, powers of two divided out (a case for each of the
256 that a divisor can have), and a product with the inverse of the odd divisor, which Newton's steps find.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import z3

from scripts.proving.integers import Existence, Lemma, Mul, Words, holds, product
from scripts.proving.lemmas import NOT_NEGATIVE, at_least
from scripts.proving.terms import BITS, WORD, Term, const, make, replace, var

STEPS = 6  # from 4 right bits to 256


@dataclass(frozen=True)
class Wide:
    """The algorithm as terms."""

    low: Term  # word of a * b
    high: Term  # the other
    rest: Term  # of a * b by c
    power: Term  # the largest power of two that divides c
    odd: Term  # c by that
    joined: Term  # (a * b - rest) by that, its low word
    inverses: tuple[Term, ...]  # of `odd`, each with twice as many right bits
    result: Term


def algorithm(a: Term, b: Term, c: Term) -> Wide:
    """Return what Math.mulDiv computes where the product has a high word."""
    low = make("MUL", a, b)
    modulo = make("MULMOD", a, b, WORD - 1)
    high = make("SUB", make("SUB", modulo, low), make("LT", modulo, low))
    rest = make("MULMOD", a, b, c)
    high_left, low_left = make("SUB", high, make("GT", rest, low)), make("SUB", low, rest)
    power = make("AND", c, make("SUB", 0, c))
    odd = make("DIV", c, power)
    flipped = make("ADD", 1, make("DIV", make("SUB", 0, power), power))
    joined = make("OR", make("DIV", low_left, power), make("MUL", high_left, flipped))
    inverses = [make("XOR", 2, make("MUL", 3, odd))]
    for _ in range(STEPS):
        inverses.append(make("MUL", inverses[-1], make("SUB", 2, make("MUL", odd, inverses[-1]))))
    return Wide(low, high, rest, power, odd, joined, tuple(inverses), make("MUL", joined, inverses[-1]))


_WIDE = algorithm(var("a"), var("b"), var("c"))


def _prove_high(seconds: float) -> None:
    """Prove: the product's remainders by 2^256 and by 2^256 - 1 give its high word."""
    words = Words()
    high = words.of(_WIDE.high)
    holds(high == words.parts(_WIDE.low)[0], words.facts, seconds, "the product's high word")


def _prove_one_word(seconds: float) -> None:
    """Prove: where the high word is smaller than the divisor, the quotient is a word."""
    words = Words()
    high, divisor = words.parts(_WIDE.low)[0], words.of(var("c"))
    quotient, _ = words.parts(_WIDE.rest)
    given = [*words.facts, high < divisor, at_least(WORD).at(quotient, divisor)]
    holds(quotient < WORD, given, seconds, "a quotient of one word")


def _prove_bits(shift: int, seconds: float) -> None:
    """Prove in bits: where a word ends in a one and `shift` zeros, `power` is 2^shift; what shares no bit, OR adds."""
    c, low, high = z3.BitVecs("c low high", BITS)
    holds(c & -c == 1 << shift, [z3.Extract(shift, 0, c) == 1 << shift], seconds, f"the power 2^{shift}")
    apart = [z3.Extract(BITS - 1 - shift, 0, high) == 0]
    if shift:
        apart.append(z3.Extract(BITS - 1, BITS - shift, low) == 0)
    holds(low | high == low + high, apart, seconds, f"words joined at {BITS - shift}")


def _scaled(shift: int) -> Lemma:
    def statement(mul: Mul, u: z3.ArithRef, c: z3.ArithRef, d: z3.ArithRef) -> z3.BoolRef:
        return z3.Implies(c == d * 2**shift, mul(u, c) == mul(u, d) * 2**shift)

    return Lemma(f"a factor 2^{shift}", 3, statement)


def _prove_case(shift: int, seconds: float) -> None:
    """Prove, for a divisor that is 2^shift times something: `odd` is that; `joined`, the quotient times it, wrapped."""
    unit = 1 << BITS - shift
    known = {_WIDE.power: const(1 << shift)}
    joined = replace(_WIDE.joined, known)
    below, above = sorted(joined.args, key=lambda term: term.op)  # DIV, MUL
    words, something = Words(), z3.Int("something")
    result, odd, divisor = words.of(joined), words.of(replace(_WIDE.odd, known)), words.of(var("c"))
    low_part, high_part, high_left = words.of(below), words.of(above), words.of(above.args[1])
    high, divided = words.of(_WIDE.high), words.of(_WIDE.rest)
    quotient, _ = words.parts(_WIDE.rest)
    # 2^256 is the word 0, so with shift 0 all of the high word is lost.
    lost = words.parts(above)[0] if shift else high_left
    given = [
        *words.facts, high == words.parts(_WIDE.low)[0], high > 0, high < divisor, divided < divisor,
        divisor == something * 2**shift, _scaled(shift).at(quotient, divisor, something),
        NOT_NEGATIVE.at(quotient, divisor),
    ]  # fmt: skip
    holds(odd == something, given, seconds, f"an odd divisor times 2^{shift}")
    apart = z3.And(low_part < unit, high_part == unit * (high_left - lost * 2**shift))
    holds(apart, given, seconds, f"what is joined at {BITS - shift}")
    given += [apart, result == low_part + high_part]  # by _prove_bits
    claim = product(quotient, something) == lost * WORD + result
    holds(claim, given, seconds, f"the quotient times the odd divisor, 2^{shift}")


def _newton(bits: int) -> Existence:
    """Return: from an inverse i of d modulo 2^bits, n = i * (2 - d * i) is one modulo 2^(2 bits), words wrapping."""
    unit = 2**bits

    def statement(mul: Mul, *integers: z3.ArithRef) -> z3.BoolRef:
        i, d, error, times, lost_of_times, step, turns, n, lost_of_n, there = integers
        given = [
            mul(i, d) == 1 + error * unit,
            mul(d, i) == lost_of_times * WORD + times,
            step == 2 - times + turns * WORD,
            mul(i, step) == lost_of_n * WORD + n,
        ]
        return z3.Implies(z3.And(*given), mul(n, d) == 1 + there * unit**2)

    def witness(*integers: z3.ArithRef) -> z3.ArithRef:
        _, d, error, _, lost_of_times, _, turns, _, lost_of_n = integers
        return WORD // unit**2 * ((1 + error * unit) * (lost_of_times + turns) - lost_of_n * d) - error * error

    return Existence(f"Newton's step at {bits} bits", 9, statement, witness)


def _divides(mul: Mul, *integers: z3.ArithRef) -> z3.BoolRef:
    """A product with an inverse i of d, where j is u * d, is u, words wrapping."""
    u, d, j, lost_of_j, i, error, n, lost_of_n, there = integers
    given = [mul(u, d) == lost_of_j * WORD + j, mul(i, d) == 1 + error * WORD, mul(j, i) == lost_of_n * WORD + n]
    return z3.Implies(z3.And(*given), n == u + there * WORD)


_DIVIDES = Existence(
    "an inverse divides",
    8,
    _divides,
    lambda u, _d, _j, lost_of_j, i, error, _n, lost_of_n: u * error - lost_of_j * i - lost_of_n,
)


def _prove_inverse(seconds: float) -> None:
    """Prove: `result` is the quotient, where `odd` is odd and `joined` is what the cases say."""
    d = z3.BitVec("d", BITS)
    first = z3.Extract(3, 0, (3 * d ^ 2) * d) == 1
    holds(first, [z3.Extract(0, 0, d) == 1], seconds, "an inverse modulo 16")
    known = {_WIDE.odd: var("odd"), _WIDE.joined: var("joined")}
    inverses = [replace(term, known) for term in _WIDE.inverses]
    last = replace(_WIDE.result, known)
    words = Words()
    odd, joined, result = words.of(var("odd")), words.of(var("joined")), words.of(last)
    error, bits = z3.Int("error"), 4
    said = product(words.of(inverses[0]), odd) == 1 + error * 2**bits
    for before, after in itertools.pairwise(inverses):
        (step,) = (arg for arg in after.args if arg is not before)
        times = step.args[1]
        turns = words.named(z3.If(words.of(step) == 2 - words.of(times), 0, 1))
        lemma, error = _newton(bits).at(
            words.of(before), odd, error, words.of(times), words.parts(times)[0], words.of(step), turns,
            words.of(after), words.parts(after)[0],
        )  # fmt: skip
        bits *= 2
        claim = product(words.of(after), odd) == 1 + error * 2**bits
        holds(claim, [*words.facts, said, lemma], seconds, f"an inverse modulo 2^{bits}")
        said = claim
    quotient, lost = z3.Ints("quotient lost")
    divides, _ = _DIVIDES.at(
        quotient, odd, joined, lost, words.of(inverses[-1]), error, result, words.parts(last)[0]
    )  # fmt: skip
    # Of the cases and of _prove_one_word:
    cases = [product(quotient, odd) == lost * WORD + joined, quotient >= 0, quotient < WORD]
    holds(result == quotient, [*words.facts, said, divides, *cases], seconds, "the quotient by the inverse")


def prove(seconds: float, progress: Callable[[str], None]) -> None:
    """Raises GaveUp where something of it does not follow."""
    _prove_high(seconds)
    _prove_one_word(seconds)
    c = z3.BitVec("c", BITS)
    ends = [z3.Extract(shift, 0, c) == 1 << shift for shift in range(BITS)]
    holds(z3.Or(*ends), [c != 0], seconds, "the cases of a divisor")
    for shift in range(BITS):
        progress(f"divisors by their powers of two: {shift + 1} of {BITS}")
        _prove_bits(shift, seconds)
        _prove_case(shift, seconds)
    _prove_inverse(seconds)
