"""Who gets how much of a round's pot: the catch-up split, as a program.

    entitled_i = (pots so far + this one) * max(0, score_i) / sum of max(0, score)
    lacking_i  = max(0, entitled_i - paid_i), of those whose update passed the screen
    scored_i   = pot * lacking_i / sum of lacking          by what each is entitled to, where nobody lacks anything
    base_i     = rest of the pot by stake of the admitted   of everybody rostered, where nobody was admitted

Every division rounds down; what is left is dust, the owner's.

Tests: tests/unit/rules/test_payment.py
"""

from __future__ import annotations

from dataclasses import dataclass

from fl_platform.protocol.building import Builder, Cells
from fl_platform.protocol.sources import Axis
from fl_platform.rules.stakes import BASIS


@dataclass(frozen=True)
class Parties:
    """One column each, along one axis."""

    score: Cells  # signed sum, this round included
    paid: Cells  # wei that earlier rounds paid for scores
    stake: Cells  # capped share, of who is on this round's roster; else 0
    admitted: Cells  # 1: the update is in the sum
    present: Cells  # 1: it passed the screen


@dataclass(frozen=True)
class Split:
    """What a pot goes to, wei."""

    fee: Cells  # of the aggregator that seals
    base: Cells  # by stake, per party
    scored: Cells  # by worth, per party
    scored_pot: Cells  # of this pot what went by worth
    dust: Cells


def catch_up(
    b: Builder, parties: Parties, axis: Axis, *, pot: Cells, pots_before: Cells, fee_bps: Cells | int,
    base_bps: Cells | int,
) -> Split:  # fmt: skip
    """Write down how one pot is split; `pots_before`: what earlier rounds put through the split, wei.

    Nothing here can be negative: `maximum` only tells a circuit so, and changes no value.
    """
    fee = b.name("fee", pot * fee_bps // BASIS)
    rest = b.maximum(pot - fee, 0)
    by_worth = b.maximum(rest - rest * base_bps // BASIS, 0)
    positive = b.maximum(parties.score, 0)
    so_far = pots_before + by_worth
    entitled = b.name("entitled", share_down(b, so_far, positive, b.sum(positive, axis)))
    due = b.select(parties.present, entitled, 0)
    lacking = b.name("lacking", b.maximum(due - parties.paid, 0))
    wanted = b.select(b.sum(lacking, axis), lacking, due)
    scored = b.name("scored", share_down(b, by_worth, wanted, b.sum(wanted, axis)))
    scored_pot = b.name("scored_pot", b.select(b.sum(scored, axis), by_worth, 0))
    stakes = b.select(parties.admitted, parties.stake, 0)
    by_stake = b.select(b.sum(stakes, axis), stakes, parties.stake)
    base_pot = b.maximum(rest - scored_pot, 0)
    base = b.name("base", share_down(b, base_pot, by_stake, b.sum(by_stake, axis)))
    dust = b.name("dust", rest - b.sum(base, axis) - b.sum(scored, axis))
    return Split(fee, base, scored, scored_pot, dust)


def share_down(b: Builder, whole: Cells, share: Cells, total: Cells) -> Cells:
    """Return whole * share / total, rounded down; 0 where the total is 0.

    No share is over the whole, nor below nothing: the bounds only tell the checker so, and change no value.
    """
    return b.clamp(b.muldiv(whole, share, total), 0, whole)
