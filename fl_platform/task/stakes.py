"""Who takes part in a round, and with which stake: the members, and the reference, which has none.

Tests: tests/unit/round/test_collecting.py
"""

from __future__ import annotations

from collections.abc import Mapping

from fl_platform.judging.admit import is_reference_party
from fl_platform.protocol.spec import TaskSpec
from fl_platform.task.reading import TaskReader


def parties(reader: TaskReader) -> frozenset[bytes]:
    """Return who is expected to answer a round's order: members that do not leave, and the reference, if any."""
    history = reader.history()
    return frozenset(history.members.keys() - history.leaving) | anchor(reader.spec)


def anchor(spec: TaskSpec) -> frozenset[bytes]:
    """Return the reference's address, nobody's where the task has none."""
    return frozenset({spec.reference.address} if is_reference_party(spec.reference.address, spec) else ())


def stake_among(reader: TaskReader, stakes: Mapping[bytes, int], trainer: bytes) -> int:
    """Return what a trainer has among these stakes, wei; the reference has none."""
    return 0 if trainer == reader.spec.reference.address else stakes.get(trainer, 0)
