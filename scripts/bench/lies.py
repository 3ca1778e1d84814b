"""Lies about a sealed tape of the package's rules: one cell of every column changed, all after it computed from that.

Each lie is disputed on the real contracts, with the tape known and hidden, by what `dispute.next_moves` says. Cells of
sources and carried cells are found too; what binds them to the chain is not in this benchmark. Questions and gas are of
the referee and the arithmetic of tapes alone: a seal's binding, slash and overturn come on top.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from fl_platform.dispute.known import KnownRound
from fl_platform.dispute.next_moves import GivenDiffers, Refute
from fl_platform.protocol.operations import HINTS, ROWS, Op, wrap
from fl_platform.protocol.sources import Kind
from fl_platform.protocol.tape import Tape
from fl_platform.rules.compose import Rule, compose
from scripts.bench.harness import Row, at_least, at_most
from tests.support.random_programs import claiming
from tests.support.referee import Court, Game, lie, lie_row, play, round_known
from tests.support.rule_rounds import Federation

RULES = {
    "mean, anchored": Rule(), "multi-krum, anchored": Rule(selection="multi-krum"),
    "mean, leave-one-out": Rule(worth="leave-one-out"),
}  # fmt: skip


@dataclass
class Tally:
    """What became of some lies."""

    lies: int = 0
    fallen: int = 0
    given: int = 0
    most_questions: Counter[str] = field(default_factory=Counter)
    standing: list[str] = field(default_factory=list)

    def add(self, kind: str, name: str, game: Game) -> None:
        """Count one."""
        self.lies += 1
        self.fallen += isinstance(game.end, Refute)
        self.given += isinstance(game.end, GivenDiffers)
        self.most_questions[kind] = max(self.most_questions[kind], game.questions)
        if not isinstance(game.end, Refute | GivenDiffers):
            self.standing.append(name)


def run(args: argparse.Namespace) -> Iterator[Row]:
    """Lie in every column of every rule; --quick lies in every twentieth."""
    court = Court()
    for name, rule in RULES.items():
        for hidden in (False, True):
            tally = Tally()
            known, honest = sealed_round(rule, seed=len(name))
            for number in range(0, len(known.program.columns), 20 if args.quick else 1):
                one_lie(court, known, honest, number, hidden=hidden, tally=tally)
            case = f"{name}, tape {'hidden' if hidden else 'known'}"
            yield Row(f"{case}: lies", tally.lies, "lies")
            found = tally.fallen + tally.given
            yield at_least(f"{case}: fallen, or found in what is given", found, tally.lies, unit="lies")
            yield Row(f"{case}: of these in what is given", tally.given, "lies")
            for kind, most in sorted(tally.most_questions.items()):
                limit = 3 if not hidden else 10 if kind == "rows" else 16 if kind == "hint" else 6
                yield at_most(f"{case}: most questions for a lie in a {kind} cell", most, limit, unit="questions")
            for line in tally.standing[:5]:
                print(f"{case}: {line} stands")


def sealed_round(
    rule: Rule, *, seed: int, trainers: int = 6, sizes: tuple[int, ...] = (300, 150, 20)
) -> tuple[KnownRound, Tape]:
    """Return the second round of a task: what a challenger knows, and its honest tape."""
    task = Federation(random.Random(seed), trainers=trainers, sizes=sizes, counting=len(sizes) - 1)
    program = compose(rule)
    first = task.played(program, task.crowd(trainers))
    lengths, given = task.given(task.crowd(trainers), first)
    return round_known(program, lengths, claiming(program, lengths, given, task.dice))


def one_lie(court: Court, known: KnownRound, honest: Tape, number: int, *, hidden: bool, tally: Tally) -> None:
    """Change one cell of a column that somebody decides, and dispute it to the end."""
    column, dice = known.program.columns[number], random.Random(number)
    if column.op is Op.CLAIMED or not honest.columns[number].size:
        return
    if column.kind is not Kind.NUMBER and column.op is not Op.COMBINE:
        return  # a root that stands for nothing: nobody can compute what follows from it
    place = tuple(dice.randrange(length) for length in honest.columns[number].shape)
    cell = honest.cell(number, place)
    value = lie_row(known, dice, cell) if column.op is Op.COMBINE else wrap(cell + dice.choice((1, -1)))
    kind = "hint" if column.op in HINTS else "rows" if column.op in ROWS else "plain"
    game = play(court, known, lie(known, honest, number, place, value), hidden=hidden)
    tally.add(kind, f"{column.name} {place} ({column.op.name})", game)
