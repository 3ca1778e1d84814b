"""Screens: each gives a reason to refuse some of those that are left.

"length": by the median length; below the floor it is no work, above the limit it is refused, and so is what no honest
encoder makes. "replay": combinations of earlier rounds' sums. "direction": where the owner commits a reference, what
goes its way much less than the median update does is no work on this task.
"""

from __future__ import annotations

from fl_platform.protocol.building import Builder, Cells
from fl_platform.protocol.operations import Op
from fl_platform.rules.cosines import MOST, ONE
from fl_platform.rules.entries import Entries
from fl_platform.rules.stakes import BASIS, lower_median
from fl_platform.rules.verdicts import Verdict


def refuse(b: Builder, verdict: Cells, reason: Cells) -> Cells:
    """Return the verdict, and where there is none yet the reason."""
    return b.select(verdict, verdict, reason)


def length(entries: Entries, verdict: Cells) -> Cells:
    """Refuse what is too short or too long."""
    b, median = entries.b, entries.median_length
    floor, limit = (median * b.word(name) // BASIS for name in ("floor_bps", "reject_bps"))
    room = (b.shift(1, b.word("bits") - 1) - 1) * b.word("clip_factor")
    size, spread = b.word("size"), b.word("spread")
    # Rounding moves each parameter by less than one step: |q| < clip + size^.5, each root rounded up.
    longest = b.root(room * room * size // (spread * spread)) + b.root(size) + 2
    short = b.maximum(entries.length < floor, entries.length == 0)
    reason = b.select(short, Verdict.NO_WORK, (entries.length > limit) * Verdict.TOO_LONG)
    reason = b.select(entries.energy > longest * longest, Verdict.TOO_LONG, reason)
    return refuse(b, verdict, reason)


def replay(entries: Entries, verdict: Cells) -> Cells:
    """Refuse of what earlier rounds' sums make up more than near-duplicates have in common."""
    b = entries.b
    inside = b.const(0)
    for one in entries.components:
        inside = b.plain(Op.MULADD, one, one, inside)
    b.name("replayed", inside)
    limit = b.word("duplicate_bps") * (ONE * ONE) // BASIS
    return refuse(b, verdict, (inside > limit) * Verdict.REPLAY)


def direction(entries: Entries, verdict: Cells) -> Cells:
    """Refuse what goes too little the reference's way, or against it; nobody without a reference."""
    b, toward = entries.b, entries.toward_reference
    median = lower_median(b, toward, b.select(verdict, 0, entries.stake), (0, MOST))
    little = toward * BASIS < median * b.word("reference_bps")
    off = b.select(entries.has_reference, b.maximum(little, toward <= 0), 0)
    return refuse(b, verdict, off * Verdict.OFF_REFERENCE)
