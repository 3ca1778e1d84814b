"""Words as vectors of bits: exact, and quick for whatever does not multiply or divide two unknowns."""

from __future__ import annotations

from collections.abc import Callable

import z3

from scripts.proving.execution import Condition, GaveUp
from scripts.proving.terms import BITS, VAR, Term, nodes


def word(value: int) -> z3.BitVecRef:
    """Return a known word."""
    return z3.BitVecVal(value, BITS)


def unknown(name: str) -> z3.BitVecRef:
    """Return the word that a term's unknown of this name is."""
    return z3.BitVec(name, BITS)


def _flag(condition: z3.BoolRef) -> z3.BitVecRef:
    return z3.If(condition, word(1), word(0))


GIVES: dict[str, Callable[..., z3.BitVecRef]] = {
    "ADD": lambda x, y: x + y, "SUB": lambda x, y: x - y, "MUL": lambda x, y: x * y,
    "LT": lambda x, y: _flag(z3.ULT(x, y)), "GT": lambda x, y: _flag(z3.UGT(x, y)), "SLT": lambda x, y: _flag(x < y),
    "SGT": lambda x, y: _flag(x > y), "EQ": lambda x, y: _flag(x == y), "ISZERO": lambda x: _flag(x == 0),
    "AND": lambda x, y: x & y, "OR": lambda x, y: x | y, "XOR": lambda x, y: x ^ y, "NOT": lambda x: ~x,
    "SHL": lambda n, x: x << n, "SHR": lambda n, x: z3.LShR(x, n), "SAR": lambda n, x: x >> n,
}  # fmt: skip


class Vectors:
    """Terms as vectors of bits."""

    def __init__(self) -> None:
        self._vectors: dict[Term, z3.BitVecRef] = {}

    def of(self, term: Term) -> z3.BitVecRef:
        """Return a term's vector. Raises GaveUp where it divides."""
        for node in nodes(term):
            if node not in self._vectors:
                self._vectors[node] = self._made(node)
        return self._vectors[term]

    def says(self, condition: Condition) -> z3.BoolRef:
        """Return what a path's condition says."""
        term, is_true = condition
        return self.of(term) != 0 if is_true else self.of(term) == 0

    def _made(self, node: Term) -> z3.BitVecRef:
        if node.op == VAR:
            return unknown(node.name)
        if node.is_const:
            return word(node.value)
        if node.op not in GIVES:
            raise GaveUp(f"{node.op} is not decided in bits")
        return GIVES[node.op](*(self._vectors[arg] for arg in node.args))
