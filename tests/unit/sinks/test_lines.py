"""The line that a person reads."""

from __future__ import annotations

from fl_platform.sinks.lines import line_of
from fl_platform.sinks.names import AGGREGATOR, REFERENCE
from fl_platform.sinks.record import Record, labelled
from tests.support.records import ABSENT, learned, sealed

VALIDATED = {"validation_rows": 360, "validation_loss": 0.25, "validation_metric[accuracy]": 0.9375}


def test_a_trainer_s_line() -> None:
    assert line_of(learned()) == "round 3 trained and signed: loss 0.75, 120 steps on 182 rows in 0.4 s"
    whole = learned(loss_first=1.5, loss_last=0.5, clipped=1, halvings=2, **VALIDATED)
    assert line_of(whole) == (
        "round 3 trained and signed: loss 1.5 -> 0.5, 120 steps on 182 rows in 0.4 s; the update was clipped; "
        "it was halved 2 times; the model before: accuracy 0.9375, loss 0.25 on 360 validation rows"
    )


def test_the_line_after_the_last_round() -> None:
    line = line_of(Record(REFERENCE, 1, 5, VALIDATED))
    assert line == "the model after round 4: accuracy 0.9375, loss 0.25 on 360 validation rows"


def test_an_aggregator_s_line() -> None:
    assert line_of(sealed()) == (
        f"round 3 sealed: 6 in the sum; 7 of 8 members answered; absent {ABSENT}; 1 NotSelected; train 3.2 s"
    )
    absent = {labelled("absent_member", f"0x{number:040x}"): 1 for number in range(5)}
    values = {"in_sum": 0, "answered": 0, "members": 5, "worth_measured": 0, **absent}
    by_stake = "worth was not measured: paid by stake"
    assert "0x" + "0" * 39 + f"2 and 2 more; {by_stake}" in line_of(Record(AGGREGATOR, 1, 0, values))
    alone = Record(AGGREGATOR, 1, 0, {**values, "reference_absent": 1})
    assert f"; the owner's reference is absent; {by_stake}" in line_of(alone)
