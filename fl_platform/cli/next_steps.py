"""The exact command that comes next, as the lines at the end of a command name it.

Tests: tests/unit/cli/test_cli_next_steps.py
"""

from __future__ import annotations

import shlex
from pathlib import Path
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


def after_following(invitation: Path, task: int, model: str) -> tuple[str, ...]:
    """Say what whoever has looked at a task types next; `model` names the owner's class where it is its own code."""
    data = f" --data {model}" if ":" in model else ""
    return (
        f"next: `fl-platform join {shlex.quote(str(invitation))}{data}`, to train",
        f"next: `fl-platform audit {task}`, to recompute its rounds",
    )


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
