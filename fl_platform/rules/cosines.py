"""Lengths and cosines in fixed point.

The metric is normalised: an inner product is in squared steps, each block in its own, so that it does not change when a
block is stored larger. Cosines, not products, go on from here: they are small, and products of products leave 2^250.

Tests: tests/unit/rules/test_directions.py
"""

from __future__ import annotations

from fl_platform.protocol.building import Builder, Cells

ONE = 1 << 30  # a cosine of 1
LENGTH_BITS = 16  # of a length, behind the point
# At least an eighth of the energy is left when expected rounding noise is taken out: no cosine is over 8^.5 = 2.9.
MOST = 4 * ONE - 1


def length_of(b: Builder, energy: Cells) -> Cells:
    """Return the square root of a squared length, 2^-16 steps, rounded down."""
    return b.root(energy * (1 << 2 * LENGTH_BITS))


def cosine(b: Builder, product: Cells, first: Cells, second: Cells, most: int = MOST) -> Cells:
    """Return product / (first * second), parts of ONE within +-most, rounded down; 0 where a length is 0."""
    return b.clamp(b.muldiv(product, ONE << 2 * LENGTH_BITS, first * second), -most, most)
