"""Poseidon over BN254's scalar field (Grassi et al. 2021), width 9: the hash that a circuit can afford.

Round numbers and constants are those of the authors' Grain generator with x^5 and 128 bits, so a width-3 hash of (1, 2)
is the value every other implementation gives; the test holds it. A list is absorbed 7 elements at a time:
h = Poseidon(h, x1 .. x7), from a tag that names the layout; lists of one tag have one length, so zero padding is safe.
Plain Python, about 1.5 ms a permutation.

Tests: tests/unit/zk/settlement/test_statement.py
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from zk.curve.bn254 import ORDER

FULL_ROUNDS = 8
PARTIAL_ROUNDS = {2: 56, 3: 57, 5: 60, 9: 63}  # by width
WIDTH = 9
RATE = 7  # elements of the list per permutation: one lane is capacity, one the chain's last value
_BITS = 254


@dataclass(frozen=True)
class Constants:
    """Round constants, one list of `width` per round, and the mixing matrix."""

    rounds: tuple[tuple[int, ...], ...]
    matrix: tuple[tuple[int, ...], ...]


def _grain(width: int, partial: int) -> Iterator[int]:
    """Yield the bits of the self-shrinking Grain LFSR, seeded with the parameters."""
    fields = ((1, 2), (0, 4), (_BITS, 12), (width, 12), (FULL_ROUNDS, 10), (partial, 10), ((1 << 30) - 1, 30))
    state = [value >> (size - 1 - i) & 1 for value, size in fields for i in range(size)]

    def step() -> int:
        bit = state[62] ^ state[51] ^ state[38] ^ state[23] ^ state[13] ^ state[0]
        del state[0]
        state.append(bit)
        return bit

    for _ in range(160):
        step()
    while True:
        keep, bit = step(), step()
        if keep:
            yield bit


@functools.cache
def constants(width: int) -> Constants:
    """Return the constants of a width (2, 3, 5 or 9)."""
    partial = PARTIAL_ROUNDS[width]
    bits = _grain(width, partial)

    def number() -> int:
        return functools.reduce(lambda value, _: value << 1 | next(bits), range(_BITS), 0)

    def element() -> int:
        while (value := number()) >= ORDER:
            pass
        return value

    rounds = tuple(tuple(element() for _ in range(width)) for _ in range(FULL_ROUNDS + partial))
    points = [number() % ORDER for _ in range(2 * width)]
    matrix = tuple(tuple(pow(x + y, -1, ORDER) for y in points[width:]) for x in points[:width])
    return Constants(rounds, matrix)


def permute_hash(inputs: Sequence[int]) -> int:
    """Return the first lane after the permutation of (0, *inputs); 1, 2, 4 or 8 inputs below r."""
    state = [0, *inputs]
    fixed = constants(len(state))
    partial = PARTIAL_ROUNDS[len(state)]
    for number, line in enumerate(fixed.rounds):
        state = [(value + constant) % ORDER for value, constant in zip(state, line, strict=True)]
        half = FULL_ROUNDS // 2
        if half <= number < half + partial:
            state[0] = pow(state[0], 5, ORDER)
        else:
            state = [pow(value, 5, ORDER) for value in state]
        state = [sum(m * value for m, value in zip(row, state, strict=True)) % ORDER for row in fixed.matrix]
    return state[0]


def hash_list(tag: int, values: Sequence[int]) -> int:
    """Absorb a list of integers (taken modulo r) of a length that `tag` determines."""
    chain = tag % ORDER
    for start in range(0, len(values), RATE):
        block = [value % ORDER for value in values[start : start + RATE]]
        chain = permute_hash([chain, *block, *[0] * (RATE - len(block))])
    return chain
