"""A17: above the breakdown point a robust rule sums nothing; it never becomes a plain mean in silence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fl_platform.errors import StoreMissing
from tests.support.rounds import Round, anchored_spec, build_round, ints_like, place_of


def krum_round(trainers: int, byzantine: int) -> Round:
    spec = anchored_spec()
    spec = replace(spec, aggregation=replace(spec.aggregation, selection="multi-krum", byzantine=byzantine))
    return build_round(spec, [ints_like(spec, seed) for seed in range(1, trainers + 1)], reference=None)


@pytest.mark.parametrize("byzantine", [1, 2, 3])
def test_the_limit_and_one_below(byzantine: int) -> None:
    enough = 2 * byzantine + 3
    judgement = krum_round(enough, byzantine).judge()
    assert [v.code for v in judgement.verdicts].count("NotSelected") == byzantine
    fewer = krum_round(enough - 1, byzantine)
    judgement = fewer.judge()
    assert {v.code for v in judgement.verdicts} == {"TooFew"}
    assert (judgement.divisor, judgement.after.model) == (0, fewer.before.model)


def test_refused_updates_count_as_hostile_ones_so_rubbish_cannot_stop_a_round() -> None:
    round_ = krum_round(5, 1)
    round_.data[place_of(round_, 2)] = StoreMissing("gone")
    codes = [v.code for v in round_.judge().verdicts]
    assert codes.count("admitted") == 4
    assert codes[place_of(round_, 2)] == "Missing"
    # A second one is more than the rule was told to expect.
    round_.data[place_of(round_, 3)] = StoreMissing("gone")
    assert [v.code for v in round_.judge().verdicts].count("admitted") == 3
