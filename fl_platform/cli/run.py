"""`fl-platform run`: one's own task on the embedded chain, from escrow to payout and audit, in one process.

Tests: tests/docs/test_examples.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fl_platform.cli.common import json_option
from fl_platform.cli.offering import deal_options, lesson_of, offer_of, rule_options


@click.command()
@rule_options
@deal_options
@click.option(
    "--network", "network_name", default="embedded", show_default=True, help="embedded, anvil, ganache or a URL."
)
@click.option(
    "--workdir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep everything here (else a temporary folder).",
)
@json_option
def run(
    partition: str, root_rows: int | None, network_name: str, workdir: Path | None, json_file: Path | None,
    **choices: Any,
) -> None:  # fmt: skip
    """Play your own task for money of no worth: escrow, rounds, payouts, audit.

    As `rehearse`, but with wallets, contracts, encrypted updates and a store, as among strangers, in this process.

    Example: fl-platform run --data task:Mine --trainers 4 --rounds 2
    """
    from fl_platform.cli.demo.command import play
    from fl_platform.cli.demo.federation import Settings
    from fl_platform.cli.show import console
    from fl_platform.round.data_choice import federation_of

    lesson = lesson_of(choices, partition=partition)
    offer = offer_of(lesson, choices)
    federation = federation_of(lesson, offer.trainers, root_rows=root_rows or 0)
    settings = Settings(
        data=lesson.data, trainers=offer.trainers, rounds=offer.money.rounds, attacks=(), seed=offer.seed,
        byzantine=offer.terms().aggregation.byzantine, partition=partition, mnist=lesson.folder, worth=offer.worth,
        offer=offer,
    )  # fmt: skip
    out = console(json_file)
    play(out, settings, network_name, "disk", workdir, json_file, federation=federation)
    if workdir is None:
        out.print("nothing is kept of this run; with --workdir FOLDER the model is, and all that was paid and audited")
    else:
        network = "" if network_name == "embedded" else f"--network {network_name} "
        line = f"fl-platform --workdir {workdir} {network}task model 1 -o model.safetensors"
        out.print(f"the model: `{line}`", markup=False, soft_wrap=True)
