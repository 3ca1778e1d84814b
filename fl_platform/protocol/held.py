"""What a settlement is about: the columns that say who gets what, and the given ones that they follow from.

Given is what no other cell decides. The settlement cell hashes it (`rules.settlement`), and a circuit takes it as the
tape has it (`zk.circuits.plan`): both ask here, for what one forgets the other could not prove. A round with a larger
number than is held is paid as any other, and has no proof; the settlement cell has it cut to these bounds.

Tests: tests/zk/test_compile_program.py
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fl_platform.protocol.checker import row_kinds
from fl_platform.protocol.operations import Bounds, Op
from fl_platform.protocol.program import Column, Output, Program
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
_GIVEN = frozenset({Op.SOURCE, Op.PREV, Op.CLAIMED, Op.DOT, Op.DOT_SHIFTED})


def listed(program: Program) -> tuple[int, ...]:
    """Return the columns that a settlement says: earned, reputation, divisor, and the weights of the sum."""
    outputs = program.outputs
    weights = program.columns[outputs[Output.SUMS]].operands[1].column
    return outputs[Output.EARNED], outputs[Output.REPUTATION], outputs[Output.DIVISOR], weights


def is_given(columns: Sequence[Column], number: int) -> bool:
    """Whether no other cells decide a column: a source, what the round before handed on, what the sealer claims, a
    product of rows, or whether two roots are equal."""
    column = columns[number]
    roots = column.op is Op.EQ and any(columns[one.column].kind is not Kind.NUMBER for one in column.operands)
    return column.op in _GIVEN or roots


def needed(columns: Sequence[Column], wanted: Iterable[int]) -> tuple[int, ...]:
    """Return the columns that some follow from, these among them, in order; of a given one nothing more is asked."""
    found: set[int] = set()
    ahead = list(wanted)
    while ahead:
        number = ahead.pop()
        if number not in found:
            found.add(number)
            ahead += [] if is_given(columns, number) else [operand.column for operand in columns[number].operands]
    return tuple(sorted(found))


def slot(bounds: Bounds) -> tuple[int, int]:
    """Return from which number on a column is counted in the settlement cell, and how many bits it has there."""
    start = min(0, bounds[0])
    return start, max(1, (bounds[1] - start).bit_length())


def held_bounds(column: Column) -> Bounds:
    """Return what a circuit holds of a given column's cells."""
    low, high = (0, 1) if column.op is Op.EQ else column.bounds
    carried = HELD_SCORES if low < 0 else HELD_WEI
    bits = HELD.get((column.op, column.immediate), carried if column.op is Op.PREV else 250)
    return max(low, -(1 << bits)), min(high, (1 << bits) - 1)
