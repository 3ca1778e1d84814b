"""`fl-platform up`: all that a role needs, started, watched over and stopped together."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fl_platform.cli.common import Options, signing, task_argument, wallet_option

if TYPE_CHECKING:
    from rich.console import Console

    from fl_platform.chain.binding import Binding
    from fl_platform.flower.deployment import SuperLink
    from fl_platform.roles.invitation import Invitation
    from fl_platform.roles.reading import TaskReader

logger = logging.getLogger(__name__)

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_LOOK_S = 3.0  # between looks for new members and for the desk


@click.group()
def up() -> None:
    """Start and watch over all that a role needs, and stop it together."""


@up.command()
@task_argument
@wallet_option
@click.option("--invitation", type=_FILE, required=True, help="The owner's, from `task invite`.")
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), required=True,
              help="The invitation with the way for orders, for the data owners.")  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65_535), default=0, show_default=True, help="0: a free one.")
@click.pass_obj
def aggregator(
    options: Options, task: int, wallet: str | None, invitation: Path, out: Path, port: int
) -> None:
    """Run an aggregator with its own Flower SuperLink, on this machine, until the task is over.

    Starts the SuperLink (TLS, registered node keys), admits each member's node as it joins, and works through the
    rounds. Everything listens on loopback: parties on other machines need a tunnel, or a SuperLink of your own with
    `aggregator run --flower`.
    """
    from fl_platform.chain import wallets
    from fl_platform.cli.show import console
    from fl_platform.errors import ConfigError
    from fl_platform.flower.deployment import superlink
    from fl_platform.flower.keys import create_loopback_certificates
    from fl_platform.flower.processes import beside
    from fl_platform.roles.invitation import read_invitation
    from fl_platform.roles.membership import bond
    from fl_platform.roles.workspace import environment

    said, invited = console(), read_invitation(invitation)
    if options.password_file is None and wallets.PASSWORD_VARIABLE not in environment():
        raise ConfigError(f"`up` starts processes that sign: give --password-file or set {wallets.PASSWORD_VARIABLE}")
    if invited.task != task:
        raise ConfigError(f"{invitation} invites to task {invited.task}, not to {task}")
    with signing(options, wallet) as own:
        name, folder = own.name, (own.workspace.role_folder(own.name) / "up").absolute()
        if bond(own.workspace.reader(task), own.contracts):
            said.print("the bond is locked")
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        certificates = create_loopback_certificates(folder)
        link = stack.enter_context(superlink(folder, certificates, port=port))
        made = invited.with_superlink(f"127.0.0.1:{link.port}", certificates.authority.read_text(encoding="utf-8"))
        out.write_text(made.to_text(), encoding="utf-8")
        said.print(f"{out} is the invitation for data owners; logs are in {folder}", markup=False)
        stack.enter_context(beside("up:admitting", partial(_admit_all, options, task, link, invited, folder, said)))
        code = stack.enter_context(_working(options, name, task, link, invited, folder)).wait()
    if code:
        raise ConfigError(f"the aggregator ended with {code}: {folder / 'aggregator.log'} says why")
    said.print(f"task {task} is over")


@contextlib.contextmanager
def _working(
    options: Options, name: str, task: int, link: SuperLink, invited: Invitation, folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `aggregator run` on a desk of its own, and the courier that carries its orders."""
    from fl_platform.flower.deployment import courier_run
    from fl_platform.flower.processes import flower_environment, running
    from fl_platform.flower.server_app import DESK_KEY

    log = folder / "aggregator.log"
    words = [sys.executable, "-m", "fl_platform", *_globals(options), "aggregator", "run", str(task), "--wallet", name]
    words += ["--reference-binding", invited.reference] if invited.reference else []
    with tempfile.TemporaryDirectory(prefix="fl-up-") as short:  # of one's own; a socket's path is 107 bytes at most
        desk = Path(short) / "desk.sock"
        with running([*words, "--flower", str(desk)], log=log, environment=flower_environment(link.home)) as process:
            _await(desk, process, log)
            with courier_run(link, folder, {DESK_KEY: str(desk)}):
                yield process


