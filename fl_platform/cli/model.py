"""`fl-platform task model`: a sealed round's model as a safetensors file, with a card.

Tests: tests/docs/test_examples.py
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fl_platform.cli.common import (
    Options,
    block_moment,
    hexed,
    json_option,
    reading,
    task_argument,
    write_file,
    write_json,
)

if TYPE_CHECKING:
    from fl_platform.audit.releasing import Own, Release
    from fl_platform.learning.task import LearningTask
    from fl_platform.task.reading import TaskReader


@click.command()
@task_argument
@click.option("--round", "round_number", type=click.IntRange(0), help="Whose model. Default: the last sealed round's.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, metavar="FILE",
    help="The safetensors file; its card goes beside it, as FILE.md.",
)  # fmt: skip
@click.option(
    "--data", default="", help="digits, mnist, or module:NAME of your own LearningTask: measure the model on your rows."
)
@click.option("--data-seed", default=0, show_default=True, help="Of a public data set's deal; the owner's.")
@click.option(
    "--mnist", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Folder of MNIST's idx files."
)
@click.option("--force", is_flag=True, help="Overwrite file and card.")
@json_option
@click.pass_obj
def model(
    options: Options, task: int, round_number: int | None, out: Path, data: str, data_seed: int, mnist: Path | None,
    force: bool, json_file: Path | None,
) -> None:  # fmt: skip
    """Write a sealed round's model to a file that any safetensors reader opens, with a card.

    The file holds what was learned: the sealed integers as float32. With --data it holds the whole state of your
    module: running statistics (BatchNorm) estimated from your training rows, the frozen base merged in, and the card
    says what the model is worth on your validation rows.

    Example: fl-platform task model 1 -o model.safetensors --data digits
    """
    from fl_platform.audit.model_card import model_card
    from fl_platform.audit.releasing import release
    from fl_platform.cli.show import console
    from fl_platform.errors import ConfigError

    card = out.with_name(out.name + ".md")
    there = [str(path) for path in (out, card) if path.exists()]
    if there and not force:
        raise ConfigError(f"{' and '.join(there)} exists: name another file, or overwrite with --force")
    with reading(options) as workspace:
        reader = workspace.reader(task)
        own = _own(reader, data, data_seed, mnist) if data else None
        found = release(reader, round_number, now=workspace.chain.now(), own=own)
        network = workspace.network.name
    write_file(out, found.data)
    write_file(card, model_card(found, file=out.name, network=network).encode())
    said = console(json_file)
    said.print(f"the model of task {task}, round {found.round} ({_standing(found)}) is in {out}", markup=False)
    if found.own is not None:
        on = found.own.measured
        said.print(f"on your {on.rows} validation rows: {on.metric} {on.value:.4g}, loss {on.loss:.4g}", markup=False)
    said.print(f"what it is, who took part and how to check it: {card}", markup=False)
    write_json(json_file, _report(found, out, card))


def _own(reader: TaskReader, data: str, seed: int, mnist: Path | None) -> LearningTask:
    from fl_platform.round.data_choice import Lesson, reference_rows
    from fl_platform.round.local_trainers import lesson_for

    return reference_rows(lesson_for(reader, Lesson(data, seed=seed, folder=mnist)))


def _standing(found: Release) -> str:
    state = found.state.name.lower()
    return state if state == "final" else f"{state}, can be challenged until {block_moment(found.final_at)}"


def _report(found: Release, out: Path, card: Path) -> dict[str, Any]:
    return {
        "task": found.task,
        "round": found.round,
        "state": found.state.name.lower(),
        "final_at": found.final_at,
        "root": hexed(found.root),
        "model": hexed(found.model),
        "cid": str(found.cid),
        "file": str(out),
        "card": str(card),
        "bytes": len(found.data),
        "sha256": found.sha256.hex(),
        "trainers": {
            hexed(part.address): {"in_sum": part.in_sum, "refused": dict(part.refused)} for part in found.parts
        },
        "unread": list(found.unread),
        "own_rows": None if found.own is None else _measured(found.own),
    }


def _measured(own: Own) -> dict[str, Any]:
    found = own.measured
    numbers = {"value": found.value, "loss": found.loss}
    return {
        "metric": found.metric,
        "rows": found.rows,
        "statistics": own.statistics,
        "base": own.base,
        **{name: number if math.isfinite(number) else None for name, number in numbers.items()},
    }
