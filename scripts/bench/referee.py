"""What disputes about a tape of today's rule cost: one cell, a hidden tape, a long product, sum or step of the model.

Gas of the referee and the arithmetic of tapes on the real contracts, paths included, on py-evm. What binds a seal to
the chain, slash and overturn are in the rows "on the ledger", and come on top of the others.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator

from fl_platform.dispute.known import KnownRound
from fl_platform.dispute.next_moves import Refute, next_moves
from fl_platform.dispute.outputs import claims_of
from fl_platform.protocol.evaluation import evaluate
from fl_platform.protocol.merkle_sum import Leaf
from fl_platform.protocol.operations import PLAIN, Op, wrap
from fl_platform.protocol.tape import Tape
from fl_platform.rules.compose import Rule
from scripts.bench.harness import Row, at_most, cpu_time
from scripts.bench.lies import sealed_round
from tests.support.bound_rounds import CHALLENGER, BoundTask, referee_world
from tests.support.referee import Court, Game, lie, lie_row, play


def run(args: argparse.Namespace) -> Iterator[Row]:
    """Dispute at 8, 64 and 256 trainers, and over 1.66M parameters; --quick leaves 256 and the long rows out."""
    court = Court()
    figures: dict[int, int] = {}
    whole: dict[int, int] = {}
    for n in (8, 64) if args.quick else (8, 64, 256):
        known, honest = sealed_round(Rule(), seed=n, trainers=n, sizes=(400, 112))
        figures[n] = max(_cell(court, known, honest, pairs=pairs).refute_gas for pairs in (False, True))
        limit = 350_000 if n > 64 else 300_000
        yield at_most(f"n={n}: a cell refuted, tape known", figures[n], limit, unit="gas")
        whole[n] = max(_on_ledger(n, pairs=pairs) for pairs in (False, True))
        yield at_most(f"n={n}: a cell refuted on the ledger, slash and overturn", whole[n], limit, unit="gas")
        yield at_most(f"n={n}: a hash refuted, tape known", _hash(court, known, honest).refute_gas, 600_000, unit="gas")
        seconds = round(_tape_seconds(known), 2)
        yield at_most(f"n={n}: evaluate and root", seconds, {8: 1, 64: 2, 256: 10}[n], unit="CPU-s")
        if n == 64:
            yield from _hidden(court, known, honest)
    if not args.quick:
        yield at_most("a cell refuted: 256 more than 8", figures[256] - figures[8], 60_000, unit="gas")
        yield at_most("a cell refuted on the ledger: 256 more than 8", whole[256] - whole[8], 60_000, unit="gas")
        yield from _long(court)


def _tape_seconds(known: KnownRound) -> float:
    return cpu_time(lambda: evaluate(known.program, known.lengths, known.given).root, repeats=1)


def _cell(court: Court, known: KnownRound, honest: Tape, *, pairs: bool, hidden: bool = False) -> Game:
    """Refute a cell of three operands: of entries, or of pairs of entries."""
    game = play(court, known, _liar(known, honest, pairs=pairs), hidden=hidden)
    assert isinstance(game.end, Refute)
    return game


def _liar(known: KnownRound, honest: Tape, *, pairs: bool) -> Tape:
    wanted = 2 if pairs else 1
    dice = random.Random(5)
    numbers = [
        n for n, one in enumerate(known.program.columns)
        if one.op in PLAIN and len(one.operands) >= (2 if pairs else 3) and len(one.axes) == wanted
        and honest.columns[n].size
    ]  # fmt: skip
    number = dice.choice(numbers)
    place = tuple(dice.randrange(length) for length in honest.columns[number].shape)
    return lie(known, honest, number, place, wrap(honest.cell(number, place) + 1))


def _on_ledger(n: int, *, pairs: bool) -> int:
    """Refute such a cell of a seal on the ledger, with at least n entries; return the gas."""
    world = referee_world()
    task = BoundTask(random.Random(n), world, trainers=n * 5 // 4)
    task.play()
    claims: list[Leaf] = []

    def lying(known: KnownRound, honest: Tape) -> Tape:
        claims.extend(claims_of(honest, task.seats))  # the ledger takes no seal that allots another sum
        return _liar(known, honest, pairs=pairs)

    sealed = task.play(lying, claims=lambda _: claims)
    assert len(sealed.entries) >= n
    (move,) = next_moves(sealed.known, sealed.sealed.root, published=sealed.sealed, shown={})
    assert isinstance(move, Refute)
    target = sealed.target.encoded()
    return world.disputes.send(CHALLENGER, move.claim.function, target, *move.claim.encoded()).gas


def _hash(court: Court, known: KnownRound, honest: Tape) -> Game:
    """Refute a hash of pairs of entries."""
    hashes = [n for n, one in enumerate(known.program.columns) if one.op is Op.POSEIDON]
    number = max(hashes, key=lambda n: honest.columns[n].size)
    place = tuple(length - 1 for length in honest.columns[number].shape)
    return play(court, known, lie(known, honest, number, place, 0), hidden=False)


def _hidden(court: Court, known: KnownRound, honest: Tape) -> Iterator[Row]:
    games = [_cell(court, known, honest, pairs=pairs, hidden=True) for pairs in (False, True)]
    yield at_most("n=64, tape hidden: questions", max(game.questions for game in games), 6, unit="questions")
    yield at_most("n=64, tape hidden: both sides", max(game.gas for game in games), 1_200_000, unit="gas")
    hints = [n for n, one in enumerate(known.program.columns) if one.op is Op.LEAST]
    number = hints[0]
    place = (0,) * honest.columns[number].ndim
    game = play(court, known, lie(known, honest, number, place, honest.cell(number, place) + 1), hidden=True)
    yield at_most("n=64, tape hidden, a lie in a hint: questions", game.questions, 16, unit="questions")
    yield at_most("n=64, tape hidden, a lie in a hint: windows", game.windows, 10, unit="windows")
    yield at_most("n=64, tape hidden, a lie in a hint: both sides", game.gas, 2_500_000, unit="gas")
    for op in (Op.DOT, Op.COMBINE, Op.STEP):
        game = _rows(court, known, honest, op, hidden=True)
        yield at_most(f"n=64, tape hidden, {op.name}: questions", game.questions, 10, unit="questions")
        yield at_most(f"n=64, tape hidden, {op.name}: both sides", game.gas, 2_200_000, unit="gas")


def _rows(court: Court, known: KnownRound, honest: Tape, op: Op, *, hidden: bool) -> Game:
    number = next(n for n, one in enumerate(known.program.columns) if one.op is op)
    place = tuple(length // 2 for length in honest.columns[number].shape)
    cell = honest.cell(number, place)
    value = cell + 1 if op is Op.DOT else lie_row(known, random.Random(1), cell)
    game = play(court, known, lie(known, honest, number, place, value), hidden=hidden)
    assert isinstance(game.end, Refute)
    return game


def _long(court: Court) -> Iterator[Row]:
    known, honest = sealed_round(Rule(), seed=1, trainers=8, sizes=(1_600_000, 63_370, 16))
    for op in (Op.DOT, Op.COMBINE, Op.STEP):
        game = _rows(court, known, honest, op, hidden=False)
        yield at_most(f"d=1.66M, tape known, {op.name}: questions", game.questions, 3, unit="questions")
        yield at_most(f"d=1.66M, tape known, {op.name}: both sides", game.gas, 800_000, unit="gas")
