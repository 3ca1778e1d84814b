"""`fl-platform doctor`: what must be mended on this machine before it costs money.

Tests: tests/docs/test_examples.py
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from fl_platform.cli.common import Options, json_option, write_json
from fl_platform.errors import ConfigError

_PATIENCE_S = 10.0  # with a node: it is tried once, as to wait is not to look
_MARKS = {"ok": "[green]ok[/green]  ", "note": "[yellow]note[/yellow]", "mend": "[bold red]MEND[/bold red]"}


@click.command()
@click.option("--superlink", default="", metavar="HOST:PORT", help="Of a Flower SuperLink: look whether it answers.")
@json_option
@click.pass_obj
def doctor(options: Options, superlink: str, json_file: Path | None) -> None:
    """Look for what must be mended: packages, folder, wallets, network, contracts, clock, store, ports.

    Each line says what to do. Wallets are opened where a password is given (--password-file, FL_PLATFORM_PASSWORD);
    nobody is asked for one, and no secret is shown. Exits 5 when something must be mended, else 0.

    Example: fl-platform doctor
    """
    from rich.markup import escape

    from fl_platform.chain.wallets import password_from
    from fl_platform.cli.show import console
    from fl_platform.config import DEFAULT, resolve
    from fl_platform.round.doctor import Finding, Grade, Wanted, examine
    from fl_platform.store.opening import open_store
    from fl_platform.store.pinning import TOKEN_VARIABLE
    from fl_platform.task.workspace import Workspace, environment

    out, found = console(json_file), list[Finding]()

    def tell(finding: Finding) -> None:
        found.append(finding)
        out.print(f"{_MARKS[finding.verdict]}  {escape(finding.about)}: {escape(finding.text)}")

    try:
        password = password_from(environment(), options.password_file)
    except ConfigError as error:
        password = None
        tell(Finding("password", Grade.MEND, str(error)))
    store = None
    if options.store not in ("", "disk"):
        token = environment().get(TOKEN_VARIABLE)
        store = open_store(options.store, own=options.workdir / "store", pin_token=token)
    network = resolve(options.network, environment())
    once = replace(DEFAULT, attempts=1, timeout=_PATIENCE_S)
    with Workspace(options.workdir, network, store=store, password=password, journal=None, policy=once) as workspace:
        for finding in examine(Wanted(workspace, password, superlink)):
            tell(finding)
    bad = sum(finding.verdict is Grade.MEND for finding in found)
    out.print(f"\n{bad} to mend" if bad else "\nnothing to mend")
    write_json(json_file, [{**vars(finding), "verdict": str(finding.verdict)} for finding in found])
    raise click.exceptions.Exit(ConfigError.exit_code if bad else 0)
