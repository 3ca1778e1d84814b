"""`fl-platform audit`: recompute a task from chain and store alone."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from fl_platform.chain import wallets
from fl_platform.cli.main import Options
from fl_platform.config import resolve
from fl_platform.roles.auditor import Auditor, AuditReport
from fl_platform.roles.opening import UpdateOpener
from fl_platform.roles.workspace import Workspace, environment, reveal_key
from fl_platform.store.opening import open_store


@click.command()
@click.argument("task", type=click.IntRange(1))
@click.option("--key", help="Wallet (an auditor's or aggregator's) whose reveal key opens the updates.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_obj
def audit(options: Options, task: int, key: str | None, json_file: Path | None) -> None:
    """Recompute every receipt, verdict, Gram entry, weight, sum, model, score and payout of TASK."""
    environ = environment()
    password = wallets.password_from(environ, options.password_file) if key else None
    store = open_store(options.store or f"disk:{options.workdir / 'store'}")
    network = resolve(options.network, environ)
    with Workspace(options.workdir, network, store=store, password=password) as workspace:
        reader = workspace.reader(task)
        opener = None
        if key is not None:
            signer = workspace.signer(key)
            opener = UpdateOpener(store, domain=reader.domain, recipient=signer.address, key=reveal_key(signer))
        report = Auditor(reader, opener=opener).audit()
    if json_file is not None:
        json_file.write_text(json.dumps(as_json(report), indent=1, sort_keys=True) + "\n")
    Console().print(str(report.first_difference or "every checked value is equal"))
    raise click.exceptions.Exit(report.exit_code)


def as_json(report: AuditReport) -> dict[str, object]:
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
