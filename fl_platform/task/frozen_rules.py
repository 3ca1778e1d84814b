"""The rules' document against what the contracts enforce: an owner that wrote one thing and opened another is found.

Tests: tests/unit/task/test_reading.py
"""

from __future__ import annotations

from fl_platform.errors import AuditDifference
from fl_platform.ledger.history import TaskHistory
from fl_platform.protocol.spec import TaskSpec


def check_spec_on_chain(spec: TaskSpec, history: TaskHistory) -> None:
    """Demand that the rules' money, windows, owner, aggregators and program are those that the contracts enforce.

    Raises AuditDifference: whoever opened the task published other terms than it escrowed.
    """
    from fl_platform.judging.program import program_of, terms_of

    opened = history.opened
    pairs = (
        ("owner", spec.owner, opened.owner),
        ("token", spec.money.token, opened.token),
        ("pot", spec.money.pot, opened.pot),
        ("rounds", spec.money.rounds, opened.rounds),
        ("stake", spec.money.stake, opened.stake),
        ("bond", spec.money.bond, opened.bond),
        ("fee_bps", spec.money.fee_bps, opened.fee_bps),
        ("windows", spec.windows, opened.windows),
        ("aggregators", tuple(party.address for party in spec.aggregators), opened.aggregators),
        ("the round program", program_of(spec).root.hex(), opened.program.hex()),
        ("the program's words and blocks", terms_of(spec).root.hex(), opened.rules.hex()),
    )
    for name, written, enforced in pairs:
        if written != enforced:
            raise AuditDifference(
                f"task {history.task}: the rules say {name} = {written!r}, the contracts enforce {enforced!r}"
            )
