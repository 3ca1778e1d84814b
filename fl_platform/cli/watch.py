"""`fl-platform watch`: audit every seal while it can be challenged, and have lies undone on chain.

Tests: tests/e2e/test_cli_watch.py
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fl_platform.cli.common import (
    Options,
    accept_option,
    hexed,
    json_option,
    signing,
    task_argument,
    wait_to_stop,
    wallet_option,
    write_json,
)

if TYPE_CHECKING:
    from rich.console import Console

    from fl_platform.cli.common import Session
    from fl_platform.dispute.key_watcher import KeyFinding
    from fl_platform.dispute.watcher import Finding
    from fl_platform.task.reading import TaskReader


@click.command()
@task_argument
@wallet_option
@click.option("--public", is_flag=True, help="Judge from public values alone; the wallet only sends the challenge.")
@click.option("--once", is_flag=True, help="Look at what is sealed now, and leave.")
@click.option("--every", type=click.FloatRange(0.1), default=15.0, show_default=True, help="Seconds between looks.")
@accept_option
@json_option
@click.pass_obj
def watch(
    options: Options, task: int, wallet: str | None, public: bool, once: bool, every: float, json_file: Path | None
) -> None:
    """Watch a task: audit each seal inside its window, and have lies undone on chain.

    A challenge that succeeds voids the seal and takes its aggregator's bond, part of which is the watcher's. A lie that
    no leaf decides is shown, not sent. With a key to the updates, a trainer whose update does not open is accused, or
    asked on chain for what is missing. A wallet that the task names as a witness does what `witness run` does, too.
    Where a task ends compensated, a trainer's wallet asks for leaves of the roster that shares the pot (an ask bond
    each), so that one that nobody signed falls.
    Runs until the task is over and its last window closed. Exits 4 when a lie was found, 3 when a seal could not be
    looked at (no store has its bundle yet, or none answers), or there was none.

    Example: fl-platform watch 1 --wallet alice --public
    """
    from fl_platform.cli.show import console
    from fl_platform.dispute.key_watcher import KeyWatcher
    from fl_platform.dispute.referee import Referee
    from fl_platform.dispute.watcher import Watcher
    from fl_platform.round.closing import nothing_left
    from fl_platform.task.keyholder import opener_of

    out = console(json_file)
    findings: list[Finding] = []
    accused: list[KeyFinding] = []
    with signing(options, wallet) as own:
        reader = own.workspace.reader(task)
        reader.history()  # an unknown task is the caller's mistake
        keyless = "add --public to judge from public values alone"
        opener = None if public else opener_of(reader, own.signer, else_=keyless)
        witness, roster = _witness(own, reader, out), _roster(own, reader, out)
        keys = opener and KeyWatcher(reader, own.contracts, own.signer, opener)
        tell, accuse = _shouting(out, "LIE"), _shouting(out, "KEY")
        watcher = Watcher(reader, Referee(own.contracts, own.signer), opener=opener, watch=tell)

        def follow(found: Finding) -> Finding:
            after = watcher.follow(found)
            if after != found:
                tell(after)
            return after

        def look() -> bool:
            now = own.workspace.chain.now()
            findings.extend(watcher.step(now))
            findings[:] = map(follow, findings)
            for bad in keys.step(now) if keys else ():
                accuse(bad)
                accused.append(bad)
            witness(now)
            roster(now)
            return once or (nothing_left(reader, now=now) and not (keys and keys.waits()))

        if not once:
            out.print(f"watching task {task}: a look every {every:g} s until its last window is closed", markup=False)
        wait_to_stop(look, every_s=every, patient=not once)
        unseen = sorted({*watcher.unseen(), *(keys.unread if keys else ())})
    _conclude(out, unseen, found=bool(findings or accused), looked=watcher.looked)
    write_json(json_file, [*map(_as_json, findings), *map(_key_json, accused)])
    raise click.exceptions.Exit(4 if findings or accused else 3 if unseen or not watcher.looked else 0)


def _shouting(out: Console, kind: str) -> Callable[[object], None]:
    """Return what prints a finding of this kind."""
    return lambda found: out.print(f"{kind}  {found}", style="bold red", markup=False)


def _witness(own: Session, reader: TaskReader, out: Console) -> Callable[[int], object]:
    """Return what a wallet does at each look where the task names it as a witness."""
    from fl_platform.round.witness import Witness, is_witness

    if not is_witness(reader, own.contracts, own.signer):
        return lambda _: None
    return Witness(
        reader, own.contracts, own.signer, watch=lambda statement: out.print(str(statement), markup=False)
    ).step  # fmt: skip


def _roster(own: Session, reader: TaskReader, out: Console) -> Callable[[int], object]:
    """Return what a wallet does at each look about the roster by which the task ended."""
    from fl_platform.dispute.roster_watcher import RosterWatcher
    from fl_platform.dispute.rosters import Rosters

    if not Rosters.there(own.contracts):
        return lambda _: None
    rosters = Rosters(own.contracts, own.signer)
    return RosterWatcher(reader, rosters, watch=lambda line: out.print(line, markup=False)).step


def _conclude(out: Console, unseen: Sequence[int], *, found: bool, looked: bool) -> None:
    """Say what was not looked at, or that nothing is wrong."""
    if unseen:
        rounds = ", ".join(map(str, unseen))
        out.print(
            f"round {rounds} could not be looked at: no store has what it takes, or none answers; look again while its "
            f"window is open",
            style="yellow",
        )
    elif not found and looked:
        out.print("every seal that could be challenged is what it should be", style="green")
    elif not found:
        out.print("nothing was looked at: no seal can be challenged now", style="yellow")


def _as_json(found: Finding) -> dict[str, object]:
    return {
        "round": found.round,
        "sealer": hexed(found.seal.aggregator),
        "difference": str(found.difference),
        "move": found.move or None,
        "upheld": found.upheld,
        "asked": [str(question) for question in found.asked],
    }


def _key_json(found: KeyFinding) -> dict[str, object]:
    return {"round": found.round, "trainer": hexed(found.trainer), "what": found.what}
