"""What a lying aggregator seals: one false column, and the first cell that an auditor names."""

from __future__ import annotations

import pytest

from fl_platform.attacks.lying import BEND_MODEL, BEND_SUMS, LIES, false_judgement
from fl_platform.judging.tapes import first_difference
from tests.support.rounds import happy_round

COLUMNS = {
    "pay-itself": "earned", "raise-score": "score", "drop-one": "verdict", "bend-product": "pairs", BEND_SUMS: "sums",
    BEND_MODEL: "model",
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_one_column_and_what_follows_from_it(lie: str) -> None:
    made = happy_round()
    judged = made.judge()
    parent = made.models[made.before.model]
    false = false_judgement(made.spec, made.context, made.before, made.entries, parent, judged, lie)
    found = first_difference(false.tape, judged.tape)
    assert found is not None
    assert false.tape.program.columns[found[0]].name == COLUMNS[lie]
    assert false.after.allotted == judged.after.allotted
    assert list(false.tape.broken()) == []
