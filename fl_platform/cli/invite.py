"""`fl-platform task invite`: one file with which a stranger can take part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fl_platform.cli.common import (
    Options,
    Session,
    hexed,
    json_option,
    signing,
    task_argument,
    wallet_option,
    write_json,
)

if TYPE_CHECKING:
    from fl_platform.config import Network
    from fl_platform.task.invitation import Invitation


@click.command()
@task_argument
@wallet_option
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write: task.toml."
)
@click.option("--network-url", default="", metavar="URL", help="How others reach the chain. Default: your --network.")
@click.option("--store-words", default="", metavar="WHERE", help="What others give as --store. Default: yours.")
@click.option("--data", default="", help="As at `task open`: its file goes along as the learning code.")
@json_option
@click.pass_obj
def invite(
    options: Options, task: int, wallet: str | None, out: Path, network_url: str, store_words: str, data: str,
    json_file: Path | None,
) -> None:  # fmt: skip
    """Write an invitation: network, contracts, store, task and learning code in one file, for `follow` and `join`.

    As the owner of a task with a reference, you bind the node of your reference here, too. `fl-platform up owner` does
    the same, and serves the store; an aggregator adds the way for orders with `fl-platform up aggregator`.

    Example: fl-platform task invite 1 --wallet owner -o task.toml
    """
    from fl_platform.cli.show import console

    with signing(options, wallet) as own:
        made = invitation_to(own, options, task, store=store_words or options.store, data=data, network=network_url)
    out.write_text(made.to_text(), encoding="utf-8")
    said = console(json_file)
    if not reaches_others(made.store):
        said.print(
            "its store is a folder of this machine: strangers elsewhere cannot read it; run `fl-platform store serve` "
            "and give its address with --store-words",
            style="bold yellow", soft_wrap=True,
        )  # fmt: skip
    said.print(
        f"{out} invites to task {task}; its rules are {hexed(made.rules)}: tell people this digest by another way, too",
        markup=False, soft_wrap=True,
    )  # fmt: skip
    write_json(json_file, {
        "task": task, "file": str(out), "store": made.store, "rules": hexed(made.rules), "network": made.network,
        "code": made.code,
    })  # fmt: skip


def invitation_to(
    own: Session, options: Options, task: int, *, store: str, data: str, network: str = ""
) -> Invitation:
    """Return an invitation; the owner's learning code is put into the store, and its reference's node is bound.

    Raises UnknownTask, ConfigError, and what the store raises.
    """
    from fl_platform.cli.trainer import bind_node
    from fl_platform.task.invitation import Invitation
    from fl_platform.task.learning_code import file_of, publish

    workspace = own.workspace
    reader = workspace.reader(task)
    made = Invitation(
        task=task,
        rules=reader.spec.digest,
        network=network or _reached_at(workspace.network, options.network),
        chain_id=reader.domain.chain_id,
        deployment=workspace.deployment_file.read_text(encoding="utf-8"),
        store=store,
    )
    source = file_of(data) if own.signer.address == reader.spec.owner else None
    if source is not None:
        code, name = publish(reader.store, source)
        made = replace(made, code=code, code_name=name)
    if own.signer.address == reader.spec.reference.address:
        binding = bind_node(own, reader, None)
        made = replace(made, reference=str(reader.store.put(binding.to_bytes())))
    return made


def _reached_at(network: Network, words: str) -> str:
    """Return how others name the network: a local node elsewhere than its name says by its URL, others as we do.

    An end point of a public network may hold a key of ours: its name alone goes out.
    """
    from fl_platform.config import NETWORKS

    local = network.name in ("anvil", "ganache")
    return network.url if local and network.url != NETWORKS[network.name].url else words


def reaches_others(store: str) -> bool:
    """Whether one of the stores named is more than a folder of this machine."""
    return any(not words.strip().startswith("disk") for words in store.split(",") if words.strip())
