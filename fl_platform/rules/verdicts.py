"""What a round says of an entry, as a number in a cell and in words for people.

Tests: tests/unit/rules/test_screens.py
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from fl_platform.protocol.tape import Tape


class Verdict(IntEnum):
    """Why an entry is in the sum, or why not: the first reason that holds. The numbers are part of programs' bytes."""

    ADMITTED = 0
    REFERENCE = 1
    CONVICTED = 2  # from here to MISSING: one more than the `Refused` that the seal says
    WITHHELD = 3
    MISSING = 4
    STRANGER = 5
    DUPLICATE = 6
    OTHER_PARENT = 7
    OTHER_LENGTH = 8
    NO_WORK = 9
    TOO_LONG = 10
    REPLAY = 11
    OFF_REFERENCE = 12
    NOT_SELECTED = 13
    TOO_FEW = 14


WORDS: Mapping[Verdict, str] = {
    Verdict.ADMITTED: "in the sum",
    Verdict.REFERENCE: "the owner's reference, which is in no sum",
    Verdict.CONVICTED: "a bad key or a bad opening of it was shown on chain",
    Verdict.WITHHELD: "its key did not come in time",
    Verdict.MISSING: "witnesses say that it is not to be had",
    Verdict.STRANGER: "no trainer with a stake in this task",
    Verdict.DUPLICATE: "its trainer has an earlier entry in this round, and the first one counts",
    Verdict.OTHER_PARENT: "trained from another model than this round's",
    Verdict.OTHER_LENGTH: "declares another length than this task's updates have",
    Verdict.NO_WORK: "shorter than the floor: no work",
    Verdict.TOO_LONG: "longer than the bound for refusal",
    Verdict.REPLAY: "a combination of earlier rounds' sums",
    Verdict.OFF_REFERENCE: "goes the reference's way much less than the median update does",
    Verdict.NOT_SELECTED: "farther from its neighbours than those that multi-Krum keeps",
    Verdict.TOO_FEW: "too few updates are left for what multi-Krum promises, so none is summed",
}

# How documents spell it.
CODES: Mapping[Verdict, str] = {
    verdict: verdict.name.lower()
    if verdict in (Verdict.ADMITTED, Verdict.REFERENCE)
    else "".join(part.capitalize() for part in verdict.name.split("_"))
    for verdict in Verdict
}

# Columns that a person asks about, by their names in a program.
COLUMNS: Mapping[str, str] = {
    "verdict": "verdict",
    "clean_length": "length without expected rounding noise, 2^-16 steps",
    "median_length": "median length by capped stake, 2^-16 steps",
    "toward_reference": "cosine with the reference, 2^-30",
    "replayed": "part of it that earlier rounds' sums make up, 2^-60",
    "distance": "sum of squared distances to its nearest neighbours, squared steps",
    "clipped": "longer than the clip bound, so it weighs less",
    "weight": "weight in the sum, 2^-16",
    "divisor": "what the sum is divided by, 2^-16",
    "score": "score of this round",
    "scored": "wei by worth in this round",
    "base": "wei by stake in this round",
    "fee": "wei for sealing",
    "dust": "wei that rounding leaves to the owner",
    "earned": "wei earned up to and with this round",
    "new_reputation": "reputation after this round, parts of a million",
}


def reason(tape: Tape, entry: int) -> str:
    """Return in words why an entry weighs what it does; the tape's program has a column `verdict`."""
    verdict = Verdict(tape.cell(tape.program.column("verdict"), (entry,)))
    words = WORDS[verdict]
    names = {column.name for column in tape.program.columns}
    if verdict is Verdict.ADMITTED and "clipped" in names and tape.named("clipped")[entry]:
        words += f"; {COLUMNS['clipped']}"
    return words
