"""What commands share: the global options, how a folder is opened, and the words that become values.

Imports nothing heavy: `fl-platform --help` and every group's `--help` must start without torch, web3 or Flower.

Tests: tests/unit/cli/test_cli_values.py
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fl_platform.learning.public import PUBLIC
from fl_platform.sinks.opening import FORMS as LOGS
from fl_platform.task.tokens import TOKEN, tokens

if TYPE_CHECKING:
    from rich.console import Console

    from fl_platform.chain.signer import Signer
    from fl_platform.ledger.contracts import Contracts
    from fl_platform.task.workspace import Workspace
    from zk.settlement.proof_file import ProofFile

logger = logging.getLogger(__name__)

DEFAULT_WALLET = "me"  # of who needs one and has named none

DATA = f"{', '.join(PUBLIC)}, or module:NAME of your own LearningTask."

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Options:
    """What every command is given."""

    workdir: Path
    network: str
    store: str  # "" is the workdir's own folder; several with commas between
    password_file: Path | None
    verbose: int = 0
    copies: int = 1  # of what is put, in stores of others
    accepted: frozenset[bytes] = frozenset()  # roots of tasks' own round programs


@dataclass(frozen=True)
class Session:
    """A folder opened with one wallet unlocked."""

    workspace: Workspace
    name: str  # of the wallet
    signer: Signer

    @property
    def contracts(self) -> Contracts:
        """The platform's contracts for this wallet."""
        return self.workspace.contracts(self.signer)


# --- opening ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def reading(options: Options, *, verify: bool = False) -> Iterator[Workspace]:
    """Open the folder to read: no wallet, no journal."""
    with _workspace(options, password=None, journal=None, verify=verify) as workspace:
        yield workspace


@contextlib.contextmanager
def signing(options: Options, wallet: str | None, *, sends: bool = True) -> Iterator[Session]:
    """Open the folder with one wallet unlocked; if it `sends` transactions, it shares its journal."""
    name = pick_wallet(options, wallet)
    journal = name if sends else None
    written: Counter[str] = Counter()
    with _workspace(
        options, password=password(options), journal=journal, verify=False, wallet=name, written=written
    ) as workspace:
        try:
            yield Session(workspace, name, workspace.signer(name))
        finally:
            if written:
                where = ", ".join(f"{count} at {store}" for store, count in written.items())
                click.echo(f"objects stored: {where}", err=True)


def _workspace(
    options: Options, *, password: str | None, journal: str | None, verify: bool, wallet: str | None = None,
    written: Counter[str] | None = None,
) -> Workspace:  # fmt: skip
    from fl_platform.config import resolve
    from fl_platform.task.workspace import Workspace, environment

    network = resolve(options.network, environment())
    store = None
    if options.store not in ("", "disk"):
        from fl_platform.store.opening import open_store
        from fl_platform.store.pinning import TOKEN_VARIABLE

        store = open_store(
            options.store, signing=None if wallet is None else lambda: workspace.signer(wallet), copies=options.copies,
            own=options.workdir / "store", written=written, pin_token=environment().get(TOKEN_VARIABLE),
        )  # fmt: skip
    workspace = Workspace(
        options.workdir, network, store=store, password=password, journal=journal, verify=verify,
        accepted=options.accepted,
    )  # fmt: skip
    return workspace


def pick_wallet(options: Options, name: str | None) -> str:
    """Return the wallet to use: the one named, else the only one there is. Raises WalletError."""
    from fl_platform.chain import wallets
    from fl_platform.errors import WalletError

    if name is not None:
        if not wallets.NAME.fullmatch(name):
            raise WalletError(f"{name!r} is no wallet's name; `fl-platform wallet list` shows those there are")
        return name
    found = [info.name for info in wallets.listed(options.workdir / "wallets")]
    if len(found) == 1:
        return found[0]
    if not found:
        raise WalletError(f"there is no wallet in {options.workdir}; make one with `fl-platform wallet new NAME`")
    raise WalletError(f"{options.workdir} has several wallets; say which one with --wallet: {', '.join(found)}")


def password(options: Options, *, new: bool = False) -> str:
    """Return the wallets' password from file, environment or prompt. Raises WalletError where nobody can be asked."""
    from fl_platform.chain import wallets
    from fl_platform.errors import WalletError
    from fl_platform.task.workspace import environment

    found = wallets.password_from(environment(), options.password_file)
    if found is None:
        if not sys.stdin.isatty():
            raise WalletError(
                f"no password: give --password-file, set {wallets.PASSWORD_VARIABLE}, or run this in a terminal"
            )
        found = str(click.prompt("Password of the wallets", hide_input=True, confirmation_prompt=new, err=True))
    return found


