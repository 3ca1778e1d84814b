"""`fl-platform task invite`: one file with which a stranger can take part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from fl_platform.cli.common import Options, hexed, json_option, signing, task_argument, wallet_option, write_json


@click.command()
@task_argument
@wallet_option
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write: task.toml."
)
@click.option("--network-url", default="", metavar="URL", help="How others reach the chain. Default: your --network.")
@click.option("--store-words", default="", metavar="WHERE", help="What others give as --store. Default: yours.")
@json_option
@click.pass_obj
def invite(
    options: Options, task: int, wallet: str | None, out: Path, network_url: str, store_words: str,
    json_file: Path | None,
) -> None:  # fmt: skip
    """Write an invitation: network, contracts, store and task in one file, for `fl-platform join`.

    As the owner of a task with a reference, you bind the node of your reference here, too. An aggregator adds the way
    for orders with `fl-platform up aggregator`.
    """
    from fl_platform.cli.show import console
    from fl_platform.cli.trainer import bind_node
    from fl_platform.roles.invitation import Invitation

    with signing(options, wallet) as own:
        reader = own.workspace.reader(task)
        made = Invitation(
            task=task,
            rules=reader.spec.digest,
            network=network_url or options.network,
            chain_id=reader.domain.chain_id,
            deployment=own.workspace.deployment_file.read_text(encoding="utf-8"),
            store=store_words or options.store,
        )
        if own.signer.address == reader.spec.reference.address:
            binding = bind_node(own, reader, None)
            made = replace(made, reference=str(reader.store.put(binding.to_bytes())))
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
    })  # fmt: skip


def reaches_others(store: str) -> bool:
    """Whether one of the stores named is more than a folder of this machine."""
    return any(not words.strip().startswith("disk") for words in store.split(",") if words.strip())
