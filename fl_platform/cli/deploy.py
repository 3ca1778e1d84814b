"""`fl-platform deploy`: put the contracts on a chain, or take over somebody's deployment file.

Tests: tests/unit/cli/test_cli_deploy.py
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fl_platform.cli.common import (
    DEFAULT_WALLET,
    Options,
    hexed,
    json_option,
    make_wallet,
    reading,
    signing,
    wallet_option,
    write_json,
)

if TYPE_CHECKING:
    from fl_platform.ledger.deploy import Deployment

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@wallet_option
@click.option("--token/--no-token", default=None, help="Deploy the faucet token, too. Default: on local chains only.")
@click.option("--from", "from_file", type=_FILE, help="Take over this deployment file instead of deploying.")
@json_option
@click.pass_obj
def deploy(
    options: Options, wallet: str | None, token: bool | None, from_file: Path | None, json_file: Path | None
) -> None:
    """Put the contracts on a chain, or take over a deployment file.

    Makes a wallet where the folder has none. Interrupted, it goes on where it stopped. The file
    WORKDIR/deployments/NETWORK.json holds no secret: hand it to everybody who takes part. A development chain that was
    restarted is a new one: what the folder has of the old one is kept in WORKDIR/past, and comes back when that chain
    does.

    Example: fl-platform deploy --wallet owner
    """
    from fl_platform.chain import wallets
    from fl_platform.cli.show import console, working
    from fl_platform.task.remembered import FILE, remember

    out = console(json_file)
    if from_file is not None:
        with reading(options) as workspace, working("comparing the contracts on chain with this package's"):
            done, kept = workspace.adopt(from_file)
    else:
        if wallet is None and not wallets.listed(options.workdir / "wallets"):
            make_wallet(options, DEFAULT_WALLET, out)
        with reading(options) as workspace:  # before its journal is opened
            kept = workspace.put_aside()
        with signing(options, wallet) as own, working("deploying"):
            local = own.workspace.chain.local
            if local:
                own.workspace.fund(own.signer)
            done = own.workspace.deploy(own.signer, with_token=local if token is None else token)
    if options.network != "embedded" and remember(options.workdir, network=options.network):
        out.print(f"later commands here take the network from {options.workdir / FILE}", markup=False)
    _show(out, done)
    for old in kept:
        out.print(f"the chain was restarted: what belongs to the old one is kept in {old.folder}", markup=False)
    write_json(json_file, {
        "network": done.network,
        "chain_id": done.chain_id,
        "deployer": hexed(done.deployer),
        "contracts": {name: {"address": hexed(at.address), "block": at.block} for name, at in done.contracts.items()},
        "put_aside": [str(old.folder) for old in kept],
    })  # fmt: skip


def _show(out: object, done: Deployment) -> None:
    from rich.console import Console

    from fl_platform.cli.show import table

    assert isinstance(out, Console)
    rows = [(name, hexed(at.address), str(at.block)) for name, at in done.contracts.items()]
    table(out, f"{done.network}, chain {done.chain_id}", ("contract", "address", "block"), rows, right="block")
