"""`fl-platform`: global options, the list of commands, and how errors reach a person."""

from __future__ import annotations

import importlib
import logging
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from fl_platform.errors import FLError

COMMANDS = {
    "demo": "fl_platform.cli.demo.command:demo",
    "audit": "fl_platform.cli.audit:audit",
}


@dataclass(frozen=True)
class Options:
    """What every command is given."""

    workdir: Path
    network: str
    store: str  # "" is the workdir's own folder
    password_file: Path | None


class LazyGroup(click.Group):
    """Imports a command's module when it is run: `--help` needs neither torch nor web3."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group(cls=LazyGroup)
@click.option("--workdir", type=click.Path(path_type=Path, file_okay=False), default=Path("fl-workspace"))
@click.option("--network", default="embedded", show_default=True)
@click.option("--store", default="", help="Default: the workdir's own folder.")
@click.option("--password-file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("-v", "--verbose", count=True)
@click.pass_context
def cli(ctx: click.Context, workdir: Path, network: str, store: str, password_file: Path | None, verbose: int) -> None:
    """Federated learning among parties who do not trust each other."""
    logging.basicConfig(level=logging.WARNING - 10 * min(verbose, 2))
    ctx.obj = Options(workdir, network, store, password_file)


def main() -> None:
    """Run the command line; print our own errors in one line and leave with their exit code."""
    try:
        cli(standalone_mode=True)
    except FLError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
