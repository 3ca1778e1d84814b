"""What an owner writes becomes rules that the contracts accept."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from fl_platform.errors import ConfigError
from fl_platform.learning.plan import TrainPlan
from fl_platform.protocol.spec import Money
from fl_platform.round.offer import WINDOWS, Offer, alpha_of

MONEY = Money(bytes(20), pot=10, rounds=2, stake=5, bond=20, fee_bps=500)
MOST_AGGREGATORS = 8
MOST_RING = 64


def offer(**changes: Any) -> Offer:
    """Return an offer."""
    base = Offer("a title", "digits-mlp", MONEY, trainers=8, plan=TrainPlan(3, 16, 0.25))
    return dataclasses.replace(base, **changes)


@pytest.mark.parametrize("name", WINDOWS)
def test_every_preset_is_within_the_ledger_s_bounds(name: str) -> None:
    windows = WINDOWS[name]
    assert windows.roster > windows.min_round >= 1
    assert -(-windows.challenge // windows.min_round) + 1 <= MOST_RING
    once = windows.roster + windows.force + windows.reveal + windows.seal + windows.challenge
    takeovers = (windows.unbonding - once - 1) // windows.takeover
    assert takeovers >= (MOST_AGGREGATORS if name != "hourly" else 6)


@pytest.mark.parametrize("byzantine", [None, 0, 1, 2])
def test_all_that_passes_the_screens_is_summed_unless_hostile_ones_are_named(byzantine: int | None) -> None:
    rule = offer(trainers=7, byzantine=byzantine).terms().aggregation
    assert (rule.byzantine, rule.selection) == (byzantine or 0, "multi-krum" if byzantine else "mean")
    assert rule.screens == ("length", "replay", "direction")


def test_choices_reach_the_rules() -> None:
    terms = offer(bits=16, strict=True, alpha=(1, 4), base_bps=1500, windows="seconds", byzantine=0).terms()
    assert (terms.bits, terms.strictness, terms.windows) == (16, "strict", WINDOWS["seconds"])
    assert (terms.worth.kind, terms.worth.alpha_num, terms.worth.alpha_den, terms.worth.base_bps) == (
        "anchored",
        1,
        4,
        1500,
    )
    rule = terms.training
    assert (rule.epochs, rule.batch_size, rule.learning_rate_ppm) == (3, 16, 250_000)


def test_equal_worth_measures_nothing() -> None:
    worth = offer(worth="equal").terms().worth
    assert (worth.kind, worth.alpha_num) == ("equal", 0)


@pytest.mark.parametrize(
    ("change", "says"),
    [({"windows": "daily"}, "hourly, minutes, seconds"), ({"worth": "vibes"}, "leave-one-out or equal"),
     ({"trainers": 6, "byzantine": 2}, "needs 7")],
)  # fmt: skip
def test_what_cannot_work_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        offer(**change).terms()


@pytest.mark.parametrize(("text", "fraction"), [("1/2", (1, 2)), ("0", (0, 1)), ("1", (1, 1)), ("0.25", (1, 4))])
def test_alpha_is_a_fraction(text: str, fraction: tuple[int, int]) -> None:
    assert alpha_of(text) == fraction


@pytest.mark.parametrize("text", ["", "x", "1/0", "-1/2", "3/2"])
def test_alpha_outside_its_range_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        alpha_of(text)
