"""`fl-platform`: global options, the list of commands, and how errors reach a person and the calling program.

Tests: tests/unit/cli/test_cli_main.py
"""

from __future__ import annotations

import errno
import importlib
import logging
import os
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from fl_platform.cli.common import Options, PlainLog, printable
from fl_platform.cli.defaults import FILE, defaults_of, global_defaults, read_defaults
from fl_platform.errors import FLError, TransactionReverted
from fl_platform.task.remembered import settings


@dataclass(frozen=True)
class Lazy:
    """A command by where it is written; its module is imported when it is run."""

    where: str  # module:attribute
    about: str  # first line of its help, repeated here so that the list needs no import


# By who runs them; `--help` shows a section each.
COMMANDS_OF: Mapping[str, Mapping[str, Lazy]] = {
    "Anybody, to begin with": {
        "demo": Lazy("fl_platform.cli.demo.command:demo", "Run a whole paid, audited training on this machine."),
        "new": Lazy("fl_platform.cli.new:new", "Start a project of your own."),
        "rehearse": Lazy("fl_platform.cli.rehearse:rehearse", "Play a task with your own data in this process."),
        "run": Lazy(
            "fl_platform.cli.run:run", "Play your own task for money of no worth: escrow, rounds, payouts, audit."
        ),
    },
    "Owner of a task": {
        "deploy": Lazy(
            "fl_platform.cli.deploy:deploy", "Put the contracts on a chain, or take over a deployment file."
        ),
        "task": Lazy("fl_platform.cli.task:task", "Open, list, show and close paid tasks."),
    },
    "Trainer, who has rows": {
        "follow": Lazy("fl_platform.cli.follow:follow", "Take over an invitation, to look at its task."),
        "join": Lazy("fl_platform.cli.join:join", "Take part in a task, from one invitation."),
        "trainer": Lazy("fl_platform.cli.trainer:trainer", "Join a task with a stake, train, and leave."),
        "policy": Lazy("fl_platform.cli.policy:policy", "Show what your site's policy allows, and try a task on it."),
    },
    "Aggregator": {
        "aggregator": Lazy("fl_platform.cli.aggregator:aggregator", "Collect, judge and seal rounds for a fee."),
    },
    "Auditor, watcher, witness, or any stranger": {
        "audit": Lazy("fl_platform.cli.audit:audit", "Recompute a task from chain and store alone."),
        "verify": Lazy("fl_platform.cli.verify:verify", "Verify a task, a round, a proof or a bundle without any key."),
        "trace": Lazy("fl_platform.cli.trace:trace", "Follow a number of a round back to receipts, stakes, rules."),
        "prove": Lazy("fl_platform.cli.prove:prove", "Make a sealed round's settlement proof, and hand it in."),
        "watch": Lazy("fl_platform.cli.watch:watch", "Watch a task: audit each seal, have lies undone on chain."),
        "witness": Lazy(
            "fl_platform.cli.witness:witness", "Say whether an update is to be had, for a task naming you."
        ),
    },
    "Everybody": {
        "wallet": Lazy("fl_platform.cli.wallet:wallet", "Make, import, list, show and fund wallets."),
        "status": Lazy("fl_platform.cli.status:status", "Show what your wallets must or may do now, by when, and how."),
        "up": Lazy("fl_platform.cli.up:up", "Start and watch over all that a role needs, and stop it together."),
        "rewards": Lazy("fl_platform.cli.rewards:rewards", "Show, claim and withdraw what was earned."),
        "why": Lazy("fl_platform.cli.why:why", "Explain in words what became of somebody's work and money."),
        "reputation": Lazy("fl_platform.cli.reputation:reputation", "Show and record trainers' reputations."),
        "store": Lazy("fl_platform.cli.store:store", "Serve a store to the parties of a task, and clean one up."),
        "doctor": Lazy("fl_platform.cli.doctor:doctor", "Look for what must be mended before it costs money."),
    },
}
COMMANDS = {name: lazy for commands in COMMANDS_OF.values() for name, lazy in commands.items()}

# Documented in --help and docs/CLI.md; a test holds every error class against it.
EXIT_CODES = {
    0: "done; an audit found everything equal",
    1: "a bug in this program: please report it (-v shows where)",
    2: "usage: the command line is wrong",
    3: "what was looked at is equal, but not all could be checked, or there is nothing to look at yet",
    4: "integrity: an audit found a difference, or something is missing, damaged or full",
    5: "configuration: a wrong option, file, wallet, password, task or network, or the site's policy forbids it",
    6: "transport: a chain, store or process does not answer; run again",
    7: "a peer's input was refused",
    8: "the chain refused the call",
    130: "interrupted (Ctrl-C or SIGTERM); run again, nothing is done twice",
}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {meaning}" for code, meaning in EXIT_CODES.items())


class LazyGroup(click.Group):
    """Imports a command's module when it is run: `--help` needs neither torch nor web3."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].where.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))  # one for all sections, so that they line up
        for who, commands in COMMANDS_OF.items():
            with formatter.section(who):
                formatter.write_dl([(f"{name:<{width}}", lazy.about) for name, lazy in commands.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"No such command {args[0]!r}; the commands are {', '.join(COMMANDS)}.")
        return super().resolve_command(ctx, args)


_OWN_CHAIN = ("demo", "new", "rehearse", "run")  # they take no network from what the folder remembers
_TREE = ""  # where the whole file hangs in the context, until it is known which command runs


def _read_config(ctx: click.Context, _parameter: click.Parameter, path: Path | None) -> None:
    """Take the global options' defaults out of the file, and keep the rest for the command."""
    if path is None and not Path(FILE).is_file():
        return
    tree = read_defaults(path or Path(FILE))
    ctx.default_map = {**global_defaults(tree, cli), _TREE: tree}


