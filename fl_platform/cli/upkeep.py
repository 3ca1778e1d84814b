"""What `fl-platform up` starts and watches over: our own commands as processes, a served store, a SuperLink."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fl_platform.cli.common import Options

if TYPE_CHECKING:
    from collections.abc import Callable

    from fl_platform.flower.deployment import SuperLink
    from fl_platform.flower.processes import Kept
    from fl_platform.ledger.binding import Binding
    from fl_platform.protocol.spec import TaskSpec
    from fl_platform.task.invitation import Invitation
    from fl_platform.task.reading import TaskReader

    Say = Callable[[str], None]

logger = logging.getLogger(__name__)

_LOOK_S = 3.0  # between looks for new members
_AGAIN = (6, 130)  # exit codes of ours after which the same command goes on: something is away, or it was stopped


class Duties(Enum):
    """What a wallet owes a task beside training."""

    AGGREGATE = auto()
    REFERENCE = auto()
    WATCH = auto()  # others' seals, with its own money at stake
    AUDIT = auto()  # it has a key to every update
    WITNESS = auto()  # it says whether updates are to be had


def duties_of(spec: TaskSpec, address: bytes) -> set[Duties]:
    """Return what the task's rules ask of an address; empty for data owners and strangers."""
    aggregators = {party.address for party in spec.aggregators}
    found = {Duties.AGGREGATE} if address in aggregators else set()
    if address == spec.reference.address:
        found.add(Duties.REFERENCE)
    if address == spec.owner and aggregators != {address}:
        found.add(Duties.WATCH)
    if address in {party.address for party in spec.auditors}:
        found.add(Duties.AUDIT)
    if address in spec.witnesses:
        found.add(Duties.WITNESS)
    return found


@dataclass(frozen=True)
class Place:
    """Where a role's processes run and how others reach this machine."""

    options: Options
    wallet: str
    task: int
    folder: Path  # of logs, certificates and ports; absolute
    host: str  # name or address by which others reach this machine
    trainers: int = 0  # so many are waited for to join

    @property
    def listen(self) -> str:
        """The address to listen on: loopback, where nobody else is meant to come."""
        if self.host in ("127.0.0.1", "localhost"):
            return "127.0.0.1"
        return "::" if ":" in self.host else "0.0.0.0"  # as the person chose with --host

    def at(self, port: int) -> str:
        """Return HOST:PORT as others write it."""
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"

    def lasting_port(self, name: str, wanted: int) -> int:
        """Return the port that was wanted, else the one of last time, else a free one; kept, as invitations name it.

        Raises ConfigError for a file of ports that was edited into something else.
        """
        from fl_platform.errors import ConfigError
        from fl_platform.flower.processes import free_port
        from fl_platform.task.atomic_files import write_atomically

        path = self.folder / "ports.json"
        try:
            known = json.loads(path.read_text()) if path.exists() else {}
            port = int(wanted or known.get(name, 0) or free_port())
        except (ValueError, TypeError, AttributeError) as error:
            raise ConfigError(f"{path} is no file of ports: delete it (invitations sent so far then end)") from error
        write_atomically(path, json.dumps({**known, name: port}).encode())
        return port


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold a folder while the block runs: a second `up` would overwrite how the first one reaches its SuperLink.

    The kernel lets go of it when this process ends, however it does. Raises ConfigError.
    """
    from fl_platform.errors import ConfigError

    with (folder / "lock").open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(f"another `up` works in {folder}: end that one first") from error
        yield


def command_words(options: Options, words: Sequence[str]) -> list[str]:
    """Return a command of ours as another process takes it, with the global options of this one."""
    shared = ["--workdir", str(options.workdir), "--network", options.network]
    shared += ["--store", options.store, "--copies", str(options.copies)] if options.store else []
    shared += ["--password-file", str(options.password_file)] if options.password_file else []
    return [sys.executable, "-P", "-m", "fl_platform", *shared, *words]  # -P: they import nothing of this folder


@contextlib.contextmanager
def kept_command(place: Place, name: str, words: Sequence[str], say: Say) -> Iterator[Kept]:
    """Run a command of ours while the block runs; started again when what it needs was away, or when it was killed."""
    from fl_platform.flower.processes import kept, own_environment

    log = place.folder / f"{name}.log"

    def again(code: int) -> bool:
        if code < 0 or code in _AGAIN:
            say(f"{name} ended with {code}; it is started again")
            return True
        if code not in (0, 3):
            say(f"{name} has ended with {code}: {log} says why")
        return False

    environment = own_environment(place.folder / "flwr")
    command = command_words(place.options, words)
    with kept(lambda: command, log=log, environment=environment, again=again) as program:
        yield program


@contextlib.contextmanager
def served_store(place: Place, *, owner: str, port: int, say: Say) -> Iterator[str]:
    """Serve the folder of --store while the block runs; yields the words that others give as --store.

    Where --store is no folder of this machine, others read that, and nothing is served.
    """
    from fl_platform.cli.invite import reaches_others
    from fl_platform.flower.processes import await_port

    if reaches_others(place.options.store):
        yield place.options.store
        return
    number = place.lasting_port("store", port)
    url = f"http://{place.at(number)}"
    bind = f"[{place.listen}]:{number}" if ":" in place.listen else f"{place.listen}:{number}"
    words = ["store", "serve", "--bind", bind, "--url", url, "--allow", owner]
    with kept_command(place, "store", words, say) as program:
        await_port(number, program, log=place.folder / "store.log")
        say(f"the store is served at {url}")
        yield url


@dataclass(frozen=True)
class Way:
    """How data owners' nodes reach an aggregator."""

    address: str  # HOST:PORT
    authority: str  # PEM


