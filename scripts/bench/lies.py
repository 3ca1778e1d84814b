"""Lies about a sealed tape of the package's rules: one cell of every column changed, all after it computed from that.

Each lie is disputed on the real contracts, with the tape known and hidden, by what `dispute.next_moves` says. A root is
changed to that of another row. Of the new model every way to lie is tried: one integer of each block, the model before,
the sums, none, a row that its sealer shows to nobody but the referee, a root of no row at all. Cells of sources and
carried cells are found too; what binds them to the chain is in tests/contracts/test_referee_bound.py. In hidden tapes
every third plain column is lied in, another third in each rule (--all: every one, an hour). Last come challenges of an
honest tape, well formed ones and malformed ones: none may succeed.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from fl_platform.dispute.known import KnownRound
from fl_platform.dispute.next_moves import GivenDiffers, Lapse, Refute
from fl_platform.protocol.operations import HINTS, ROWS, Op, wrap
from fl_platform.protocol.sources import Kind
from fl_platform.protocol.tape import Tape
from fl_platform.rules.compose import Rule, compose
from scripts.bench.harness import Row, at_least, at_most
from tests.support.false_challenges import Challenger
from tests.support.integer_rows import IntegerRows
from tests.support.random_programs import claiming
from tests.support.referee import Court, Game, Reverted, lie, lie_row, play, round_known
from tests.support.rule_rounds import Federation

RULES = {
    "mean, anchored": Rule(), "multi-krum, anchored": Rule(selection="multi-krum"), "mean, equal": Rule(worth="equal"),
    "mean, leave-one-out": Rule(worth="leave-one-out"), "mean, anchored, no pairs": Rule(shares=False),
}  # fmt: skip
MOST_ASKED = {"plain": 6, "rows": 10, "model": 10, "hint": 16}  # of a hidden tape
MOST_ASKED_OF_KNOWN = 3


@dataclass
class Tally:
    """What became of some lies."""

    lies: int = 0
    fallen: int = 0
    given: int = 0
    unshown: int = 0
    models: int = 0
    most_questions: Counter[str] = field(default_factory=Counter)
    standing: list[str] = field(default_factory=list)

    def add(self, kind: str, name: str, game: Game) -> None:
        """Count one."""
        self.lies += 1
        self.models += kind == "model"
        self.fallen += isinstance(game.end, Refute)
        self.given += isinstance(game.end, GivenDiffers)
        self.unshown += isinstance(game.end, Lapse)
        self.most_questions[kind] = max(self.most_questions[kind], game.questions)
        if not isinstance(game.end, Refute | GivenDiffers | Lapse):
            self.standing.append(name)


@dataclass(frozen=True)
class Lie:
    """Another cell, and how its sealer goes on. `theirs`: its rows, where nobody else has them all."""

    value: int
    theirs: IntegerRows | None = None
    silent: bool = False  # it shows nothing: it has no such row


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Let a person wait for every hidden column."""
    parser.add_argument("--all", action="store_true", help="lie in every column of a hidden tape")


def run(args: argparse.Namespace) -> Iterator[Row]:
    """Lie in every column of every rule; --quick lies in every twentieth, and challenges 300 times."""
    court = Court()
    for index, (name, rule) in enumerate(RULES.items()):
        for hidden in (False, True):
            tally = Tally()
            known, honest = sealed_round(rule, seed=len(name))
            step = 20 if args.quick else 3 if hidden and not args.all else 1
            for number, column in enumerate(known.program.columns):
                if (number - index) % step and column.op not in (HINTS | ROWS):
                    continue
                lie_in(court, known, honest, number, hidden=hidden, tally=tally)
            case = f"{name}, tape {'hidden' if hidden else 'known'}"
            yield Row(f"{case}: lies", tally.lies, "lies")
            yield Row(f"{case}: of these about the new model", tally.models, "lies")
            found = tally.fallen + tally.given + tally.unshown
            yield at_least(f"{case}: fallen, or found in what is given", found, tally.lies, unit="lies")
            yield Row(f"{case}: of these in what is given", tally.given, "lies")
            yield Row(f"{case}: of these by silence, as there is nothing to show", tally.unshown, "lies")
            for kind, most in sorted(tally.most_questions.items()):
                limit = MOST_ASKED[kind] if hidden else MOST_ASKED_OF_KNOWN
                yield at_most(f"{case}: most questions for a lie in a {kind} cell", most, limit, unit="questions")
            for line in tally.standing[:5]:
                print(f"{case}: {line} stands")
    yield from false_challenges(court, 300 if args.quick else 10_000)


