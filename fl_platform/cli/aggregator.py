"""`fl-platform aggregator`: lock a bond, work through a task's rounds, take over from somebody late, and leave.

Tests: tests/docs/test_examples.py
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fl_platform.cli import handing_over
from fl_platform.cli.common import (
    Options,
    Session,
    accept_option,
    hexed,
    json_option,
    log_option,
    missed,
    signing,
    task_argument,
    tokens,
    trainers_option,
    wait_to_stop,
    wallet_option,
    write_json,
)

if TYPE_CHECKING:
    from fl_platform.cli.show import Bar
    from fl_platform.dispute.defender import Answered, Defender
    from fl_platform.round.aggregator import Aggregator, SealedRound
    from fl_platform.round.reporting import RoundsSealed
    from fl_platform.round.waiting import Progress, Transport, Watch
    from fl_platform.sinks.opening import Sinks
    from fl_platform.task.reading import TaskReader
    from fl_platform.task.validating import RevealSlice

_SOCKET = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group()
def aggregator() -> None:
    """Collect, judge and seal rounds for a fee."""


for _command in (handing_over.advance, handing_over.pass_, handing_over.leave):
    aggregator.add_command(_command)


@aggregator.command()
@task_argument
@wallet_option
@accept_option
@json_option
@click.pass_obj
def bond(options: Options, task: int, wallet: str | None, json_file: Path | None) -> None:
    """Lock the bond that this aggregator loses when it is late or wrong.

    Example: fl-platform aggregator bond 1 --wallet aggregator
    """
    from fl_platform.cli.show import console
    from fl_platform.round import membership

    with signing(options, wallet) as own:
        done = membership.bond(own.workspace.reader(task), own.contracts)
        locked, late = own.contracts.member(task, own.signer.address).stake, missed(own.contracts, task)
    how = "is bonded now" if done else "was bonded before"
    out = console(json_file)
    out.print(f"{own.name} {how} in task {task} with {tokens(locked)} tokens")
    if late:
        out.print(late)
    write_json(
        json_file, {"task": task, "aggregator": hexed(own.signer.address), "bond_wei": locked, "bonded_now": done}
    )


@aggregator.command()
@task_argument
@wallet_option
@click.option(
    "--rounds", type=click.IntRange(1), help="Stop after so many sealed rounds. Default: when the task is done."
)
@click.option(
    "--trainers-sockets", type=_FOLDER, help="Folder of resident trainers' sockets on this machine. The default way."
)
@click.option(
    "--local", is_flag=True, help="Run the trainers of all wallets of this folder in this process (rehearsals)."
)
@click.option(
    "--flower", "queue", type=_SOCKET, help="Serve orders at this socket for the ServerApp of a Flower SuperLink."
)
@click.option(
    "--reference-binding", metavar="CID", help="With --flower: the owner's binding, from `trainer join --reference`."
)
@click.option(
    "--timeout", type=click.FloatRange(1.0), default=3600.0, show_default=True,
    help="Seconds that one question to a trainer may take; who is missing is asked again until near the deadline.",
)
@click.option(
    "--patience",
    type=click.FloatRange(0.0),
    help="Seconds to wait for who is absent once the rule has enough; default: until near the roster's deadline. In "
    "leave-one-out tasks also for the owner's validation rows; default there: 60.",
)
@trainers_option
@click.option("--slices", type=_FOLDER, help="Folder of the owner's opened validation rows (leave-one-out tasks).")
@click.option("--data-seed", default=0, show_default=True, help="With --local: how the public data set is dealt.")
@click.option(
    "--mnist",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="With --local: folder of MNIST's idx files.",
)
@log_option
@json_option
@click.pass_obj
def run(
    options: Options, /, task: int, wallet: str | None, rounds: int | None, logs: tuple[str, ...],
    json_file: Path | None, **ways: Any,
) -> None:  # fmt: skip
    """Work through a task's rounds: ask for updates, put the roster on chain, judge, seal.

    Killed at any point and started again, it does nothing twice. Trainers are reached through their sockets, or over
    Flower with --flower, or run in this process with --local. Who is absent, the owner's reference too, is asked again
    until near the roster's deadline on chain; once all have answered, nobody is waited for.

    Example: fl-platform aggregator run 1 --wallet aggregator --local
    """
    from fl_platform.cli.show import bar, console, telling
    from fl_platform.round.reporting import RoundsSealed
    from fl_platform.sinks.opening import open_sinks

    out = console(json_file)
    if sum(map(bool, (ways["trainers_sockets"], ways["local"], ways["queue"]))) > 1:
        raise click.UsageError("choose one of --trainers-sockets, --local and --flower")
    with open_sinks(logs) as sinks, signing(options, wallet) as own, contextlib.ExitStack() as stack:
        reader = own.workspace.reader(task)
        watched = RoundsSealed(reader, who=own.name)
        left = reader.spec.money.rounds - reader.history().head.round
        progress = stack.enter_context(bar("starting", min(left, rounds or left)))
        tell = telling(sinks, progress.say)
        transport = stack.enter_context(_transport(options, own, task, ways, progress, sinks))
        watch = _watch(progress, watched)
        rows = _slices(options, own, task, ways)
        working = make_aggregator(
            own, task, watch=watch, reveal_slice=rows, patience_s=ways["patience"], trainers=ways["trainers"],
            witnesses=_witnesses(options, own, task) if ways["local"] else None,
        )  # fmt: skip
        sealed: list[SealedRound] = []
        defended = _defender(own, task, progress.say)
        while rounds is None or len(sealed) < rounds:
            _answer_all(own, reader, defended, progress.say)
            done = working.run(transport, rounds=1)
            if not done:
                break
            sealed += done
            progress.at(len(sealed))
            tell(watched.record(done[0]))
        state = reader.history().head.phase.name.lower()
    out.print(f"task {task}: {len(sealed)} rounds sealed, the task is {state}")
    write_json(json_file, {"task": task, "state": state, "sealed": [_sealed(item) for item in sealed]})


@aggregator.command()
@task_argument
@wallet_option
@click.option("--once", is_flag=True, help="Answer what waits now, and leave.")
@click.option("--every", type=click.FloatRange(0.1), default=15.0, show_default=True, help="Seconds between looks.")
@json_option
@click.pass_obj
def defend(
    options: Options, task: int, wallet: str | None, once: bool, every: float, json_file: Path | None
) -> None:
    """Answer disputes about this aggregator's rosters and seals until none can be challenged any more.

    Shows what a question asks for: leaves of a roster, nodes of the tape, parts of sums. Whoever does not answer within
    the task's takeover window (of a roster: half of it) loses its bond. `aggregator run` does the same between rounds
    only: let this one run beside it (not on the embedded chain, which one process holds). Exits 4 if any failed.

    Example: fl-platform aggregator defend 1 --wallet aggregator
    """
    from fl_platform.cli.show import console
    from fl_platform.round.closing import nothing_left

    out = console(json_file)
    answers: list[Answered] = []
    with signing(options, wallet) as own:
        reader = own.workspace.reader(task)
        reader.history()  # an unknown task is the caller's mistake
        defended = _defender(own, task, lambda line: out.print(line, markup=False))

        def look() -> bool:
            now = own.workspace.chain.now()
            if defended is not None:
                answers.extend(defended.step(now))
            return once or nothing_left(reader, now=now)

        if not once:
            out.print(f"{own.name} answers for its seals of task {task}: a look every {every:g} s until none is open")
        wait_to_stop(look, every_s=every, patient=not once)
    failed = [answer for answer in answers if answer.problem]
    if not answers:
        out.print("nothing waits for an answer of this wallet", style="green")
    write_json(json_file, [vars(answer) for answer in answers])
    raise click.exceptions.Exit(4 if failed else 0)


def _defender(own: Session, task: int, say: Callable[[str], None]) -> Defender | None:
    """Return what answers for the session's wallet; None where nothing can be asked."""
    from fl_platform.dispute.defender import Defender
    from fl_platform.dispute.referee import Referee
    from fl_platform.round.kept_entries import KeptEntries
    from fl_platform.task.keyholder import opener_of

    if not Referee.there(own.contracts):
        return None
    reader = own.workspace.reader(task)
    opener = opener_of(reader, own.signer, else_="only who sealed can answer")
    kept, referee = KeptEntries.of(own.workspace.role_folder(own.name), task), Referee(own.contracts, own.signer)
    return Defender(reader, referee, opener=opener, watch=lambda done: say(str(done)), kept=kept.load)


