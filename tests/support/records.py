"""Records of rounds as roles write them."""

from __future__ import annotations

from fl_platform.sinks.names import AGGREGATOR, TRAINER
from fl_platform.sinks.record import Record, labelled

ABSENT = "0x" + "ab" * 20


def learned(round_number: int = 3, **values: float) -> Record:
    """Return a trainer's record; `values` are added."""
    found = {"rows": 182, "steps": 120, "training_seconds": 0.4, "loss_mean": 0.75, **values}
    return Record(TRAINER, 1, round_number, found, who="alice", time=1_800_000_000.5)


def sealed(round_number: int = 3, *, code: str = "NotSelected") -> Record:
    """Return an aggregator's record of a round with one absent member and one refused update."""
    values = {
        "members": 8, "answered": 7, "absent": 1, labelled("absent_member", ABSENT): 1, labelled("refused", code): 1,
        "in_sum": 6, "worth_measured": True, labelled("step_seconds", "train"): 3.25, "model": "0x" + "cd" * 32,
    }  # fmt: skip
    return Record(AGGREGATOR, 1, round_number, values, who="bob", time=1_800_000_001.0)
