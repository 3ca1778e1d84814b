"""What the chain refuses is said with the next step; every name in the table is a contract's."""

from __future__ import annotations

import json
from pathlib import Path

from fl_platform.chain import artifacts
from fl_platform.errors import TransactionReverted
from fl_platform.task.refusals import WAYS_ON, way_on


def test_each_name_is_an_error_of_a_shipped_contract() -> None:
    files = list((Path(artifacts.__file__).parent / "artifacts").glob("*.json"))
    entries = [entry for file in files for entry in json.loads(file.read_text())["abi"]]
    assert set(WAYS_ON) <= {entry["name"] for entry in entries if entry["type"] == "error"}


def test_a_command_names_the_task_and_a_deadline_is_a_time() -> None:
    late = way_on(TransactionReverted("no", error="RoundLedger_TooLate", values=(7, 1_700_000_000)))
    assert late.startswith("2023-11-14 22:13:20 UTC of block time: ")
    assert "`fl-platform aggregator advance 7`" in late


def test_a_wrong_phase_says_where_the_task_stands() -> None:
    said = way_on(TransactionReverted("no", error="RoundLedger_WrongPhase", values=(1, 1, 2)))
    assert said.startswith("task 1 is open: its round has no roster yet; this can be done only while it is rostered")
    assert "`fl-platform status`" in said
    assert "done: all rounds are sealed" in way_on(
        TransactionReverted("no", error="RoundLedger_WrongPhase", values=(1, 3, 2))
    )


def test_what_has_no_way_or_no_task_says_nothing() -> None:
    assert way_on(TransactionReverted("no", error="Escrow_NotModule", values=(b"",))) == ""
    assert way_on(TransactionReverted("no", error="RoundLedger_TooLate")) == ""
