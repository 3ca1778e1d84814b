"""`fl-platform task`: open, list, show and close paid tasks.

Tests: tests/e2e/test_cli_task.py
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fl_platform.cli.check import check
from fl_platform.cli.circuit import circuit
from fl_platform.cli.common import (
    Options,
    address_of,
    forward_option,
    hexed,
    json_option,
    missed,
    moment,
    reading,
    signing,
    task_argument,
    tokens,
    wallet_option,
    write_json,
)
from fl_platform.cli.forwarding import forward
from fl_platform.cli.invite import invite
from fl_platform.cli.model import model
from fl_platform.cli.offering import lesson_of, offer_of, rule_options
from fl_platform.cli.rules import phase, rules, show_rules, summary

if TYPE_CHECKING:
    from fl_platform.cli.common import Session
    from fl_platform.protocol.spec import Party, TaskSpec

_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.group()
def task() -> None:
    """Open, list, show and close paid tasks."""


task.add_command(check)
task.add_command(circuit)
task.add_command(invite)
task.add_command(model)


@task.command(name="open")
@wallet_option
@rule_options
@click.option(
    "--aggregator", "aggregators", multiple=True, metavar="NAME|PARTY",
    help="In order of succession. Default: your own wallet.",
)
@click.option("--auditor", "auditors", multiple=True, metavar="NAME|PARTY", help="Gets a key to every update.")
@click.option(
    "--witness", "witnesses", multiple=True, metavar="NAME|ADDRESS",
    help="Says whether an update is to be had (`witness run`); more than half must say no before it is left out. "
    "Default: the auditors; none of them: you, unless you aggregate.",
)
@click.option("--no-witness", is_flag=True, help="Nobody says so: one trainer without its update ends the task then.")
@json_option
@click.pass_obj
def open_(options: Options, /, wallet: str | None, json_file: Path | None, **choices: Any) -> None:
    """Freeze the rules, escrow the whole bounty and open a task, in one transaction.

    A NAME is a wallet of this folder; a PARTY is what `fl-platform wallet show` prints on somebody else's machine.

    Example: fl-platform task open --wallet owner --trainers 3 --rounds 2 --aggregator aggregator
    """
    from fl_platform.cli.next_steps import playing_all
    from fl_platform.cli.show import console, working
    from fl_platform.judging.circuits import require_key_of
    from fl_platform.learning.task import rows_in_memory
    from fl_platform.round.data_choice import reference_rows
    from fl_platform.round.owner import Owner
    from fl_platform.round.validation_slices import LEAVE_ONE_OUT, book_of
    from fl_platform.task.funding import draw_missing
    from fl_platform.task.workspace import party

    out = console(json_file)
    with signing(options, wallet) as own:
        lesson = lesson_of(choices)
        offer, rows = offer_of(lesson, choices, token=own.contracts.faucet.address), reference_rows(lesson)
        if offer.worth == LEAVE_ONE_OUT:
            root = book_of(own.signer, rows_in_memory(rows), offer.money.rounds).root
            offer = replace(offer, validation_root=root)
        with working("training once on the owner's rows, to measure the first round's scale"):
            spec, initial = offer.draft(
                rows,
                owner=party(own.signer),
                aggregators=_parties(own, choices["aggregators"] or (own.name,)),
                auditors=_parties(own, choices["auditors"]),
                witnesses=_witnesses(options, choices["witnesses"], nobody=choices["no_witness"]),
            )
        if choices["proof_key"] is not None:
            require_key_of(spec, choices["proof_key"])
        known = own.contracts.task_count()
        bounty = offer.money.pot * offer.money.rounds
        if draw_missing(own.workspace, own.signer, token=offer.money.token, amount=bounty):
            out.print("this network has a faucet: tokens of no worth were drawn for the bounty")
        with working("escrowing the bounty"):
            number = Owner(contracts=own.contracts, store=own.workspace.store).open(spec, initial)
        show_rules(out, number, spec)
        if number <= known:
            out.print(
                f"\ntask {number} was opened before with these very rules: nothing was escrowed now; another --title "
                f"opens a second one; `fl-platform task show {number}` says where it stands",
                soft_wrap=True,
            )
        else:
            join = f"fl-platform trainer join {number} --wallet NAME"
            out.print(f"\ntask {number} is open: `{join}` is next for trainers", markup=False)
        if warning := _of_witnesses(spec):
            out.print(warning, soft_wrap=True)
        if own.workspace.network.embedded:  # one process holds this chain: nobody can stay beside another
            out.print(f"once they have joined: {playing_all(own, own.workspace.reader(number))}", markup=False)
        elif spec.worth.kind == "anchored":
            out.print("rounds without your reference are paid by stake; one of these computes it:")
            out.print(f"  fl-platform up owner {number} -o hospital.toml        parties on other machines")
            out.print(f"  fl-platform trainer run {number} --wallet {own.name} --reference", markup=False)
        write_json(json_file, {"task": number, **rules(spec)})


def _parties(own: Session, names: tuple[str, ...]) -> tuple[Party, ...]:
    """Return parties from wallet names of this folder and from lines of `wallet show`."""
    from fl_platform.chain import wallets
    from fl_platform.errors import ConfigError
    from fl_platform.task.party_text import parse_party
    from fl_platform.task.workspace import party

    here = {info.name for info in wallets.listed(own.workspace.root / "wallets")}
    for name in names:
        if name not in here and ":" not in name:
            raise ConfigError(
                f"{name!r} is neither a wallet of this folder ({', '.join(sorted(here))}) nor a party: ask it for the "
                "line `party` of `fl-platform wallet show NAME`, all of it"
            )
    return tuple(party(own.workspace.signer(name)) if name in here else parse_party(name) for name in names)


def _witnesses(options: Options, names: tuple[str, ...], *, nobody: bool) -> tuple[bytes, ...] | None:
    """Return the witnesses that were named, none where there shall be none; None: the usual ones."""
    if names and nobody:
        raise click.UsageError("choose --witness or --no-witness")
    if not names:
        return () if nobody else None
    return tuple(address_of(options, name) for name in names)


def _of_witnesses(spec: TaskSpec) -> str:
    """Say what the choice of witnesses means where it leaves somebody at another's mercy; empty: it does not."""
    if not spec.witnesses:
        return (
            "nobody is a witness: an update that is rostered and not to be had cannot be left out, so one trainer can "
            "end the task; `--witness` names who says that it is not to be had"
        )
    if spec.witnesses == (spec.owner,):
        return (
            "you alone are the witness: you and an aggregator together can refuse anybody's update as not to be had; "
            "keep `fl-platform witness run` up, as `up owner` does"
        )
    return ""


