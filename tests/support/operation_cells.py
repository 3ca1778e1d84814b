"""Cells at which operations are extreme, and what each gives there: drawn for every reader of a program alike."""

from __future__ import annotations

from hypothesis import strategies as st

from fl_platform.protocol.operations import PLAIN, Op, operands_of

LEAST, MOST = -(2**255), 2**255 - 1
EDGES = (
    0, 1, -1, 2, -2, 3, 7, -7, 255, 256, 257, -255, -256, -257, 2**63 - 1, -(2**63), 2**127, -(2**127), 2**128 - 1,
    2**250, -(2**250), 2**254, MOST, MOST - 1, LEAST, LEAST + 1,
)  # fmt: skip

cell = st.one_of(
    st.sampled_from(EDGES), st.integers(LEAST, MOST), st.integers(-300, 300), st.integers(-(2**130), 2**130)
)


@st.composite
def questions(draw: st.DrawFn) -> tuple[Op, tuple[int, ...]]:
    """Draw an operation and as many cells as it has operands."""
    op = draw(st.sampled_from(sorted(PLAIN)))
    return op, tuple(draw(cell) for _ in range(operands_of(op)))
