"""The new model (step 7): an integer step from the sums, rounded half up.

    w' = w + floor(f_b s / 2^40 + 1/2),   f_b = floor(2^40 lr 2^(e_b + q_b) / divisor)

e_b is the exponent of block b's step, q_b the point of the model's integers there: their sum, the bits that a step has
in the model, is the same by whatever power of two the block is stored. A round that summed nothing moves nothing.
That sum is taken as -40 where it is less, and as 60 where it is more: a task is opened with 12 or less.
"""

from __future__ import annotations

from fl_platform.protocol.building import Cells
from fl_platform.protocol.operations import Op
from fl_platform.protocol.program import Output
from fl_platform.protocol.rows import STEP_POINT
from fl_platform.protocol.sources import Source
from fl_platform.rules.entries import Entries

MOST_BITS = 60  # that a step can have in the model; a task is opened with 12 or less


def next_model(entries: Entries, sums: Cells, divisor: Cells) -> None:
    """Write down the root of the new model."""
    b = entries.b
    bits = b.source(Source.BLOCK_STEP_BITS) + entries.carried.moved
    # no shift is below 0, so nothing is lost before the division
    exact = b.shift(b.word("server_lr_num"), b.clamp(bits + STEP_POINT, 0, MOST_BITS + STEP_POINT))
    factor = b.name("step_factor", exact // (b.word("server_lr_den") * divisor))
    packed = b.plain(Op.MULADD, factor, 2, b.source(Source.BLOCK_NONNEGATIVE))
    b.output(Output.MODEL, b.name("model", b.step(b.source(Source.PARENT), sums, packed)))
