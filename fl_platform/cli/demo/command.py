"""`fl-platform demo`: parse, run, show."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from fl_platform.attacks import ATTACKS, parse_attacks
from fl_platform.attacks.lying import LIES
from fl_platform.cli.common import json_option, write_json
from fl_platform.cli.demo.federation import TOKEN, Settings
from fl_platform.cli.demo.lying import ATTACK as LYING
from fl_platform.cli.demo.lying import DEFAULT_LIE
from fl_platform.cli.demo.run import CARRIERS, DemoReport, Stage, run_demo
from fl_platform.cli.show import console as reporting
from fl_platform.config import resolve
from fl_platform.errors import ConfigError
from fl_platform.learning.measure import Evaluation
from fl_platform.roles.aggregator import Progress as Step
from fl_platform.roles.workspace import environment
from fl_platform.store.opening import FORMS

DEFAULT_ATTACKS = ("label-flip=1", "free-rider=1", "replay-last=1")
BARS = " ▁▂▃▄▅▆▇█"


@click.command()
@click.option("--data", type=click.Choice(["digits", "mnist"]), default="digits", show_default=True)
@click.option(
    "--trainers", type=click.IntRange(2, 500), default=8, show_default=True, help="How many, cheats included."
)
@click.option("--rounds", type=click.IntRange(1, 1000), default=5, show_default=True)
@click.option(
    "--attack", "attacks", multiple=True, metavar="NAME=COUNT",
    help=f"Who cheats; 'none' for nobody. Default: {', '.join(DEFAULT_ATTACKS)}. "
    f"Known: {', '.join(sorted([*ATTACKS, LYING]))}.",
)  # fmt: skip
@click.option(
    "--lie", type=click.Choice(sorted(LIES)), default=DEFAULT_LIE, show_default=True,
    help=f"What --attack {LYING}=1 seals.",
)  # fmt: skip
@click.option("--byzantine", type=click.IntRange(0, 100), default=2, show_default=True, help="f of multi-Krum.")
@click.option("--partition", default="iid", show_default=True, help="iid, 2-shard or dirichlet:ALPHA.")
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
    data: str, trainers: int, rounds: int, attacks: tuple[str, ...], lie: str, byzantine: int, partition: str,
    network_name: str, flower: str | None, strict: bool, worth: str,
    store_name: str, workdir: Path | None, mnist: Path | None, seed: int, json_file: Path | None,
) -> None:  # fmt: skip
    """Run a whole paid, audited training: escrow, rounds with cheats among the trainers, payouts, two audits."""
    console = reporting(json_file)
    chosen = attacks or DEFAULT_ATTACKS
    lying = any(text.partition("=")[0] == LYING for text in chosen)
    cheats = [text for text in chosen if text != "none" and text.partition("=")[0] != LYING]
    settings = Settings(
        data=data, trainers=trainers, rounds=rounds, attacks=parse_attacks(cheats), lying=lying, lie=lie,
        seed=seed, byzantine=byzantine, partition=partition, mnist=mnist, strict=strict, worth=worth,
    )  # fmt: skip
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
            report = run_demo(
                settings, network=network, workdir=folder, stage=_stage(bar, rounds), store=argument,
                carrier=CARRIERS[flower or ""],
            )  # fmt: skip
    show(console, report)
    write_json(json_file, report.to_json())
    if not report.audit.ok or report.tampered_audit.ok:
        raise click.exceptions.Exit(4)


def _stage(bar: Progress, rounds: int) -> Stage:
    line = bar.add_task("starting", total=rounds)

    def progress(step: Step) -> None:
        bar.update(line, description=f"round {step.round + 1}: {step.step} ({step.detail})")

    def accuracy(number: int, found: Evaluation) -> None:
        bar.update(line, completed=number + 1)
        bar.console.print(
            f"round {number + 1}: accuracy {found.accuracy:.3f} ({found.correct} of {found.total} test images)"
        )

    return Stage(progress, accuracy, lambda text: bar.update(line, description=text))


def show(console: Console, report: DemoReport) -> None:
    """Print the curve, the payouts, the gas and the two audits."""
    curve = "".join(BARS[min(8, int(value * 8.99))] for value in report.accuracy)
    console.print(f"\naccuracy  {curve}  {' '.join(f'{value:.3f}' for value in report.accuracy)}\n")
    table = Table(title="Payouts", title_justify="left")
    for heading, justify in (("address", "left"), ("role", "left"), ("tokens", "right"), ("why", "left")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for payout in report.payouts:
        table.add_row(f"{payout.address[:10]}…", payout.role, f"{payout.amount_wei / TOKEN:.4f}", payout.reason)
    console.print(table)
    paid = sum(payout.amount_wei for payout in report.payouts)
    holds = "=" if paid + report.dust_wei == report.bounty_wei + report.bonus_wei else "≠"
    bonus = f" + slashed {report.bonus_wei}" if report.bonus_wei else ""
    console.print(f"paid {paid} + dust {report.dust_wei} {holds} bounty {report.bounty_wei}{bonus} wei")
    for slash in report.slashed:
        console.print(f"slashed: {slash.role} {slash.address[:10]}… {slash.amount_wei / TOKEN:.4f} tokens: {slash.why}")
    calls = ", ".join(f"{name} {gas // count:,}" for name, (count, gas) in sorted(report.gas.items()) if count)
    console.print(f"mean gas a call: {calls}")
    console.print(f"audit: {'passed, every value recomputed' if report.audit.ok else report.audit.first_difference}")
    verdict = "PASSED, which it must not" if report.tampered_audit.ok else "failed, as it must"
    console.print(f"audit of a copy with one byte changed: {verdict}")
    console.print(f"  first difference: {report.tampered_audit.first_difference}")
    console.print(f"{report.wall_s:.1f} s, {report.cpu_s:.1f} CPU-s")
