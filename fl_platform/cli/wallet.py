"""`fl-platform wallet`: make, list, show and fund wallets."""

from __future__ import annotations

from pathlib import Path

import click

from fl_platform.cli.common import (
    Options,
    address_of,
    hexed,
    json_option,
    password,
    reading,
    tokens,
    wei_of,
    write_json,
)


@click.group()
def wallet() -> None:
    """Make, list, show and fund wallets.

    A wallet is an encrypted keystore in WORKDIR/wallets. One password opens all wallets of a folder; it comes from
    --password-file, the variable FL_PLATFORM_PASSWORD or a prompt, never from the command line.
    """


@wallet.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--light", is_flag=True, help="Weak key derivation: instant, for throw-away wallets of rehearsals only.")
@json_option
@click.pass_obj
def new(options: Options, names: tuple[str, ...], light: bool, json_file: Path | None) -> None:
    """Make new wallets."""
    from fl_platform.chain import wallets
    from fl_platform.cli.show import console, table

    secret = password(options, new=True)
    made = [wallets.create(options.workdir / "wallets", name, secret, light=light) for name in names]
    table(console(json_file), "", ("wallet", "address"), [(info.name, hexed(info.address)) for info in made])
    write_json(json_file, [{"name": info.name, "address": hexed(info.address)} for info in made])


@wallet.command(name="list")
@json_option
@click.pass_obj
def list_(options: Options, json_file: Path | None) -> None:
    """List the wallets of the folder."""
    from fl_platform.chain import wallets
    from fl_platform.cli.show import console, table

    found = wallets.listed(options.workdir / "wallets")
    out = console(json_file)
    if found:
        table(out, "", ("wallet", "address"), [(info.name, hexed(info.address)) for info in found])
    else:
        out.print(f"no wallets in {options.workdir}; make one with `fl-platform wallet new NAME`")
    write_json(json_file, [{"name": info.name, "address": hexed(info.address)} for info in found])


@wallet.command()
@click.argument("name")
@click.option("--balance", is_flag=True, help="Ask the network for its coin and faucet tokens, too.")
@json_option
@click.pass_obj
def show(options: Options, name: str, balance: bool, json_file: Path | None) -> None:
    """Show a wallet's address and its `party` line: what a task owner needs to name it aggregator or auditor."""
    from fl_platform.chain import wallets
    from fl_platform.cli.show import console, pairs
    from fl_platform.roles.parties import party_text
    from fl_platform.roles.workspace import party

    signer = wallets.unlock(options.workdir / "wallets" / f"{name}.json", password(options))
    line = party_text(party(signer))
    report: dict[str, object] = {"name": name, "address": hexed(signer.address), "party": line}
    rows = [("wallet", name), ("address", hexed(signer.address)), ("party", line)]
    if balance:
        with reading(options) as workspace:
            coin = workspace.chain.balance(signer.address)
            contracts = workspace.contracts()
            held = contracts.token_balance(contracts.faucet.address, signer.address)
        report |= {"coin_wei": coin, "token_wei": held}
        rows += [("coin", tokens(coin)), ("faucet tokens", tokens(held))]
    pairs(console(json_file), "", rows)
    write_json(json_file, report)


@wallet.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--tokens",
    "amount",
    type=wei_of,
    metavar="TOKENS",
    default=0,
    help="Faucet tokens to draw for each, as in 150 or 12.5.",
)
@json_option
@click.pass_obj
def fund(options: Options, names: tuple[str, ...], amount: int, json_file: Path | None) -> None:
    """Give wallets coin and faucet tokens (local chains; elsewhere tokens only, paid by the wallet's own coin)."""
    from fl_platform.cli.common import signing
    from fl_platform.cli.show import bar, console, table

    for name in names:
        address_of(options, name)  # all must be there before the first is funded
    report = []
    with bar("funding", len(names)) as progress:
        for number, name in enumerate(names, 1):
            with signing(options, name) as own:
                chain = own.workspace.chain
                if chain.local:
                    own.workspace.fund(own.signer, tokens=amount)
                elif amount:
                    own.contracts.mint(own.signer.address, amount)
                coin = chain.balance(own.signer.address)
                faucet = own.contracts.faucet.address if amount else None
                held = own.contracts.token_balance(faucet, own.signer.address) if faucet else None
            report.append({"name": name, "address": hexed(own.signer.address), "coin_wei": coin, "token_wei": held})
            progress.at(number)
    rows = [
        (
            str(r["name"]),
            tokens(int(str(r["coin_wei"]))),
            "-" if r["token_wei"] is None else tokens(int(str(r["token_wei"]))),
        )
        for r in report
    ]
    table(console(json_file), "", ("wallet", "coin", "faucet tokens"), rows, right="coin|faucet tokens")
    write_json(json_file, report)
