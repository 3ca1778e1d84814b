"""The exact Gram matrix of integer rows (step 7): G_ij = sum_t 4^{e_t} <q_i^t, q_j^t>, in squared base units.

Everything about distance, angle, length and worth is read from these few integers. They are taken by BLAS in chunks so
short that every partial sum is an integer below 2^24 (float32) or 2^53 (float64): order of summation, number of threads
and fused multiply-adds cannot change the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_platform.aggregation.blas import one_thread
from fl_platform.aggregation.sums import RowSource
from fl_platform.protocol.spec import ModelSpec, ScaleSpec
from fl_platform.updates import tensor_slices
from fl_platform.updates.scale import largest_integer
from fl_platform.updates.tensors import Integers

GROUP = 256  # rows held at once per side; a round with more reads its updates ceil(n / GROUP) times
_STRIP = 1 << 15  # columns converted to float at once


@dataclass(frozen=True)
class Gram:
    """A symmetric matrix of Python integers with named rows."""

    names: tuple[str, ...]  # "reference", trainer addresses "0x...", "direction:k" (newest first)
    values: tuple[tuple[int, ...], ...]  # full matrix

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


def from_triangle(names: Sequence[str], triangle: Sequence[int]) -> Gram:
    """Rebuild a matrix from a bundle's lower triangle (lengths already checked by the bundle's reader)."""
    n = len(names)
    values = [[0] * n for _ in range(n)]
    entries = iter(triangle)
    for i in range(n):
        for j in range(i + 1):
            values[i][j] = values[j][i] = next(entries)
    return Gram(tuple(names), tuple(tuple(row) for row in values))


@dataclass(frozen=True)
class GramRow:
    """One row: its name, how to read it, and how wide its integers are."""

    name: str
    source: int  # argument of the row source
    bits: int


def gram_matrix(rows: Sequence[GramRow], source: RowSource, *, model: ModelSpec, scale: ScaleSpec) -> Gram:
    """Compute the Gram matrix of `rows`; at most 2 * GROUP of them are held at once.

    `source(row.source)` returns d integers within +-(2^(bits-1) - 1), checked by admission.
    """
    n = len(rows)
    values = [[0] * n for _ in range(n)]
    groups = _groups(rows)
    for number, lower in enumerate(groups):
        left = [source(rows[i].source) for i in lower]
        for upper in groups[: number + 1]:
            right = left if upper is lower else [source(rows[j].source) for j in upper]
            bits = rows[lower[0]].bits, rows[upper[0]].bits
            block = _products(left, right, bits=bits, model=model, scale=scale)
            for (a, i), (b, j) in product(enumerate(lower), enumerate(upper)):
                values[i][j] = values[j][i] = block[a][b]
    return Gram(tuple(row.name for row in rows), tuple(tuple(row) for row in values))


def _groups(rows: Sequence[GramRow]) -> list[list[int]]:
    """Row numbers in runs of one width: a wide row would make its neighbours' products leave float32."""
    groups: list[list[int]] = []
    for index, row in enumerate(rows):
        if not groups or len(groups[-1]) == GROUP or rows[groups[-1][0]].bits != row.bits:
            groups.append([])
        groups[-1].append(index)
    return groups


def _products(
    left: Sequence[Integers], right: Sequence[Integers], *, bits: tuple[int, int], model: ModelSpec, scale: ScaleSpec
) -> list[list[int]]:
    """All inner products of two groups of rows, weighted by 4^e_t, as Python integers."""
    largest = largest_integer(bits[0]) * largest_integer(bits[1])
    total = np.zeros((len(left), len(right)), dtype=object)
    with one_thread():
        for place, offset in segments(model, scale):
            total += _segment(left, right, place, largest, same=left is right) * (1 << (2 * offset))
    return [[int(value) for value in row] for row in total]


def segments(model: ModelSpec, scale: ScaleSpec) -> Iterator[tuple[slice, int]]:
    """Yield maximal runs of neighbouring tensors with equal exponents: (slice of the flat vector, exponent)."""
    start, stop, current = 0, 0, scale.offsets[0]
    for place, offset in zip(tensor_slices(model), scale.offsets, strict=True):
        if offset != current:
            yield slice(start, stop), current
            start, current = place.start, offset
        stop = place.stop
    yield slice(start, stop), current


def _segment(
    left: Sequence[Integers], right: Sequence[Integers], place: slice, largest: int, *, same: bool
) -> npt.NDArray[np.object_]:
    """Inner products over one segment. `largest`: bound of one product of two entries."""
    kind: type[np.floating[Any]] = np.float32 if largest * 512 < 2**24 else np.float64
    exact = (2**24 if kind is np.float32 else 2**53) // largest  # columns whose products cannot leave the exact range
    chunk = min(exact // 64 * 64 or exact, _STRIP)  # whole cache lines
    flush = max(1, 2**62 // largest // _STRIP)  # strips that int64 holds for sure
    total = np.zeros((len(left), len(right)), dtype=object)
    running = np.zeros((len(left), len(right)), dtype=np.int64)
    one = np.empty((len(left), _STRIP), dtype=kind)
    other = one if same else np.empty((len(right), _STRIP), dtype=kind)
    for number, start in enumerate(range(place.start, place.stop, _STRIP), start=1):
        width = min(_STRIP, place.stop - start)
        _load(one, left, start, width)
        if not same:
            _load(other, right, start, width)
        for column in range(0, width, chunk):
            stop = min(column + chunk, width)
            running += (one[:, column:stop] @ other[:, column:stop].T).astype(np.int64)
        if number % flush == 0:
            total += running.astype(object)
            running[:] = 0
    return np.asarray(total + running.astype(object))


def _load(target: npt.NDArray[np.floating[Any]], rows: Sequence[Integers], start: int, width: int) -> None:
    for index, row in enumerate(rows):
        target[index, :width] = row[start : start + width]


def reference_gram(rows: Sequence[Integers], *, model: ModelSpec, scale: ScaleSpec) -> list[list[int]]:
    """The same matrix in Python integers, slowly and differently: what tests hold `gram_matrix` against."""
    weights: list[int] = []
    for tensor, offset in zip(model.tensors, scale.offsets, strict=True):
        weights += [4**offset] * tensor.size
    lists = [[int(q) for q in row] for row in rows]
    return [[sum(w * a * b for w, a, b in zip(weights, x, y, strict=True)) for y in lists] for x in lists]
