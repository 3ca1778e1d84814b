"""A rule's part that the package has not: each update weighs by its cosine with the reference."""

from __future__ import annotations

from fl_platform.protocol.sources import Axis
from fl_platform.rules.entries import Chosen, Entries
from fl_platform.rules.weights import WEIGHT_ONE, Weights


def by_cosine(entries: Entries, chosen: Chosen) -> Weights:
    """Return floor(2^16 * cos_i / sum cos) of those in the sum that go the reference's way."""
    b = entries.b
    toward = b.select(chosen.summed, b.maximum(entries.toward_reference, 0), 0)
    weight = toward * WEIGHT_ONE // b.sum(toward, Axis.ENTRY)
    return Weights(weight, b.clamp(weight, 0, WEIGHT_ONE))
