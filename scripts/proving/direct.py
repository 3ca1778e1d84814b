"""The operations that a solver decides in bits: what each must give, said of words, and the proof of its paths."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import z3

from fl_platform.protocol.operations import Op
from scripts.proving.bits import Vectors, unknown, word
from scripts.proving.execution import Path
from scripts.proving.integers import holds
from scripts.proving.terms import BITS


def _bits(x: z3.BitVecRef) -> z3.BitVecRef:
    """One more than the place of the highest bit: asked bit by bit."""
    found = word(0)
    for place in range(BITS - 1):
        found = z3.If(z3.Extract(place, place, x) == 1, word(place + 1), found)
    return z3.If(x > 0, found, word(0))


def shifted(x: z3.BitVecRef, count: int) -> z3.BitVecRef:
    """Return x with zeros after it, or without its last bits: x * 2^count, floor(x / 2^-count)."""
    if count > 0:
        return z3.Concat(z3.Extract(BITS - 1 - count, 0, x), z3.BitVecVal(0, count))
    return z3.SignExt(-count, z3.Extract(BITS - 1, -count, x))


# Sums, differences and products of bits are those of integers, modulo 2^256; comparisons are of signed integers.
GIVES: Mapping[Op, Callable[..., z3.BitVecRef]] = {
    Op.ADD: lambda x, y, _: x + y,
    Op.SUB: lambda x, y, _: x - y,
    Op.MUL: lambda x, y, _: x * y,
    Op.MULADD: lambda x, y, z: x * y + z,
    Op.MIN: lambda x, y, _: z3.If(x <= y, x, y),
    Op.MAX: lambda x, y, _: z3.If(x <= y, y, x),
    Op.CLAMP: lambda x, y, z: z3.If(z3.And(x <= z, y <= z), z3.If(x <= y, y, x), z),
    Op.LT: lambda x, y, _: z3.If(x < y, word(1), word(0)),
    Op.EQ: lambda x, y, _: z3.If(x == y, word(1), word(0)),
    Op.SEL: lambda x, y, z: z3.If(x == 0, z, y),
    Op.BITS: lambda x, _y, _z: _bits(x),
}
_X, _Y, _Z = (unknown(name) for name in ("x", "y", "z"))


def prove(op: Op, paths: Sequence[Path], seconds: float) -> None:
    """Raises GaveUp where some path is not shown to give what it should."""
    vectors = Vectors()
    for path in paths:
        conditions = [vectors.says(condition) for condition in path.conditions]
        holds(vectors.of(path.gives()) == GIVES[op](_X, _Y, _Z), conditions, seconds, "a path")


def prove_shift(paths: Sequence[Path], seconds: float) -> None:
    """Prove SHIFT, a case for each count of places; further on, nothing of x is left but its sign."""
    vectors = Vectors()
    for path in paths:
        result = vectors.of(path.gives())
        said = z3.And(*[vectors.says(condition) for condition in path.conditions])
        for count in range(1 - BITS, BITS):
            claim = z3.Implies(said, result == shifted(_X, count))
            holds(z3.substitute(claim, (_Y, word(count))), [], seconds, f"a path, by {count} places")
        left = z3.If(z3.And(_Y < 0, _X < 0), word(-1), word(0))
        far = z3.Or(_Y >= BITS, _Y <= -BITS)
        holds(result == left, [said, far], seconds, "a path, by more places than there are")
