"""The exact weighted sum  sum_i a_i q_i  (step 7), streamed: memory does not grow with the number of updates.

Integers are added with whatever arithmetic is fastest and provably exact for the bound at hand: a sum of products of
integers is exact in float32 while every partial sum stays below 2^24 in magnitude, in float64 below 2^53. Since weights
are 2^16ths of the stake, an int8 round always fits the first and an int16 round the second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_platform.protocol.spec import ModelSpec
from fl_platform.updates import check_sum_bound, tensor_slices
from fl_platform.updates.scale import largest_integer
from fl_platform.updates.tensors import Integers

Sums = npt.NDArray[np.int64]
RowSource = Callable[[int], Integers]

# Updates held at once. More rows per pass save additions into the int64 sum, fewer save memory.
BATCH = 8
# Columns per pass: BATCH float32 rows of 32,768 are 1 MiB, which stays in a core's L2 cache.
COLUMNS = 1 << 15
# Equal weights add as int16 (int32) without a product: a wider strip, as only one integer row is kept in cache.
EQUAL_COLUMNS = 1 << 17


def weighted_sum(rows: Sequence[int], weights: Sequence[int], source: RowSource, *, size: int, bits: int) -> Sums:
    """Return sum over `rows` of weight * source(row), int64 of shape (size,).

    `rows`, `weights`: parallel; a row of weight 0 is not read. `source(row)` returns its integers, shape (size,),
    checked by admission, and may read them from disk: at most BATCH rows are held. Raises ConfigError when
    n * max|a| * 2^(b-1) reaches 2^62.
    """
    # Equal weights come together, so that most batches need no products at all.
    order = sorted((i for i in range(len(rows)) if weights[i]), key=lambda i: (weights[i], i))
    used = [weights[i] for i in order]
    check_sum_bound(updates=max(1, len(used)), largest_weight=max(map(abs, used), default=0), bits=bits)
    total = np.zeros(size, dtype=np.int64)
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        add_batch(total, [source(rows[i]) for i in batch], [weights[i] for i in batch], bits=bits)
    return total


def add_batch(total: Sums, updates: Sequence[Integers], weights: Sequence[int], *, bits: int) -> None:
    """Add sum_i weights[i] * updates[i] to `total` in place, exactly; at most 2^7 updates of one batch."""
    if len(updates) > 128:  # 129 * 127 * 2 > 2^15: the narrow accumulator below would wrap
        raise ValueError(f"a batch of {len(updates)} updates, at most 128")
    limit = largest_integer(bits)
    if len(set(weights)) == 1:
        _add_equal(total, updates, weights[0], bits=bits)
    elif sum(map(abs, weights)) * limit < 2**24:
        _add_products(total, updates, weights, np.float32)
    elif sum(map(abs, weights)) * limit < 2**53:
        _add_products(total, updates, weights, np.float64)
    else:
        for update, weight in zip(updates, weights, strict=True):
            total += update.astype(np.int64) * np.int64(weight)


def _add_equal(total: Sums, updates: Sequence[Integers], weight: int, *, bits: int) -> None:
    """128 * 127 < 2^15 for int4 and int8, 128 * 32767 < 2^31 for int16: the narrow sum cannot wrap."""
    kind: type[np.signedinteger[Any]] = np.int32 if bits == 16 else np.int16
    width = min(EQUAL_COLUMNS, total.size)
    wide = np.empty(width, dtype=kind)
    part = np.empty(width, dtype=kind)
    for start in range(0, total.size, width):
        stop = min(start + width, total.size)
        added, one = part[: stop - start], wide[: stop - start]
        added[:] = updates[0][start:stop]
        for update in updates[1:]:
            # Convert, then add: numpy has a fast loop for each, but none for a mixed addition.
            one[:] = update[start:stop]
            added += one
        _accumulate(total[start:stop], added, weight)


def _accumulate(total: Sums, added: npt.NDArray[np.signedinteger[Any]], weight: int) -> None:
    wide = added.astype(np.int64)
    wide *= weight
    total += wide


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
        total[start:stop] += (factors @ strip).astype(np.int64)


def tensor_energies(sums: Sums, model: ModelSpec) -> tuple[int, ...]:
    """Return per tensor the exact sum of squares of an aggregate: input of the next round's scale.

    Entries are split as high * 2^16 + low, so that each int64 dot product stays below 2^63 for |entry| < 2^38 and
    d < 2^19 per block.
    """
    return tuple(_energy(sums[place]) for place in tensor_slices(model))


def _energy(values: Sums) -> int:
    block = 1 << 18
    return sum(_block_energy(values[i : i + block]) for i in range(0, values.size, block))


def _block_energy(values: Sums) -> int:
    if values.size and (int(values.max()) >= 2**38 or int(values.min()) < -(2**38)):
        return sum(v * v for v in map(int, values))
    high, low = values >> 16, values & 0xFFFF
    return (int(high @ high) << 32) + (int(high @ low) << 17) + int(low @ low)


def reference_sum(updates: Iterable[Integers], weights: Iterable[int]) -> list[int]:
    """The same sum in Python integers, slowly: what tests hold `weighted_sum` against."""
    total: list[int] = []
    for update, weight in zip(updates, weights, strict=True):
        products = [weight * int(q) for q in update]
        total = [t + p for t, p in zip(total, products, strict=True)] if total else products
    return total
