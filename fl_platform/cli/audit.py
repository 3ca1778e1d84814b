"""`fl-platform audit`: recompute a task from chain and store alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fl_platform.cli.common import Options, json_option, password, reading, task_argument, write_json

if TYPE_CHECKING:
    from rich.console import Console

    from fl_platform.roles.auditor import AuditReport
    from fl_platform.roles.opening import UpdateOpener
    from fl_platform.roles.reading import TaskReader


@click.command()
@task_argument
@click.option(
    "--key", metavar="WALLET", help="Wallet of an auditor or aggregator of the task: its key opens the updates."
)
@click.option("--public", is_flag=True, help="Audit as a stranger, without a key. What you get when --key is left out.")
@click.option(
    "--verify", is_flag=True, help="Embedded chain: replay every signed transaction instead of trusting its snapshot."
)
@json_option
@click.pass_obj
def audit(options: Options, task: int, key: str | None, public: bool, verify: bool, json_file: Path | None) -> None:
    """Recompute a task from chain and store alone.

    Every receipt, verdict, Gram entry, weight, sum, model, score, reputation and payout; nothing is shared with the
    aggregator but what is public. Exits 0 when everything was recomputed and is equal, 3 when all that a stranger can
    check is equal, 4 at the first difference, which is named.
    """
    from fl_platform.cli.show import bar, console
    from fl_platform.roles.auditor import Auditor

    if key is not None and public:
        raise click.UsageError("--key and --public exclude each other")
    out = console(json_file)
    with reading(options, verify=verify) as workspace, bar("auditing", None) as progress:
        reader = workspace.reader(task)
        reader.history()  # an unknown task is the caller's mistake, not a difference
        opener = None if key is None else _opener(options, reader, key)

        def watch(done: int, rounds: int) -> None:
            progress.of(rounds)
            progress.at(done)

        report = Auditor(reader, opener=opener, watch=watch).audit()
    _show(out, report)
    write_json(json_file, as_json(report))
    raise click.exceptions.Exit(report.exit_code)


def _opener(options: Options, reader: TaskReader, key: str) -> UpdateOpener:
    from fl_platform.chain import wallets
    from fl_platform.roles.keyholder import opener_of

    signer = wallets.unlock(options.workdir / "wallets" / f"{key}.json", password(options))
    return opener_of(reader, signer)


def _show(out: Console, report: AuditReport) -> None:
    from fl_platform.cli.show import table

    rows = [(str(r.round), str(r.updates), str(r.admitted), str(r.checks)) for r in report.rounds]
    headings = ("round", "updates", "in the sum", "values compared")
    table(out, f"audit of task {report.task}", headings, rows, right="|".join(headings))
    out.print(f"{report.claims} paid claims held against their leaves")
    for item in report.unchecked:
        out.print(f"not checked: {item}", markup=False)
    if report.first_difference is not None:
        out.print(f"DIFFERENCE  {report.first_difference}", style="bold red", markup=False)
    elif report.unchecked:
        out.print("everything that a stranger can check is equal; with --key of an auditor's wallet all is checked")
    else:
        out.print("every value was recomputed and is equal", style="green")


def as_json(report: AuditReport) -> dict[str, Any]:
    """Return the report for `--json`."""
    difference = report.first_difference
    return {
        "task": report.task,
        "ok": report.ok,
        "exit_code": report.exit_code,
        "rounds": [vars(item) for item in report.rounds],
        "claims": report.claims,
        "first_difference": None if difference is None else {**vars(difference), "text": str(difference)},
        "unchecked": list(report.unchecked),
    }
