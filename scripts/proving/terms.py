"""Words of the EVM as terms over unknown operands: what a symbolic run computes with.

A term is an opcode and its arguments, in the opcode's order. Equal terms are one object, so `is` compares them whatever
their size: that is how a proof finds the algorithm that it is about in the bytes. Arguments of opcodes that commute are
put in one order, and opcodes on constants alone are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

BITS = 256
WORD = 1 << BITS  # one more than the largest word
HALF = WORD >> 1
CONST, VAR = "CONST", "VAR"


def signed(word: int) -> int:
    """Return the integer that a word is in two's complement."""
    return word - WORD if word >= HALF else word


def _sdiv(x: int, y: int) -> int:
    if y == 0:
        return 0
    a, b = signed(x), signed(y)
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _signextend(byte: int, x: int) -> int:
    if byte >= BITS // 8 - 1:
        return x
    bits = 8 * (byte + 1)
    low = x % (1 << bits)
    return low - (1 << bits) if low >> (bits - 1) else low


# What each opcode gives of words, before it is taken modulo 2^256: the yellow paper's definitions.
MEANING: dict[str, Callable[..., int]] = {
    "ADD": lambda x, y: x + y,
    "SUB": lambda x, y: x - y,
    "MUL": lambda x, y: x * y,
    "DIV": lambda x, y: x // y if y else 0,
    "SDIV": _sdiv,
    "MULMOD": lambda x, y, n: x * y % n if n else 0,
    "LT": lambda x, y: int(x < y),
    "GT": lambda x, y: int(x > y),
    "SLT": lambda x, y: int(signed(x) < signed(y)),
    "SGT": lambda x, y: int(signed(x) > signed(y)),
    "EQ": lambda x, y: int(x == y),
    "ISZERO": lambda x: int(x == 0),
    "AND": lambda x, y: x & y,
    "OR": lambda x, y: x | y,
    "XOR": lambda x, y: x ^ y,
    "NOT": lambda x: ~x,
    "SHL": lambda n, x: x << n if n < BITS else 0,
    "SHR": lambda n, x: x >> n if n < BITS else 0,
    "SAR": lambda n, x: signed(x) >> min(n, BITS),
    "SIGNEXTEND": _signextend,
}
COMMUTES = frozenset({"ADD", "MUL", "EQ", "AND", "OR", "XOR"})


@dataclass(frozen=True, eq=False)  # by identity: make() gives one object for equal terms
class Term:
    """An opcode and its arguments; a constant has a value, an unknown a name."""

    op: str
    args: tuple[Term, ...] = ()
    value: int = 0
    name: str = ""
    serial: int = field(default=0, repr=False)

    @property
    def is_const(self) -> bool:
        """Whether this is a known word."""
        return self.op == CONST


_made: dict[tuple[object, ...], Term] = {}


def _one(op: str, args: tuple[Term, ...] = (), value: int = 0, name: str = "") -> Term:
    key = (op, *(id(arg) for arg in args), value, name)
    if key not in _made:
        _made[key] = Term(op, args, value, name, len(_made))
    return _made[key]


def const(value: int) -> Term:
    """Return a known word."""
    return _one(CONST, value=value % WORD)


def var(name: str) -> Term:
    """Return an unknown word."""
    return _one(VAR, name=name)


def make(op: str, *args: Term | int) -> Term:
    """Return what an opcode gives of its arguments, a constant where they are."""
    terms = tuple(const(arg) if isinstance(arg, int) else arg for arg in args)
    if all(term.is_const for term in terms):
        return const(MEANING[op](*(term.value for term in terms)))
    commuted = tuple(sorted(terms, key=lambda term: (not term.is_const, term.serial))) if op in COMMUTES else terms
    return _one(op, commuted)


def nodes(*terms: Term) -> Iterator[Term]:
    """Yield every term inside these once, arguments first."""
    seen: set[int] = set()
    stack = [(term, False) for term in reversed(terms)]
    while stack:
        term, done = stack.pop()
        if done:
            yield term
        elif term.serial not in seen:
            seen.add(term.serial)
            stack.append((term, True))
            stack.extend((arg, False) for arg in reversed(term.args))


def evaluate(term: Term, values: Mapping[str, int]) -> int:
    """Return the word that a term is where the unknowns have these values."""
    found: dict[int, int] = {}
    for node in nodes(term):
        if node.op == VAR:
            word = values[node.name]
        elif node.is_const:
            word = node.value
        else:
            word = MEANING[node.op](*(found[arg.serial] for arg in node.args))
        found[node.serial] = word % WORD
    return found[term.serial]


def replace(term: Term, known: Mapping[Term, Term]) -> Term:
    """Return a term with others put for some inside it."""
    done: dict[int, Term] = {}
    for node in nodes(term):
        if node in known:
            done[node.serial] = known[node]
        else:
            done[node.serial] = make(node.op, *(done[arg.serial] for arg in node.args)) if node.args else node
    return done[term.serial]
