"""`fl-platform wallet`: make, import, list, show and fund wallets.

Tests: tests/unit/cli/test_cli_wallet.py
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fl_platform.cli.common import (
    Options,
    address_of,
    ask,
    hexed,
    json_option,
    password,
    reading,
    tokens,
    wei_of,
    write_json,
)

if TYPE_CHECKING:
    from rich.console import Console

    from fl_platform.chain.keystores import Keystore
    from fl_platform.chain.phrases import Phrase


@click.group()
def wallet() -> None:
    """Make, import, list, show and fund wallets.

    A wallet is an encrypted keystore in WORKDIR/wallets. One password opens all wallets of a folder; it comes from
    --password-file, the variable FL_PLATFORM_PASSWORD or a prompt, never from the command line.
    """


@wallet.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--light", is_flag=True, help="Weak key derivation: instant, for throw-away wallets of rehearsals only.")
@json_option
@click.pass_obj
def new(options: Options, names: tuple[str, ...], light: bool, json_file: Path | None) -> None:
    """Make new wallets.

    Example: fl-platform wallet new owner aggregator alice bob
    """
    from fl_platform.chain import wallets
    from fl_platform.cli.show import console, table

    secret = password(options, new=True)
    made = [wallets.create(options.workdir / "wallets", name, secret, light=light) for name in names]
    table(console(json_file), "", ("wallet", "address"), [(info.name, hexed(info.address)) for info in made])
    write_json(json_file, [{"name": info.name, "address": hexed(info.address)} for info in made])


class _Foreign(click.Path):
    """A file to import. A secret in its place is refused without being repeated, as click would."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See click.Path."""
        from fl_platform.chain.keystores import looks_secret

        if looks_secret(str(value)) and not Path(value).exists():
            self.fail(
                "that looks like a secret itself, and a command line is seen by others and kept in a history: if it is "
                "one, move what it holds to a new wallet. Give a file, or - to be asked.", param, ctx,
            )  # fmt: skip
        return super().convert(value, param, ctx)


@wallet.command(name="import")
@click.argument("file", type=_Foreign(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
@click.argument("name", default="", metavar="[NAME]")
@click.option(
    "--account", type=click.IntRange(0, 2**31 - 1), metavar="I",
    help="Which account of a recovery phrase, from 0: MetaMask's Account 1 is 0.  [default: 0]",
)  # fmt: skip
@click.option(
    "--old-password-file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="File whose first line is the keystore's own password. Default: the wallets' password, then a prompt.",
)  # fmt: skip
@click.option("--light", is_flag=True, help="Weak key derivation: instant, for throw-away wallets of rehearsals only.")
@json_option
@click.pass_obj
def import_(
    options: Options, file: Path, name: str, account: int | None, old_password_file: Path | None, light: bool,
    json_file: Path | None,
) -> None:  # fmt: skip
    """Take over a key of geth, ethers, MetaMask or another program.

    FILE is a keystore of version 3 (scrypt or pbkdf2, with or without an address), or holds what MetaMask shows: a
    private key in hex, or a recovery phrase (BIP-39, English, its key at m/44'/60'/0'/0/I); - asks for key or phrase,
    so that it is in no file and no command line. The key is encrypted anew under the password of the wallets here; FILE
    stays as it is. Passwords are tried in every Unicode form, as programs differ there.

    Example: fl-platform wallet import exported-key.json carol
    """
    from fl_platform.chain import keystores, wallets
    from fl_platform.chain.phrases import Phrase, path_of
    from fl_platform.cli.show import console, pairs

    out, typed = console(json_file), str(file) == "-"
    found = _typed_secret() if typed else keystores.read_foreign(file)
    if account is not None and not isinstance(found, Phrase):
        raise click.UsageError("--account is of a recovery phrase, and this is one key: leave it out")
    locked = isinstance(found, keystores.Keystore)
    if not typed and not locked:
        _warn_of(out, file)
    secret = password(options, new=not locked)
    key = _key_of(found, account or 0, secret, old_password_file)
    chosen = name or (wallets.name_of(file) if locked else "")
    info = wallets.import_key(options.workdir / "wallets", chosen, key, secret, light=light)
    rows = [("wallet", info.name), ("address", hexed(info.address))]
    if isinstance(found, Phrase):
        rows.append(("account", f"{account or 0} of the phrase, at {path_of(account or 0)}"))
    if not typed:
        bare = "" if locked else " It holds a bare secret: delete it once you have a copy elsewhere."
        rows.append(("left as it is", f"{file}.{bare}"))
    pairs(out, "", [*rows, ("next", f"fl-platform wallet show {info.name} --balance")])
    write_json(json_file, {"name": info.name, "address": hexed(info.address)})


def _typed_secret() -> Phrase | bytes:
    from fl_platform.chain.keystores import parse_secret
    from fl_platform.errors import WalletError

    found = parse_secret(ask("Private key in hex, or recovery phrase"))
    if found is None:
        raise WalletError(
            "that is no private key, 64 hexadecimal digits with 0x before them or without, and no recovery phrase, 12 "
            "to 24 words"
        )
    return found


def _warn_of(out: Console, file: Path) -> None:
    """Say that others on this machine may have read a bare secret. Windows has no such modes."""
    mode = stat.S_IMODE(file.stat().st_mode)
    if os.name == "posix" and mode & 0o077:
        out.print(
            f"{file} has mode {mode:04o}: others on this machine may have read the secret in it. It should be 0600 "
            f"(`chmod 600`); if they may have, use a new wallet.",
            style="bold yellow", markup=False,
        )  # fmt: skip


def _key_of(found: Keystore | Phrase | bytes, account: int, secret: str, old_password_file: Path | None) -> bytes:
    from fl_platform.chain.phrases import Phrase

    if isinstance(found, bytes):
        return found
    return found.private_key(account) if isinstance(found, Phrase) else _unlocked(found, secret, old_password_file)


def _unlocked(found: Keystore, secret: str, old_password_file: Path | None) -> bytes:
    """Return a keystore's key: under the password of its own file, else the wallets' here, else one that is typed."""
    from fl_platform.chain.wallets import password_from
    from fl_platform.errors import WrongPassword

    old = password_from({}, old_password_file)
    try:
        return found.private_key(secret if old is None else old)
    except WrongPassword:
        if old is not None:
            raise
    return found.private_key(ask(f"Password of {found.path}, which is not that of the wallets here"))


@wallet.command(name="list")
@json_option
@click.pass_obj
def list_(options: Options, json_file: Path | None) -> None:
    """List the wallets of the folder.

    Example: fl-platform wallet list
    """
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
    """Show a wallet's address and its `party` line: what a task owner needs to name it aggregator or auditor.

    Example: fl-platform wallet show aggregator --balance
    """
    from fl_platform.chain import wallets
    from fl_platform.cli.show import console, pairs
    from fl_platform.task.party_text import party_text
    from fl_platform.task.workspace import party

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
    """Give wallets coin and faucet tokens (local chains; elsewhere tokens only, paid by the wallet's own coin).

    Example: fl-platform wallet fund owner aggregator alice bob carol --tokens 500
    """
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
