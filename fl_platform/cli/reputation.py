"""`fl-platform reputation`: show and record trainers' reputations.

Tests: tests/docs/test_examples.py
"""

from __future__ import annotations

from pathlib import Path

import click

from fl_platform.cli.common import (
    Options,
    forward_option,
    hexed,
    json_option,
    reading,
    signing,
    task_argument,
    wallet_option,
    write_json,
)
from fl_platform.cli.forwarding import forward


@click.group()
def reputation() -> None:
    """Show and record trainers' reputations.

    A reputation is a moving average of "handed in, admitted and worth something", from 0 to 1. It changes with a final
    round only; anyone may record it on chain.
    """


@reputation.command()
@task_argument
@json_option
@click.pass_obj
def show(options: Options, task: int, json_file: Path | None) -> None:
    """Show every trainer's reputation in a task: by the sealed rounds, and as recorded on chain.

    Example: fl-platform reputation show 1
    """
    from fl_platform.cli.show import console, table
    from fl_platform.round.reputation import reputations

    with reading(options) as workspace:
        found = reputations(workspace.reader(task), workspace.contracts())
    out = console(json_file)
    rows = [
        (hexed(r.trainer), f"{r.value / 1e6:.3f}", "-" if r.recorded is None else f"{r.recorded / 1e6:.3f}",
         "-" if r.recorded_round is None else str(r.recorded_round))
        for r in found
    ]  # fmt: skip
    headings = ("trainer", "by sealed rounds", "on chain", "of round")
    table(out, f"task {task}", headings, rows, right="|".join(headings[1:]))
    write_json(json_file, [
        {"trainer": hexed(r.trainer), "reputation_ppm": r.value, "recorded_ppm": r.recorded,
         "recorded_round": r.recorded_round}
        for r in found
    ])  # fmt: skip


@reputation.command()
@task_argument
@wallet_option
@forward_option
@json_option
@click.pass_obj
def record(options: Options, task: int, wallet: str | None, fast_forward: bool, json_file: Path | None) -> None:
    """Write every trainer's reputation by the newest final round to the chain. Anyone may.

    Example: fl-platform reputation record 1 --wallet alice --fast-forward
    """
    from fl_platform.cli.show import console
    from fl_platform.round.reputation import record as write_reputations
    from fl_platform.round.rewards import all_final_at

    with signing(options, wallet) as own:
        chain, reader = own.workspace.chain, own.workspace.reader(task)
        if fast_forward and chain.local:
            forward(chain, all_final_at(reader))
        done = write_reputations(reader, own.contracts, now=chain.now())
    console(json_file).print(f"the reputations of {done.trainers} trainers by round {done.round} are on chain")
    write_json(json_file, {"task": task, "round": done.round, "trainers": done.trainers})
