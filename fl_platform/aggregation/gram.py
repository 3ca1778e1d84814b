"""The exact Gram matrix of integer rows (step 7): G_ij = <q_i, q_j>, in squared steps.

Every tensor counts in its own steps, so no power of two by which a model stores a layer moves a length or an angle.
Everything about distance, angle, length and worth is read from these few integers. They are taken by BLAS in chunks so
short that every partial sum is an integer below 2^24 (float32) or 2^53 (float64): order of summation, number of threads
and fused multiply-adds cannot change the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_platform.aggregation.blas import one_thread
from fl_platform.aggregation.sums import RowSource
from fl_platform.protocol.spec import ModelSpec
from fl_platform.updates import tensor_slices
from fl_platform.updates.scale import largest_integer
from fl_platform.updates.tensors import Integers

DIRECTION = "direction:"  # begins the name of a row that has no energies of its own
GROUP = 256  # rows held at once per side; a round with more reads its updates ceil(n / GROUP) times
_STRIP = 1 << 15  # columns converted to float at once


@dataclass(frozen=True)
class Gram:
    """A symmetric matrix of Python integers with named rows."""

    names: tuple[str, ...]  # "reference", trainer addresses "0x...", "direction:k" (newest first)
    values: tuple[tuple[int, ...], ...]  # full matrix
    energies: tuple[tuple[int, ...], ...] = ()  # of each row but the directions: squared length of every tensor

    def at(self, first: int, second: int) -> int:
        """Entry of two row numbers."""
        return self.values[first][second]

    def row(self, name: str) -> int:
        """Row number of a name. Raises KeyError."""
        try:
            return self.names.index(name)
        except ValueError as error:
            raise KeyError(name) from error

    @property
    def triangle(self) -> tuple[int, ...]:
        """Lower triangle by rows, as bundles carry it."""
        return tuple(self.values[i][j] for i in range(len(self.names)) for j in range(i + 1))


def from_triangle(
    names: Sequence[str], triangle: Sequence[int], energies: tuple[tuple[int, ...], ...] = ()
) -> Gram:  # fmt: skip
    """Rebuild a matrix from a bundle's lower triangle (lengths already checked by the bundle's reader)."""
    n = len(names)
    values = [[0] * n for _ in range(n)]
    entries = iter(triangle)
    for i in range(n):
        for j in range(i + 1):
            values[i][j] = values[j][i] = next(entries)
    return Gram(tuple(names), tuple(tuple(row) for row in values), energies)


@dataclass(frozen=True)
class GramRow:
    """One row: its name, how to read it, and how wide its integers are."""

    name: str
    source: int  # argument of the row source
    bits: int


def gram_matrix(rows: Sequence[GramRow], source: RowSource, *, model: ModelSpec) -> Gram:
    """Compute the Gram matrix of `rows` over what counts; at most 2 * GROUP of them are held at once.

    `source(row.source)` returns d integers within +-(2^(bits-1) - 1), checked by admission.
    """
    n = len(rows)
    values = [[0] * n for _ in range(n)]
    energies: list[tuple[int, ...]] = []
    groups = _groups(rows)
    for number, lower in enumerate(groups):
        left = [source(rows[i].source) for i in lower]
        energies += [
            tensor_energies(row, model)
            for i, row in zip(lower, left, strict=True)
            if not rows[i].name.startswith(DIRECTION)
        ]
        for upper in groups[: number + 1]:
            right = left if upper is lower else [source(rows[j].source) for j in upper]
            bits = rows[lower[0]].bits, rows[upper[0]].bits
            block = _products(left, right, bits=bits, size=model.counted_size)
            for (a, i), (b, j) in product(enumerate(lower), enumerate(upper)):
                values[i][j] = values[j][i] = block[a][b]
    return Gram(tuple(row.name for row in rows), tuple(tuple(row) for row in values), tuple(energies))


def tensor_energies(row: Integers, model: ModelSpec) -> tuple[int, ...]:
    """Return the sum of squares of every tensor's integers, exact: a strip of 2^15 squares stays below 2^45."""
    return tuple(_energy(row[place]) for place in tensor_slices(model))


def _energy(values: Integers) -> int:
    total = 0
    for start in range(0, values.size, _STRIP):
        part = values[start : start + _STRIP].astype(np.float64)
        total += int(part @ part)
    return total


def _groups(rows: Sequence[GramRow]) -> list[list[int]]:
    """Row numbers in runs of one width: a wide row would make its neighbours' products leave float32."""
    groups: list[list[int]] = []
    for index, row in enumerate(rows):
        if not groups or len(groups[-1]) == GROUP or rows[groups[-1][0]].bits != row.bits:
            groups.append([])
        groups[-1].append(index)
    return groups


def _products(
    left: Sequence[Integers], right: Sequence[Integers], *, bits: tuple[int, int], size: int
) -> list[list[int]]:
    """All inner products of two groups of rows, over their first `size` entries, as Python integers."""
    largest = largest_integer(bits[0]) * largest_integer(bits[1])  # of one product of two entries
    same = left is right
    kind: type[np.floating[Any]] = np.float32 if largest * 512 < 2**24 else np.float64
    exact = (2**24 if kind is np.float32 else 2**53) // largest  # columns whose products cannot leave the exact range
    chunk = min(exact // 64 * 64 or exact, _STRIP)  # whole cache lines
    flush = max(1, 2**62 // largest // _STRIP)  # strips that int64 holds for sure
    total = np.zeros((len(left), len(right)), dtype=object)
    running = np.zeros((len(left), len(right)), dtype=np.int64)
    one = np.empty((len(left), _STRIP), dtype=kind)
    other = one if same else np.empty((len(right), _STRIP), dtype=kind)
    with one_thread():
        for number, start in enumerate(range(0, size, _STRIP), start=1):
            width = min(_STRIP, size - start)
            _load(one, left, start, width)
            if not same:
                _load(other, right, start, width)
            for column in range(0, width, chunk):
                stop = min(column + chunk, width)
                running += (one[:, column:stop] @ other[:, column:stop].T).astype(np.int64)
            if number % flush == 0:
                total += running.astype(object)
                running[:] = 0
    return [[int(value) for value in row] for row in total + running.astype(object)]


def _load(target: npt.NDArray[np.floating[Any]], rows: Sequence[Integers], start: int, width: int) -> None:
    for index, row in enumerate(rows):
        target[index, :width] = row[start : start + width]


def reference_gram(rows: Sequence[Integers]) -> list[list[int]]:
    """The same matrix in Python integers, slowly and differently: what tests hold `gram_matrix` against."""
    lists = [[int(q) for q in row] for row in rows]
    return [[sum(a * b for a, b in zip(x, y, strict=True)) for y in lists] for x in lists]