def make_wallet(options: Options, name: str, out: Console) -> None:
    """Make the wallet unless it is there. Raises WalletError."""
    from fl_platform.chain import wallets

    folder = options.workdir / "wallets"
    if not wallets.NAME.fullmatch(name) or not (folder / f"{name}.json").exists():
        wallets.create(folder, name, password(options, new=True))  # refuses a bad name
        out.print(f"wallet {name} is made: keep {folder} and its password", markup=False)


def ask(what: str) -> str:
    """Return a secret that a person types. Raises WalletError where nobody can be asked."""
    from fl_platform.errors import WalletError

    if not sys.stdin.isatty():
        raise WalletError(f"{what} is asked for in a terminal only; run this in one, or give it in a file (see --help)")
    return str(click.prompt(what, hide_input=True, err=True))


def address_of(options: Options, text: str) -> bytes:
    """Return the address that a person wrote: 0x and 40 digits, or the name of a wallet here.

    Raises WalletError (neither), ConfigError (its checksum does not hold).
    """
    from fl_platform.chain import wallets
    from fl_platform.chain.addresses import parse_address
    from fl_platform.errors import WalletError

    written = parse_address(text)
    if written is not None:
        return written
    for info in wallets.listed(options.workdir / "wallets"):
        if info.name == text:
            return info.address
    raise WalletError(
        f"{text!r} is neither an address (0x and 40 hexadecimal digits) nor a wallet in {options.workdir}"
    )


def wait_to_stop(finished: Callable[[], bool], *, every_s: float = 2.0, patient: bool = False) -> None:
    """Return when `finished()` says so; asked every few seconds. Ctrl-C and SIGTERM end the wait, too.

    `patient`: what is out of reach for a while is asked again, for whoever must not miss a deadline on chain.
    """
    from fl_platform.errors import RetryError

    pause = threading.Event()
    while True:
        try:
            if finished():
                return
        except RetryError as error:
            if not patient:
                raise
            logger.warning("%s", error)
        pause.wait(every_s)


def read_proof(path: Path) -> ProofFile:
    """Return a proof file (untrusted). Raises DocumentInvalid."""
    from zk.bounded_json import MAX_BYTES
    from zk.settlement.proof_file import ProofFile

    with path.open("rb") as stream:
        return ProofFile.from_bytes(stream.read(MAX_BYTES + 1))


# --- words to values --------------------------------------------------------------------------------------------------


def wei_of(value: Any) -> int:
    """Return wei from tokens with at most 18 decimals ("12.5") or exact wei ("12500wei"). Raises BadParameter."""
    if isinstance(value, int):
        return value
    text = str(value).strip()
    try:
        wei = Decimal(text[:-3]) if text.endswith("wei") else Decimal(text) * TOKEN
    except InvalidOperation as error:
        raise click.BadParameter(f"{text!r} is no amount; write tokens, as in 12.5, or wei, as in 12500wei") from error
    if not wei.is_finite() or not 0 <= wei < 2**80 or wei != int(wei):
        raise click.BadParameter(f"{text!r}: at most 18 decimals, from 0 to {(2**80 - 1) // TOKEN:,} tokens")
    return int(wei)


def part_of(value: Any) -> tuple[int, int]:
    """Return (index from 0, parts) from "3/8", the third hand of eight. Raises BadParameter."""
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", str(value))
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise click.BadParameter(f"{value!r} is no part; write 3/8 for the third of eight")
    return int(found[1]) - 1, int(found[2])


_STDOUT = "fl_platform.stdout"  # of a command's `meta`: where its report goes
_JSON = click.Path(path_type=Path, dir_okay=False, allow_dash=True)


def _keep_stdout(ctx: click.Context, _parameter: click.Parameter, file: Path | None) -> Path | None:
    """Where the report goes to standard output, let nothing else: what a data owner's own code prints, say."""
    if file is not None and str(file) == "-":
        ctx.meta[_STDOUT] = sys.stdout
        ctx.with_resource(contextlib.redirect_stdout(sys.stderr))
    return file


