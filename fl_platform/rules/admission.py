"""Who may take part in a round.

Roster entries come first, in order, forced ones behind; the first entry of a seat counts, and the first one of the
reference's seat that nothing is wrong with. What is refused here has no row: every product of it is 0. What sources say
is a verdict each, so whoever seals honestly can always seal.

Tests: tests/unit/rules/test_screens.py
"""

from __future__ import annotations

from dataclasses import dataclass

from fl_platform.protocol.building import Builder, Cells
from fl_platform.protocol.seats import REFERENCE_SEAT
from fl_platform.protocol.sources import Axis, Source
from fl_platform.rules.carried import Carried
from fl_platform.rules.verdicts import Verdict


@dataclass(frozen=True)
class Admission:
    """Who may take part, by entry unless said otherwise."""

    verdict: Cells
    rostered: Cells  # 1: a trainer's first entry, whatever became of it
    stake: Cells  # wei, of those rostered; else 0
    content: Cells  # content root of those admitted and of the reference; else no row
    reference: Cells  # 1: the reference
    reference_place: Cells  # of the round: its place, -1: none
    first_of_seat: Cells  # by seat: the place of its first entry, past the last one where it has none


def admit(b: Builder, carried: Carried) -> Admission:
    """Write down who may take part, and why others may not."""
    seat, stake = b.source(Source.SEAT_OF), b.source(Source.STAKE)
    first = b.inverse(seat, carried.reputation)
    place = b.numbers(seat)
    party = seat == REFERENCE_SEAT
    refused = b.source(Source.REFUSED)
    verdict = b.select(refused, refused + (Verdict.CONVICTED - 1), Verdict.ADMITTED)
    verdict = b.select(b.source(Source.LENGTH) == b.word("update_length"), verdict, Verdict.OTHER_LENGTH)
    verdict = b.select(b.source(Source.ENTRY_PARENT) == b.source(Source.PARENT), verdict, Verdict.OTHER_PARENT)
    offered = b.select(verdict, 0, party)
    reference = b.select(offered, b.running(offered) == 1, 0)
    of_party = b.select(offered, b.select(reference, Verdict.REFERENCE, Verdict.DUPLICATE), verdict)
    earlier = 1 - (b.gather(first, seat) == place)
    stranger = stake == 0
    of_trainer = b.select(stranger, Verdict.STRANGER, b.select(earlier, Verdict.DUPLICATE, verdict))
    verdict = b.name("admission", b.select(party, of_party, of_trainer))
    rostered = b.select(party, 0, (1 - stranger) * (1 - earlier))
    has_row = verdict <= Verdict.REFERENCE
    return Admission(
        verdict=verdict,
        rostered=b.name("rostered", rostered),
        stake=b.select(rostered, stake, 0),
        content=b.name("row", b.select(has_row, b.source(Source.CONTENT), 0)),
        reference=reference,
        reference_place=b.sum(reference, Axis.ENTRY, weight=place + 1) - 1,
        first_of_seat=first,
    )
