"""The next round's steps: powers of two a block, from what the summed updates were like.

With m the lower median, by capped stake, of a block's energy among those in the sum, d its parameters and q_max the
largest integer, the wanted step is spread * (m / d)^.5 / q_max of today's; its exponent is rounded to the nearest and
moves by one at most. A block in which the median update is zero gets finer steps; where nothing was summed all stay.
"""

from __future__ import annotations

from fl_platform.protocol.operations import Op
from fl_platform.protocol.program import Output
from fl_platform.protocol.sources import Axis, Source
from fl_platform.rules.carried import MOVES
from fl_platform.rules.entries import Chosen, Entries
from fl_platform.rules.stakes import lower_median

_POINT = 32  # bits of the wanted step's square behind the point
_ENERGIES = (0, 2**58)


def next_steps(entries: Entries, chosen: Chosen) -> None:
    """Write down the next exponents, as an output and as what is carried."""
    b, moved = entries.b, entries.carried.moved
    energy = b.dot(entries.admission.content, entries.admission.content, by_block=True)
    stake = b.select(chosen.summed, chosen.stake, 0)
    median = b.name("median_energy", lower_median(b, energy, stake, _ENERGIES))
    spread, largest = b.word("spread"), b.shift(1, b.word("bits") - 1) - 1
    square = b.muldiv(median, spread * spread * (1 << _POINT), largest * largest * b.source(Source.BLOCK_SIZE))
    # a square of 1 has 33 bits, and stays: half of them, rounded down, is 16
    wanted = moved + b.plain(Op.BITS, square) // 2 - _POINT // 2
    near = b.clamp(wanted, moved - 1, moved + 1)
    kept = b.carry(moved, b.select(b.sum(stake, Axis.ENTRY), b.clamp(near, *MOVES), moved))
    b.output(Output.EXPONENTS, b.name("exponent", b.source(Source.FIRST_EXPONENT) + kept))
