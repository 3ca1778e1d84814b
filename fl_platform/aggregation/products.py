"""Inner products leaf by leaf: the interior of a Gram entry, which only a dispute asks for.

A leaf of a content tree covers up to 128 coordinates; its product is sum a * b over them, in squared steps. The
products of all leaves add up to the Gram entry, so whoever split it honestly has a right part everywhere. Twin of
`Contents.product`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.leaves import COORDINATES
from fl_platform.protocol.spec import ModelSpec
from fl_platform.updates.scale import largest_integer
from fl_platform.updates.tensors import Integers, tensor_slices

# 128 coordinates * 2^15 * 2^15 is 2^37: a leaf's product fits int64 with room.
Products = npt.NDArray[np.int64]
Vector = npt.NDArray[np.signedinteger[Any]]


def leaf_products(left: Integers, right: Integers, *, model: ModelSpec) -> Products:
    """Return the product of every leaf that counts, int64 (leaves,), of two rows (d,) within the codec's range."""
    padded = np.zeros(model.counted_leaves * COORDINATES, dtype=np.int64)
    for place, leaf in zip(tensor_slices(model), model.leaves.firsts[: len(model.counted)], strict=False):
        first = leaf * COORDINATES
        part = padded[first : first + place.stop - place.start]
        np.multiply(left[place], right[place], out=part, dtype=np.int64)
    return np.asarray(padded.reshape(-1, COORDINATES).sum(axis=1), dtype=np.int64)


def split_range(products: Products, *, first: int, count: int, width: int) -> tuple[int, ...]:
    """Return the sums over runs of `width` leaves of [first, first + count); the last run may be shorter."""
    if not (first >= 0 and count > 0 and first + count <= len(products) and width > 0):
        raise DocumentInvalid(f"leaves {first} to {first + count} are no range of {len(products)}")
    # a run's sum stays below 2^37 * 2^28: Python integers, since 2^63 is not far
    starts = range(first, first + count, width)
    return tuple(_sum(products[start : min(start + width, first + count)]) for start in starts)


def first_outside(row: Integers, bits: int) -> int | None:
    """Return the first coordinate that lies outside the codec's symmetric range; None when there is none."""
    found = np.flatnonzero(row == -largest_integer(bits) - 1)
    return int(found[0]) if len(found) else None


def first_difference(one: Sequence[int] | Vector, other: Sequence[int] | Vector) -> int | None:
    """Return the first place where two vectors of one length differ."""
    if not (isinstance(one, np.ndarray) and isinstance(other, np.ndarray)):
        # a sealer chooses its numbers: past int64 an array of them would round to floats, and small lies vanish
        pairs = enumerate(zip(one, other, strict=True))
        return next((place for place, (told, right) in pairs if int(told) != int(right)), None)
    found = np.flatnonzero(one != other)
    return int(found[0]) if len(found) else None


def _sum(part: Products) -> int:
    """Add up exactly: 2^17 leaves of 2^37 stay below 2^54."""
    block = 1 << 17
    return sum(int(part[start : start + block].sum()) for start in range(0, len(part), block))
