"""`fl-platform trainer`: join a task with a stake, train as a resident process, look after oneself, and leave.

Tests: tests/docs/test_examples.py
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fl_platform.cli.common import (
    DATA,
    Options,
    Session,
    accept_option,
    address_of,
    block_moment,
    forward_option,
    hexed,
    json_option,
    log_option,
    missed,
    part_of,
    pick_wallet,
    reading,
    signing,
    task_argument,
    tokens,
    wallet_option,
    wei_of,
    write_json,
)
from fl_platform.cli.forwarding import forward
from fl_platform.learning.public import PARTITIONS

if TYPE_CHECKING:
    from fl_platform.ledger.binding import Binding
    from fl_platform.task.reading import TaskReader

logger = logging.getLogger(__name__)
_LOOK_S = 60.0
_KEY = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.group()
def trainer() -> None:
    """Join a task with a stake, train, and leave."""


@trainer.command()
@task_argument
@wallet_option
@click.option(
    "--stake", type=wei_of, metavar="TOKENS", help="At least the task's; more weighs more. Default: the least."
)
@click.option("--node-key", type=_KEY, help="Private key of your Flower SuperNode; made in the workdir if absent.")
@click.option("--reference", is_flag=True, help="The owner's reference: locks nothing, only binds its node's key.")
@accept_option
@json_option
@click.pass_obj
def join(
    options: Options, task: int, wallet: str | None, stake: int | None, node_key: Path | None, reference: bool,
    json_file: Path | None,
) -> None:  # fmt: skip
    """Lock a stake and become a trainer; wallet and Flower node key sign that they belong together.

    Example: fl-platform trainer join 1 --wallet alice
    """
    from fl_platform.cli.next_steps import after_joining
    from fl_platform.cli.show import console
    from fl_platform.round import membership
    from fl_platform.round.site import Site

    out = console(json_file)
    with signing(options, wallet) as own:
        reader = own.workspace.reader(task)
        binding = bind_node(own, reader, node_key)
        site = Site(own.workspace.root)
        joined = not reference and membership.join(reader, own.contracts, stake=stake, binding=binding, site=site)
        document = reader.store.put(binding.to_bytes())
        locked, late = own.contracts.member(task, own.signer.address).stake, missed(own.contracts, task)
        follows = "" if reference else after_joining(own, reader)
    if reference:
        out.print(f"binding {document} is in the store: give it to `aggregator run --flower` as --reference-binding")
    else:
        how = "joined" if joined else "had joined before"
        out.print(f"{own.name} {how} task {task} with {tokens(locked)} tokens at stake; {follows}", markup=False)
        if warning := membership.of_witnesses(reader.spec):
            out.print(warning, style="yellow")
    if late:
        out.print(late)
    write_json(json_file, {
        "task": task, "trainer": hexed(own.signer.address), "stake_wei": locked, "joined_now": joined,
        "binding": str(document),
    })  # fmt: skip


def bind_node(own: Session, reader: TaskReader, node_key: Path | None) -> Binding:
    """Return the two-sided binding, with the node key that is there or a new one."""
    from fl_platform.flower.keys import create_node_key, load_node_key
    from fl_platform.ledger.binding import bind

    if node_key is None or not node_key.exists():
        place = node_key or own.workspace.role_folder(own.name) / "node-key"
        place.parent.mkdir(parents=True, exist_ok=True)
        node_key = create_node_key(place.parent, place.name).private
    return bind(own.signer, load_node_key(node_key), domain=reader.domain, task=reader.task)


@trainer.command()
@task_argument
@wallet_option
@click.option("--data", default="", help=f"{DATA} Default: by the task's model.")
@click.option(
    "--part", type=part_of, default="1/1", show_default=True, metavar="I/N", help="Your hand of a public data set."
)
@click.option("--partition", default="", help=f"How it is dealt: {PARTITIONS}. Default: what suits the data.")
@click.option("--data-seed", default=0, show_default=True, help="Of the deal; the owner's.")
@click.option("--mnist", type=_FOLDER, help="Folder of MNIST's idx files.")
@click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda, cuda:1 ...; auto takes a GPU if there is one."
)
@click.option(
    "--threads", type=click.IntRange(0, 1024), default=1, show_default=True,
    help="CPU threads to train with; 0: all cores. One repeats a training byte for byte.",
)  # fmt: skip
@click.option(
    "--workers", type=click.IntRange(0, 256), default=0, show_default=True,
    help="Processes that read your data set, where it is a map-style PyTorch one.",
)  # fmt: skip
@click.option("--compile", "compiled", is_flag=True, help="Compile the model with torch.compile before training.")
@click.option("--socket", type=_KEY, help="Where orders come in; for your SuperNode. Default: in the workdir.")
@click.option(
    "--reference", is_flag=True, help="As the owner: compute the reference update that others are measured against."
)
@click.option(
    "--validate/--no-validate", default=None,
    help="Measure each round's model on your validation rows, too. Default: with --log.",
)  # fmt: skip
@log_option
@click.pass_obj
def run(
    options: Options, task: int, wallet: str | None, data: str, part: tuple[int, int], partition: str, data_seed: int,
    mnist: Path | None, device: str, threads: int, workers: int, compiled: bool, socket: Path | None, reference: bool,
    validate: bool | None, logs: tuple[str, ...],
) -> None:  # fmt: skip
    """Stay and train: answer the aggregator's orders until the task is over.

    Orders come in through a Unix socket, from the ClientApp of your Flower SuperNode (start it with
    --node-config 'trainer-socket="PATH"') or from an aggregator on the same machine. Wallet, rows and model stay in
    this process; so does what is said of each round, on the terminal and with --log.

    Example: fl-platform trainer run 1 --wallet alice --part 1/3
    """
    from fl_platform.cli.residing import Stay, stay
    from fl_platform.learning.machine import choose_machine
    from fl_platform.round.data_choice import Lesson
    from fl_platform.sinks.opening import open_sinks

    with open_sinks(logs) as sinks, signing(options, wallet, sends=False) as own:
        stay(own, sinks, Stay(
            task=task, lesson=Lesson(data, "", partition, part[1], data_seed, mnist),
            index=None if reference else part[0],
            machine=choose_machine(device, threads=threads, workers=workers, compiled=compiled),
            socket=socket, validate=bool(logs) if validate is None else validate,
        ))  # fmt: skip


@trainer.command()
@task_argument
@wallet_option
@json_option
@click.pass_obj
def status(options: Options, task: int, wallet: str | None, json_file: Path | None) -> None:
    """Show a trainer's place in a task, round by round.

    Example: fl-platform trainer status 1 --wallet alice
    """
    from fl_platform.audit.why import explain
    from fl_platform.cli.show import console, table
    from fl_platform.round.membership import signed_file

    out = console(json_file)
    name = pick_wallet(options, wallet)
    with reading(options) as workspace:
        contracts, late = workspace.contracts(), missed(workspace.contracts(), task)
        found = explain(workspace.reader(task), contracts, address_of(options, name), now=workspace.chain.now())
        signed = {s.round: signed_file(workspace.role_folder(name), task, s.round) for s in found.rounds}
    rows = [
        (str(story.round), story.state, "yes" if signed[story.round].exists() else "no",
         "yes" if story.update else "no", story.verdict or "-", tokens(story.earned_by_score + story.earned_otherwise))
        for story in found.rounds
    ]  # fmt: skip
    title = f"{name} in task {task}: {', '.join(found.parts) or 'no part in it'}"
    table(out, title, ("round", "state", "signed", "on roster", "verdict", "earned"), rows, right="round|earned")
    out.print(f"stake {tokens(found.stake)}, earned {tokens(found.earned)}, claimed {tokens(found.claimed)}, "
              f"to withdraw {tokens(found.credit)} tokens")  # fmt: skip
    if late:
        out.print(late)
    for row, story in zip(rows, found.rounds, strict=True):
        if row[2] == "yes" and not story.update and story.state == "rostered":
            out.print(
                f"if the roster of round {story.round} leaves you out (`trainer run` says so): "
                f"`fl-platform trainer force {task} {story.round}` now"
            )
    write_json(json_file, {
        "task": task, "trainer": hexed(found.account), "stake_wei": found.stake, "earned_wei": found.earned,
        "claimed_wei": found.claimed, "credit_wei": found.credit,
        "rounds": [
            {"round": s.round, "state": s.state, "signed": signed[s.round].exists(), "rostered": bool(s.update),
             "verdict": s.verdict, "earned_wei": s.earned_by_score + s.earned_otherwise}
            for s in found.rounds
        ],
    })  # fmt: skip


@trainer.command()
@task_argument
@click.argument("round_number", metavar="ROUND", type=click.IntRange(0))
@wallet_option
@click.pass_obj
def force(options: Options, task: int, round_number: int, wallet: str | None) -> None:
    """Put your own receipt of ROUND on chain, because the roster left it out (before the force window closes).

    Example: fl-platform trainer force 1 0 --wallet carol
    """
    from fl_platform.cli.show import console
    from fl_platform.round.membership import force_include

    with signing(options, wallet) as own:
        force_include(own.contracts, own.workspace.role_folder(own.name), task, round_number)
    console().print(f"the receipt of round {round_number} is on chain: the seal must give it a verdict")


@trainer.command()
@task_argument
@click.argument("round_number", metavar="ROUND", type=click.IntRange(0))
@wallet_option
@click.pass_obj
def reveal(options: Options, task: int, round_number: int, wallet: str | None) -> None:
    """Put your signed keys of ROUND on chain before its seal is due, so that nobody can say you never revealed them.

    Example: fl-platform trainer reveal 1 0 --wallet alice
    """
    from fl_platform.cli.show import console
    from fl_platform.round.revealing import force_reveal

    with signing(options, wallet) as own:
        reader = own.workspace.reader(task)
        force_reveal(reader, own.contracts, own.signer, own.workspace.role_folder(own.name), round_number)
    console().print(f"the keys of round {round_number} are on chain: whoever may read the update finds them there")


@trainer.command()
@task_argument
@wallet_option
@json_option
@click.pass_obj
def answer(options: Options, task: int, wallet: str | None, json_file: Path | None) -> None:
    """Show on chain what you are asked for there (a key, a piece of an update) and take the bonds of who asked.

    Example: fl-platform trainer answer 1 --wallet alice
    """
    from fl_platform.cli.show import console
    from fl_platform.round.revealing import answer_demands, open_demands

    with signing(options, wallet) as own:
        reader = own.workspace.reader(task)
        answered = answer_demands(reader, own.contracts, own.signer, own.workspace.role_folder(own.name))
        left = open_demands(reader, own.contracts, own.signer.address)
    console(json_file).print(f"{len(answered)} demands answered, {len(left)} are left")
    write_json(json_file, {
        "task": task, "trainer": hexed(own.signer.address), "answered": [hexed(made.id) for made in answered],
        "bonds_wei": sum(made.bond for made in answered), "left": [hexed(made.id) for made in left],
    })  # fmt: skip


@trainer.command()
@task_argument
@wallet_option
@forward_option
@json_option
@click.pass_obj
def leave(options: Options, task: int, wallet: str | None, fast_forward: bool, json_file: Path | None) -> None:
    """Ask for the stake; when unbonding is over, the same command pays it out.

    Example: fl-platform trainer leave 1 --wallet alice --fast-forward
    """
    with signing(options, wallet) as own:
        depart(own, task, fast_forward=fast_forward, json_file=json_file)


def depart(own: Session, task: int, *, fast_forward: bool, json_file: Path | None) -> None:
    """Leave a task as trainer or aggregator, and say how far it is."""
    from fl_platform.cli.show import console
    from fl_platform.round.membership import leave as leave_task

    chain, reader = own.workspace.chain, own.workspace.reader(task)
    gone = leave_task(reader, own.contracts, now=chain.now())
    if not gone.done and fast_forward and chain.local:
        forward(chain, gone.ready_at)
        gone = leave_task(reader, own.contracts, now=chain.now())
    out = console(json_file)
    if gone.done:
        paid = f"{tokens(gone.returned)} tokens were paid to its wallet" if gone.returned else "nothing was paid now"
        out.print(f"{own.name} has nothing left in task {task}; {paid}")
    else:
        out.print(
            f"{tokens(gone.locked)} tokens are free at {block_moment(gone.ready_at)}: run the same command then"
        )
    write_json(json_file, {
        "task": task, "account": hexed(own.signer.address), "done": gone.done, "ready_at": gone.ready_at,
        "returned_wei": gone.returned, "locked_wei": gone.locked,
    })  # fmt: skip
