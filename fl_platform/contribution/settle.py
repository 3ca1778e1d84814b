"""Step 10: from a round's verdicts to wei, standings and reputations. Integers; a twin test pays by fractions.

Every trainer that ever stood on a roster keeps its standing; who is not on this round's roster, or did not pass its
screen, gets nothing of this round's pot, and catches up when it is back (`protocol.payout`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fl_platform.aggregation.weights import capped_stakes
from fl_platform.protocol.bundle import Standing, TaskState
from fl_platform.protocol.payout import PotSplit, split_pot
from fl_platform.protocol.spec import TaskSpec
from fl_platform.reputation.ema import START, next_reputation


@dataclass(frozen=True)
class Rostered:
    """One trainer on this round's roster (each address once)."""

    trainer: bytes  # 20 bytes
    stake: int  # wei
    admitted: bool  # its update is in the sum
    screened: bool  # it passed the screen: in the sum, or only farther from its neighbours than multi-Krum keeps
    score: int  # of this round, signed fixed point


@dataclass(frozen=True)
class Settlement:
    """A round's money."""

    trainers: tuple[bytes, ...]  # sorted; `split` is parallel to it
    split: PotSplit
    standings: tuple[Standing, ...]  # sorted; trainers, and the aggregator when it earned a fee


def settle(
    spec: TaskSpec, before: TaskState, aggregator: bytes, roster: Sequence[Rostered], *, measured: bool, pot: int
) -> Settlement:
    """Split the round's pot and bring every standing forward. `pot`: wei; `measured`: whether the scores mean
    anything."""
    old = {standing.trainer: standing for standing in before.standings}
    on_roster = {item.trainer: item for item in roster}
    addresses = tuple(sorted(old.keys() | on_roster.keys()))
    start = [_scored(old.get(a, Standing(a, 0, 0, 0, START)), on_roster.get(a)) for a in addresses]
    order = sorted(on_roster)
    capped = dict(
        zip(order, capped_stakes([on_roster[a].stake for a in order], cap_bps=spec.worth.stake_cap_bps), strict=True)
    )
    split = split_pot(
        pot=pot,
        fee_bps=spec.money.fee_bps,
        # A round whose worth was not measured has no scores: all of it goes by stake.
        base_bps=spec.worth.base_bps if measured else 10_000,
        pots_before=before.scored_pots,
        scores=[standing.score_sum for standing in start],
        paid_scored=[standing.paid_scored for standing in start],
        stakes=[capped.get(a, 0) for a in addresses],
        admitted=[a in on_roster and on_roster[a].admitted for a in addresses],
        present=[a in on_roster and on_roster[a].screened for a in addresses],
    )
    standings = [
        _paid(standing, split.scored[k], split.base[k], on_roster.get(standing.trainer), measured=measured)
        for k, standing in enumerate(start)
    ]
    return Settlement(addresses, split, _with_fee(standings, aggregator, split.fee))


def _scored(standing: Standing, item: Rostered | None) -> Standing:
    return replace(standing, score_sum=standing.score_sum + (item.score if item else 0))


def _paid(standing: Standing, scored: int, base: int, item: Rostered | None, *, measured: bool) -> Standing:
    reputation = standing.reputation
    if item:
        reputation = next_reputation(reputation, good=item.score > 0 if measured else item.admitted)
    return replace(
        standing,
        paid_scored=standing.paid_scored + scored,
        paid_base=standing.paid_base + base,
        reputation=reputation,
    )


def _with_fee(standings: Sequence[Standing], aggregator: bytes, fee: int) -> tuple[Standing, ...]:
    by_address = {standing.trainer: standing for standing in standings}
    if fee:
        own = by_address.get(aggregator, Standing(aggregator, 0, 0, 0, START))
        by_address[aggregator] = replace(own, paid_base=own.paid_base + fee)
    return tuple(by_address[a] for a in sorted(by_address))
