"""`fl-platform rehearse`: what a task would do with one's own data and model, before there is any chain or money."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fl_platform.cli.common import hexed, json_option, tokens, write_json
from fl_platform.cli.offering import deal_options, lesson_of, offer_of, rule_options
from fl_platform.task.round_text import name_round

if TYPE_CHECKING:
    from fl_platform.round.rehearsing import Rehearsal, RehearsedRound


@click.command()
@rule_options
@deal_options
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1 ...")
@click.option("--threads", type=click.IntRange(0, 1024), default=1, show_default=True, help="0: all cores.")
@json_option
def rehearse(
    partition: str, root_rows: int | None, device: str, threads: int, json_file: Path | None, **choices: Any
) -> None:
    """Play a task with your own data in this process.

    Your rows are dealt to made-up parties. Each round shows accuracy, losses and refusals; the end, what they earn.
    Needs no wallet, chain or store. The rules, the codec and the judge are those of a paid task.

    Example: fl-platform rehearse --data task:Mine --trainers 4 --rounds 3
    """
    from fl_platform.audit.why import MEANINGS
    from fl_platform.cli.show import bar, console
    from fl_platform.learning.machine import choose_machine
    from fl_platform.round.data_choice import federation_of
    from fl_platform.round.rehearsing import Rehearsal

    out, lesson = console(json_file), lesson_of(choices, partition=partition)
    offer = offer_of(lesson, choices)
    federation = federation_of(lesson, offer.trainers, root_rows=root_rows or 0)
    rounds: list[dict[str, Any]] = []
    with bar("the first scale is measured", offer.money.rounds) as progress:
        machine = choose_machine(device, threads=threads)
        rehearsal = Rehearsal(offer, federation.owner, federation.parties, machine=machine)
        before = rehearsal.measure(rehearsal.initial)
        rows = f"({before.rows} validation rows)"
        out.print(f"before: {before.metric} {before.value:.3f}, loss {before.loss:.3f} {rows}")
        for played in rehearsal.rounds(progress.at_text):
            progress.at(played.number + 1)
            rounds.append(_line(played))
            out.print(_words(rounds[-1]), markup=False)
    paid = _pay(rehearsal, played)
    out.print("\nas they would be paid, in tokens: " + ", ".join(tokens(amount) for amount in paid))
    for code in sorted({code for line in rounds for code in line["not_in_sum"]}):
        out.print(f"{code}: {MEANINGS.get(code, 'the update was malformed')}", markup=False)
    if not rounds[-1]["in_sum"]:
        out.print("nothing was learned in the last round: `fl-platform task check` looks at rows, loss and rate")
    write_json(json_file, {
        "model": rehearsal.spec.model.name, "parameters": rehearsal.spec.model.size,
        "before": {"metric": before.metric, "value": before.value, "loss": before.loss}, "rounds": rounds,
        "trainers": [{"address": hexed(rehearsal.address(i)), "earned_wei": wei} for i, wei in enumerate(paid)],
    })  # fmt: skip


def _line(played: RehearsedRound) -> dict[str, Any]:
    verdicts = [verdict for verdict in played.judged.verdicts if verdict.code != "reference"]
    refused = sorted({verdict.code for verdict in verdicts if verdict.weight == 0})
    return {
        "round": played.number,
        "metric": played.measured.metric,
        "value": played.measured.value,
        "loss": played.measured.loss,
        "in_sum": sum(verdict.weight > 0 for verdict in verdicts),
        "trainers": len(verdicts),
        "not_in_sum": {code: sum(v.code == code and v.weight == 0 for v in verdicts) for code in refused},
        "first_loss": sum(update.first_loss for update in played.updates) / len(played.updates),
        "last_loss": sum(update.last_loss for update in played.updates) / len(played.updates),
    }


def _words(line: dict[str, Any]) -> str:
    others = "".join(f", {code} {times}x" for code, times in line["not_in_sum"].items())
    first, last = line["first_loss"], line["last_loss"]
    own = f"{first:.3f}" if first == last else f"{first:.3f} to {last:.3f}"  # equal where a round is a few steps
    return (
        f"{name_round(line['round'])}: {line['metric']} {line['value']:.3f}, loss {line['loss']:.3f}; "
        f"trainers' own loss {own}; "
        f"{line['in_sum']} of {line['trainers']} in the sum{others}"
    )


def _pay(rehearsal: Rehearsal, last: RehearsedRound) -> list[int]:
    earned = {standing.trainer: standing.earned for standing in last.judged.after.standings}
    return [earned.get(rehearsal.address(index), 0) for index in range(len(last.updates))]
