"""The exact command that comes next, as the lines at the end of a command name it.

Tests: tests/unit/cli/test_cli_next_steps.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fl_platform.cli.common import Session
    from fl_platform.task.reading import TaskReader


def after_joining(own: Session, reader: TaskReader) -> str:
    """Say what a trainer that has joined types next.

    One process holds the embedded chain: a trainer that stayed there would keep everybody else out.
    """
    if own.workspace.network.embedded:
        return f"once all have joined, next is {playing_all(own, reader)}"
    data = " --data module:NAME" if ":" in reader.spec.model.name else ""
    return f"next is `fl-platform trainer run {reader.task} --wallet {own.name}{data}`"


def playing_all(own: Session, reader: TaskReader) -> str:
    """Name the commands that play all parties of this folder on the embedded chain, the bond first where it lacks."""
    from fl_platform.chain import wallets

    head = reader.history().head
    here = {info.address: info.name for info in wallets.listed(own.workspace.root / "wallets")}
    wallet = here.get(head.aggregator, "NAME")  # of another folder: whoever has it knows its name
    run = f"`fl-platform aggregator run {reader.task} --wallet {wallet} --local`"
    if head.aggregator in reader.history().bonded:
        return run
    return f"`fl-platform aggregator bond {reader.task} --wallet {wallet}`, then {run}"
