"""`fl-platform witness`: say whether updates are to be had, where an aggregator asks.

Tests: tests/e2e/test_cli_witness.py
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fl_platform.cli.common import (
    Options,
    hexed,
    json_option,
    signing,
    task_argument,
    wait_to_stop,
    wallet_option,
    write_json,
)

if TYPE_CHECKING:
    from fl_platform.round.witness import Statement


@click.group()
def witness() -> None:
    """Say whether an update is to be had, for a task naming you."""


@witness.command()
@task_argument
@wallet_option
@click.option("--once", is_flag=True, help="Look at what is asked now, and leave.")
@click.option("--every", type=click.FloatRange(0.1), default=15.0, show_default=True, help="Seconds between looks.")
@click.option(
    "--patience", type=click.FloatRange(0.0), default=60.0, show_default=True,
    help="Seconds for which an update is looked for before it is complained of.",
)
@json_option
@click.pass_obj
def run(
    options: Options, task: int, wallet: str | None, once: bool, every: float, patience: float, json_file: Path | None
) -> None:  # fmt: skip
    """Look for updates that the task's aggregator cannot have, until the task is over.

    What is found is put into this store, where the aggregator gets it; it needs no key. What no store has is complained
    of on chain. Where enough witnesses complain, the update is left out, and its trainer is not paid for the round.

    Example: fl-platform witness run 1 --wallet owner
    """
    from fl_platform.cli.show import console
    from fl_platform.round.membership import WORKING
    from fl_platform.round.witness import Witness

    out = console(json_file)
    found: list[Statement] = []
    with signing(options, wallet) as own:
        reader = own.workspace.reader(task)
        reader.history()  # an unknown task is the caller's mistake
        seeing = Witness(
            reader, own.contracts, own.signer, patience_s=0.0 if once else patience,
            watch=lambda statement: out.print(str(statement), markup=False),
        )  # fmt: skip

        def look() -> bool:
            found.extend(seeing.step(own.workspace.chain.now()))
            return once or reader.history().head.phase not in WORKING

        if not once:
            out.print(f"{own.name} is a witness of task {task}: a look every {every:g} s until the task is over")
        wait_to_stop(look, every_s=every, patient=not once)
    if not found:
        out.print("nothing was asked of this wallet", style="green")
    write_json(json_file, [{"round": s.round, "trainer": hexed(s.trainer), "had": s.had} for s in found])
