"""`fl-platform task check`: a task tried once on this machine, before any money.

Tests: tests/docs/test_examples.py
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fl_platform.cli.common import json_option, tokens, write_json
from fl_platform.cli.offering import lesson_of, offer_of, rule_options

if TYPE_CHECKING:
    from fl_platform.protocol.spec import Money, Windows
    from fl_platform.round.checking import Checked

_SHOWN = 12  # tensors


@click.command()
@click.argument("own", default="", metavar="[MODULE:NAME]")
@rule_options
@json_option
def check(own: str, json_file: Path | None, **choices: Any) -> None:
    """Try a task before any money: one round, what goes over the wire, what it costs and how long it takes.

    MODULE:NAME is your LearningTask, as with --data. Needs no wallet, chain or store.

    Example: fl-platform task check task:Mine
    """
    from fl_platform.cli.show import console, pairs, table, working
    from fl_platform.round.checking import check_task
    from fl_platform.round.data_choice import reference_rows
    from fl_platform.round.offer import WINDOWS

    choices["data"] = own or choices["data"]
    lesson, out = lesson_of(choices), console(json_file)
    offer = offer_of(lesson, choices)
    with working("one round of one party"):
        found = check_task(
            reference_rows(lesson), name=lesson.model_name, plan=offer.plan, bits=offer.bits, seed=offer.seed
        )
    pairs(out, "", _lines(found, offer.bits, offer.money, WINDOWS[offer.windows], offer.trainers))
    ordered = sorted(found.tensors, key=lambda tensor: -_worst(tensor.errors[offer.bits]))[:_SHOWN]
    rows = [
        (one.name, "x".join(map(str, one.shape)) or "()", *(_percent(one.errors[bits]) for bits in sorted(one.errors)))
        for one in (found.whole, *ordered)
    ]
    out.print()
    headings = ("tensor", "shape", "int4", "int8", "int16")
    table(out, "What integers lose of an update", headings, rows, right="int4|int8|int16")
    for warning in found.warnings:
        out.print(f"[bold yellow]look at this:[/bold yellow] {warning}")
    if not found.warnings:
        out.print("\nnothing stands out; `fl-platform rehearse` plays the whole task")
    write_json(json_file, _report(found))


def _lines(found: Checked, bits: int, money: Money, windows: Windows, trainers: int) -> list[tuple[str, str]]:
    from fl_platform.task.gas import GAS

    before, after, update = found.before, found.after, found.update
    base = f"; frozen base of {found.frozen_bytes:,} bytes, stored once" if found.frozen_bytes else ""
    return [
        ("learned", f"{found.model.size:,} numbers in {len(found.model.tensors)} tensors{base}"),
        ("rows", f"{found.samples:,} to learn from, {before.rows:,} to validate on"),
        ("one round", f"{update.steps:,} steps, {found.seconds:.2f} CPU-s; loss {update.first_loss:.3f} to "
                      f"{update.last_loss:.3f}"),
        ("validation", f"{before.metric} {before.value:.3f} to {after.value:.3f}, loss {before.loss:.3f} to "
                       f"{after.loss:.3f}"),
        ("on the wire", f"{found.wire_bytes[bits]:,} bytes an update at {bits} bits; the model, {found.model_bytes:,}"),
        ("gas", f"a trainer: join {GAS['join']:,}, claim and withdraw {GAS['claim'] + GAS['withdraw']:,}; the owner: "
                f"open {GAS['open']:,}; the aggregator: {GAS['roster'] + GAS['seal']:,} a round"),
        ("tokens", f"the owner {tokens(money.pot * money.rounds)} as bounty; each trainer {tokens(money.stake)} and "
                   f"each aggregator {tokens(money.bond)} as a deposit"),
        ("time", f"a round of {trainers} trainers is open for {windows.min_round:,} s at least and "
                 f"{windows.roster:,} s at most; its pay is final {windows.challenge:,} s after its seal"),
    ]  # fmt: skip


def _worst(error: float) -> float:
    return -1.0 if error != error else error


def _percent(error: float) -> str:
    return "-" if error != error else f"{100 * error:.2f} %"


def _report(found: Checked) -> dict[str, Any]:
    def errors(values: Any) -> dict[str, float | None]:
        return {f"int{bits}": None if error != error else error for bits, error in sorted(values.items())}

    return {
        "model": found.model.name, "parameters": found.model.size, "frozen_bytes": found.frozen_bytes,
        "samples": found.samples, "steps": found.update.steps, "cpu_s": found.seconds,
        "first_loss": found.update.first_loss, "last_loss": found.update.last_loss,
        "before": vars(found.before), "after": vars(found.after),
        "wire_bytes": {f"int{bits}": size for bits, size in found.wire_bytes.items()},
        "model_bytes": found.model_bytes, "error": errors(found.whole.errors),
        "tensors": [{"name": t.name, "shape": list(t.shape), "error": errors(t.errors)} for t in found.tensors],
        "warnings": list(found.warnings),
    }  # fmt: skip
