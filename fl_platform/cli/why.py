"""`fl-platform why`: explain in words what became of somebody's work and money.

Tests: tests/docs/test_examples.py
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fl_platform.cli.common import Options, address_of, hexed, json_option, reading, write_json

if TYPE_CHECKING:
    from fl_platform.audit.why import Explanation, RoundStory


@click.command()
@click.argument("address", metavar="ADDRESS")
@click.option("--task", "number", type=click.IntRange(1), help="Only this task. Default: every task it had a part in.")
@json_option
@click.pass_obj
def why(options: Options, address: str, number: int | None, json_file: Path | None) -> None:
    """Explain in words what became of somebody's work and money.

    Which rounds, what was handed in, which verdict with its evidence, which score and share, what was claimed and
    withdrawn. ADDRESS may be the name of a wallet of this folder. What is told is what the sealed bundles say;
    `fl-platform audit` recomputes them. Exits 3 when a sealed round's bundle cannot be read.

    Example: fl-platform why alice
    """
    from fl_platform.audit.why import explain, involved
    from fl_platform.cli.show import console

    account = address_of(options, address)
    with reading(options) as workspace:
        contracts = workspace.contracts()
        numbers = [number] if number is not None else range(1, contracts.task_count() + 1)
        readers = [workspace.reader(task) for task in numbers]
        chosen = [reader for reader in readers if number is not None or involved(reader, account)]
        found = [explain(reader, contracts, account, now=workspace.chain.now()) for reader in chosen]
    out = console(json_file)
    for explanation in found:
        for line in explanation.words():
            out.print(line, markup=False)
    if not found:
        out.print(f"{hexed(account)} has no part in any task on {options.network}")
    write_json(json_file, [_json(explanation) for explanation in found])
    unread = any(story.missing for explanation in found for story in explanation.rounds)
    raise click.exceptions.Exit(3 if unread else 0)


def _json(explanation: Explanation) -> dict[str, Any]:
    share = explanation.score_share
    whole = {
        name: value for name, value in asdict(explanation).items() if name not in ("rounds", "score_share", "account")
    }
    money = {
        name: whole.pop(name)
        for name in ("stake", "slashed", "earned", "final", "claimed", "credit", "withdrawn", "released")
    }
    return {
        **whole,
        **{f"{name}_wei": value for name, value in money.items()},
        "account": hexed(explanation.account),
        "score_share": None if share is None else float(share),
        "rounds": [_round(story) for story in explanation.rounds],
        "words": list(explanation.words()),
    }


def _round(story: RoundStory) -> dict[str, Any]:
    values = asdict(story)
    values["twins"] = [hexed(twin) for twin in story.twins]
    values["score_share"] = None if story.score_share is None else float(story.score_share)
    values["earned_by_score_wei"] = values.pop("earned_by_score")
    values["earned_otherwise_wei"] = values.pop("earned_otherwise")
    return values