@contextlib.contextmanager
def open_way(place: Place, port: int, say: Say) -> Iterator[tuple[Way, SuperLink]]:
    """Run a SuperLink on loopback, and the gate to it that nodes come through."""
    from fl_platform.flower.deployment import kept_superlink
    from fl_platform.flower.fleet_gate import fleet_gate
    from fl_platform.flower.keys import lasting_certificates

    def ended(code: int) -> None:
        say(f"the SuperLink ended with {code} ({place.folder / 'superlink.log'}); it is started again")

    number, certificates = place.lasting_port("superlink", port), lasting_certificates(place.folder, place.host)
    with (
        kept_superlink(place.folder, certificates, ended=ended) as link,
        fleet_gate(certificates, listen=place.listen, port=number, superlink=link.port),
    ):
        yield Way(place.at(number), certificates.authority.read_text(encoding="utf-8")), link


@contextlib.contextmanager
def aggregating(place: Place, link: SuperLink, invited: Invitation, say: Say) -> Iterator[Callable[[], int | None]]:
    """Admit members' nodes, run the aggregator and its defence; yields what tells its exit code, None while it runs.

    An aggregator that was killed, or that lost its chain or store, is started again.
    """
    from fl_platform.flower.processes import beside

    ended: list[int] = []
    with (
        beside("up:admitting", partial(_admit_all, place, link, invited, say)),
        kept_command(place, "defend", ["aggregator", "defend", str(place.task), "--wallet", place.wallet], say),
        beside("up:aggregator", partial(_work, place, link, invited, say, ended)),
    ):
        yield lambda: ended[0] if ended else None


def _work(
    place: Place, link: SuperLink, invited: Invitation, say: Say, ended: list[int], over: threading.Event
) -> None:
    from fl_platform.errors import FLError

    while not over.is_set():
        try:
            code = _work_once(place, link, invited, say, over)
        except FLError as error:  # the SuperLink did not take the courier's run
            logger.warning("%s", error)
            code = error.exit_code
        if over.is_set() or code is None:
            return
        if code >= 0 and code not in _AGAIN:
            ended.append(code)
            return
        say(f"the aggregator ended with {code}; it is started again")
        over.wait(_LOOK_S)