@task.command(name="list")
@json_option
@click.pass_obj
def list_(options: Options, json_file: Path | None) -> None:
    """List the tasks on the network.

    Example: fl-platform task list
    """
    from fl_platform.cli.show import console, table

    with reading(options) as workspace:
        found = workspace.contracts().histories()
    out = console(json_file)
    rows = [
        (str(h.task), phase(h), f"{h.head.round}/{h.opened.rounds}", str(len(h.members)), tokens(h.opened.pot),
         hexed(h.opened.owner))
        for h in found
    ]  # fmt: skip
    if rows:
        table(out, "", ("task", "state", "rounds", "trainers", "pot", "owner"), rows, right="task|rounds|trainers|pot")
    else:
        out.print(f"no tasks on {options.network}; open one with `fl-platform task open`")
    write_json(json_file, [summary(h) for h in found])


@task.command()
@task_argument
@json_option
@click.pass_obj
def show(options: Options, task: int, json_file: Path | None) -> None:
    """Show a task's frozen rules and where its rounds stand.

    Example: fl-platform task show 1
    """
    from fl_platform.cli.show import console, table

    out = console(json_file)
    with reading(options) as workspace:
        reader = workspace.reader(task)
        history, spec, now = reader.history(), reader.spec, workspace.chain.now()
        window, late = workspace.contracts().window(task), missed(workspace.contracts(), task)
    show_rules(out, task, spec)
    rounds: list[dict[str, Any]] = [
        {
            "round": record.number,
            "state": history.state(record.number, now).name.lower(),
            "receipts": record.roster.count if record.roster else None,
            "forced": len(record.forced),
            "sealed_at": record.seal.sealed_at if record.seal else None,
            "final_at": history.final_at(record.number),
            "bundle": hexed(record.seal.bundle) if record.seal else None,
        }
        for record in history.rounds
    ]
    out.print()
    shown = [
        (str(r["round"]), str(r["state"]), "-" if r["receipts"] is None else str(r["receipts"]),
         moment(r["sealed_at"]), moment(r["final_at"]))
        for r in rounds
    ]  # fmt: skip
    headings = ("round", "state", "receipts", "sealed (block time)", "final (block time)")
    table(out, phase(history), headings, shown, right="round|receipts")
    if window[1]:
        out.print(f"next step: from {moment(window[0])} to {moment(window[1])}; block time is {moment(now)}")
    if workspace.network.embedded:
        out.print("block time is the embedded chain's own, not the wall's: a block moves it by a second, "
                  "--fast-forward and the waits of an aggregator move it as far as they wait", style="dim")  # fmt: skip
    if late:
        out.print(late)
    whole = {**summary(history), **rules(spec), "now": now, "next_step": list(window), "rounds_so_far": rounds}
    write_json(json_file, whole)


