"""Commands of `fl-platform aggregator` that hand a round over: take over from somebody late, pass, leave.

Tests: tests/docs/test_examples.py
"""

from __future__ import annotations

from pathlib import Path

import click

from fl_platform.cli.common import (
    Options,
    Session,
    forward_option,
    hexed,
    json_option,
    signing,
    task_argument,
    wallet_option,
    write_json,
)
from fl_platform.cli.forwarding import forward


@click.command()
@task_argument
@wallet_option
@forward_option
@json_option
@click.pass_obj
def advance(options: Options, task: int, wallet: str | None, fast_forward: bool, json_file: Path | None) -> None:
    """After a missed deadline: cut the late one's bond and hand over to the next, or end the task. Anyone may.

    Example: fl-platform aggregator advance 1 --wallet alice --fast-forward
    """
    with signing(options, wallet) as own:
        if fast_forward and own.workspace.chain.local:
            forward(own.workspace.chain, own.contracts.window(task)[1])
        own.contracts.advance(task)
        _tell(own, task, json_file)


@click.command("pass")
@task_argument
@wallet_option
@forward_option
@json_option
@click.pass_obj
def pass_(options: Options, task: int, wallet: str | None, fast_forward: bool, json_file: Path | None) -> None:
    """Hand the round that this aggregator cannot seal to the next one; the last in the list ends the task.

    Costs the round's fee and no bond. `aggregator run` passes by itself where an update, or a roster that a predecessor
    left, is not to be had.

    Example: fl-platform aggregator pass 1 --wallet aggregator --fast-forward
    """
    with signing(options, wallet) as own:
        if fast_forward and own.workspace.chain.local:
            forward(own.workspace.chain, own.contracts.window(task)[0])
        own.contracts.pass_round(task, own.contracts.head(task).round)
        _tell(own, task, json_file)


def _tell(own: Session, task: int, json_file: Path | None) -> None:
    from fl_platform.cli.show import console

    head = own.contracts.head(task)
    console(json_file).print(
        f"task {task}, round {head.round}: {head.phase.name.lower()}, aggregator {hexed(head.aggregator)}"
    )
    write_json(json_file, {
        "task": task, "round": head.round, "state": head.phase.name.lower(), "aggregator": hexed(head.aggregator),
    })  # fmt: skip


@click.command()
@task_argument
@wallet_option
@forward_option
@json_option
@click.pass_obj
def leave(options: Options, task: int, wallet: str | None, fast_forward: bool, json_file: Path | None) -> None:
    """Ask for the bond; when unbonding is over, the same command pays it out.

    Example: fl-platform aggregator leave 1 --wallet aggregator --fast-forward
    """
    from fl_platform.cli.trainer import depart

    with signing(options, wallet) as own:
        depart(own, task, fast_forward=fast_forward, json_file=json_file)