class _Told:
    """Says here what the aggregator's log says of rounds: whom it waits for, what it sealed."""

    def __init__(self, log: Path, say: Say) -> None:
        self._stream, self._say = log.open(encoding="utf-8", errors="replace"), say
        self._stream.seek(0, 2)
        self._rest = ""

    def tell(self) -> None:
        *lines, self._rest = (self._rest + self._stream.read()).split("\n")
        for line in lines:
            if line.startswith("round "):
                self._say(line)

    def close(self) -> None:
        self._stream.close()


def _work_once(place: Place, link: SuperLink, invited: Invitation, say: Say, over: threading.Event) -> int | None:
    """Run `aggregator run` on an order queue of its own, and the courier of its orders; returns its exit code."""
    from fl_platform.flower.deployment import courier_run
    from fl_platform.flower.processes import own_environment, running
    from fl_platform.flower.server_app import QUEUE_KEY

    log = place.folder / "aggregator.log"
    words = ["aggregator", "run", str(place.task), "--wallet", place.wallet, "--trainers", str(place.trainers)]
    words += ["--reference-binding", invited.reference] if invited.reference else []
    started = link.starts()
    with tempfile.TemporaryDirectory(prefix="fl-up-") as short:  # of one's own; a socket's path is 107 bytes at most
        orders = Path(short) / "orders.sock"
        command = command_words(place.options, [*words, "--flower", str(orders)])
        environment = {**own_environment(link.home), "COLUMNS": "1000"}  # a line of the log is one line
        with running(command, log=log, environment=environment) as process, contextlib.ExitStack() as stack:
            while process.poll() is None and not over.is_set() and not orders.exists():
                over.wait(0.2)
            if orders.exists():
                stack.enter_context(courier_run(link, place.folder, {QUEUE_KEY: str(orders)}))
            told = stack.enter_context(contextlib.closing(_Told(log, say)))
            while process.poll() is None and link.starts() == started and not over.wait(0.5):
                told.tell()
            # a SuperLink that was started again knows no courier: the aggregator asks anew over another
            return process.poll() if link.starts() == started else _AGAIN[-1]


def _admit_all(place: Place, link: SuperLink, invited: Invitation, say: Say, over: threading.Event) -> None:
    """Register the node key of each member, as its binding on chain says, until it is over."""
    from fl_platform.cli.common import reading
    from fl_platform.errors import FLError

    admitted: set[bytes] = set()
    started = link.starts()
    while not over.wait(_LOOK_S):
        if started != link.starts():
            started = link.starts()
            admitted.clear()
        try:
            with reading(place.options) as workspace:
                found = _bindings(workspace.reader(place.task), invited)
        except (FLError, OSError) as error:  # chain or store is away for a while; the round goes on without newcomers
            logger.warning("members could not be read: %s", error)
            continue
        for trainer, binding in found:
            if binding.node_name not in admitted and _admit(link, binding, place.folder):
                admitted.add(binding.node_name)
                say(f"the node of 0x{trainer.hex()} is admitted")


def _admit(link: SuperLink, binding: Binding, folder: Path) -> bool:
    """Register one node; a key that the SuperLink refuses keeps nobody else out. False: to be tried again."""
    from fl_platform.errors import FLError
    from fl_platform.flower.deployment import register

    try:
        register(link, _openssh(binding, folder))
    except (FLError, OSError) as error:
        logger.warning("the node of 0x%s could not be admitted: %s", binding.wallet.hex(), error)
        return False
    return True


def _bindings(reader: TaskReader, invited: Invitation) -> list[tuple[bytes, Binding]]:
    from fl_platform.flower.members import bindings_of
    from fl_platform.ledger.binding import MAX_BINDING_BYTES, Binding
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
