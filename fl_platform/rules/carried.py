"""What a round hands to the next one: by seat, by block, and the sums that are public directions.

Exponents are carried as how far they moved since round 0, and directions with what they were made in, so no cell but
the output depends on where a block's exponent began: a block that is stored 2^10 larger gives the same tape.

Tests: tests/unit/rules/test_steps.py
"""

from __future__ import annotations

from dataclasses import dataclass

from fl_platform.protocol.building import Builder, Cells
from fl_platform.protocol.sources import Axis, Kind

REPUTATION_ONE = 10**6  # a fresh seat begins at 0: nothing is gained by leaving and coming back
MOVES = (-20, 8)  # of a block's exponent, from its first one
_SCORES = (-(2**80), 2**80)
_WEI = (0, 2**96 - 1)


@dataclass(frozen=True)
class Carried:
    """Columns as the round before left them."""

    score_sum: Cells  # by seat, signed
    paid_scored: Cells  # by seat, wei paid by worth
    paid_base: Cells  # by seat, wei paid by stake and for sealing; of the owner: dust
    reputation: Cells  # by seat, parts of REPUTATION_ONE
    scored_pots: Cells  # wei that went by worth
    moved: Cells  # by block: this round's exponent less its first one
    past: Cells | None  # by direction, newest first: content roots of sums; None where a rule looks at none
    past_moved: Cells | None  # by block and direction: `moved` when that sum was made


def carried(b: Builder, *, directions: bool) -> Carried:
    """Declare what is carried; `directions`: whether sums of earlier rounds are."""
    seat, block, direction = (Axis.SEAT,), (Axis.BLOCK,), (Axis.DIRECTION,)
    return Carried(
        score_sum=b.carried("score_sum", seat, _SCORES),
        paid_scored=b.carried("paid_scored", seat, _WEI),
        paid_base=b.carried("paid_base", seat, _WEI),
        reputation=b.carried("reputation", seat, (0, REPUTATION_ONE)),
        scored_pots=b.carried("scored_pots", (), _WEI),
        moved=b.carried("moved", block, MOVES),
        past=b.carried("past", direction, kind=Kind.SUMS) if directions else None,
        past_moved=b.carried("past_moved", (*block, *direction), MOVES) if directions else None,
    )
