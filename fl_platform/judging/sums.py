"""The exact weighted sum  sum_i a_i q_i  (step 7), streamed: memory does not grow with the number of updates.

Weights add up to at most 2^16, so a sum of updates of up to 16 bits fits an int32, which is refused otherwise. Integers
are added with whatever arithmetic is fastest and provably exact for the bound at hand: a sum of products of
integers is exact in float32 while every partial sum stays below 2^24 in magnitude, in float64 below 2^53. Since weights
are 2^16ths of the stake, an int8 round always fits the first and an int16 round the second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_platform.errors import DocumentInvalid
from fl_platform.judging.blas import one_thread
from fl_platform.updates import check_sum_bound
from fl_platform.updates.scale import largest_integer
from fl_platform.updates.tensors import Integers

Sums = npt.NDArray[np.int32]
RowSource = Callable[[int], Integers]

# Updates held at once where weights differ: more rows per pass save additions into the int32 sum, fewer save memory.
BATCH = 8
# Columns per pass there: BATCH float32 rows of 32,768 are 1 MiB, which stays in a core's L2 cache.
COLUMNS = 1 << 15
# From so many updates of one weight on they are added without products, one by one.
EQUAL_RUN = 4
# That many int4 or int8 updates fit into int16 (128 * 127 < 2^15), and int16 updates into int32.
NARROW = 128


def weighted_sum(rows: Sequence[int], weights: Sequence[int], source: RowSource, *, size: int, bits: int) -> Sums:
    """Return sum over `rows` of weight * source(row), int32 of shape (size,).

    `rows`, `weights`: parallel; a row of weight 0 is not read. `source(row)` returns its integers, shape (size,),
    checked by admission, and may read them from disk: at most BATCH rows are held. Raises ConfigError when
    the sum of the weights times the largest integer reaches 2^31.
    """
    used = {i: weights[i] for i in range(len(rows)) if weights[i]}
    check_sum_bound(used.values(), bits=bits)
    total = _zeros(size, np.int32)
    alone: list[int] = []
    # Most trainers have the same stake and are not clipped, so most weights are equal.
    for weight, run in groupby(sorted(used, key=lambda i: (used[i], i)), key=used.__getitem__):
        members = list(run)
        if len(members) < EQUAL_RUN:
            alone += members
            continue
        for start in range(0, len(members), NARROW):
            part = members[start : start + NARROW]
            _add_scaled(total, _equal_sum((source(rows[i]) for i in part), size=size, bits=bits), weight)
    for start in range(0, len(alone), BATCH):
        part = alone[start : start + BATCH]
        add_batch(total, [source(rows[i]) for i in part], [used[i] for i in part], bits=bits)
    return total


def _equal_sum(updates: Iterable[Integers], *, size: int, bits: int) -> npt.NDArray[np.signedinteger[Any]]:
    """Sum at most NARROW updates without weights, in the narrowest integers that cannot wrap."""
    total = _zeros(size, np.int32 if bits == 16 else np.int16)
    for update in updates:
        np.add(total, update, out=total)
    return total


def _add_scaled(total: Sums, added: npt.NDArray[np.signedinteger[Any]], weight: int) -> None:
    """Add weight * added in strips: a whole product would cost more in fresh pages than in arithmetic.

    None leaves int32: it is a part of the sum that `check_sum_bound` has bounded.
    """
    for start in range(0, total.size, COLUMNS):
        total[start : start + COLUMNS] += np.multiply(added[start : start + COLUMNS], np.int32(weight))


def _zeros(size: int, kind: type[np.signedinteger[Any]]) -> npt.NDArray[Any]:
    """Return zeros on huge pages where the system has them: numpy asks for them in `empty` from 4 MiB on, not in
    `zeros`, and thousands of small page faults cost as much as the sum of ten updates.
    """
    items = max(size, (4 << 20) // np.dtype(kind).itemsize)
    room = np.empty(items, dtype=kind)[:size]
    room[:] = 0
    return room


def add_batch(total: Sums, updates: Sequence[Integers], weights: Sequence[int], *, bits: int) -> None:
    """Add sum_i weights[i] * updates[i] to `total` in place, exactly; a batch fits into memory as floats by strips.

    The sum of the weights times the largest integer is below 2^31.
    """
    largest = sum(map(abs, weights)) * largest_integer(bits)
    with one_thread():
        _add_products(total, updates, weights, np.float32 if largest < 2**24 else np.float64)


def _add_products(
    total: Sums, updates: Sequence[Integers], weights: Sequence[int], kind: type[np.floating[Any]]
) -> None:
    width = min(COLUMNS if kind is np.float32 else COLUMNS // 2, total.size)
    rows = np.empty((len(updates), width), dtype=kind)
    factors = np.array(weights, dtype=kind)
    for start in range(0, total.size, width):
        stop = min(start + width, total.size)
        strip = rows[:, : stop - start]
        for index, update in enumerate(updates):
            strip[index] = update[start:stop]
        total[start:stop] += (factors @ strip).astype(np.int32)


def read_sums(data: bytes, *, size: int) -> Sums:
    """Return a document of sums (untrusted) as int32 (size,), read-only. Raises DocumentInvalid: another length."""
    if len(data) != 4 * size:
        raise DocumentInvalid(f"the sums have {len(data)} bytes, the model's {size} parameters have {4 * size}")
    return np.frombuffer(data, dtype="<i4")
