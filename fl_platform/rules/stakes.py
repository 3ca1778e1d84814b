"""Stake as a voice: capped shares, and medians by them.

Tests: tests/unit/rules/test_screens.py
"""

from __future__ import annotations

from fl_platform.protocol.building import Builder, Cells
from fl_platform.protocol.operations import Bounds
from fl_platform.protocol.sources import Axis

BASIS = 10_000
PART_ONE = 1 << 32  # the whole stake


def capped(b: Builder, stake: Cells, cap_bps: Cells) -> Cells:
    """Return each stake, at most its part of their total (rounded down, never below one wei)."""
    return b.minimum(stake, b.maximum(b.sum(stake, Axis.ENTRY) * cap_bps // BASIS, 1))


def parts(b: Builder, stake: Cells) -> Cells:
    """Return each part of the total stake, parts of PART_ONE, rounded down."""
    return b.clamp(b.muldiv(stake, PART_ONE, b.sum(stake, Axis.ENTRY)), 0, PART_ONE)


def lower_median(b: Builder, values: Cells, weights: Cells, bounds: Bounds) -> Cells:
    """Return the least value at which half of the weight is reached; the lower bound where there is no weight."""
    half = (b.sum(weights, Axis.ENTRY) + 1) // 2
    return b.least(values, weights, half, Axis.ENTRY, bounds)
