"""`fl-platform join`: from an invitation to a trainer at work, in one command."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from fl_platform.cli.common import (
    DATA,
    DEFAULT_WALLET,
    Options,
    Session,
    accept_option,
    make_wallet,
    missed,
    part_of,
    signing,
    tokens,
    wei_of,
)

if TYPE_CHECKING:
    from rich.console import Console

    from fl_platform.cli.residing import Stay
    from fl_platform.task.invitation import Invitation
    from fl_platform.task.reading import TaskReader
    from fl_platform.task.workspace import Workspace

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("invitation", type=_FILE)
@click.option("--data", default="", help=f"{DATA} Default: by the task's model.")
@click.option("--part", type=part_of, default="1/1", show_default=True, metavar="I/N",
              help="Your hand of a public data set.")  # fmt: skip
@click.option("--wallet", metavar="NAME", default=DEFAULT_WALLET, show_default=True, help="Made if it is not there.")
@click.option("--stake", type=wei_of, metavar="TOKENS", help="More weighs more. Default: the task's least.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1 ...")
@click.option("--threads", type=click.IntRange(0, 1024), default=1, show_default=True, help="0: all cores.")
@click.option("--yes", is_flag=True, help="Do not ask: what is said above the question is known and agreed to.")
@accept_option
@click.pass_obj
def join(
    options: Options, invitation: Path, data: str, part: tuple[int, int], wallet: str, stake: int | None, device: str,
    threads: int, yes: bool,
) -> None:  # fmt: skip
    """Take part in a task, from one invitation.

    Makes a wallet, takes over the contracts and the owner's learning code, locks the stake, and trains until the task
    is over. Before it locks anything it shows what will leave this machine, what may be earned and lost, and asks once.
    Started again, it goes on where it was; `fl-platform up trainer TASK` does so without the file.

    Example: fl-platform join hospital.toml --data task:Mine
    """
    from fl_platform.cli.residing import Stay, stay
    from fl_platform.cli.show import console
    from fl_platform.learning.machine import choose_machine
    from fl_platform.round.data_choice import Lesson
    from fl_platform.sinks.opening import open_sinks
    from fl_platform.task.invitation import read_invitation

    invited, out = read_invitation(invitation), console()
    options = options_of(options, invited)
    wanted = Stay(
        task=invited.task, lesson=Lesson(data, "", "", part[1]), index=part[0],
        machine=choose_machine(device, threads=threads),
    )  # fmt: skip
    make_wallet(options, wallet, out)
    with signing(options, wallet) as own:
        reader = take_over(own.workspace, options, invited, out)
        enter(own, reader, stake, out, wanted=wanted, yes=yes)
    with open_sinks(()) as sinks, signing(options, wallet, sends=False) as own, contextlib.ExitStack() as stack:
        stay(own, sinks, wanted, beside=lambda: stack.enter_context(orders(own, invited, wanted, out)))


def options_of(options: Options, invited: Invitation) -> Options:
    """Return the options with the invitation's network and store, each where the person chose none.

    Raises ConfigError for what a stranger's file must not choose: a folder of this machine to write into, and who says
    what stands on a chain where tokens have a price.
    """
    from fl_platform.config import NETWORKS
    from fl_platform.errors import ConfigError

    root = click.get_current_context().find_root()

    def chosen(name: str) -> bool:
        return root.get_parameter_source(name) not in (None, ParameterSource.DEFAULT)

    network = options.network if chosen("network") else invited.network
    store = options.store if chosen("stores") and options.store else invited.store
    known = [name for name, one in NETWORKS.items() if one.chain_id == invited.chain_id]
    if not chosen("network") and known and network not in NETWORKS:
        raise ConfigError(
            f"the invitation reads chain {invited.chain_id} at {network}: whoever runs that can show you contracts "
            f"that are not there, and have you pay them; name an end point of your own with --network {known[0]}"
        )
    if store == invited.store and store != options.store and any(
        word.strip().startswith("disk:") for word in store.split(",")
    ):
        raise ConfigError(f"the invitation's store {store!r} is a folder: name it with --store, if you mean it")
    return replace(options, network=network, store=store)


def take_over(
    workspace: Workspace, options: Options, invited: Invitation, out: Console, *, works: bool = True
) -> TaskReader:
    """Take over what an invitation brings: contracts, network and store for later commands, learning code.

    works: by the invitation; without, what a role works with stays. Returns the task, once chain, code and rules are
    those of the invitation. Raises what `accept` raises, and ConfigError, DocumentInvalid, StoreMissing of the
    learning code.
    """
    from fl_platform.task.learning_code import digest_of, receive
    from fl_platform.task.remembered import keep_invitation, remember

    reader = accept(workspace, invited)
    if options.network == invited.network and options.network.startswith(("http://", "https://")):
        out.print(
            f"what stands on chain is what {options.network} says, which the invitation names: one that you trust goes "
            "before it, with --network", markup=False, soft_wrap=True,
        )  # fmt: skip
    if invited.code:
        path = receive(workspace.store, invited.code, invited.code_name, Path.cwd())
        out.print(
            f"the owner's learning code is {path.name} (sha256:{digest_of(invited.code)}): read it; it runs here only "
            "where your own --data names or imports it", markup=False, soft_wrap=True,
        )  # fmt: skip
    kept = keep_invitation(options.workdir, invited, takes_over=works)
    if (kept.superlink, kept.authority) != (invited.superlink, invited.authority):
        out.print(
            f"orders still come from {kept.superlink}, as an earlier invitation said: `fl-platform join` with this "
            f"file would take them from {invited.superlink or 'nowhere'}", markup=False, soft_wrap=True,
        )  # fmt: skip
    if remember(options.workdir, network=options.network, store=options.store):
        named = f"{options.network}{' and ' + options.store if options.store else ''}"
        where = options.workdir / "settings.toml"
        out.print(
            f"later commands here take network and store from {where}: {named}", markup=False, soft_wrap=True
        )
    return reader


def accept(workspace: Workspace, invited: Invitation) -> TaskReader:
    """Take over the contracts and return the task, once chain, code and rules are those of the invitation.

    Raises DeploymentMismatch, DocumentInvalid, ConfigError.
    """
    from fl_platform.errors import ConfigError, DocumentInvalid

    if workspace.chain.chain_id != invited.chain_id:
        raise ConfigError(
            f"{workspace.network.name} is chain {workspace.chain.chain_id}, the invitation is for {invited.chain_id}: "
            "ask whoever sent it for the right end point, or name it with --network"
        )
    there = workspace.deployment_file
    if there.exists() and there.read_text(encoding="utf-8") != invited.deployment:
        raise ConfigError(f"{there} is of other contracts than the invitation's; join from another --workdir")
    if not there.exists():
        offered = workspace.root / "invited-deployment.json"
        offered.parent.mkdir(parents=True, exist_ok=True)
        offered.write_text(invited.deployment, encoding="utf-8")
        try:
            workspace.adopt(offered)
        finally:
            offered.unlink()
    reader = workspace.reader(invited.task)
    if reader.spec.digest != invited.rules:
        raise DocumentInvalid(
            f"task {invited.task} on chain has the rules 0x{reader.spec.digest.hex()}, the invitation says "
            f"0x{invited.rules.hex()}: ask its owner which is right"
        )
    return reader


def enter(
    own: Session, reader: TaskReader, stake: int | None, out: Console, *, wanted: Stay, yes: bool
) -> None:
    """Say what it means, ask once, lock the stake. Does nothing for who is a member.

    Before it asks it looks whether this party could take part: by its site's policy, with its rows and its model.
    Raises TaskClosed, PolicyRefused, ConfigError, UpdateHeaderMismatch (another model than the task's), TaskCodeError.
    """
    from fl_platform.cli.rules import show_rules
    from fl_platform.cli.trainer import bind_node
    from fl_platform.errors import ConfigError
    from fl_platform.round.local_trainers import one_trainer
    from fl_platform.round.membership import join as join_task
    from fl_platform.round.membership import require_joinable
    from fl_platform.round.site import Site, code_of
    from fl_platform.task.funding import draw_missing

    if own.signer.address in reader.history().members:
        return
    spec = reader.spec
    amount = spec.money.stake if stake is None else stake
    show_rules(out, reader.task, spec)
    out.print()
    site = Site(own.workspace.root, code_of(wanted.lesson.data, model=spec.model.name))
    policies = [f"your site's policy {policy}" for policy in site.policies()]
    for line in (*consequences(reader, amount), earlier_tasks(own.workspace, reader), *policies):
        out.print(f"- {line}", markup=False, soft_wrap=True)
    require_joinable(reader, stake)
    site.allow_task(reader, stake=amount, later=True)
    working = one_trainer(
        own.workspace, own.name, reader.task, wanted.lesson, index=wanted.index, machine=wanted.machine, member=False
    )
    working.check_model()
    working.check_rows()
    if late := missed(own.contracts, reader.task):
        out.print(late, style="bold yellow", markup=False, soft_wrap=True)
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError("nobody can be asked here: read the lines above, then run this again with --yes")
        if not click.confirm("Join?", err=True):
            out.print("not joined: nothing is locked")
            raise click.exceptions.Exit(0)
    if draw_missing(own.workspace, own.signer, token=spec.money.token, amount=amount):
        out.print("this network has a faucet: tokens of no worth were drawn for the stake")
    join_task(reader, own.contracts, stake=stake, binding=bind_node(own, reader, None), site=site)
    out.print(f"joined task {reader.task} with {tokens(amount)} tokens at stake")


def consequences(reader: TaskReader, stake: int) -> list[str]:
    """Return in plain words what taking part means."""
    from fl_platform.round.status import span
    from fl_platform.task.gas import GAS

    spec, money = reader.spec, reader.spec.money
    earlier = reader.history().head.round
    return [
        f"each round {spec.model.size:,} integers of {spec.codec.bits} bits leave this machine, encrypted for the "
        f"aggregators ({len(spec.aggregators)}) and auditors ({len(spec.auditors)}) listed above, with a signed "
        "receipt that says how many rows you learned from; your rows and your keys never do",
        f"{tokens(stake)} tokens are locked until {span(spec.windows.unbonding)} after you leave; they are lost if "
        "somebody proves on chain that you signed two receipts for a round, or keys that open no update, and some or "
        f"all of them if you are asked there and do not answer within {span(spec.windows.takeover)}",
        f"each of {money.rounds} rounds pays {tokens(money.pot)} tokens, {money.fee_bps / 100:g} % to the aggregator, "
        f"the rest to the trainers by worth ({spec.worth.kind}); {earlier} rounds are sealed",
        f"a round's orders come within {span(spec.windows.roster)}, and its pay is final "
        f"{span(spec.windows.challenge)} after its seal: then `fl-platform rewards claim`",
        f"gas: {GAS['join']:,} for joining besides the token's approval, {GAS['claim'] + GAS['withdraw']:,} for a "
        "claim with its withdrawal; rounds cost you none",
    ]


def earlier_tasks(workspace: Workspace, reader: TaskReader) -> str:
    """Say what the owner's earlier tasks paid."""
    from fl_platform.audit.track_record import track_record

    found = track_record(
        workspace.contracts(), workspace.reader, owner=reader.spec.owner, before=reader.task, now=workspace.chain.now()
    )
    if not found.pay:
        unread = f" ({found.unread} whose accounts no store here has)" if found.unread else ""
        return f"of this owner no earlier task with a final round is known here{unread}: nothing to compare with"
    nothing = sum(value == 0 for value in found.pay)
    return (
        f"this owner's earlier tasks ({found.tasks} with {found.rounds} final rounds; {found.unread} unread) paid a "
        f"trainer {tokens(found.pay[0])} to {tokens(found.pay[-1])} tokens a round, half of them at most "
        f"{tokens(found.median)}; {nothing} of {len(found.pay)} got nothing. That promises nothing for this one"
    )


@contextlib.contextmanager
def orders(own: Session, invited: Invitation, wanted: Stay, out: Any) -> Iterator[None]:
    """Run the SuperNode that brings the aggregator's orders, where the invitation names a SuperLink.

    Raises ConfigError where this folder has no key for it.
    """
    from fl_platform.cli.residing import socket_of
    from fl_platform.errors import ConfigError
    from fl_platform.flower.deployment import kept_node
    from fl_platform.flower.keys import NodeKeyFiles

    if not invited.superlink:
        out.print("no SuperLink is named: an aggregator on this machine finds the socket above")
        yield
        return
    folder = own.workspace.role_folder(own.name).absolute()
    key = NodeKeyFiles(folder / "node-key", folder / "node-key.pub")
    if not key.private.exists():
        raise ConfigError(
            f"{own.name} joined task {wanted.task} from another folder or machine: the key of its node and what it has "
            f"signed lie there. Go on there, or move the whole of {own.workspace.root} here and stop the other: who "
            "signs a round twice loses stake"
        )
    authority = folder / "superlink-authority.pem"
    authority.write_text(invited.authority, encoding="utf-8")
    trainer = socket_of(own, wanted).absolute()
    with kept_node(invited.superlink, authority, folder, "supernode", key=key, trainer=trainer):
        out.print(f"orders come from {invited.superlink}; Flower's log is {folder / 'supernode.log'}", markup=False)
        yield
