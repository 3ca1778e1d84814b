"""`fl-platform status`: what all wallets of the folder must or may do now, in all their tasks.

Tests: tests/unit/cli/test_status_commands.py
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fl_platform.cli.common import Options, hexed, json_option, reading, tokens, write_json
from fl_platform.cli.rules import phase
from fl_platform.task.round_text import at_round

if TYPE_CHECKING:
    from rich.console import Console

    from fl_platform.round.account_view import Known
    from fl_platform.task.workspace import Workspace


@click.command()
@click.option("--all", "ended", is_flag=True, help="Show tasks, too, in which there is nothing left to do.")
@json_option
@click.pass_obj
def status(options: Options, ended: bool, json_file: Path | None) -> None:
    """Show what your wallets must or may do now, by when, and with which command.

    Over all wallets of the folder and all tasks that they take part in: deadlines, stakes, what can be claimed, and the
    way on after a missed deadline. Needs no password, and changes nothing.

    Example: fl-platform status
    """
    from fl_platform.chain import wallets
    from fl_platform.cli.show import console
    from fl_platform.round.status import moves

    out = console(json_file)
    infos = wallets.listed(options.workdir / "wallets")
    with reading(options) as workspace:
        known = _looked(workspace, infos, options.workdir) if infos else []
    shown = [one for one in known if ended or moves(one) or one.unread]
    for one in shown:
        _tell(out, one)
    if not infos:
        out.print(f"no wallets in {options.workdir}; make one with `fl-platform wallet new NAME`", markup=False)
    elif not known:
        out.print(f"none of {len(infos)} wallets takes part in a task; `fl-platform task list` shows those there are")
    elif len(shown) < len(known):
        out.print(f"nothing to do in {len(known) - len(shown)} more; --all shows them")
    write_json(json_file, [_json(one) for one in known])


def _looked(workspace: Workspace, infos: tuple[Any, ...], workdir: Path) -> list[Known]:
    from fl_platform.audit.why import involved
    from fl_platform.round.account_view import is_named, look
    from fl_platform.task.remembered import kept_invitation

    contracts, now = workspace.contracts(), workspace.chain.now()
    if not workspace.network.embedded:  # a development node makes no block, and so tells no time, while nobody sends
        now = max(now, int(time.time()))
    names = {info.address: info.name for info in infos}
    readers = [workspace.reader(history.task) for history in contracts.histories()]
    return [
        look(
            reader, contracts, wallet=info.name, account=info.address, folder=workspace.role_folder(info.name), now=now,
            invited=kept_invitation(workdir, reader.task, reader.history().opened.spec) is not None,
            alone=workspace.network.embedded, sealer=names.get(reader.history().head.aggregator, ""),
        )
        for reader in readers
        for info in infos
        if involved(reader, info.address) or is_named(reader, info.address)
    ]


def _tell(out: Console, one: Known) -> None:
    from fl_platform.round.status import moves, roles

    history = one.history
    stake = f", {tokens(one.member.stake)} tokens locked" if one.member.stake else ""
    head = f"task {history.task}, {phase(history)}, {at_round(history.head.round, history.opened.rounds)}"
    out.print(f"{head}: {one.wallet}, {', '.join(roles(one))}{stake}", style="bold", markup=False)
    for move in moves(one):
        out.print(f"  {'MUST ' if move.must else ''}{move.words(one.now)}", markup=False)
    if not moves(one):
        out.print("  nothing to do", markup=False)
    if one.unread:
        out.print(f"  not all is known: {one.unread}; --store says where to look", markup=False)


def _json(one: Known) -> dict[str, Any]:
    from fl_platform.round.status import moves, roles

    history = one.history
    return {
        "task": history.task, "state": phase(history), "round": history.head.round, "rounds": history.opened.rounds,
        "wallet": one.wallet, "account": hexed(one.account), "roles": list(roles(one)), "now": one.now,
        "next_step": list(one.window), "late": one.late, "stake_wei": one.member.stake,
        "credit_wei": one.member.credit, "claimable_wei": one.claimable, "earned_wei": one.earned,
        "unread": one.unread,
        "moves": [{**vars(move), "words": move.words(one.now)} for move in moves(one)],
    }  # fmt: skip
