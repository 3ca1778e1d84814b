"""Worth: what each update that passed the screens is worth in a round.

"equal" never measures. "leave-one-out" takes from the sealer how many validation rows more the model gets right with an
update and its near-duplicates than without them. What is not measured is paid by stake. "anchored": see `anchored`.

Tests: tests/unit/rules/test_payment.py
"""

from __future__ import annotations

from dataclasses import dataclass

from fl_platform.protocol.building import Cells
from fl_platform.protocol.sources import Axis
from fl_platform.rules.duplicates import stake_near
from fl_platform.rules.entries import Chosen, Entries

SCORE_PER_ROW = 10**9  # of leave-one-out, for a trainer without near-duplicates


@dataclass(frozen=True)
class Worth:
    """A round's scores."""

    score: Cells  # by entry, signed fixed point; 0 for whoever did not pass the screens
    measured: Cells  # of the round: 0: the scores mean nothing


def equal(entries: Entries, chosen: Chosen) -> Worth:
    """Measure nothing."""
    b = entries.b
    return Worth(b.select(chosen.passed, 0, 0), b.const(0))


def leave_one_out(entries: Entries, chosen: Chosen) -> Worth:
    """Share among near-duplicates, by stake, what the model loses without them: two columns are the sealer's word."""
    b = entries.b
    measured = b.claimed("measured", (), (0, 1))
    marginal = b.claimed("marginal", (Axis.ENTRY,), (-(2**31), 2**31))
    b.name("capped_stake", chosen.stake)
    together = stake_near(entries, chosen.stake) if entries.shares else chosen.stake
    score = b.muldiv(marginal * SCORE_PER_ROW, chosen.stake, together)
    return Worth(b.select(measured, score, 0), measured)
