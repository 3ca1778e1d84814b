"""Inner products leaf by leaf: the interior of a Gram entry, which only a dispute asks for.

Leaf k of a content tree covers 128 coordinates; its product is sum 4^offset * a * b over them, in squared base units.
The products of all leaves add up to the Gram entry, so whoever split it honestly has a right part everywhere. Twin of
`Contents.product`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.spec import ModelSpec, ScaleSpec
from fl_platform.protocol.trace import COORDINATES
from fl_platform.updates.content import leaf_count
from fl_platform.updates.scale import largest_integer
from fl_platform.updates.tensors import Integers, tensor_slices

# 128 coordinates * 2^15 * 2^15 * 4^4 is 2^45: a leaf's product fits int64 with room.
Products = npt.NDArray[np.int64]


def leaf_products(left: Integers, right: Integers, *, model: ModelSpec, scale: ScaleSpec) -> Products:
    """Return the product of every leaf, int64 (leaves,), of two rows (d,) within the codec's range."""
    size = model.size
    padded = np.zeros(leaf_count(size) * COORDINATES, dtype=np.int64)
    np.multiply(left, right, out=padded[:size], dtype=np.int64)
    for place, offset in zip(tensor_slices(model), scale.offsets, strict=True):
        padded[place] <<= 2 * offset
    return np.asarray(padded.reshape(-1, COORDINATES).sum(axis=1), dtype=np.int64)


def split_range(products: Products, *, first: int, count: int, width: int) -> tuple[int, ...]:
    """Return the sums over runs of `width` leaves of [first, first + count); the last run may be shorter."""
    if not (first >= 0 and count > 0 and first + count <= len(products) and width > 0):
        raise DocumentInvalid(f"leaves {first} to {first + count} are no range of {len(products)}")
    # a run's sum stays below 2^45 * 2^28: Python integers, since 2^63 is not far
    starts = range(first, first + count, width)
    return tuple(_sum(products[start : min(start + width, first + count)]) for start in starts)


def first_outside(row: Integers, bits: int) -> int | None:
    """Return the first coordinate that lies outside the codec's symmetric range; None when there is none."""
    found = np.flatnonzero(row == -largest_integer(bits) - 1)
    return int(found[0]) if len(found) else None


def first_difference(one: Sequence[int] | Products, other: Sequence[int] | Products) -> int | None:
    """Return the first place where two vectors of one length differ."""
    if not (isinstance(one, np.ndarray) and isinstance(other, np.ndarray)):
        # a sealer chooses its numbers: past int64 an array of them would round to floats, and small lies vanish
        pairs = enumerate(zip(one, other, strict=True))
        return next((place for place, (told, right) in pairs if int(told) != int(right)), None)
    found = np.flatnonzero(one != other)
    return int(found[0]) if len(found) else None


def _sum(part: Products) -> int:
    """Add up exactly: 2^17 leaves of 2^45 stay below 2^62."""
    block = 1 << 17
    return sum(int(part[start : start + block].sum()) for start in range(0, len(part), block))