class _Words(click.types.StringParamType):
    """Text; a variable of the environment holds several with commas between (click would cut at spaces)."""

    envvar_list_splitter = ","


@click.group(cls=LazyGroup, epilog=_EPILOG, context_settings={"max_content_width": 110})
@click.option(
    "--workdir", type=click.Path(path_type=Path, file_okay=False), default=Path("fl-workspace"), show_default=True,
    envvar="FL_PLATFORM_WORKDIR", help="Folder of wallets, store, chain and journals.",
)  # fmt: skip
@click.option(
    "--network", default="embedded", show_default=True, envvar="FL_PLATFORM_NETWORK", metavar="NAME|URL",
    help="embedded, anvil, ganache, sepolia, or the URL of an RPC end point.",
)  # fmt: skip
@click.option(
    "--store", "stores", default=("disk",), show_default=True, envvar="FL_PLATFORM_STORE", metavar="WHERE",
    multiple=True, type=_Words(),
    help="disk (in the workdir), disk:FOLDER, http://HOST:PORT (a `store serve`), ipfs, kubo:URL, gateway:URL "
    "or s3://BUCKET; beside ipfs also pin:URL (docs/STORES.md). "
    "Again, or with commas, for several.",
)  # fmt: skip
@click.option(
    "--copies", type=click.IntRange(1, 100), default=1, show_default=True, envvar="FL_PLATFORM_COPIES", metavar="K",
    help="Of several stores, how many get each object; folders of this machine get all, and do not count.",
)  # fmt: skip
@click.option(
    "--password-file", type=click.Path(path_type=Path, dir_okay=False), envvar="FL_PLATFORM_PASSWORD_FILE",
    help="File whose first line is the wallets' password; else FL_PLATFORM_PASSWORD, else a prompt.",
)  # fmt: skip
@click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), is_eager=True, callback=_read_config,
    expose_value=False, help=f"File with options by command. Default: {FILE}, where the folder has one.",
)  # fmt: skip
@click.option("-v", "--verbose", count=True, help="Log what is done; twice for details. Errors show where they arose.")
@click.version_option(package_name="fl-platform", prog_name="fl-platform")
@click.pass_context
def cli(
    ctx: click.Context, workdir: Path, network: str, stores: tuple[str, ...], copies: int, password_file: Path | None,
    verbose: int,
) -> None:  # fmt: skip
    """Federated learning among parties who do not trust each other: paid, audited, recomputable."""
    _log(verbose)
    if ctx.default_map and ctx.invoked_subcommand:
        ctx.default_map = defaults_of(ctx.default_map[_TREE], cli, ctx, ctx.invoked_subcommand)
    source = ctx.get_parameter_source
    if ctx.invoked_subcommand not in _OWN_CHAIN and not ctx.resilient_parsing:
        kept = settings(workdir)
        network = kept.get("network", network) if source("network") is ParameterSource.DEFAULT else network
        stores = (kept.get("store", *stores),) if source("stores") is ParameterSource.DEFAULT else stores
    store = ",".join(stores)
    ctx.obj = Options(workdir, network, "" if store == "disk" else store, password_file, verbose, copies)


def main() -> None:
    """Run the command line of this process and leave with its exit code."""
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors are printed in one line on standard error."""
    try:
        result: Any = cli.main(list(arguments), prog_name="fl-platform", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        if isinstance(error, click.BadParameter) and _in_the_file(error):
            click.echo(f"The value stands in the file of options ({FILE}, or what --config names).", err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; run the same command again, nothing is done twice", err=True)
        return 130
    except BrokenPipeError:  # the reader of our output has gone; nothing to tell it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        from fl_platform.chain.addresses import checksummed

        text, code = explain(error)
        if logging.getLogger("fl_platform").isEnabledFor(logging.INFO):
            traceback.print_exc()
        click.echo(f"error: {checksummed(printable(text))}", err=True)
        return code


def explain(error: Exception) -> tuple[str, int]:
    """Return what to tell a person about an error, and the exit code."""
    if isinstance(error, TransactionReverted):
        from fl_platform.task.refusals import way_on

        return "; ".join(filter(None, (str(error), way_on(error)))), error.exit_code
    if isinstance(error, FLError):
        return str(error), error.exit_code
    if isinstance(error, OSError) and error.errno in _FULL:
        return f"no room left for {error.filename or 'a file'}; nothing was lost: free space and run again", 4
    if isinstance(error, OSError) and error.filename is not None:
        return f"cannot use {error.filename}: {error.strerror}; mend the path or its permissions", 5
    return f"this is a bug: {type(error).__name__}: {error}; run again with -v and report what it prints", 1


def _in_the_file(error: click.BadParameter) -> bool:
    ctx, name = error.ctx, error.param.name if error.param else None
    return ctx is not None and name is not None and ctx.get_parameter_source(name) is ParameterSource.DEFAULT_MAP


def _terminated(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _log(verbose: int) -> None:
    """Log to standard error: our own lines from INFO with -v, from DEBUG with -vv; others' from WARNING."""
    to_stderr = logging.StreamHandler()
    to_stderr.setFormatter(PlainLog("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[to_stderr])
    logging.getLogger("fl_platform").setLevel(max(logging.DEBUG, logging.WARNING - 10 * verbose))


__all__ = ["COMMANDS", "COMMANDS_OF", "EXIT_CODES", "Options", "cli", "explain", "main", "run"]
