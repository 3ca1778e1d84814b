"""From a round's scores to wei and reputations, by seat.

Every seat keeps its standing; who is not on this round's roster, or did not pass its screens, gets nothing of this pot
and catches up when it is back (`split`). What was not measured goes by stake. The fee is the sealer's, the dust the
owner's: so all claims together are what was allotted.

    reputation += floor((target - reputation) / memory),   target: 1 for good work, else 0

rounded so that a bad round always costs something. It changes for those on the roster, in rounds that could be judged.
"""

from __future__ import annotations

from fl_platform.protocol.building import Cells
from fl_platform.protocol.program import Output
from fl_platform.protocol.seats import OWNER_SEAT
from fl_platform.protocol.sources import Axis, Source
from fl_platform.rules.carried import REPUTATION_ONE
from fl_platform.rules.entries import Chosen, Entries
from fl_platform.rules.split import Parties, catch_up
from fl_platform.rules.stakes import BASIS, capped
from fl_platform.rules.worth import Worth

LARGEST_SCORE = 2**62  # of one round; no shipped measure comes near it


def pay(entries: Entries, chosen: Chosen, worth: Worth) -> tuple[Cells, Cells]:
    """Split the pot, bring every standing forward and write down what may be claimed: wei and reputations, by seat."""
    b, before, taken = entries.b, entries.carried, entries.admission

    def of_seat(cells: Cells) -> Cells:
        return b.gather(cells, taken.first_of_seat)

    score = b.name("score", b.clamp(b.select(chosen.passed, worth.score, 0), -LARGEST_SCORE, LARGEST_SCORE))
    parties = Parties(
        score=before.score_sum + of_seat(score), paid=before.paid_scored,
        stake=of_seat(capped(b, taken.stake, b.word("stake_cap_bps"))),
        admitted=of_seat(chosen.summed), present=of_seat(chosen.passed),
    )  # fmt: skip
    by_worth = b.name("by_worth", b.select(worth.measured, 1, 0))
    base_bps = b.select(by_worth, b.word("base_bps"), BASIS)
    split = catch_up(
        b, parties, Axis.SEAT, pot=b.source(Source.POT), pots_before=before.scored_pots, fee_bps=b.word("fee_bps"),
        base_bps=base_bps,
    )  # fmt: skip
    seat = b.numbers(before.reputation)
    fee = b.select(seat == b.source(Source.AGGREGATOR), split.fee, b.select(seat == OWNER_SEAT, split.dust, 0))
    scored = b.carry(before.paid_scored, before.paid_scored + split.scored)
    base = b.carry(before.paid_base, before.paid_base + split.base + fee)
    b.carry(before.score_sum, parties.score)
    b.carry(before.scored_pots, before.scored_pots + split.scored_pot)
    earned = b.name("earned", scored + base)
    b.output(Output.EARNED, earned)
    b.output(Output.TOTAL, b.sum(earned, Axis.SEAT))
    good = b.select(by_worth, score > 0, chosen.summed)
    counts = taken.rostered if chosen.judged is None else taken.rostered * chosen.judged
    target = of_seat(good) * REPUTATION_ONE
    moved = before.reputation + (target - before.reputation) // b.word("memory")
    kept = b.carry(before.reputation, b.select(of_seat(counts), moved, before.reputation))
    b.output(Output.REPUTATION, b.name("new_reputation", kept))
    return earned, kept
