"""Poseidon over BN254's scalar field (Grassi et al. 2021), width 9: the hash that a circuit can afford.

Round numbers and constants are those of the authors' Grain generator with x^5 and 128 bits, so a width-3 hash of (1, 2)
is the value every other implementation gives; the test holds it.
Plain Python, about 0.5 ms a permutation: in the partial rounds, where one lane alone goes through x^5, what the mixing
does to the others is put into the round before, so that of 81 products less than 20 are left.
Twin of contracts/proof/Poseidon.sol.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import mul

from zk.curve.fields import ORDER

FULL_ROUNDS = 8
PARTIAL_ROUNDS = {2: 56, 3: 57, 5: 60, 9: 63}  # by width
WIDTH = 9
_BITS = 254
_HALF = FULL_ROUNDS // 2
_BLOCK = 8  # partial rounds after which all lanes are brought up to date
Matrix = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Constants:
    """Round constants, one list of `width` per round, and the mixing matrix."""

    rounds: Matrix
    matrix: Matrix


@dataclass(frozen=True)
class Turn:
    """A partial round: only its first lane goes through x^5, and only that lane's sum is needed at once."""

    constant: int
    corner: int  # of what went through, in the first lane
    row: tuple[int, ...]  # of the other lanes, in the first one, as they were when the block began
    earlier: tuple[int, ...]  # of what went through in the block's earlier rounds


@dataclass(frozen=True)
class Block:
    """Some partial rounds, after which the other lanes are brought up to date."""

    turns: tuple[Turn, ...]
    updates: Matrix  # by lane: factors of what went through


@dataclass(frozen=True)
class Schedule:
    """The same permutation with less to do in its partial rounds."""

    first: Matrix  # constants of the first full rounds
    last: Matrix  # of the last full rounds
    matrix: Matrix
    between: Matrix  # the mixing of the last round before the partial ones
    blocks: tuple[Block, ...]


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


@functools.cache
def schedule(width: int) -> Schedule:
    """Return the constants of a width (2, 3, 5 or 9) as `permute_hash` wants them."""
    fixed, partial = constants(width), PARTIAL_ROUNDS[width]
    lines = list(fixed.rounds)
    for number in range(_HALF, _HALF + partial):  # what x^5 does not see goes on into the next round
        first, *others = lines[number]
        moved = _times(fixed.matrix, [0, *others])
        lines[number] = (first,)
        lines[number + 1] = tuple((a + b) % ORDER for a, b in zip(lines[number + 1], moved, strict=True))
    rows, columns, matrix = [], [], fixed.matrix
    for _ in range(partial):
        # matrix = (first row and column) * (the others among themselves): the second is put into the round before
        inner = [row[1:] for row in matrix[1:]]
        rows.append((matrix[0][0], *_solved(inner, matrix[0][1:])))
        columns.append(tuple(row[0] for row in matrix[1:]))
        mixed = [_times(list(zip(*fixed.matrix[1:], strict=True)), row) for row in inner]
        matrix = (fixed.matrix[0], *(tuple(row) for row in mixed))
    partials = [line[0] for line in lines[_HALF : _HALF + partial]]
    return Schedule(
        first=tuple(lines[:_HALF]), last=tuple(lines[_HALF + partial :]), matrix=fixed.matrix, between=matrix,
        blocks=tuple(_blocks(partials, rows[::-1], columns[::-1])),
    )  # fmt: skip


def _blocks(constants: list[int], rows: list[tuple[int, ...]], columns: list[tuple[int, ...]]) -> Iterator[Block]:
    for start in range(0, len(rows), _BLOCK):
        some, added = rows[start : start + _BLOCK], columns[start : start + _BLOCK]
        turns = [
            Turn(constants[start + k], corner, tuple(row), tuple(_times(added[:k], row)))
            for k, (corner, *row) in enumerate(some)
        ]
        yield Block(tuple(turns), tuple(zip(*added, strict=True)))


def _times(matrix: Sequence[Sequence[int]], lanes: Sequence[int]) -> list[int]:
    return [sum(map(mul, row, lanes)) % ORDER for row in matrix]


def _solved(matrix: Sequence[Sequence[int]], row: Sequence[int]) -> list[int]:
    """Return x with x * matrix = row."""
    lines = [[*column, wanted] for column, wanted in zip(zip(*matrix, strict=True), row, strict=True)]
    for place in range(len(lines)):
        pivot = next(at for at in range(place, len(lines)) if lines[at][place])
        lines[place], lines[pivot] = lines[pivot], lines[place]
        inverse = pow(lines[place][place], -1, ORDER)
        lines[place] = [value * inverse % ORDER for value in lines[place]]
        for at, line in enumerate(lines):
            if at != place and line[place]:
                factor = line[place]
                lines[at] = [(a - factor * b) % ORDER for a, b in zip(line, lines[place], strict=True)]
    return [line[-1] for line in lines]


def permute_hash(inputs: Sequence[int]) -> int:
    """Return the first lane after the permutation of (0, *inputs); 1, 2, 4 or 8 inputs below r."""
    fixed = schedule(len(inputs) + 1)
    lanes: list[int] = [0, *inputs]
    for line in fixed.first[:-1]:
        lanes = _times(fixed.matrix, _fifths(line, lanes))
    lanes = _times(fixed.between, _fifths(fixed.first[-1], lanes))
    first, *others = lanes
    for block in fixed.blocks:
        fifths: list[int] = []
        for turn in block.turns:
            added = first + turn.constant
            square = added * added % ORDER
            fifth = square * square % ORDER * added % ORDER
            mixed = sum(map(mul, turn.row, others)) + sum(map(mul, turn.earlier, fifths))
            first = (turn.corner * fifth + mixed) % ORDER
            fifths.append(fifth)
        others = [
            (lane + sum(map(mul, line, fifths))) % ORDER for lane, line in zip(others, block.updates, strict=True)
        ]
    lanes = [first, *others]
    for line in fixed.last:
        lanes = _times(fixed.matrix, _fifths(line, lanes))
    return lanes[0]


def _fifths(line: Sequence[int], lanes: Sequence[int]) -> list[int]:
    found = []
    for constant, lane in zip(line, lanes, strict=True):
        added = lane + constant
        square = added * added % ORDER
        found.append(square * square % ORDER * added % ORDER)
    return found