def _admit_all(
    options: Options, task: int, link: SuperLink, invited: Invitation, folder: Path, said: Console,
    over: threading.Event,
) -> None:  # fmt: skip
    """Register the node key of each member, as its binding on chain says, until it is over."""
    from fl_platform.cli.common import reading
    from fl_platform.errors import FLError

    admitted: set[bytes] = set()
    while not over.wait(_LOOK_S):
        try:
            with reading(options) as workspace:
                found = _bindings(workspace.reader(task), invited)
        except FLError as error:  # a chain or store that is away for a while; the round goes on without the newcomer
            logger.warning("members could not be read: %s", error)
            continue
        for trainer, binding in found:
            if binding.node_name not in admitted and _admit(link, binding, folder):
                admitted.add(binding.node_name)
                said.print(f"the node of 0x{trainer.hex()} is admitted", markup=False)


def _admit(link: SuperLink, binding: Binding, folder: Path) -> bool:
    """Register one node; a key that the SuperLink refuses keeps nobody else out. False: to be tried again."""
    from fl_platform.errors import FLError
    from fl_platform.flower.deployment import register

    try:
        register(link, _openssh(binding, folder))
    except FLError as error:
        logger.warning("the node of 0x%s could not be admitted: %s", binding.wallet.hex(), error)
        return False
    return True


def _bindings(reader: TaskReader, invited: Invitation) -> list[tuple[bytes, Binding]]:
    from fl_platform.chain.binding import MAX_BINDING_BYTES, Binding
    from fl_platform.flower.members import bindings_of
    from fl_platform.store.cid import Cid

    bound = None
    if invited.reference:
        bound = Binding.from_bytes(reader.store.get(Cid.parse(invited.reference), max_bytes=MAX_BINDING_BYTES))
    return bindings_of(reader, reference=bound)


def _openssh(binding: Binding, folder: Path) -> Path:
    """Write a checked binding's node key as Flower wants to register it."""
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_public_key(binding.node_key)
    path = folder / f"node-{binding.node_name.hex()[:16]}.pub"
    encoding, form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    path.write_bytes(key.public_bytes(encoding, form) + b"\n")
    return path


@up.command()
@click.argument("invitation", type=_FILE)
@wallet_option
@click.option("--data", default="", help="As at `task open`. Default: by the task's model.")
@click.option("--data-seed", default=0, show_default=True, help="As at `task open`.")
@click.pass_obj
def owner(options: Options, invitation: Path, wallet: str | None, data: str, data_seed: int) -> None:
    """Compute the reference that trainers are measured against, until the task is over."""
    from fl_platform.cli.join import options_of, orders
    from fl_platform.cli.residing import Stay, stay
    from fl_platform.cli.show import console
    from fl_platform.learning.machine import choose_machine
    from fl_platform.roles.invitation import read_invitation
    from fl_platform.roles.lessons import Lesson
    from fl_platform.sinks.opening import open_sinks

    invited, said = read_invitation(invitation), console()
    wanted = Stay(task=invited.task, lesson=Lesson(data, seed=data_seed), index=None, machine=choose_machine())
    with (
        open_sinks(()) as sinks,
        signing(options_of(options, invited), wallet, sends=False) as own,
        contextlib.ExitStack() as stack,
    ):
        stay(own, sinks, wanted, beside=lambda: stack.enter_context(orders(own, invited, wanted, said)))


def _globals(options: Options) -> list[str]:
    """Return the global options as another process of ours takes them."""
    words = ["--workdir", str(options.workdir), "--network", options.network]
    words += ["--store", options.store, "--copies", str(options.copies)] if options.store else []
    return words + (["--password-file", str(options.password_file)] if options.password_file else [])


def _await(path: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when a socket is there. Raises ProcessAbsent with the end of the log when its process has ended."""
    from fl_platform.errors import ProcessAbsent
    from fl_platform.flower.processes import LOG_TAIL_CHARS

    while not path.exists():
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
            tail = log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL_CHARS:]
            raise ProcessAbsent(f"the aggregator ended with {process.returncode}; {log.name} ends: {tail}")
