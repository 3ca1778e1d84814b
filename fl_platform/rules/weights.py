"""How much each update counts: capped stake, and less for one that is longer than the clip bound.

    a_i = floor(2^16 * c_i / sum c * min(1, tau / |u_i|)),   c_i = min(stake_i, cap of the total stake)

with c_i / sum c rounded down to 2^-32 first, of those that passed the screens and again of those in the sum.

tau is the median length by stake times the clip factor. The sum is divided by the sum of unclipped weights: clipping
shortens the step, it does not give others a larger voice.

Tests: tests/unit/rules/test_compose.py
"""

from __future__ import annotations

from dataclasses import dataclass

from fl_platform.protocol.building import Builder, Cells
from fl_platform.rules.entries import Chosen, Entries
from fl_platform.rules.stakes import BASIS, PART_ONE, parts

WEIGHT_ONE = 1 << 16
_FINER = PART_ONE // WEIGHT_ONE


@dataclass(frozen=True)
class Weights:
    """By entry, 0 to WEIGHT_ONE; 0 for all that are not in the sum."""

    weight: Cells
    unclipped: Cells  # their sum is what the sum is divided by


def by_stake(entries: Entries, chosen: Chosen) -> Weights:
    """Write down a_i of those in the sum."""
    b = entries.b
    part = parts(b, b.select(chosen.summed, chosen.part, 0))
    limit = entries.median_length * b.word("clip_bps") // BASIS
    b.name("clipped", b.select(chosen.summed, entries.length > limit, 0))
    shortened = b.muldiv(part, b.minimum(entries.length, limit), entries.length * _FINER)
    return Weights(b.clamp(shortened, 0, WEIGHT_ONE), part // _FINER)


def bounded(b: Builder, weight: Cells) -> Cells:
    """Return weights cut where their running sum would leave WEIGHT_ONE: a sum of int16 rows then fits int32.

    Whatever a rule's weights are, so that no rule has to be trusted with it.
    """
    reached = b.minimum(b.running(b.clamp(weight, 0, WEIGHT_ONE)), WEIGHT_ONE)
    return b.clamp(reached - reached.before(), 0, WEIGHT_ONE)
