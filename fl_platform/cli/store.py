"""`fl-platform store`: serve a store to the parties of a task, and clean one up.

Tests: tests/unit/cli/test_cli_store.py
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fl_platform.cli.common import Options, address_of, hexed, json_option, reading, write_json

if TYPE_CHECKING:
    from fl_platform.store.disk import DiskStore
    from fl_platform.store.server import Members
    from fl_platform.task.workspace import Workspace

PORT = 8790
_MIB = 1 << 20
_size = click.IntRange(1, 1 << 30)


@click.group()
def store() -> None:
    """Serve a store to the parties of a task, and clean one up.

    Parties that share no disk share a store: one of them serves a folder, the others name it with
    --store http://HOST:PORT. Whatever it sends is verified by who reads it.
    """


@store.command()
@click.option(
    "--bind", default=f"127.0.0.1:{PORT}", show_default=True, metavar="HOST:PORT",
    help="Where to listen. Beyond this machine put a proxy with TLS before it, and name that with --url.",
)  # fmt: skip
@click.option(
    "--url", "urls", multiple=True, metavar="URL",
    help="An address under which others reach this server: uploads are signed for it. Default: that of --bind.",
)  # fmt: skip
@click.option(
    "--allow", multiple=True, metavar="ADDRESS|WALLET",
    help="May upload, and so may the members of all tasks that it opens. Name the task's owner.",
)  # fmt: skip
@click.option(
    "--allow-file", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File of such addresses, one a line; # begins a comment.",
)  # fmt: skip
@click.option("--task", "tasks", type=click.IntRange(1), multiple=True, help="Whose members may upload, too.")
@click.option("--object-limit", type=_size, default=4 << 10, show_default=True, metavar="MIB", help="Of one object.")
@click.option("--member-quota", type=_size, default=20 << 10, show_default=True, metavar="MIB", help="Of one member.")
@click.option("--quota", type=_size, default=200 << 10, show_default=True, metavar="MIB", help="Of all together.")
@json_option
@click.pass_obj
def serve(
    options: Options, bind: str, urls: tuple[str, ...], allow: tuple[str, ...], allow_file: Path | None,
    tasks: tuple[int, ...], object_limit: int, member_quota: int, quota: int, json_file: Path | None,
) -> None:  # fmt: skip
    """Serve the folder of --store to everybody who reads, and to members who write.

    A trustless gateway (GET /ipfs/CID?format=car), and uploads (PUT) that a wallet signed: of an owner, an aggregator,
    a trainer with a stake or the reference of a task that is watched, or of an address on the list. Each block is
    hashed before an object counts as there. On the embedded chain, which one process holds, the list alone decides.

    Example: fl-platform store serve --allow owner
    """
    from fl_platform.cli.show import console
    from fl_platform.store.hosted import HostedStore, Quotas
    from fl_platform.store.server import StoreServer

    disk = _folder_of(options)
    allowed = {address_of(options, text) for text in (*allow, *_listed(allow_file))}
    host, port = _place(bind)
    quotas = Quotas(object_limit * _MIB, member_quota * _MIB, quota * _MIB)
    out = console(json_file)
    with reading(options) as workspace:
        members = _members(workspace, disk, allowed, tasks)
        server = StoreServer(HostedStore(disk, quotas), bind=(host, port), members=members, names=urls)
        with server:
            logging.getLogger("fl_platform.store").setLevel(logging.INFO)
            try:  # what is told may bring the end at once
                url = server.url
                out.print(f"serving {disk.folder} at {url}; others name it with --store {url}", markup=False)
                write_json(json_file, {"url": url, "allowed": sorted(map(hexed, allowed)), "tasks": sorted(tasks)})
                server.serve_forever()
            except KeyboardInterrupt:
                out.print("stopped; what was stored stays")


@store.command()
@click.argument("tasks", nargs=-1, required=True, type=click.IntRange(1), metavar="TASK...")
@click.option(
    "--keep", type=click.IntRange(1), default=2, show_default=True, metavar="ROUNDS",
    help="So many of the last final rounds stay whole: they can be audited.",
)  # fmt: skip
@click.option("--delete", is_flag=True, help="Remove what is listed. Without it nothing is removed.")
@json_option
@click.pass_obj
def gc(options: Options, tasks: tuple[int, ...], keep: int, delete: bool, json_file: Path | None) -> None:
    """List, or remove, what no rule needs any more of a task's old rounds, in the folder of --store.

    Of each round that is final and not among the last --keep final ones: the updates, the sums and the model after it.
    Never what another round or task needs, and never rules, first models, frozen bases, bundles, rosters and bindings:
    claims, `why`, reputations and accounts can be read for ever. Rounds whose updates are gone cannot be recomputed
    again; audit the others with `audit TASK --since ROUND`.

    Example: fl-platform store gc 1 --keep 5
    """
    from fl_platform.cli.show import console, table
    from fl_platform.task.store_garbage import collect, find_garbage

    disk = _folder_of(options)
    out = console(json_file)
    with reading(options) as workspace:
        views = workspace.contracts()
        for task in tasks:
            views.task(task)  # an unknown one is the caller's mistake
        readers = [workspace.reader(task).reading(disk) for task in range(1, views.task_count() + 1)]
        found = find_garbage(readers, tasks, disk, now=workspace.chain.now(), keep=keep)
        freed = [collect(one, disk) if delete else 0 for one in found]
    rows = [(str(one.task), _span(one.rounds), str(len(one.objects)), f"{one.size:,}") for one in found]
    headings = ("task", "rounds", "objects", "bytes")
    table(out, "removed" if delete else "can be removed", headings, rows, right="task|objects|bytes")
    if not delete and any(one.objects for one in found):
        out.print("nothing was removed: give --delete")
    for one in found:
        if one.objects and delete:
            out.print(f"task {one.task} can be audited from round {one.kept_from} on: `audit {one.task} --since "
                      f"{one.kept_from}`", markup=False)  # fmt: skip
    write_json(json_file, [
        {"task": one.task, "rounds": list(one.rounds), "objects": [str(cid) for cid in one.objects],
         "bytes": one.size, "freed_bytes": free, "kept_from": one.kept_from}
        for one, free in zip(found, freed, strict=True)
    ])  # fmt: skip


def _span(rounds: tuple[int, ...]) -> str:
    return "-" if not rounds else str(rounds[0]) if len(rounds) == 1 else f"{rounds[0]} to {rounds[-1]}"


def _folder_of(options: Options) -> DiskStore:
    """Return the folder that --store names, here the one that is served or cleaned up. Raises ConfigError."""
    from fl_platform.errors import ConfigError
    from fl_platform.store.disk import DiskStore
    from fl_platform.store.opening import open_store

    found = open_store(options.store or "disk", own=options.workdir / "store")
    if not isinstance(found, DiskStore):
        raise ConfigError(f"--store {options.store} is no folder of this machine: give disk or disk:FOLDER")
    return found


def _members(workspace: Workspace, disk: DiskStore, allowed: set[bytes], tasks: tuple[int, ...]) -> Members:
    from fl_platform.errors import ConfigError
    from fl_platform.task.store_members import StoreMembers

    embedded = workspace.network.embedded
    if embedded and tasks:
        raise ConfigError("one process holds the embedded chain, and that is not the store: name addresses (--allow)")
    if not allowed and not tasks:
        raise ConfigError("nobody could upload: name the task's owner with --allow, or tasks with --task")
    views = None if embedded else workspace.contracts()
    return StoreMembers(views, disk, allowed=allowed, tasks=tasks)


def _listed(file: Path | None) -> list[str]:
    if file is None:
        return []
    lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8-sig").splitlines())
    return [line for line in lines if line]


def _place(text: str) -> tuple[str, int]:
    """Return host and port of "127.0.0.1:8790" or "[::1]:8790". Raises BadParameter."""
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdecimal() or int(port) > 65_535:
        raise click.BadParameter(f"{text!r} is no HOST:PORT", param_hint="--bind")
    return host.removeprefix("[").removesuffix("]"), int(port)
