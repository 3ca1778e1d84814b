"""What is wrong with this machine, folder and network before it costs money: one finding a line, each with its remedy.

Nothing here asks for a secret, shows one or changes anything, but for a probe of a few bytes in workdir and store.
"""

from __future__ import annotations

import shutil
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path

from fl_platform.chain import wallets
from fl_platform.chain.addresses import checksum_address
from fl_platform.chain.client import Chain
from fl_platform.errors import ConfigError, FLError, StoreReadOnly
from fl_platform.round.local_trainers import socket_folder
from fl_platform.round.site import Site
from fl_platform.task.workspace import Workspace

PACKAGE = "fl-platform"
DISK_LEAST = 256 * 2**20  # bytes: a round of small models with room to spare
DISK_GOOD = 2 * 2**30
SOCKET_PATH_BYTES = 107  # of sockaddr_un on Linux
CLOCK_S = 60  # what clocks may differ: deadlines are minutes, signatures last for a quarter of an hour
STALE_S = 15 * 60  # a public chain without a block for so long: its end point lags
CALLS_WORTH = 1_000_000  # gas that a wallet should hold: a round's roster and seal, or joining and claiming
CONNECT_S = 3.0
PROBE = b"fl-platform doctor: this object shows that the store can be written to\n"


class Grade(StrEnum):
    """What a finding means."""

    OK = "ok"
    NOTE = "note"  # good to know; nothing has to be done
    MEND = "mend"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    about: str
    verdict: Grade
    text: str  # with the remedy, where there is something to mend


@dataclass(frozen=True)
class Wanted:
    """What to examine."""

    workspace: Workspace
    password: str | None  # of the wallets; None: not given, they stay locked
    superlink: str = ""  # HOST:PORT; empty: none is used


def examine(wanted: Wanted) -> Iterator[Finding]:
    """Yield findings one by one, what needs no network first."""
    own = wanted.workspace
    yield python(sys.version_info[:3])
    yield from packages(metadata.requires(PACKAGE) or [], _version)
    yield from folder(own.root)
    yield from keys(own.root / "wallets", wanted.password)
    yield from policies(own.root)
    yield sockets(own)
    yield from network(own)
    yield store(own)
    if wanted.superlink:
        yield port(wanted.superlink)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def python(version: tuple[int, ...]) -> Finding:
    """Look at the interpreter."""
    text = ".".join(map(str, version))
    if version < (3, 11):
        return Finding("python", Grade.MEND, f"{text} is too old: make the environment with Python 3.11 or newer")
    return Finding("python", Grade.OK, text)


def packages(requires: Iterable[str], version_of: Callable[[str], str | None]) -> Iterator[Finding]:
    """Compare what is installed with what the package asks for, and say which extras are there. Pure.

    requires: lines of the package's metadata; version_of: an installed package's version, None where it is absent.
    """
    from packaging.requirements import Requirement

    base: list[str] = []
    extras: dict[str, list[str]] = {}
    count = 0
    for one in map(Requirement, requires):
        extra = _extra(str(one.marker)) if one.marker else ""
        if one.marker and not one.marker.evaluate({"extra": extra}):
            continue  # of another machine
        found = version_of(one.name)
        right = found is not None and one.specifier.contains(found, prereleases=True)
        if extra:
            extras.setdefault(extra, [])
            if not right:
                extras[extra].append(one.name if found is None else f"{one.name} {found} instead of {one.specifier}")
        elif right:
            count += 1
        else:
            base.append(f"{one.name} {found or 'is absent'}, wanted {one.specifier}")
    if base:
        yield Finding("packages", Grade.MEND, f"{'; '.join(base)}: install the package again with its lock file")
    else:
        yield Finding("packages", Grade.OK, f"{count} as wanted")
    for name, lacks in extras.items():
        if lacks:
            yield Finding(f"extra {name}", Grade.NOTE, f"not there (without {', '.join(lacks)}); `pip install "
                          f"'{PACKAGE}[{name}]'` if you want it")  # fmt: skip
        else:
            yield Finding(f"extra {name}", Grade.OK, "there")


def _extra(marker: str) -> str:
    _, found, rest = marker.partition("extra == ")
    return rest.split(rest[0])[1] if found else ""


