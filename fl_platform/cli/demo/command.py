"""`fl-platform demo`: parse, run, show.

Tests: tests/e2e/test_demo.py
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from fl_platform.attacks import ATTACKS, parse_attacks
from fl_platform.attacks.lying import ATTACK as LYING
from fl_platform.attacks.lying import DEFAULT_LIE, LIES
from fl_platform.chain.addresses import checksummed
from fl_platform.cli.common import json_option, write_json
from fl_platform.cli.demo.federation import HONEST, TOKEN, Settings
from fl_platform.cli.demo.run import CARRIERS, Carrier, DemoProgress, DemoReport, carry_locally, run_demo
from fl_platform.cli.show import console as reporting
from fl_platform.config import resolve
from fl_platform.errors import ConfigError
from fl_platform.judging.admit import ADMITTED, REFERENCE
from fl_platform.learning.dealing import Dealt
from fl_platform.learning.evaluation import Measured
from fl_platform.learning.metrics import Accuracy
from fl_platform.learning.public import PARTITIONS, PUBLIC, TRAINERS, public_data
from fl_platform.learning.tasks import Federation
from fl_platform.round.aggregator import SealedRound
from fl_platform.round.waiting import Progress as Step
from fl_platform.store.opening import FORMS
from fl_platform.task.round_text import name_round
from fl_platform.task.workspace import environment

DEFAULT_ATTACKS = ("label-flip=1", "free-rider=1", "replay-last=1")
BARS = " ▁▂▃▄▅▆▇█"
_IN_PARTS = ", ".join(data.name for data in PUBLIC.values() if data.parts)


@click.command()
@click.option(
    "--data", type=click.Choice(list(PUBLIC)), default="digits", show_default=True,
    help=f"What is learned. {_IN_PARTS} comes in parts, held by real parties: the report says what each has alone.",
)  # fmt: skip
@click.option("--model", default="", help="As in randhie-mlp. Default: the data's usual one.")
@click.option(
    "--trainers", type=click.IntRange(2, 500),
    help=f"How many, cheats included. Default: {TRAINERS}, or as many as the data come in parts.",
)  # fmt: skip
@click.option("--rounds", type=click.IntRange(1, 1000), default=5, show_default=True)
@click.option(
    "--attack", "attacks", multiple=True, metavar="NAME=COUNT",
    help=f"Who cheats; 'none' for nobody. Default: {', '.join(DEFAULT_ATTACKS)}; nobody where the data come in parts. "
    f"Known: {', '.join(sorted([*ATTACKS, LYING]))}.",
)  # fmt: skip
@click.option(
    "--lie", type=click.Choice(sorted(LIES)), default=DEFAULT_LIE, show_default=True,
    help=f"What --attack {LYING}=1 seals.",
)  # fmt: skip
@click.option(
    "--byzantine", type=click.IntRange(0, 100), default=0, show_default=True,
    help="f of multi-Krum; 0: the mean of what passes the screens.",
)  # fmt: skip
@click.option("--partition", default="", help=f"{PARTITIONS}. Default: what suits the data.")
@click.option(
    "--network", "network_name", default="embedded", show_default=True, help="embedded, anvil, ganache or a URL."
)
@click.option("--worth", type=click.Choice(["anchored", "leave-one-out"]), default="anchored", show_default=True)
@click.option("--strict", is_flag=True, help="Rounds of two messages: keys only after the roster is on chain.")
@click.option(
    "--flower", type=click.Choice(["simulation"]), help="Carry orders through Flower (extra `sim`) instead of calls."
)
@click.option(
    "--store", "store_name", default="disk", show_default=True, help=f"disk (in the workdir), or one of {FORMS}."
)
@click.option(
    "--workdir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep everything here (else a temporary folder).",
)
@click.option(
    "--mnist", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Folder of MNIST's idx files."
)
@click.option("--seed", type=click.IntRange(0, 2**31), default=1, show_default=True)
@json_option
def demo(
    data: str, model: str, trainers: int | None, rounds: int, attacks: tuple[str, ...], lie: str,
    byzantine: int, partition: str, network_name: str, flower: str | None, strict: bool, worth: str,
    store_name: str, workdir: Path | None, mnist: Path | None, seed: int, json_file: Path | None,
) -> None:  # fmt: skip
    """Run a whole paid, audited training: escrow, rounds with cheats among the trainers, payouts, two audits.

    Example: fl-platform demo --rounds 2
    """
    console = reporting(json_file)
    known = public_data(data)
    chosen = attacks or (() if known.parts else DEFAULT_ATTACKS)
    lying = any(text.partition("=")[0] == LYING for text in chosen)
    cheats = [text for text in chosen if text != "none" and text.partition("=")[0] != LYING]
    settings = Settings(
        data=data, model=model, trainers=trainers or known.trainers, rounds=rounds, attacks=parse_attacks(cheats),
        lying=lying, lie=lie, seed=seed, byzantine=byzantine, partition=partition, mnist=mnist, strict=strict,
        worth=worth,
    )  # fmt: skip
    play(console, settings, network_name, store_name, workdir, json_file, carrier=CARRIERS[flower or ""])
    console.print("your own model and rows: `fl-platform new FOLDER` begins", markup=False)


def play(
    console: Console, settings: Settings, network_name: str, store_name: str, workdir: Path | None,
    json_file: Path | None, *, carrier: Carrier = carry_locally, federation: Federation | Dealt | None = None,
) -> None:  # fmt: skip
    """Run a whole task in a folder of its own and show what came of it; exits with 4 where an audit went wrong."""
    network = resolve(network_name, environment())
    if not network.embedded and network.name == "sepolia":
        raise ConfigError("the demo's wallets have public keys and its clock is moved: use embedded, anvil or ganache")
    with tempfile.TemporaryDirectory(prefix="fl-demo-") as temporary:
        folder = workdir or Path(temporary)
        if (folder / "wallets").exists():
            raise ConfigError(f"{folder} holds a workspace already; name a new folder or remove it")
        argument = f"disk:{folder / 'store'}" if store_name == "disk" else store_name
        with Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(),
            TextColumn("{task.completed}/{task.total} rounds"), TimeElapsedColumn(), console=console, transient=True,
        ) as bar:  # fmt: skip
            try:
                report = run_demo(
                    settings, network=network, workdir=folder, progress=_telling(bar, settings), store=argument,
                    carrier=carrier, federation=federation,
                )  # fmt: skip
            except KeyboardInterrupt:  # it holds private keys of one run, and is not taken up again
                left = f"{folder} is of no further use: remove it, or name a new one" if workdir else "nothing is kept"
                click.echo(f"interrupted; {left}", err=True)
                raise click.exceptions.Exit(130) from None
    show(console, report)
    write_json(json_file, report.to_json())
    if not report.audit.ok or report.tampered_audit.ok:
        raise click.exceptions.Exit(4)


def _telling(bar: Progress, settings: Settings) -> DemoProgress:
    line = bar.add_task("starting", total=settings.rounds)

    def stepped(step: Step) -> None:
        bar.update(line, description=f"{name_round(step.round)}: {step.step} ({step.detail})")

    def measured(sealed: SealedRound, found: Measured) -> None:
        number = sealed.bundle.round
        bar.update(line, completed=number + 1)
        rows = f"{found.rows} test {settings.rows}"
        of = f"{round(found.value * found.rows)} of {rows}" if found.metric == Accuracy.name else rows
        bar.console.print(f"{name_round(number)}: {found.metric} {found.value:.3f} ({of}); {_counted(sealed)}")

    return DemoProgress(stepped, measured, lambda text: bar.update(line, description=text))


def _counted(sealed: SealedRound) -> str:
    codes = Counter(verdict.code for verdict in sealed.bundle.verdicts)
    refused = [f"{count} {code}" for code, count in sorted(codes.items()) if code not in (ADMITTED, REFERENCE)]
    return ", ".join([f"{codes[ADMITTED]} updates in the sum", *refused])


def show(console: Console, report: DemoReport) -> None:
    """Print the curve, the payouts, the gas and the two audits."""
    curve = "".join(BARS[min(8, int(value * 8.99))] for value in report.values)
    console.print(f"\n{report.metric}  {curve}  {' '.join(f'{value:.3f}' for value in report.values)}\n")
    if report.sites:
        console.print(_sites_table(report))
    table = Table(title="Payouts", title_justify="left")
    for heading, justify in (("address", "left"), ("role", "left"), ("tokens", "right"), ("why", "left")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for payout in report.payouts:
        table.add_row(f"{_short(payout.address)}", payout.role, f"{payout.amount_wei / TOKEN:.4f}", payout.reason)
    console.print(table)
    paid = sum(payout.amount_wei for payout in report.payouts)
    holds = "=" if paid + report.dust_wei == report.bounty_wei + report.bonus_wei else "≠"
    bonus = f" + slashed {report.bonus_wei}" if report.bonus_wei else ""
    console.print(f"paid {paid} + dust {report.dust_wei} {holds} bounty {report.bounty_wei}{bonus} wei")
    for slash in report.slashed:
        lost = f"{slash.amount_wei / TOKEN:.4f} tokens"
        console.print(f"slashed: {slash.role} {_short(slash.address)} {lost}: {slash.why}")
    spent = {name: gas // count for name, (count, gas) in sorted(report.gas.items()) if count}
    calls = {name: gas for name, gas in spent.items() if not name.startswith("deploy ")}
    console.print(f"mean gas a call: {', '.join(f'{name} {gas:,}' for name, gas in calls.items())}")
    deployed = sum(gas for name, gas in spent.items() if name not in calls)
    console.print(f"the contracts, once: {deployed:,} gas in all")
    console.print(f"audit: {'passed, every value recomputed' if report.audit.ok else report.audit.first_difference}")
    verdict = "PASSED, which it must not" if report.tampered_audit.ok else "failed, as it must"
    console.print(f"audit of a copy with one byte changed: {verdict}")
    console.print(f"  first difference: {report.tampered_audit.first_difference}")
    console.print(f"{report.wall_s:.1f} s, {report.cpu_s:.1f} CPU-s")


def _short(address: str) -> str:
    return f"{checksummed(address)[:10]}…"


def _sites_table(report: DemoReport) -> Table:
    """What each party of data that come in parts would have alone, has with the others, and is paid."""
    rows = f"{report.metric} on the test rows of all"
    table = Table(title=f"Alone and together: {rows}", title_justify="left")
    for heading in ("party", "rows", "alone", "joint", "tokens"):
        table.add_column(heading, justify="left" if heading == "party" else "right")
    for site in report.sites:
        name = site.name if site.kind == HONEST else f"{site.name} ({site.kind})"
        pay = f"{site.amount_wei / TOKEN:.4f}"
        table.add_row(name, f"{site.rows:,}", f"{site.alone:.3f}", f"{site.joint:.3f}", pay)
    return table