def _answer_all(
    own: Session, reader: TaskReader, defended: Defender | None, say: Callable[[str], None]
) -> None:
    """While a seal is disputed the task stands still: answer until it goes on."""
    if any(record.challenged for record in reader.history().rounds):
        say("a seal is disputed; the task stands still until that is decided")

    def settled() -> bool:
        if defended is not None:
            defended.step(own.workspace.chain.now())
        return not any(record.challenged for record in reader.history().rounds)

    wait_to_stop(settled, patient=True)


def make_aggregator(
    own: Session, task: int, *, watch: Watch, reveal_slice: RevealSlice | None = None, patience_s: float | None = None,
    trainers: int = 0, witnesses: Callable[[], None] | None = None,
) -> Aggregator:  # fmt: skip
    """Return the aggregator of the session's wallet. Raises ConfigError without a bond."""
    from fl_platform.errors import ConfigError
    from fl_platform.round.aggregator import Aggregator
    from fl_platform.round.grounds import nobody
    from fl_platform.task.validating import no_slice
    from fl_platform.task.workspace import reveal_key

    workspace, reader = own.workspace, own.workspace.reader(task)
    listed = reader.history().opened.aggregators
    if own.signer.address not in listed:
        raise ConfigError(
            f"{own.name} is not among the aggregators of task {task} ({', '.join(map(hexed, listed))}): run this with "
            "the wallet of one of them (--wallet)"
        )
    if own.signer.address not in reader.history().bonded:
        raise ConfigError(f"{own.name} has no bond in task {task}: `fl-platform aggregator bond {task}` first")
    return Aggregator(
        reader=reader,
        contracts=own.contracts,
        reveal_key=reveal_key(own.signer),
        workdir=workspace.role_folder(own.name),
        wait_until=workspace.chain.wait_until,
        watch=watch,
        reveal_slice=reveal_slice or no_slice,
        patience_s=math.inf if patience_s is None else patience_s,
        trainers=trainers,
        witnesses=witnesses or nobody,
    )


