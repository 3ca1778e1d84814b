"""The tape that a bundle stands for, and what a seal says of it.

Tests: tests/unit/dispute/test_watcher_no_tape.py
"""

from __future__ import annotations

from fl_platform.errors import AuditDifference
from fl_platform.judging.round_rows import root_of
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.protocol.program import Output
from fl_platform.task.reading import TaskReader
from fl_platform.task.sealed_states import tape_of

NO_TAPE = bytes(32)


def tape_root(reader: TaskReader, bundle: RoundBundle) -> bytes:
    """Return what the seal of a bundle carries: the root of the cells that it tells of; zero in tasks outside integer
    arithmetic. Raises DocumentInvalid where it tells of no tape."""
    return tape_of(reader, bundle).root if reader.spec.exact else NO_TAPE


def require_true_tape(reader: TaskReader, round_number: int) -> None:
    """Raise AuditDifference when the round before was sealed with a tape that its own bundle does not tell of.

    What that seal hands on is known to its liar only: whoever builds on it can be made to lose its own bond.
    """
    seal = reader.history().rounds[round_number - 1].seal if round_number else None
    if seal is None:
        return
    bundle = reader.bundle(round_number - 1)
    told = tape_of(reader, bundle) if reader.spec.exact else None
    wrong = ""
    if seal.trace != (NO_TAPE if told is None else told.root):
        wrong = f"tape 0x{seal.trace.hex()}, not its bundle's"
    elif told is not None and seal.model != root_of(int(told.output(Output.MODEL))):
        wrong = f"model 0x{seal.model.hex()}, not its tape's"
    if wrong:
        raise AuditDifference(
            f"round {round_number - 1} of task {reader.task} was sealed with {wrong}; rostering on it risks the bond: "
            f"dispute that seal first (`fl-platform watch`)"
        )
