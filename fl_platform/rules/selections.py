"""Selections: who of those that passed the screens is in the sum.

"mean": all of them. "multi-krum" (Blanchard et al. 2017, section 4): the n - f updates whose n - f - 2 nearest
neighbours are closest, on exact squared distances; ties go by the roster's order.
"""

from __future__ import annotations

from dataclasses import dataclass

from fl_platform.protocol.building import Builder, Cells
from fl_platform.protocol.operations import Op
from fl_platform.protocol.sources import Axis
from fl_platform.rules.entries import Entries
from fl_platform.rules.screens import refuse
from fl_platform.rules.verdicts import Verdict

_APART = (-(2**60), 2**60)  # |v|^2 - 2 <u, v> of two rows
_SCORES = (0, 2**70)  # sums of 512 squared distances


@dataclass(frozen=True)
class Selected:
    """Verdicts with those that were not selected; `judged`: see `entries.Chosen`."""

    verdict: Cells
    judged: Cells | None = None


def mean(entries: Entries, verdict: Cells) -> Selected:
    """Select all that are left."""
    return Selected(verdict)


def multi_krum(entries: Entries, verdict: Cells) -> Selected:
    """Select by distances, against the rule's f hostile updates less those refused already, who may all have been them.

    So up to f trainers cannot stop a round by handing in rubbish, and nobody honest is left out in their place. Where
    fewer than 2f + 3 are left nobody is selected: the model stays and the pot goes by stake. A mean of all would break
    the promise in silence, and no seal at all would cost an honest sealer its bond. Nobody steers a round there: each
    one refused lowers f as well, so only a roster that was too small from the start has too few.
    """
    b = entries.b
    left = verdict == 0
    count = b.sum(left, Axis.ENTRY)
    dropped = b.sum(entries.admission.rostered, Axis.ENTRY) - count
    byzantine = b.maximum(b.word("byzantine") - dropped, 0)
    enough = b.select(byzantine, count >= byzantine * 2 + 3, 1)
    keep = count - byzantine
    distance = b.name("distance", distances(entries, left, count, keep - 1))
    chosen = least_of(b, distance, left, keep)
    reason = b.select(enough, (1 - chosen) * Verdict.NOT_SELECTED, Verdict.TOO_FEW)
    return Selected(refuse(b, verdict, reason), enough)


def distances(entries: Entries, left: Cells, count: Cells, nearest: Cells) -> Cells:
    """Return each row's sum of squared distances to its `nearest` nearest among the `count` left, itself one of them.

    |u - v|^2 = |u|^2 + (|v|^2 - 2 <u, v>), and what is in brackets has the same order; its own is the least. With t
    the last of the nearest, the sum of them is that of min(x, t) over all, less t for each of the others.
    """
    b = entries.b
    apart = b.plain(Op.MULADD, entries.pairs, -2, entries.energy.swapped())
    others = left.swapped()
    last = b.least(apart, others, nearest, Axis.OTHER, _APART)
    cut = b.sum(b.minimum(apart, last), Axis.OTHER, weight=others)
    return b.clamp(entries.energy * nearest + cut - last * (count - nearest), *_SCORES)


def least_of(b: Builder, values: Cells, among: Cells, wanted: Cells) -> Cells:
    """Return 1 for the `wanted` least of some entries' values; of equal ones the first in order."""
    last = b.least(values, among, wanted, Axis.ENTRY, _SCORES)
    below = b.select(among, values < last, 0)
    equal = b.select(among, values == last, 0)
    room = wanted - b.sum(below, Axis.ENTRY)
    return b.maximum(below, b.select(equal, b.running(equal) <= room, 0))