def _accept(ctx: click.Context, _: click.Parameter, roots: tuple[str, ...]) -> None:
    found = set()
    for root in roots:
        if not re.fullmatch(r"0x[0-9a-fA-F]{64}", root):
            raise click.BadParameter(f"{root!r} is no program's root: 0x and 64 hexadecimal digits")
        found.add(bytes.fromhex(root[2:]))
    if found:
        ctx.obj = replace(ctx.obj, accepted=frozenset(found))


json_option = click.option(
    "--json", "json_file", type=_JSON, metavar="FILE", help="Write the report here, too; - is stdout.",
    callback=_keep_stdout,
)  # fmt: skip
wallet_option = click.option(
    "--wallet", metavar="NAME", help="Which wallet signs; needed where the folder has several."
)
log_option = click.option(
    "--log", "logs", multiple=True, metavar="WORDS", help=f"Write each round's values (docs/METRICS.md) to {LOGS}, too."
)
accept_option = click.option(
    "--accept-program", "_accepted", multiple=True, metavar="ROOT", expose_value=False, callback=_accept,
    help="A task's own round program that you go by; `task show` says what it reads and pays.",
)  # fmt: skip
task_argument = click.argument("task", type=click.IntRange(1))
trainers_option = click.option(
    "--trainers", type=click.IntRange(0, 100_000), default=0, metavar="N",
    help="Let the first round wait until so many have joined. Default: as many as the rule needs.",
)  # fmt: skip
forward_option = click.option(
    "--fast-forward", is_flag=True, help="Local chains: move the clock (of all tasks) on instead of waiting."
)


# --- reporting --------------------------------------------------------------------------------------------------------


def write_json(file: Path | None, value: object) -> None:
    """Write a report as JSON to a file (whole or not at all) or to standard output; None: nowhere."""
    if file is None:
        return
    text = json.dumps(_finite(value), indent=1, sort_keys=True, allow_nan=False) + "\n"
    if str(file) == "-":
        ctx = click.get_current_context(silent=True)
        click.echo(text, nl=False, file=ctx.meta.get(_STDOUT) if ctx else None)
        return
    if file.exists() and not file.is_file():  # a device or a pipe is written to, never replaced
        with file.open("w") as stream:
            stream.write(text)
        return
    write_file(file, text.encode())


def _finite(value: Any) -> Any:
    """Return a report with null for each number that JSON has no word for: a diverged loss, a metric of nothing."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_file(path: Path, data: bytes) -> None:
    """Write a file for others to read, whole or not at all. Raises StoreFull, OSError."""
    from fl_platform.task.atomic_files import write_atomically

    write_atomically(path, data)
    path.chmod(0o666 & ~_umask())


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def printable(text: str) -> str:
    """Return text, which may hold a peer's, for a terminal: what would move its cursor or colour it becomes ?."""
    return text if text.isprintable() else "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)


class PlainLog(logging.Formatter):
    """Log lines without control characters."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return printable(super().format(record))


def hexed(data: bytes) -> str:
    """Show bytes as 0x..."""
    return "0x" + data.hex()


def moment(seconds: int | None) -> str:
    """Show a block time in UTC, where the text around it says that it is one."""
    return "-" if not seconds else time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def block_moment(seconds: int) -> str:
    """Show a block time and say that it is one: a local chain's clock is not that of the wall."""
    return f"{moment(seconds)} (block time)"


def missed(contracts: Contracts, task: int) -> str:
    """Say the way on after a deadline of a task's round that was not kept; empty while there is none."""
    chain, until = contracts.chain, contracts.window(task)[1]
    now = chain.now() if chain.network.embedded else max(chain.now(), int(time.time()))  # blocks may be far apart
    if not 0 < until <= now:
        return ""
    return (
        f"the round's next step was due until {block_moment(until)}, and nobody did it: anyone may run `fl-platform "
        f"aggregator advance {task}`; `fl-platform status` says more"
    )


__all__ = [
    "DEFAULT_WALLET", "TOKEN", "Options", "PlainLog", "Session", "address_of", "ask", "block_moment", "forward_option",
    "hexed", "json_option", "log_option", "make_wallet", "missed", "moment", "part_of", "password", "pick_wallet",
    "printable", "read_proof", "reading", "signing", "task_argument", "tokens", "trainers_option", "wait_to_stop",
    "wallet_option", "wei_of", "write_file", "write_json",
]  # fmt: skip