def false_challenges(court: Court, count: int) -> Iterator[Row]:
    """Challenge honest tapes, with one change or none."""
    found = Counter[str]()
    for index, rule in enumerate(RULES.values()):
        known, honest = sealed_round(rule, seed=index, sizes=(120, 90, 20))  # a leaf a block, so that none is asked for
        assert isinstance(known.rows, IntegerRows)
        challenger, target = Challenger(known, honest, random.Random(index)), court.register(honest, known.rows)
        for _ in range(count // len(RULES)):
            try:
                court.send(target, challenger.draw())
            except Reverted as error:
                found["decided"] += "NotRefuted" in str(error)
            else:
                found["fell"] += 1
            found["sent"] += 1
        found["fell"] += court.fallen(target)
    yield Row("false or malformed challenges of honest tapes", found["sent"], "challenges")
    yield Row("of these, decided by a cell that follows", found["decided"], "challenges")
    yield at_most("of these, that succeed", found["fell"], 0, unit="challenges")


def sealed_round(
    rule: Rule, *, seed: int, trainers: int = 6, sizes: tuple[int, ...] = (300, 150, 20)
) -> tuple[KnownRound, Tape]:
    """Return the second round of a task: what a challenger knows, and its honest tape."""
    task = Federation(random.Random(seed), trainers=trainers, sizes=sizes, counting=len(sizes) - 1)
    program = compose(rule)
    first = task.played(program, task.crowd(trainers))
    lengths, given = task.given(task.crowd(trainers), first)
    return round_known(program, lengths, claiming(program, lengths, given, task.dice))


def lie_in(court: Court, known: KnownRound, honest: Tape, number: int, *, hidden: bool, tally: Tally) -> None:
    """Change one cell of a column that somebody decides, in every way there is, and dispute it to the end."""
    column, dice = known.program.columns[number], random.Random(number)
    if column.op is Op.CLAIMED or not honest.columns[number].size:
        return
    place = tuple(dice.randrange(length) for length in honest.columns[number].shape)
    for told in lies_about(known, honest, number, place, dice):
        liar = lie(told_by(known, told), honest, number, place, told.value)
        game = play(court, known, liar, hidden=hidden, silent=told.silent, theirs=told.theirs)
        tally.add(kind_of(column.op), f"{column.name} {place} ({column.op.name}): {told.value}", game)


def kind_of(op: Op) -> str:
    """Return what a lie in a cell of this operation is counted under."""
    if op is Op.STEP:
        return "model"
    return "hint" if op in HINTS else "rows" if op in ROWS else "plain"


def lies_about(
    known: KnownRound, honest: Tape, number: int, place: tuple[int, ...], dice: random.Random
) -> Iterator[Lie]:
    """Yield other cells than the honest one."""
    column, cell, rows = known.program.columns[number], honest.cell(number, place), known.rows
    assert isinstance(rows, IntegerRows)
    if column.op is Op.COMBINE:
        yield Lie(lie_row(known, dice, cell))
    elif column.op is Op.STEP:
        before, sums = (honest.cell(operand.column, ()) for operand in column.operands[:2])
        yield from (Lie(root) for root in (before, sums))
        yield from (Lie(lie_row(known, dice, cell, block)) for block in range(len(rows.sizes)))
        theirs = rows.copy()
        yield Lie(lie_row(replace(known, rows=theirs), dice, cell), theirs)
        yield from (Lie(root, silent=True) for root in (0, cell ^ 1))
    elif column.kind is Kind.NUMBER:
        yield Lie(wrap(cell + dice.choice((1, -1))))
    else:
        others = rows.beside(cell or honest.cell(number, (0,) * len(place)))
        if others:  # a column that never has a row has none beside it
            yield Lie(dice.choice(others))


def told_by(known: KnownRound, told: Lie) -> KnownRound:
    """Return the round as who tells the lie knows it."""
    if told.theirs is None:
        return known
    given = replace(known.given, rows=told.theirs, stepper=told.theirs)
    return replace(known, rows=told.theirs, given=given)
