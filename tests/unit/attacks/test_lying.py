"""What a lying aggregator seals: one false cell, and the first one that an auditor names."""

from __future__ import annotations

import pytest

from fl_platform.attacks.lying import LIES, Sealing, told
from fl_platform.contribution.tapes import first_difference
from tests.support.rounds import happy_round


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_one_cell_and_what_follows_from_it(lie: str) -> None:
    made = happy_round()
    judged = made.judge()
    at = Sealing(made.spec, made.context, made.before, made.entries, made.models[made.before.model])
    false = told(lie, at, judged)
    found = first_difference(false.tape, judged.tape)
    assert found is not None
    assert false.tape.program.columns[found[0]].name == LIES[lie].column
    assert false.after.allotted == judged.after.allotted
    assert list(false.tape.broken()) == []