def _witnesses(options: Options, own: Session, task: int) -> Callable[[], None]:
    """Return what lets the witnesses whose wallets are in this folder take a look."""
    from fl_platform.chain import wallets
    from fl_platform.round.witness import witnesses_here

    named = own.workspace.reader(task).spec.witnesses
    here = [info.name for info in wallets.listed(options.workdir / "wallets") if info.address in named]
    return witnesses_here(own.workspace, task, map(own.workspace.signer, here))


@contextlib.contextmanager
def _transport(
    options: Options, own: Session, task: int, ways: dict[str, Any], progress: Bar, sinks: Sinks
) -> Iterator[Transport]:
    """Open the chosen way to the trainers; those of this process write their rounds to the sinks, too."""
    reader = own.workspace.reader(task)

    def watch(done: int, asked: int) -> None:
        progress.at_text(f"{done} of {asked} trainers have answered")

    if ways["local"]:
        from fl_platform.chain import wallets
        from fl_platform.round.data_choice import Lesson
        from fl_platform.round.local_trainers import TrainingWatch, local_crew
        from fl_platform.round.reporting import RoundsLearned
        from fl_platform.round.transport import LocalTransport

        def learned(name: str, role: str) -> TrainingWatch:
            return RoundsLearned(task, sinks.write, role=role, who=name, validate=bool(sinks.places)).trained

        names = {info.name: info.address for info in wallets.listed(options.workdir / "wallets")}
        lesson = Lesson("", seed=ways["data_seed"], folder=ways["mnist"])
        yield LocalTransport(local_crew(own.workspace, names, task, lesson, watch=learned), watch)
    elif ways["queue"]:
        from fl_platform.flower.queue_server import serve_queue

        with serve_queue(
            reader, ways["queue"], reference=ways["reference_binding"], timeout_s=int(ways["timeout"])
        ) as served:
            progress.say(f"orders wait at {served.socket}; start the courier on your SuperLink:\n  {served.command}")
            yield served.orders
    else:
        from fl_platform.flower.socket_transport import SocketTransport
        from fl_platform.round.local_trainers import socket_folder

        folder = ways["trainers_sockets"] or socket_folder(own.workspace, task)
        progress.say(f"trainers' sockets are looked for in {folder}; they come with `fl-platform trainer run {task}`")
        yield SocketTransport(folder, timeout_s=ways["timeout"], watch=watch)


def _slices(options: Options, own: Session, task: int, ways: dict[str, Any]) -> RevealSlice | None:
    """Return where a leave-one-out task's validation rows come from: the owner's files, or its wallet if it is here."""
    from fl_platform.chain import wallets
    from fl_platform.learning.task import rows_in_memory
    from fl_platform.round import validation_slices
    from fl_platform.round.data_choice import Lesson, reference_rows
    from fl_platform.round.local_trainers import lesson_for

    reader = own.workspace.reader(task)
    if reader.spec.worth.kind != validation_slices.LEAVE_ONE_OUT:
        return None
    if not ways["local"]:
        folder = ways["slices"] or own.workspace.root / "slices" / f"{own.workspace.network.name}-{task}"
        return validation_slices.slices_in(folder, patience_s=60.0 if ways["patience"] is None else ways["patience"])
    names = {info.address: info.name for info in wallets.listed(options.workdir / "wallets")}
    owner = own.workspace.signer(names.get(reader.spec.owner, own.name))
    rows = rows_in_memory(reference_rows(lesson_for(reader, Lesson("", seed=ways["data_seed"], folder=ways["mnist"]))))
    return validation_slices.own_book(reader, owner, rows).reveal


def _watch(progress: Bar, watched: RoundsSealed) -> Watch:
    def watch(step: Progress) -> None:
        progress.at_text(f"round {step.round}: {step.step} ({step.detail})")
        if step.step == "wait":
            progress.say(f"round {step.round}: {step.detail}")
        watched.step(step)

    return watch


def _sealed(item: SealedRound) -> dict[str, Any]:
    return {
        "round": item.bundle.round,
        "bundle": hexed(item.digest),
        "model": hexed(item.bundle.after.model),
        "verdicts": {hexed(verdict.trainer): verdict.code for verdict in item.bundle.verdicts},
    }
