"""`fl-platform trace`: follow a number of a sealed round back to receipts, stakes and rules.

Tests: tests/docs/test_examples.py
"""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import click

from fl_platform.cli.common import Options, address_of, json_option, reading, task_argument, write_json

_CELL = re.compile(r"(?P<name>[\w.-]+)(?:\[(?P<where>[^\[\]]*)\])?")


@click.command()
@task_argument
@click.argument("number", metavar="ROUND", type=click.IntRange(0))
@click.argument("cell", metavar="COLUMN[PLACE,..]")
@click.option("--depth", type=click.IntRange(0, 256), default=4, show_default=True, help="Levels that are shown.")
@json_option
@click.pass_obj
def trace(options: Options, task: int, number: int, cell: str, depth: int, json_file: Path | None) -> None:
    """Follow a number of a round back to receipts, stakes, rules.

    A PLACE is a number, an address, or the name of a wallet here: earned[alice], weight[0x..], divisor. A column
    without a name is a step of the program: what is shown as step 480 is given here as c480. Each line is one cell as
    the round's bundle tells it, and how it follows from others. Where another value follows, the line says so, and the
    one where the bundle departs from the rules is marked; then it exits 4. What only a key shows is taken as told:
    `fl-platform audit --key` recomputes it.

    Example: fl-platform trace 1 0 'earned[alice]'
    """
    from fl_platform.audit.trace import cell_of, traced_round, walk
    from fl_platform.cli.show import console

    found = _CELL.fullmatch(cell)
    if found is None:
        raise click.UsageError(f"{cell!r} is no COLUMN or COLUMN[PLACE,..], as in 'earned[alice]'")
    with reading(options) as workspace:
        traced = traced_round(workspace.reader(task), number)
        steps = list(walk(traced, cell_of(traced, found["name"], _places(options, found["where"])), depth=depth))
    out = console(json_file)
    for step in steps:
        out.print(str(step), markup=False, style="red" if step.departs else None)
    if any(step.more for step in steps):
        out.print(f"cut {depth} levels down; --depth 256 goes on to receipts, stakes and rules")
    write_json(json_file, [asdict(step) for step in steps])
    raise click.exceptions.Exit(4 if any(step.follows for step in steps) else 0)


def _places(options: Options, text: str | None) -> list[int | bytes]:
    parts = [part.strip() for part in (text or "").split(",") if part.strip()]
    return [int(part) if part.isdecimal() else address_of(options, part) for part in parts]
