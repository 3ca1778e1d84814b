"""`fl-platform up`: all that a role needs, started, watched over and stopped together.

Tests: tests/unit/cli/test_upkeep.py
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fl_platform.cli.common import (
    DATA,
    Options,
    Session,
    accept_option,
    part_of,
    reading,
    signing,
    task_argument,
    trainers_option,
    wait_to_stop,
    wallet_option,
)

if TYPE_CHECKING:
    from fl_platform.cli.residing import Stay
    from fl_platform.cli.upkeep import Duties, Place
    from fl_platform.task.invitation import Invitation
    from fl_platform.task.reading import TaskReader
    from fl_platform.task.workspace import Workspace

_FILE = click.Path(path_type=Path, dir_okay=False)
_IN = click.Path(path_type=Path, exists=True, dir_okay=False)
_port = click.IntRange(0, 65_535)
_OUT = "The invitation for data owners, with the way for orders."
_host_option = click.option(
    "--host", default="127.0.0.1", show_default=True, metavar="NAME|ADDRESS",
    help="How others reach this machine. Beyond loopback, all its interfaces are listened on.",
)  # fmt: skip
_port_option = click.option(
    "--port", type=_port, default=0, show_default=True,
    help="For data owners' nodes; 0: as last time, first a free one.",
)


@click.group()
def up() -> None:
    """Start and watch over all that a role needs, and stop it together.

    What dies is started again; each part writes a log of its own in the role's folder.
    """


@up.command()
@task_argument
@wallet_option
@click.option("-o", "--out", type=_FILE, required=True, help=_OUT)
@_host_option
@_port_option
@trainers_option
@click.option("--store-port", type=_port, default=0, show_default=True, help="As --port, for the store.")
@click.option("--data", default="", help="As at `task open`. Default: by the task's model.")
@click.option("--data-seed", default=0, show_default=True, help="As at `task open`.")
@click.option(
    "--orders", type=_FILE, metavar="FILE", help="Where you put what the aggregator made of your invitation; it may "
    "come later."
)
@click.option("--watch/--no-watch", default=True, show_default=True, help="Audit others' seals, and have lies undone.")
@click.pass_obj
def owner(
    options: Options, task: int, wallet: str | None, out: Path, host: str, port: int, trainers: int,
    store_port: int, data: str, data_seed: int, orders: Path | None, watch: bool,
) -> None:  # fmt: skip
    """Run what a task's owner owes: its store, its reference, and the aggregator where that is its own wallet.

    Writes the invitation, serves the folder of --store to members, computes the reference that trainers are measured
    against, and watches other aggregators' seals. Once the task is over the store stays up for claims and audits,
    until this is stopped.

    Example: fl-platform up owner 1 -o hospital.toml
    """
    from fl_platform.cli.invite import invitation_to
    from fl_platform.cli.upkeep import Duties, aggregating, kept_command, only_one, open_way, served_store

    say = _sayer()
    duties = _duties(options, wallet, task, say)
    with signing(options, wallet, sends=False) as own, contextlib.ExitStack() as stack:
        place = _place(options, own, task, host, trainers)
        stack.enter_context(only_one(place.folder))
        store = stack.enter_context(served_store(place, owner=own.name, port=store_port, say=say))
        invited, failed = invitation_to(own, options, task, store=store, data=data), _never_failed
        if Duties.AGGREGATE in duties:
            way, link = stack.enter_context(open_way(place, port, say))
            invited = invited.with_superlink(way.address, way.authority)
            failed = stack.enter_context(aggregating(place, link, invited, say))
        out.write_text(invited.to_text(), encoding="utf-8")
        say(f"{out} is the invitation: send it to the {'data owners' if invited.superlink else 'aggregator'}")
        say(f"the rules' digest, to be told by another way: 0x{invited.rules.hex()}")
        if watch and Duties.WATCH in duties:
            public = [] if Duties.AUDIT in duties else ["--public"]
            words = ["watch", str(task), "--wallet", own.name, *public]
            stack.enter_context(kept_command(place, "watch", words, say))
        elif Duties.WITNESS in duties:  # who watches does it there
            words = ["witness", "run", str(task), "--wallet", own.name]
            stack.enter_context(kept_command(place, "witness", words, say))
        until = _looker(own, task, failed)
        if Duties.REFERENCE in duties:
            invited = _await_orders(invited, orders, until, say)
            _work(own, invited, _stay(task, data, data_seed=data_seed), until)
        wait_to_stop(until, patient=True)
        if Duties.AGGREGATE in duties and store == options.store:  # else the defence stays up with the store
            _outlast_windows(own, task, failed(), say)
        _conclude(place, failed(), say)
        if store != options.store:
            say("the store stays up for claims and audits; Ctrl-C ends it")
            with contextlib.suppress(KeyboardInterrupt):
                wait_to_stop(lambda: False)


@up.command()
@task_argument
@wallet_option
@click.option("--invitation", type=_IN, help="The owner's, from `task invite`. Default: what `follow` took over.")
@click.option("-o", "--out", type=_FILE, required=True, help=_OUT)
@_host_option
@_port_option
@trainers_option
@accept_option
@click.pass_obj
def aggregator(
    options: Options, task: int, wallet: str | None, invitation: Path | None, out: Path, host: str, port: int,
    trainers: int,
) -> None:  # fmt: skip
    """Run an aggregator with its own Flower SuperLink until the task is over.

    Locks the bond, starts the SuperLink (TLS, registered node keys), admits each member's node as it joins, works
    through the rounds and answers disputes, until no seal of it can be challenged any more. From outside only data
    owners' nodes get through to the SuperLink.

    Example: fl-platform up aggregator 1 --trainers 2 -o hospital.toml
    """
    from fl_platform.cli.upkeep import aggregating, only_one, open_way

    say = _sayer()
    with reading(options) as workspace:
        invited = _invited(workspace, task, invitation)
    _duties(options, wallet, task, say)
    with signing(options, wallet, sends=False) as own, contextlib.ExitStack() as stack:
        place = _place(options, own, task, host, trainers)
        stack.enter_context(only_one(place.folder))
        way, link = stack.enter_context(open_way(place, port, say))
        invited = invited.with_superlink(way.address, way.authority)
        failed = stack.enter_context(aggregating(place, link, invited, say))
        out.write_text(invited.to_text(), encoding="utf-8")
        say(f"{out} is the invitation for data owners, and for the owner's --orders; logs are in {place.folder}")
        wait_to_stop(_looker(own, task, failed), patient=True)
        wait_to_stop(lambda: failed() is not None)  # it closes its books
        _outlast_windows(own, task, failed(), say)
        _conclude(place, failed(), say, f"rewards claim {task} --withdraw`, `fl-platform aggregator leave {task}")


@up.command()
@task_argument
@wallet_option
@click.option("--data", default="", help=f"{DATA} Default: by the task's model.")
@click.option("--part", type=part_of, default="1/1", show_default=True, metavar="I/N",
              help="Your hand of a public data set.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1 ...")
@click.option("--threads", type=click.IntRange(0, 1024), default=1, show_default=True, help="0: all cores.")
@accept_option
@click.pass_obj
def trainer(
    options: Options, task: int, wallet: str | None, data: str, part: tuple[int, int], device: str, threads: int
) -> None:
    """Train again in a task that this wallet has joined, over the newest invitation that the folder has.

    Starts the resident trainer, which alone holds rows and wallet, and the SuperNode that brings it orders.

    Example: fl-platform up trainer 1 --data task:Mine
    """
    from fl_platform.learning.machine import choose_machine

    wanted = _stay(task, data, part=part)
    wanted = replace(wanted, machine=choose_machine(device, threads=threads))
    with signing(options, wallet, sends=False) as own:
        invited = _invited(own.workspace, task, None)
        _work(own, invited, wanted, lambda: False)


def _sayer() -> Callable[[str], None]:
    from fl_platform.cli.show import console

    said = console()
    return lambda text: said.print(text, markup=False, soft_wrap=True)


def _never_failed() -> int | None:
    return None


def _duties(options: Options, wallet: str | None, task: int, say: Callable[[str], None]) -> set[Duties]:
    """Return what a wallet owes a task, once it can be done: with a bond, and a password for processes that sign.

    Raises ConfigError.
    """
    from fl_platform.chain import wallets
    from fl_platform.cli.upkeep import Duties, duties_of
    from fl_platform.config import resolve
    from fl_platform.errors import ConfigError
    from fl_platform.task.workspace import environment

    if resolve(options.network, environment()).embedded:
        raise ConfigError(
            "one process holds the embedded chain, and `up` starts several: name another with --network (anvil, "
            "ganache, sepolia or a URL), or rehearse with `fl-platform run`"
        )
    if options.password_file is None and wallets.PASSWORD_VARIABLE not in environment():
        raise ConfigError(f"`up` starts processes that sign: give --password-file or set {wallets.PASSWORD_VARIABLE}")
    with signing(options, wallet) as own:
        reader = own.workspace.reader(task)
        found = duties_of(reader.spec, own.signer.address)
        if not found:
            raise ConfigError(f"{own.name} is neither owner nor aggregator of task {task}; data owners `join`")
        if Duties.AGGREGATE in found:
            _bond(own, reader, say)
    return found


def _bond(own: Session, reader: TaskReader, say: Callable[[str], None]) -> None:
    from fl_platform.round.membership import bond, require_working
    from fl_platform.task.funding import draw_missing

    money = reader.spec.money
    if own.signer.address not in reader.history().bonded:
        require_working(reader)
        draw_missing(own.workspace, own.signer, token=money.token, amount=money.bond)
    if bond(reader, own.contracts):
        say("the bond is locked")


def _place(options: Options, own: Session, task: int, host: str, trainers: int) -> Place:
    from fl_platform.cli.upkeep import Place

    folder = (own.workspace.role_folder(own.name) / f"up-{task}").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return Place(options, own.name, task, folder, host, trainers)


def _looker(own: Session, task: int, failed: Callable[[], int | None]) -> Callable[[], bool]:
    """Return what tells whether the task is over, or its aggregator has given up."""
    from fl_platform.round.membership import WORKING

    return lambda: failed() is not None or own.contracts.head(task).phase not in WORKING


def _outlast_windows(own: Session, task: int, code: int | None, say: Callable[[str], None]) -> None:
    """Stay while anything can be asked about: an aggregator that does not answer then loses its bond.

    One that gave up (`code`), too, where a roster or seal is its own: it may have passed on what it rostered.
    """
    from fl_platform.cli.common import block_moment
    from fl_platform.round.closing import can_be_asked, nothing_left

    reader = own.workspace.reader(task)

    def left() -> bool:
        now = own.workspace.chain.now()
        return can_be_asked(reader, own.signer.address, now=now) if code else not nothing_left(reader, now=now)

    if not left():
        return
    history = reader.history()
    last = max((history.final_at(record.number) or 0 for record in history.rounds), default=0)
    until = f"the last seal is final, at {block_moment(last)}"
    if code:
        until = "nothing that this aggregator rostered or sealed can be disputed"
    elif history.falls_until() > last:
        until = f"the last roster cannot fall any more, at {block_moment(history.falls_until())}"
    begins = "the aggregator gave up" if code else "no round is worked on any more"
    say(
        f"{begins}; disputes are answered until {until}. Ctrl-C ends that: a challenge that nobody answers takes the "
        "bond"
    )
    wait_to_stop(lambda: not left(), every_s=5.0, patient=True)


def _conclude(place: Place, code: int | None, say: Callable[[str], None], following: str = "") -> None:
    """Say what comes next. Raises ConfigError when the aggregator has given up."""
    from fl_platform.errors import ConfigError

    if code:
        raise ConfigError(f"the aggregator ended with {code}: {place.folder / 'aggregator.log'} says why")
    following = following or f"task model {place.task} -o model.safetensors"
    say(f"task {place.task} is over; next: `fl-platform {following}`")


def _invited(workspace: Workspace, task: int, file: Path | None) -> Invitation:
    """Return the invitation to work with, of this task as it is on chain. Raises ConfigError, DocumentInvalid."""
    from fl_platform.errors import ConfigError
    from fl_platform.task.invitation import read_invitation
    from fl_platform.task.remembered import kept_invitation

    rules = workspace.reader(task).spec.digest
    invited = kept_invitation(workspace.root, task, rules) if file is None else read_invitation(file)
    if invited is None:
        raise ConfigError(
            f"{workspace.root} has no invitation to task {task} with the rules that it has on "
            f"{workspace.network.name}: `fl-platform follow FILE` first"
        )
    if invited.task != task:
        raise ConfigError(f"{file} invites to task {invited.task}, not to {task}")
    if invited.rules != rules:
        raise ConfigError(f"{file} is of other rules than task {task} has on {workspace.network.name}: ask who sent it")
    return invited


def _await_orders(
    invited: Invitation, orders: Path | None, until: Callable[[], bool], say: Callable[[str], None]
) -> Invitation:
    """Return the invitation with the way for orders, once the aggregator's file is there."""
    from fl_platform.task.invitation import read_invitation

    if invited.superlink or orders is None:
        return invited
    if not orders.exists():
        say(f"the reference waits for the aggregator's invitation: put it at {orders}")
        wait_to_stop(lambda: orders.exists() or until(), patient=True)
    return read_invitation(orders) if orders.exists() else invited


def _stay(task: int, data: str, *, part: tuple[int, int] | None = None, data_seed: int = 0) -> Stay:
    """Return a trainer's stay; part None: the owner's reference rows."""
    from fl_platform.cli.residing import Stay
    from fl_platform.learning.machine import choose_machine
    from fl_platform.round.data_choice import Lesson

    index, parts = (None, 1) if part is None else part
    return Stay(task, Lesson(data, "", "", parts, seed=data_seed), index, choose_machine())


def _work(own: Session, invited: Invitation, wanted: Stay, until: Callable[[], bool]) -> None:
    """Train until the task is over, with the node that brings orders."""
    from fl_platform.cli.join import orders
    from fl_platform.cli.residing import stay
    from fl_platform.cli.show import console
    from fl_platform.sinks.opening import open_sinks

    said = console()
    with open_sinks(()) as sinks, contextlib.ExitStack() as stack:
        stay(own, sinks, wanted, beside=lambda: stack.enter_context(orders(own, invited, wanted, said)), until=until)
