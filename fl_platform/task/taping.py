"""The tape that a bundle stands for, and what a seal says of it.

Tests: tests/unit/dispute/test_watcher_no_tape.py
"""

from __future__ import annotations

from fl_platform.errors import AuditDifference
from fl_platform.judging.round_rows import root_of
from fl_platform.judging.tapes import told_tape
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.protocol.program import Output
from fl_platform.task.reading import TaskReader

NO_TAPE = bytes(32)


def tape_root(reader: TaskReader, bundle: RoundBundle) -> bytes:
    """Return what the seal of a bundle carries: the root of the cells that it tells of; zero in tasks outside integer
    arithmetic. Raises DocumentInvalid where it tells of no tape."""
    return told_tape(reader.spec, bundle).root if reader.spec.exact else NO_TAPE


def require_true_tape(reader: TaskReader, round_number: int) -> None:
    """Raise AuditDifference when the round before was sealed with a tape that its own bundle does not tell of.

    What that seal hands on is known to its liar only: whoever builds on it can be made to lose its own bond.
    """
    seal = reader.history().rounds[round_number - 1].seal if round_number else None
    if seal is not None and tape_root(reader, reader.bundle(round_number - 1)) != seal.trace:
        raise AuditDifference(
            f"round {round_number - 1} of task {reader.task} was sealed with tape 0x{seal.trace.hex()}, not its "
            f"bundle's; rostering on it risks the bond: dispute that seal first (`fl-platform watch`)"
        )
    if seal is not None and reader.spec.exact and seal.model != _told(reader, round_number - 1, Output.MODEL):
        raise AuditDifference(
            f"round {round_number - 1} of task {reader.task} was sealed with model 0x{seal.model.hex()}, not its "
            f"tape's; rostering on it risks the bond: dispute that seal first (`fl-platform watch`)"
        )


def _told(reader: TaskReader, number: int, output: Output) -> bytes:
    return root_of(int(told_tape(reader.spec, reader.bundle(number)).output(output)))
