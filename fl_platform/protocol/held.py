"""What a settlement circuit holds of a round's given numbers.

A round with a larger one is paid as any other, and has no proof; the settlement cell has it cut to these bounds.

Tests: tests/zk/test_compile_program.py
"""

from __future__ import annotations

from collections.abc import Mapping

from fl_platform.protocol.checker import row_kinds
from fl_platform.protocol.operations import Bounds, Op
from fl_platform.protocol.program import Column
from fl_platform.protocol.sources import Kind, Source, immediate_of

# In bits: products of two updates, of an update with an earlier sum, of two earlier sums; wei of one round or stake.
HELD: Mapping[tuple[Op, int], int] = {
    (Op.DOT, row_kinds((Kind.UPDATE, Kind.UPDATE))): 50,
    (Op.DOT_SHIFTED, row_kinds((Kind.UPDATE, Kind.SUMS))): 60,
    (Op.DOT_SHIFTED, row_kinds((Kind.SUMS, Kind.SUMS))): 76,
    (Op.SOURCE, immediate_of(Source.POT)): 76,
    (Op.SOURCE, immediate_of(Source.STAKE)): 76,
}
HELD_WEI, HELD_SCORES = 77, 75  # of a seat, or the whole task, so far: together a cell of the settlement cell's


def held_bounds(column: Column) -> Bounds:
    """Return what a circuit holds of a given column's cells."""
    low, high = (0, 1) if column.op is Op.EQ else column.bounds
    carried = HELD_SCORES if low < 0 else HELD_WEI
    bits = HELD.get((column.op, column.immediate), carried if column.op is Op.PREV else 250)
    return max(low, -(1 << bits)), min(high, (1 << bits) - 1)
