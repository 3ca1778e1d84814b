"""A round's rows as its program reads them: updates and the sums of earlier rounds by content root, int64 and exact.

Inner products are taken by BLAS in chunks so short that every partial sum is an integer below 2^24 (float32) or 2^53
(float64): order of summation, number of threads and fused multiply-adds cannot change a result. The int32 integers of a
sum go in as two halves of 16 bits, so that they are as fast as updates; a product of 2^28 of them is below 2^60.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_platform.judging.blas import one_thread
from fl_platform.judging.sums import Sums, weighted_sum
from fl_platform.protocol.arithmetic import Array
from fl_platform.protocol.model_spec import ModelSpec
from fl_platform.updates.content import SUM_BITS
from fl_platform.updates.model_row import row_root
from fl_platform.updates.scale import largest_integer
from fl_platform.updates.tensors import Integers, tensor_slices

GROUP = 256  # rows held at once per side; a round with more reads its updates more often
_STRIP = 1 << 15  # columns converted to float at once
_HALF = 16  # bits of the lower half of a sum's integer
_HALF_LARGEST = 1 << _HALF

Row = npt.NDArray[np.signedinteger[Any]]
Products = npt.NDArray[np.int64]  # (places, left, right)


def cell_of(root: bytes) -> int:
    """Return a content root as a cell holds it."""
    return int.from_bytes(root, "big", signed=True)


def root_of(cell: int) -> bytes:
    """Return the content root that a cell holds, 32 bytes."""
    return cell.to_bytes(32, "big", signed=True)


class RoundRows:
    """Rows by their content roots, as `protocol.tape.RowSource` asks for them.

    updates: entry number by root. read: an entry's integers, shape (d,), checked by admission; may read from disk each
    time. past: sums of earlier rounds by root, int32 (d,). What `combine` makes is kept in `made`.
    """

    def __init__(
        self, model: ModelSpec, bits: int, *, updates: Mapping[int, int], read: Callable[[int], Integers],
        past: Mapping[int, Sums],
    ) -> None:  # fmt: skip
        self._model, self._bits, self._updates, self._read, self._past = model, bits, updates, read, past
        self._places = tuple(tensor_slices(model))
        self._known: dict[tuple[tuple[int, ...], tuple[int, ...]], Products | Array] = {}
        self.counting = len(model.counted)
        self.made: dict[int, Sums] = {}

    def dots(self, left: Sequence[int], right: Sequence[int], block: int | None) -> Array:
        """Return the inner products, (left, right): over one block, or over all that count.

        Those of pairs of updates are taken over all that counts at once; all others block by block, at one reading.
        """
        whole = len(left) * len(right) > len(left) + len(right) and not self._past.keys() & {*left, *right}
        if block is None and whole:
            counted = [slice(0, self._model.counted_size)]
            return np.asarray(self._products(left, right, counted)[0])
        key = (tuple(left), tuple(right))
        if key not in self._known:
            self._known[key] = self._products(left, right, self._places)
        found = self._known[key]
        return np.asarray(found[: self.counting].sum(axis=0) if block is None else found[block])

    def combine(self, rows: Sequence[int], weights: Sequence[int]) -> int:
        """Return the content root of the sum of updates times weights; those of root 0 are left out."""
        used = [(self._updates[root], weight) for root, weight in zip(rows, weights, strict=True) if root and weight]
        sums = weighted_sum(
            [entry for entry, _ in used], [weight for _, weight in used], self._read, size=self._model.size,
            bits=self._bits,
        )  # fmt: skip
        root = cell_of(row_root(sums, self._model))
        self.made[root] = sums
        return root

    def _products(self, left: Sequence[int], right: Sequence[int], places: Sequence[slice]) -> Products | Array:
        found = np.zeros(
            (len(places), len(left), len(right)), dtype=object if self._past.keys() & {*left, *right} else np.int64
        )
        for i in range(0, len(left), GROUP):
            one = [self._row(root) for root in left[i : i + GROUP]]
            for j in range(0, len(right), GROUP):
                same = left[i : i + GROUP] == right[j : j + GROUP]
                other = one if same else [self._row(root) for root in right[j : j + GROUP]]
                found[:, i : i + GROUP, j : j + GROUP] = products(one, other, bits=self._bits, places=places)
        return found

    def _row(self, root: int) -> Row:
        return self._past[root] if root in self._past else self._read(self._updates[root])


def products(left: Sequence[Row], right: Sequence[Row], *, bits: int, places: Sequence[slice]) -> Products | Array:
    """Return the inner products of two groups of rows over each place, (places, left, right), exact.

    Updates are within +-(2^(bits - 1) - 1); the rows of one side are all updates or all sums (int32).
    """
    wide = [bool(side) and side[0].dtype.itemsize == SUM_BITS // 8 for side in (left, right)]
    largest = [_HALF_LARGEST if each else largest_integer(bits) for each in wide]
    one = _halves(left) if wide[0] else left
    other = one if left is right else _halves(right) if wide[1] else right
    found = _exact(one, other, largest=largest[0] * largest[1], places=places)
    if not any(wide):
        return found
    big: Array = found.astype(object)
    if wide[0]:
        big = (big[:, : len(left)] << _HALF) + big[:, len(left) :]
    if wide[1]:
        big = (big[:, :, : len(right)] << _HALF) + big[:, :, len(right) :]
    return big


def _halves(rows: Sequence[Row]) -> list[Row]:
    """Return the upper halves of sums, then the lower ones: each integer is 2^16 upper + lower."""
    return [*(row >> _HALF for row in rows), *(row & (_HALF_LARGEST - 1) for row in rows)]


def _exact(left: Sequence[Row], right: Sequence[Row], *, largest: int, places: Sequence[slice]) -> Products:
    """All inner products over each place; `largest`: of one product of two integers."""
    kind: type[np.floating[Any]] = np.float32 if largest * 512 < 2**24 else np.float64
    exact = (2**24 if kind is np.float32 else 2**53) // largest  # columns whose products cannot leave the exact range
    chunk = min(exact // 64 * 64 or exact, _STRIP)  # whole cache lines
    found = np.zeros((len(places), len(left), len(right)), dtype=np.int64)
    one = np.empty((len(left), _STRIP), dtype=kind)
    other = one if left is right else np.empty((len(right), _STRIP), dtype=kind)
    with one_thread():
        for number, place in enumerate(places):
            for start in range(place.start, place.stop, _STRIP):
                width = min(_STRIP, place.stop - start)
                _load(one, left, start, width)
                if other is not one:
                    _load(other, right, start, width)
                for column in range(0, width, chunk):
                    stop = min(column + chunk, width)
                    found[number] += (one[:, column:stop] @ other[:, column:stop].T).astype(np.int64)
    return found


def _load(target: npt.NDArray[np.floating[Any]], rows: Sequence[Row], start: int, width: int) -> None:
    for index, row in enumerate(rows):
        target[index, :width] = row[start : start + width]
