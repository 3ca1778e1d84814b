"""A payout is followed back to receipts, stakes and rules; in a tampered round the walk ends where the lie begins."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from fl_platform.audit.trace import Step, TracedRound, cell_of, traced_round, walk
from fl_platform.dispute.disputed_round import disputed_round
from fl_platform.errors import ConfigError
from fl_platform.protocol.seats import FIRST_SEAT
from fl_platform.task.reading import TaskReader
from tests.support.referee import lie
from tests.unit.audit.conftest import Settled


@pytest.fixture
def reader(settled: Settled) -> TaskReader:
    return settled.reader()


def seat_of(traced: TracedRound, entry: int) -> int:
    return traced.seats.index(traced.receipts[entry].trainer)


def lying(reader: TaskReader, column: str, entry: int) -> TracedRound:
    """Return round 1 as a sealer would tell it that lies about one cell and evaluates all after it from there."""
    traced, record = traced_round(reader, 1), reader.history().rounds[1]
    known = disputed_round(reader, None, record, reader.bundle(1), None).known
    number = traced.program.column(column)
    told = lie(known, traced.told, number, (entry,), traced.told.cell(number, (entry,)) + 10**9)
    return replace(traced, told=told)


def test_a_payout_leads_to_receipts_rules_and_the_round_before(reader: TaskReader) -> None:
    traced = traced_round(reader, 1)
    cell = cell_of(traced, "earned", [traced.seats[FIRST_SEAT]])
    steps = list(walk(traced, cell, depth=200))
    first, reasons = steps[0], " ".join(step.why for step in steps)
    assert first.value == str(reader.bundle(1).after.earned_by(traced.seats[FIRST_SEAT]))
    assert f"0x{traced.seats[FIRST_SEAT].hex()}" in first.cell
    for source in ("the task's rules: fee_bps", "the receipt: length", "the chain: stake", "of round 0"):
        assert source in reasons, source
    assert not any(step.follows for step in steps)
    shown = [step.cell for step in steps if not step.again]
    assert len(shown) == len(set(shown)), "a cell is explained once"
    assert not any(step.more for step in steps)
    cut = list(walk(traced, cell, depth=1))
    assert len(cut) < len(steps)
    assert any("more below" in str(step) for step in cut)


def test_the_settlement_cell_leads_to_what_was_given(reader: TaskReader) -> None:
    traced = traced_round(reader, 1)
    steps = list(walk(traced, cell_of(traced, "settlement", []), depth=200))
    reasons, cells = " ".join(step.why for step in steps), " ".join(step.cell for step in steps)
    for source in ("hash of 0x", "the task's rules: fee_bps", "the receipt: length", "the chain: stake", "of round 0"):
        assert source in reasons, source
    assert "group 0 of 8 seats" in cells
    false = lying(reader, "energy", 1)
    (departs,) = (step for step in walk(false, cell_of(false, "settlement", []), depth=0) if step.departs)
    assert departs.cell.startswith("energy of 0x")


@pytest.mark.parametrize("depth", [0, 3])
def test_a_lie_is_found_below_any_depth(reader: TaskReader, depth: int) -> None:
    traced = lying(reader, "score", 1)
    steps = list(walk(traced, cell_of(traced, "earned", [seat_of(traced, 1)]), depth=depth))
    assert steps[0].follows
    (departs,) = (step for step in steps if step.departs)
    assert departs.cell.startswith("score ")
    assert "DIFFERS" in str(departs)
    assert "HERE" in str(departs)


def test_what_a_person_may_have_meant(reader: TaskReader) -> None:
    traced = traced_round(reader, 1)
    assert cell_of(traced, "divisor", []) == (traced.program.column("divisor"), ())
    assert cell_of(traced, "weight", [traced.receipts[0].trainer]) == (traced.program.column("weight"), (0,))
    with pytest.raises(ConfigError, match=r"no column 'pay'; those with names: .*earned"):
        cell_of(traced, "pay", [])
    with pytest.raises(ConfigError, match=r"0 places in brackets; it has 1: seat; write 'earned\[alice\]'"):
        cell_of(traced, "earned", [])
    with pytest.raises(ConfigError, match="seat 99 is not there"):
        cell_of(traced, "earned", [99])
    with pytest.raises(ConfigError, match="has no entry in round 1"):
        cell_of(traced, "weight", [bytes(20)])
    with pytest.raises(ConfigError, match="round 7 of task 1 is not sealed"):
        traced_round(reader, 7)


def test_a_running_sum_says_over_what_it_runs(reader: TaskReader) -> None:
    """Its last cell lies at the last account's place, and is not that account's."""
    traced = traced_round(reader, 1)
    steps = {step.cell: step for step in walk(traced, cell_of(traced, "dust", []), depth=200)}
    (paid,) = (step for cell, step in steps.items() if cell.endswith("added up over all accounts") and step.depth == 2
               and step.value != "0")  # fmt: skip
    trainers = sum(verdict.score > 0 for verdict in reader.bundle(1).verdicts)
    assert paid.why == f"the sum of {len(traced.seats)} terms, {trainers} of them not 0"
    assert any("added up over updates up to that of 0x" in cell for cell in steps)
    assert not any(re.match(r"c\d", step.cell) or re.match(r"c\d", step.why) for step in steps.values())


def test_a_word_is_not_said_twice(reader: TaskReader) -> None:
    traced = traced_round(reader, 1)
    assert traced.words(cell_of(traced, "verdict", [0])) == f"verdict of 0x{traced.receipts[0].trainer.hex()}"


def test_a_step_is_a_line() -> None:
    step = Step(1, "weight of x", "5", "", "1 + 4")
    assert str(step) == "  weight of x = 5  (1 + 4)"
    assert str(replace(step, again=True)) == "  weight of x = 5  (see above)"