@task.command()
@task_argument
@click.argument("round_number", metavar="ROUND", type=click.IntRange(0))
@wallet_option
@click.option("--data", default="digits", show_default=True, help="As at `task open`.")
@click.option("--model", default="", help="As at `task open`.")
@click.option("--data-seed", default=0, show_default=True, help="As at `task open`.")
@click.option("--mnist", type=_FOLDER, help="Folder of MNIST's idx files.")
@click.option(
    "--slices", type=click.Path(path_type=Path, file_okay=False), help="Folder to write to. Default: in the workdir."
)
@click.pass_obj
def reveal(
    options: Options, task: int, round_number: int, wallet: str | None, data: str, model: str, data_seed: int,
    mnist: Path | None, slices: Path | None,
) -> None:  # fmt: skip
    """As the owner of a leave-one-out task: open the validation rows of ROUND, once its roster is on chain.

    The file is for the aggregator (`aggregator run --slices`); without it in time the round is paid by stake.

    Example: fl-platform task reveal 1 0 --wallet owner
    """
    from fl_platform.cli.show import console
    from fl_platform.learning.task import rows_in_memory
    from fl_platform.round.data_choice import Lesson, reference_rows
    from fl_platform.round.validation_slices import own_book, write_slice

    with signing(options, wallet, sends=False) as own:
        reader = own.workspace.reader(task)
        rows = rows_in_memory(reference_rows(Lesson(data, model, seed=data_seed, folder=mnist)))
        folder = slices or own.workspace.root / "slices" / f"{own.workspace.network.name}-{task}"
        path = write_slice(reader, own_book(reader, own.signer, rows), round_number, folder)
    console().print(f"the rows of round {round_number} are open in {path}", markup=False)


@task.command()
@task_argument
@wallet_option
@forward_option
@json_option
@click.pass_obj
def close(options: Options, task: int, wallet: str | None, fast_forward: bool, json_file: Path | None) -> None:
    """Close the books of a task that has ended: unused pots go back to the owner. Anyone may.

    This waits until the last seal is final. Where the task ended without a seal of its last round (compensated), it
    waits for a takeover window from then, too: until its end the round's roster can be asked for, and fall.

    Example: fl-platform task close 1 --wallet owner --fast-forward
    """
    from fl_platform.cli.show import console
    from fl_platform.round.closing import close as close_books

    with signing(options, wallet) as own:
        reader = own.workspace.reader(task)
        moving = partial(forward, own.workspace.chain) if fast_forward else None
        closed = close_books(reader, own.contracts, now=own.workspace.chain.now(), forward=moving)
    out = console(json_file)
    out.print(
        f"task {task} is closed; {tokens(closed.released)} tokens released to its owner, "
        f"{tokens(closed.withdrawn)} paid out"
    )
    write_json(json_file, {"task": task, "released_wei": closed.released, "withdrawn_wei": closed.withdrawn})
