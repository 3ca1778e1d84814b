"""A task names its rule's parts, and this makes one program of them.

    compose(Rule())                                               today's rule
    compose(Rule(selection="multi-krum", worth="equal"))          by names
    compose(Rule(weighting=by_cosine))                            with a part of one's own: a function of columns

A part is a function that reads `entries.Entries` and returns columns; what it writes down is checked like all else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from fl_platform.errors import ConfigError
from fl_platform.protocol.building import Builder, Cells
from fl_platform.protocol.program import Output, Program
from fl_platform.protocol.sources import Axis
from fl_platform.rules import anchored, directions, screens, selections, weights, worth
from fl_platform.rules.admission import admit
from fl_platform.rules.carried import carried
from fl_platform.rules.entries import Chosen, Entries
from fl_platform.rules.model import next_model
from fl_platform.rules.payment import pay
from fl_platform.rules.selections import Selected
from fl_platform.rules.settlement import settle
from fl_platform.rules.stakes import capped, parts
from fl_platform.rules.steps import next_steps
from fl_platform.rules.weights import Weights, bounded
from fl_platform.rules.worth import Worth

Screen = Callable[[Entries, Cells], Cells]  # verdicts so far -> verdicts
Selection = Callable[[Entries, Cells], Selected]
Weighting = Callable[[Entries, Chosen], Weights]
Measure = Callable[[Entries, Chosen], Worth]

SCREENS: Mapping[str, Screen] = {"length": screens.length, "replay": screens.replay, "direction": screens.direction}
SELECTIONS: Mapping[str, Selection] = {"mean": selections.mean, "multi-krum": selections.multi_krum}
WEIGHTINGS: Mapping[str, Weighting] = {"stake": weights.by_stake}
WORTHS: Mapping[str, Measure] = {
    "anchored": anchored.anchored, "equal": worth.equal, "leave-one-out": worth.leave_one_out,
}  # fmt: skip
_Part = TypeVar("_Part")


@dataclass(frozen=True)
class Rule:
    """The parts of a rule, by name or as functions."""

    screens: tuple[str | Screen, ...] = ("length", "replay", "direction")
    selection: str | Selection = "mean"
    weighting: str | Weighting = "stake"
    worth: str | Measure = "anchored"
    directions: int = 4  # sums of earlier rounds that are looked at, 0 to 16
    shares: bool = True  # near-duplicates share one score; needs pairs of entries, so at most 256 of them


def compose(rule: Rule) -> Program:
    """Return the program of a rule, checked. Raises ConfigError for a part that is none, DocumentInvalid for one whose
    columns the checker refuses."""
    if not 0 <= rule.directions <= 16 or ("replay" in rule.screens and not rule.directions):
        raise ConfigError(f"a rule with {rule.directions} directions: 1 to 16 with the screen 'replay', or 0 without")
    b = Builder()
    before = carried(b, directions=rule.directions > 0)
    entries = Entries(b, before, admit(b, before), rule.directions, rule.shares)
    chosen = _choose(entries, rule)
    given = _part(WEIGHTINGS, rule.weighting)(entries, chosen)
    weight = b.name("weight", b.select(chosen.summed, bounded(b, given.weight), 0))
    full = b.name("full_weight", b.select(chosen.summed, given.unclipped, 0))
    divisor = b.name("divisor", b.sum(full, Axis.ENTRY))
    sums = b.name("sums", b.combine(entries.admission.content, weight))
    b.output(Output.SUMS, sums)
    b.output(Output.DIVISOR, divisor)
    next_model(entries, sums, divisor)
    earned, reputation = pay(entries, chosen, _part(WORTHS, rule.worth)(entries, chosen))
    next_steps(entries, chosen)
    if rule.directions:
        directions.hand_on(b, before, sums, divisor)
    settle(b, [earned, reputation, divisor, weight], rule.directions)
    return b.program()


def _choose(entries: Entries, rule: Rule) -> Chosen:
    b, verdict = entries.b, entries.admission.verdict
    for screen in rule.screens:
        verdict = _part(SCREENS, screen)(entries, verdict)
    passed = verdict == 0
    mine = b.select(passed, entries.admission.stake, 0)
    selected = _part(SELECTIONS, rule.selection)(entries, verdict)
    if selected.judged is not None:
        passed = passed * selected.judged
    stake = capped(b, mine, b.word("stake_cap_bps"))
    return Chosen(
        verdict=b.name("verdict", selected.verdict), passed=b.name("passed", passed),
        summed=selected.verdict == 0, stake=stake, part=parts(b, stake), judged=selected.judged,
    )  # fmt: skip


def _part(parts: Mapping[str, _Part], named: str | _Part) -> _Part:
    if not isinstance(named, str):
        return named
    if named not in parts:
        raise ConfigError(f"no part of a rule is called {named!r}; choose from {', '.join(parts)}, or give a function")
    return parts[named]
