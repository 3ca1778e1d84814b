"""`fl-platform rewards`: show, claim and withdraw what was earned.

Tests: tests/docs/test_examples.py
"""

from __future__ import annotations

from pathlib import Path

import click

from fl_platform.cli.common import (
    Options,
    address_of,
    forward_option,
    hexed,
    json_option,
    reading,
    signing,
    task_argument,
    tokens,
    wallet_option,
    write_json,
)
from fl_platform.cli.forwarding import forward


@click.group()
def rewards() -> None:
    """Show, claim and withdraw what was earned."""


@rewards.command()
@task_argument
@json_option
@click.pass_obj
def show(options: Options, task: int, json_file: Path | None) -> None:
    """Show everybody's earnings in a task: sealed, final, claimed, withdrawn.

    Example: fl-platform rewards show 1
    """
    from fl_platform.cli.show import console, table
    from fl_platform.round.rewards import rewards as read_rewards

    with reading(options) as workspace:
        found = read_rewards(workspace.reader(task), workspace.contracts(), now=workspace.chain.now())
    out = console(json_file)
    rows = [
        (hexed(r.account), tokens(r.earned), tokens(r.claimable), tokens(r.claimed), tokens(r.credit),
         tokens(r.withdrawn), tokens(r.stake))
        for r in found
    ]  # fmt: skip
    headings = ("account", "earned", "claimable", "claimed", "credit", "withdrawn", "stake")
    table(out, f"task {task}, tokens", headings, rows, right="|".join(headings[1:]))
    if not any(r.claimable or r.credit for r in found):
        out.print(
            "nothing can be claimed or withdrawn now; claims open when a sealed round is past its challenge window"
        )
    write_json(json_file, [
        {"account": hexed(r.account), "earned_wei": r.earned, "final_wei": r.final, "claimable_wei": r.claimable,
         "claimed_wei": r.claimed, "credit_wei": r.credit, "withdrawn_wei": r.withdrawn, "stake_wei": r.stake,
         "score": r.score}
        for r in found
    ])  # fmt: skip


@rewards.command()
@task_argument
@wallet_option
@click.option(
    "--for",
    "accounts",
    multiple=True,
    metavar="ADDRESS|NAME",
    help="For whom; anyone may claim for anyone. Default: your wallet.",
)
@click.option("--all", "everybody", is_flag=True, help="For everybody who has earned something.")
@click.option("--withdraw", is_flag=True, help="Pay it out to the wallets, too.")
@click.option("--roster", metavar="CID", help="Of the roster document, for a compensated round's pot.")
@forward_option
@json_option
@click.pass_obj
def claim(
    options: Options, task: int, wallet: str | None, accounts: tuple[str, ...], everybody: bool, withdraw: bool,
    roster: str | None, fast_forward: bool, json_file: Path | None,
) -> None:  # fmt: skip
    """Claim what final rounds have earned, and withdraw it.

    A task that ended with a rostered round which nobody sealed pays that round's pot to its roster by stake: close its
    books first (`task close`), then claim.

    Example: fl-platform rewards claim 1 --wallet alice --withdraw --fast-forward
    """
    from fl_platform.cli.show import console, table, working
    from fl_platform.round import rewards as logic

    chosen = [address_of(options, text) for text in accounts]
    with signing(options, wallet) as own, working("claiming"):
        chain, reader = own.workspace.chain, own.workspace.reader(task)
        if fast_forward and chain.local:
            forward(chain, logic.all_final_at(reader))
        everyone = logic.earners(reader, now=chain.now()) if everybody else ()
        wish = logic.Wish(everyone or chosen or [own.signer.address], withdraw, roster)
        paid = logic.collect(reader, own.contracts, wish, now=chain.now())
        nothing = {
            item.account: logic.why_nothing(reader, own.contracts, item.account)
            for item in paid
            if not item.credited and not item.withdrawn
        }
        later = {item.account: logic.what_is_left(reader, item.account, now=chain.now()) for item in paid}
    out = console(json_file)
    rows = [(hexed(item.account), tokens(item.credited), tokens(item.withdrawn)) for item in paid]
    table(
        out, f"task {task}, tokens", ("account", "claimed now", "paid out now"), rows, right="claimed now|paid out now"
    )
    for account, why in nothing.items():
        out.print(f"nothing for {hexed(account)}: {why}", markup=False)
    for account, more in later.items():
        if more:
            out.print(f"later for {hexed(account)}: {more}", markup=False)
    write_json(json_file, [
        {"account": hexed(item.account), "claimed_wei": item.credited, "withdrawn_wei": item.withdrawn} for item in paid
    ])  # fmt: skip
