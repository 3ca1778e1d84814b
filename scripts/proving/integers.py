"""Words as integers: the logic in which products of unknowns are reasoned about.

A solver that takes 256-bit words apart into bits does not get through a product of two unknown ones. So a word is an
integer here, an opcode a few linear equations, and the product of two unknowns an unknown of its own, `product(a, b)`.
What is true of products comes in by lemmas: each is proved once of all integers, with real products, and then said of
the ones at hand. What is left for the solver is linear, and quick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import z3

from scripts.proving.execution import Condition, GaveUp
from scripts.proving.terms import HALF, WORD, Term, nodes

Mul = Callable[[z3.ArithRef, z3.ArithRef], z3.ArithRef]
PRODUCT = z3.Function("product", z3.IntSort(), z3.IntSort(), z3.IntSort())


def holds(claim: z3.BoolRef, given: Iterable[z3.BoolRef], seconds: float, what: str) -> None:
    """Prove a claim from what is given. Raises GaveUp where it does not follow, or not in time."""
    solver = z3.Solver()
    solver.set("timeout", int(seconds * 1000))
    solver.add(*given, z3.Not(claim))
    found = solver.check()
    if found != z3.unsat:
        reason = "does not follow" if found == z3.sat else f"not decided in {seconds:g} s"
        raise GaveUp(f"{what}: {reason}")


def product(a: z3.ArithRef, b: z3.ArithRef) -> z3.ArithRef:
    """Return the product of two integers: linear where one is known, else an unknown that lemmas speak of."""
    if z3.is_int_value(a) or z3.is_int_value(b):
        return a * b
    assert all(map(z3.is_const, (a, b))), "factors need names: products are looked up by them"
    return PRODUCT(*sorted((a, b), key=lambda factor: factor.get_id()))


class Lemma:
    """A statement about all integers. Proved when first used, with real products."""

    def __init__(self, name: str, count: int, statement: Callable[..., z3.BoolRef], seconds: float = 20) -> None:
        self._name = name
        self._count = count
        self._statement = statement
        self._seconds = seconds
        self._proved = False

    def prove(self) -> None:
        """Raises GaveUp where the solver does not find it true in time."""
        if not self._proved:
            unknowns = [z3.Int(f"v{index}") for index in range(self._count)]
            holds(self._statement(lambda a, b: a * b, *unknowns), [], self._seconds, f"lemma {self._name}")
            self._proved = True

    def at(self, *terms: z3.ArithRef) -> z3.BoolRef:
        """Return what the lemma says of these."""
        self.prove()
        return self._statement(product, *terms)


class Existence:
    """A statement that for all integers there is one more, proved by naming it; `at` gives the one that there is."""

    def __init__(
        self, name: str, count: int, statement: Callable[..., z3.BoolRef], witness: Callable[..., z3.ArithRef]
    ) -> None:
        def with_witness(mul: Mul, *terms: z3.ArithRef) -> z3.BoolRef:
            return statement(mul, *terms, witness(*terms))

        self._lemma = Lemma(name, count, with_witness)
        self._statement = statement

    def at(self, *terms: z3.ArithRef) -> tuple[z3.BoolRef, z3.ArithRef]:
        """Return what is said of these, and the integer that there is."""
        self._lemma.prove()
        there = z3.FreshInt("there")
        return self._statement(product, *terms, there), there


_SMALL = Lemma(
    "a product of two words",
    2,
    lambda mul, a, b: z3.Implies(
        z3.And(a >= 0, a < WORD, b >= 0, b < WORD), z3.And(mul(a, b) >= 0, mul(a, b) <= (WORD - 1) ** 2)
    ),
)
_GROWS = Lemma(
    "a quotient is no larger than what is divided",
    2,
    lambda mul, quotient, by: z3.Implies(z3.And(quotient >= 0, by >= 1), mul(quotient, by) >= quotient),
)


def is_floor(mul: Mul, found: z3.ArithRef, x: z3.ArithRef, y: z3.ArithRef) -> z3.BoolRef:
    """Return whether an integer is floor(x / y), for y other than 0."""
    least = mul(found, y)
    above = z3.And(y > 0, least <= x, x < least + y)
    return z3.Or(above, z3.And(y < 0, least >= x, x > least + y))


def wrapped(value: z3.ArithRef) -> z3.ArithRef:
    """Return the word that holds an integer in [-2^255, 2^256)."""
    return z3.If(value < 0, value + WORD, value)


class Words:
    """Terms as integers in [0, 2^256), and what the opcodes in them say: `facts`.

    An opcode that is not known here may give any word, so what is proved holds whatever it gives.
    """

    def __init__(self) -> None:
        self.facts: list[z3.BoolRef] = []
        self._words: dict[Term, z3.ArithRef] = {}
        self._parts: dict[Term, tuple[z3.ArithRef, z3.ArithRef]] = {}
        self._signed: dict[Term, z3.ArithRef] = {}
        self._magnitudes: dict[Term, z3.ArithRef] = {}

    def named(self, value: z3.ArithRef) -> z3.ArithRef:
        """Return a name for an integer, for products: they are looked up by their factors."""
        name = z3.FreshInt("named")
        self.facts.append(name == value)
        return name

    def signed(self, term: Term) -> z3.ArithRef:
        """Return the integer that a term is in two's complement; of one term always the same."""
        if term not in self._signed:
            word = self.of(term)
            self._signed[term] = self.named(z3.If(word >= HALF, word - WORD, word))
        return self._signed[term]

    def magnitude(self, term: Term) -> z3.ArithRef:
        """Return how far from zero a term is in two's complement; of one term always the same."""
        if term not in self._magnitudes:
            value = self.signed(term)
            self._magnitudes[term] = self.named(z3.If(value < 0, -value, value))
        return self._magnitudes[term]

    def of(self, term: Term) -> z3.ArithRef:
        """Return a term's word."""
        for node in nodes(term):
            if node not in self._words:
                self._words[node] = self._defined(node)
        return self._words[term]

    def parts(self, term: Term) -> tuple[z3.ArithRef, z3.ArithRef]:
        """Return (quotient, remainder) of a division, and (multiples of 2^256 that were lost, word) of a product."""
        self.of(term)
        return self._parts[term]

    def says(self, condition: Condition) -> z3.BoolRef:
        """Return what a path's condition says."""
        term, is_true = condition
        return self.of(term) != 0 if is_true else self.of(term) == 0

    def _range(self, word: z3.ArithRef) -> z3.ArithRef:
        self.facts += [word >= 0, word < WORD]
        return word

    def _defined(self, node: Term) -> z3.ArithRef:
        if node.is_const:
            return z3.IntVal(node.value)
        word = self._range(z3.FreshInt(node.name or node.op.lower()))
        args = [self._words[arg] for arg in node.args]
        define = getattr(self, f"_{node.op.lower()}", None)
        if define is not None:
            define(node, word, *args)
        return word

    def _add(self, _node: Term, word: z3.ArithRef, a: z3.ArithRef, b: z3.ArithRef) -> None:
        self.facts.append(word == z3.If(a + b >= WORD, a + b - WORD, a + b))

    def _sub(self, _node: Term, word: z3.ArithRef, a: z3.ArithRef, b: z3.ArithRef) -> None:
        self.facts.append(word == z3.If(a < b, a - b + WORD, a - b))

    def _mul(self, node: Term, word: z3.ArithRef, a: z3.ArithRef, b: z3.ArithRef) -> None:
        lost = z3.FreshInt("lost")
        self.facts += [product(a, b) == lost * WORD + word, _SMALL.at(a, b)]
        self._parts[node] = lost, word

    def _division(self, node: Term, whole: z3.ArithRef, by: z3.ArithRef) -> tuple[z3.ArithRef, z3.ArithRef]:
        quotient, rest = z3.FreshInt("quotient"), z3.FreshInt("rest")
        self.facts += [
            z3.Implies(by != 0, z3.And(whole == product(quotient, by) + rest, rest >= 0, rest < by, quotient >= 0)),
            z3.Implies(by == 0, z3.And(quotient == 0, rest == 0)),
            _GROWS.at(quotient, by),
        ]
        self._parts[node] = quotient, rest
        return quotient, rest

    def _div(self, node: Term, word: z3.ArithRef, a: z3.ArithRef, b: z3.ArithRef) -> None:
        self.facts.append(word == self._division(node, a, b)[0])

    def _mulmod(self, node: Term, word: z3.ArithRef, a: z3.ArithRef, b: z3.ArithRef, n: z3.ArithRef) -> None:
        self.facts.append(word == self._division(node, product(a, b), n)[1])

    def _sdiv(self, node: Term, word: z3.ArithRef, _a: z3.ArithRef, _b: z3.ArithRef) -> None:
        left, right = node.args
        quotient, _ = self._division(node, self.magnitude(left), self.magnitude(right))
        cut = z3.If((self.signed(left) < 0) == (self.signed(right) < 0), quotient, -quotient)
        self.facts.append(word == wrapped(cut))

    def _shr(self, node: Term, word: z3.ArithRef, _n: z3.ArithRef, a: z3.ArithRef) -> None:
        count = node.args[0]
        if count.is_const and count.value < WORD.bit_length() - 1:
            rest = z3.FreshInt("rest")
            self.facts += [a == word * (1 << count.value) + rest, rest >= 0, rest < 1 << count.value]

    def _lt(self, _node: Term, word: z3.ArithRef, a: z3.ArithRef, b: z3.ArithRef) -> None:
        self.facts.append(word == z3.If(a < b, 1, 0))

    def _gt(self, _node: Term, word: z3.ArithRef, a: z3.ArithRef, b: z3.ArithRef) -> None:
        self.facts.append(word == z3.If(a > b, 1, 0))

    def _eq(self, _node: Term, word: z3.ArithRef, a: z3.ArithRef, b: z3.ArithRef) -> None:
        self.facts.append(word == z3.If(a == b, 1, 0))

    def _iszero(self, _node: Term, word: z3.ArithRef, a: z3.ArithRef) -> None:
        self.facts.append(word == z3.If(a == 0, 1, 0))

    def _slt(self, node: Term, word: z3.ArithRef, _a: z3.ArithRef, _b: z3.ArithRef) -> None:
        left, right = node.args
        against_zero = right.is_const and right.value == 0
        below = self._negative(left) if against_zero else self.signed(left) < self.signed(right)
        self.facts.append(word == z3.If(below, 1, 0))

    def _negative(self, term: Term) -> z3.BoolRef:
        """Return whether the highest bit is set; that of an exclusive or follows from its arguments'."""
        if term.op == "XOR":
            left, right = term.args
            return z3.Xor(self._negative(left), self._negative(right))
        return self._words[term] >= HALF
