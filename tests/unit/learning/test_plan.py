"""Plans in floats and rules in integers say the same; rates follow their schedule."""

from __future__ import annotations

import pytest

from fl_platform.errors import ConfigError
from fl_platform.learning.plan import TrainPlan
from fl_platform.protocol.spec import check_spec
from tests.support.specs import small_spec

FULL = TrainPlan(
    epochs=3, batch_size=16, learning_rate=0.25, momentum=0.9, weight_decay=0.01, optimizer="adamw", schedule="cosine",
    clip_norm=1.5, max_steps=7, precision="bf16", algorithm="fedprox", parameters=(("mu_ppm", 5),),
)  # fmt: skip


def test_a_plan_comes_back_from_the_rules_that_it_was_frozen_in() -> None:
    check_spec(small_spec(training=FULL.rule_nearest()))
    assert TrainPlan.of(FULL.rule_nearest()) == FULL


def test_a_rate_under_a_millionth_is_refused_not_frozen_as_nothing() -> None:
    with pytest.raises(ConfigError, match="learning rate 1e-07 is under a millionth"):
        TrainPlan(1, 1, 1e-7).rule_nearest()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_refused_in_words(value: float) -> None:
    with pytest.raises(ConfigError, match=r"momentum (nan|inf) is no number"):
        TrainPlan(1, 1, 0.1, momentum=value).rule_nearest()


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [("constant", (0.8, 0.8, 0.8, 0.8)), ("linear", (0.8, 0.6, 0.4, 0.2)), ("cosine", (0.8, 0.682843, 0.4, 0.117157))],
)
def test_the_rate_falls_over_the_rounds_of_a_task(schedule: str, rates: tuple[float, ...]) -> None:
    plan = TrainPlan(1, 1, 0.8, schedule=schedule)
    assert [plan.rate(number, 4) for number in range(4)] == pytest.approx(list(rates), abs=1e-6)