def folder(root: Path) -> Iterator[Finding]:
    """Look at the working directory: writable, and room on its disk."""
    there = next(path for path in (root.absolute(), *root.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        yield Finding("workdir", Grade.MEND, f"{there} cannot be written to ({error.strerror}): mend its "
                      "permissions, or name another with --workdir")  # fmt: skip
        return
    new = "" if root.exists() else " (made when first used)"
    yield Finding("workdir", Grade.OK, f"{root}{new}")
    free = shutil.disk_usage(there).free
    text = f"{free / 2**30:.1f} GiB free"
    if free < DISK_LEAST:
        yield Finding("disk", Grade.MEND, f"{text}: free space; a full disk stops a round in the middle")
    else:
        note = Grade.OK if free >= DISK_GOOD else Grade.NOTE
        yield Finding("disk", note, text if note is Grade.OK else f"{text}: little for large models")


def keys(where: Path, password: str | None) -> Iterator[Finding]:
    """Look at the wallets: private, and opened by the password."""
    found = wallets.listed(where)
    if not found:
        yield Finding("wallets", Grade.NOTE, "none; `fl-platform wallet new` or `wallet import` makes one")
        return
    if password is None:
        yield Finding("wallets", Grade.NOTE, f"{len(found)}, not opened: no password was given (--password-file)")
    for info in found:
        about = f"wallet {info.name}"
        mode = stat.S_IMODE(info.path.stat().st_mode)
        if mode & 0o077:
            yield Finding(about, Grade.MEND, f"others may read it (mode {mode:o}): `chmod 600 {info.path}`")
        if password is None:
            continue
        try:
            wallets.unlock(info.path, password)
        except FLError as error:
            yield Finding(about, Grade.MEND, str(error))
        else:
            yield Finding(about, Grade.OK, f"opens, {checksum_address(info.address)}")


def policies(root: Path) -> Iterator[Finding]:
    """Look at the site's policies: whether each can be read, and what it allows."""
    about = "site policy"
    try:
        found = Site(root).policies()
    except ConfigError as error:
        yield Finding(about, Grade.MEND, f"{error}; until then nothing is signed here")
        return
    if not found:
        yield Finding(about, Grade.OK, "none: nothing is forbidden here")
    for policy in found:
        yield Finding(about, Grade.OK, str(policy))


def sockets(own: Workspace) -> Finding:
    """Look at the length of the path at which a resident trainer listens."""
    names = [info.name for info in wallets.listed(own.root / "wallets")]
    longest = socket_folder(own, 99_999) / f"{max(names, key=len, default='a-trainer')}.sock"
    length = len(str(longest).encode())
    if length > SOCKET_PATH_BYTES:
        return Finding("sockets", Grade.MEND, f"{longest} has {length} bytes, the system takes {SOCKET_PATH_BYTES}: "
                       "use a shorter --workdir or name")  # fmt: skip
    return Finding("sockets", Grade.OK, f"paths of {length} bytes at most, of {SOCKET_PATH_BYTES}")


def network(own: Workspace) -> Iterator[Finding]:
    """Look at the chain: reachable, the deployment's, its contracts this package's, its time and the wallets' coin."""
    about = f"network {own.network.name}"
    try:
        chain = own.chain
        head = chain.head()
    except FLError as error:
        yield Finding(about, Grade.MEND, str(error))
        return
    except OSError as error:  # the embedded chain's folder
        yield Finding(about, Grade.MEND, f"cannot use {error.filename or own.root} ({error.strerror}): mend the path "
                      "or its permissions, or name another with --workdir")  # fmt: skip
        return
    yield Finding(about, Grade.OK, f"chain {chain.chain_id}, block {head.number}")
    try:
        deployment = own.deployment()
        yield Finding("contracts", Grade.OK, f"{len(deployment.contracts)} with this package's code and wiring")
    except FLError as error:
        yield Finding("contracts", Grade.MEND, str(error))
    if not own.network.embedded:
        yield clock(head.timestamp, int(time.time()), local=chain.local)
    yield from balances(own, chain)


def clock(block: int, here: int, *, local: bool) -> Finding:
    """Compare this machine's clock with the newest block's time, seconds. Pure."""
    ahead, text = block - here, f"{abs(block - here)} s"
    if ahead > CLOCK_S:
        if local:
            return Finding("clock", Grade.NOTE, f"the development chain is {text} ahead: its clock was moved")
        return Finding("clock", Grade.MEND, f"this machine is {text} behind the chain: set its clock (NTP)")
    if -ahead > STALE_S and not local:
        return Finding("clock", Grade.MEND, f"the newest block is {text} old: this machine's clock is wrong, or the "
                       "end point lags; compare it with another clock, or use another URL")  # fmt: skip
    return Finding("clock", Grade.OK, f"the newest block is {text} {'ahead' if ahead > 0 else 'old'}")


def balances(own: Workspace, chain: Chain) -> Iterator[Finding]:
    """Look whether each wallet can pay for the gas of a round."""
    try:
        needed = chain.backend.fees().ceiling * CALLS_WORTH
        for info in wallets.listed(own.root / "wallets"):
            wei = chain.balance(info.address)
            held = f"{wei / 10**18:.6g} coin"
            how = f"`fl-platform wallet fund {info.name}`" if chain.local else "send it some from a faucet or a wallet"
            if wei < needed:
                yield Finding(f"coin of {info.name}", Grade.MEND, f"{held}, a round's gas may cost "
                              f"{needed / 10**18:.6g}: {how}; who only reads or audits needs none")  # fmt: skip
            else:
                yield Finding(f"coin of {info.name}", Grade.OK, held)
    except FLError as error:
        yield Finding("coin", Grade.MEND, str(error))


def store(own: Workspace) -> Finding:
    """Put a probe into the store and read it back."""
    try:
        cid = own.store.put(PROBE)
        own.store.get(cid, max_bytes=len(PROBE))
    except StoreReadOnly as error:
        return Finding("store", Grade.NOTE, f"for reading only: {error}")
    except FLError as error:
        return Finding("store", Grade.MEND, str(error))
    except OSError as error:
        return Finding("store", Grade.MEND, f"{error.filename or 'it'} cannot be used ({error.strerror}): mend the "
                       "path or its permissions, or name another with --store")  # fmt: skip
    return Finding("store", Grade.OK, "written and read")


def port(where: str) -> Finding:
    """Look whether a SuperLink's port answers."""
    host, _, number = where.rpartition(":")
    if not host or not number.isdigit() or not 0 < int(number) < 2**16:
        return Finding("SuperLink", Grade.MEND, f"{where!r} is no HOST:PORT")
    try:
        with socket.create_connection((host.strip("[]"), int(number)), CONNECT_S):
            return Finding("SuperLink", Grade.OK, f"{where} answers")
    except OSError as error:
        why = error.strerror or type(error).__name__
        return Finding("SuperLink", Grade.MEND, f"{where} does not answer ({why}): is it running, is the port open?")
