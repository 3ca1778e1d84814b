"""`fl-platform audit`: recompute a task from chain and store alone.

Tests: tests/docs/test_examples.py
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fl_platform.cli.common import (
    Options,
    accept_option,
    hexed,
    json_option,
    password,
    reading,
    task_argument,
    write_json,
)

if TYPE_CHECKING:
    from rich.console import Console

    from fl_platform.audit.audit_report import AuditReport
    from fl_platform.audit.exporting import Exported
    from fl_platform.audit.verify import Line
    from fl_platform.task.decrypting import UpdateOpener
    from fl_platform.task.reading import TaskReader


@click.command()
@task_argument
@click.option(
    "--key", metavar="WALLET", help="Wallet of an auditor or aggregator of the task: its key opens the updates."
)
@click.option("--public", is_flag=True, help="Audit as a stranger, without a key. What you get when --key is left out.")
@click.option(
    "--verify", is_flag=True, help="Embedded chain: replay every signed transaction instead of trusting its snapshot."
)
@click.option(
    "--since", type=click.IntRange(0), default=0, metavar="ROUND",
    help="Begin with this round, and take its bundle's accounts before it as given (see `store gc`).",
)  # fmt: skip
@click.option(
    "--export", "folder", type=click.Path(path_type=Path, file_okay=False),
    help="Write rules, bundles, sums and models into this folder: what `verify --bundle` reads offline.",
)  # fmt: skip
@accept_option
@json_option
@click.pass_obj
def audit(
    options: Options, task: int, key: str | None, public: bool, verify: bool, since: int, folder: Path | None,
    json_file: Path | None,
) -> None:  # fmt: skip
    """Recompute a task from chain and store alone.

    Every receipt, verdict, inner product, weight, sum, model, score, reputation and payout; nothing is shared with the
    aggregator but what is public. Exits 0 when everything was recomputed and is equal, 3 when all that a stranger can
    check is equal or no round is sealed yet, 4 at the first difference, which is named.

    Example: fl-platform audit 1
    """
    from fl_platform.audit.auditor import Auditor
    from fl_platform.audit.exporting import export
    from fl_platform.audit.verify import gate_of, layer_lines
    from fl_platform.cli.show import bar, console

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

        report = Auditor(reader, opener=opener, watch=watch).audit(first=since)
        layers = layer_lines(reader, report, gate_of(workspace.contracts()), with_key=opener is not None)
        written = None if folder is None else export(reader, folder)
    _show(out, report, layers, _with_a_key(reader) if report.ok and report.unchecked else "")
    if folder is not None and written is not None:
        _show_files(out, folder, written)
    write_json(json_file, {**as_json(report), "layers": [vars(line) for line in layers]})
    raise click.exceptions.Exit(max(report.exit_code, *(4 for line in layers if line.result == "DIFFERENCE"), 0))


def _opener(options: Options, reader: TaskReader, key: str) -> UpdateOpener:
    from fl_platform.chain import wallets
    from fl_platform.task.keyholder import opener_of

    signer = wallets.unlock(options.workdir / "wallets" / f"{key}.json", password(options))
    return opener_of(reader, signer, else_="leave --key out to audit what a stranger can")


def _with_a_key(reader: TaskReader) -> str:
    """Say who can check the rest: an auditor that the rules name, or else the aggregators alone."""
    from fl_platform.protocol.keypackage import recipients

    if reader.spec.auditors:
        return "with --key of an auditor's wallet all is checked"
    holders = ", ".join(hexed(party.address) for party in recipients(reader.spec))
    return f"this task names no auditor: only its aggregators' wallets ({holders}) can check the rest, with --key"


def _show(out: Console, report: AuditReport, layers: Sequence[Line], rest: str) -> None:
    """Print the report; `rest`: who can check what is not checked."""
    from fl_platform.audit.audit_report import ACCOUNTS_BEFORE
    from fl_platform.audit.verify import LEGEND, unchecked_lines
    from fl_platform.cli.show import table

    rows = [(str(r.round), str(r.updates), str(r.admitted), str(r.checks)) for r in report.rounds]
    headings = ("round", "updates, the owner's reference too", "in the sum", "values compared")
    table(out, f"audit of task {report.task}", headings, rows, right="|".join(headings))
    out.print(f"{report.claims} paid claims held against their leaves")
    out.print(LEGEND, style="dim", markup=False)
    for line in (*layers, *unchecked_lines(report.unchecked)):
        out.print(str(line), markup=False)
    if report.first_difference is not None:
        out.print(f"DIFFERENCE  {report.first_difference}", style="bold red", markup=False)
    elif not report.rounds:
        out.print(f"nothing to audit yet: no round of task {report.task} is sealed", style="yellow")
    elif report.unchecked == (ACCOUNTS_BEFORE,):
        out.print("every value of these rounds was recomputed and is equal", style="green")
    elif report.unchecked:
        out.print(f"everything that a stranger can check is equal; {rest}")
    else:
        out.print("every value was recomputed and is equal", style="green")


def _show_files(out: Console, folder: Path, written: Sequence[Exported]) -> None:
    """List what was written, and leave the list beside it: a folder without it was not finished."""
    from fl_platform.cli.show import table

    rows = [(item.name, hexed(item.digest), item.why or (item.sha256 or b"").hex()) for item in written]
    table(out, f"written to {folder}", ("file", "digest that chain or bundle names", "sha256 of the file"), rows)
    write_json(folder / "digests.json", {
        item.name: {
            "digest": hexed(item.digest), "sha256": None if item.sha256 is None else item.sha256.hex(), "why": item.why
        }
        for item in written
    })  # fmt: skip


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
