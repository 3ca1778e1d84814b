"""The hash on chain: the numbers of its Python twin, and cells that are hashes, by groups and by threes."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from fl_platform.dispute.claims import CellClaim
from fl_platform.dispute.known import KnownRound
from fl_platform.dispute.next_moves import Refute
from fl_platform.protocol.arithmetic import hash_of
from fl_platform.protocol.building import Builder
from fl_platform.protocol.evaluation import recompute
from fl_platform.protocol.openings import refutation_of
from fl_platform.protocol.operations import HASHES, Op
from fl_platform.protocol.program import Output
from fl_platform.protocol.sources import Axis, Source
from fl_platform.protocol.tape import Lengths, Tape
from fl_platform.rules.compose import Rule, compose
from tests.support.contracts import World
from tests.support.evm import Contract, Reverted, account
from tests.support.random_programs import claiming
from tests.support.referee import Court, lie, play, round_known
from tests.support.rule_rounds import Federation
from zk.curve.bn254 import ORDER

PERMUTATION = 450_000  # gas that one may cost, with its transaction
REFUTATION = 700_000  # gas of what fells a cell that is one
PROGRAM = compose(Rule())
EXTREMES = (0, 1, -1, ORDER - 1, ORDER, ORDER + 1, -ORDER, 1 - ORDER, 2 * ORDER, 2**255 - 1, -(2**255), 2**250, 2**254)


@pytest.fixture(scope="module")
def poseidon() -> Contract:
    """The contract, on a chain of its own."""
    return World().evm.create(account("deployer").address, "Poseidon")


@pytest.fixture(scope="module")
def court() -> Court:
    return Court()


@pytest.mark.parametrize("seed", range(12))
def test_it_gives_what_the_twin_gives(poseidon: Contract, seed: int) -> None:
    dice = random.Random(seed)
    same = [EXTREMES[seed]] * 8
    for cells in (same, [dice.choice((*EXTREMES, dice.randrange(-(2**255), 2**255))) for _ in range(8)]):
        assert poseidon.call("hash", cells) == hash_of(*cells) < ORDER


def test_a_number_counts_by_its_remainder(poseidon: Contract) -> None:
    assert poseidon.call("hash", [-1] * 8) == poseidon.call("hash", [ORDER - 1] * 8) == hash_of(*[2 * ORDER - 1] * 8)


def test_it_stays_below_the_gas_bar(poseidon: Contract) -> None:
    assert poseidon.send(account("anyone"), "hash", [2**255 - 1] * 8).gas <= PERMUTATION


def settled(trainers: int, seed: int = 1) -> tuple[KnownRound, Tape]:
    """Return a round of the package's rule, as a challenger knows it."""
    dice = random.Random(seed)
    task = Federation(dice, trainers=trainers)
    lengths, given = task.given(task.crowd(trainers), None)
    return round_known(PROGRAM, lengths, claiming(PROGRAM, lengths, given, dice))


HASHED = [number for number, column in enumerate(PROGRAM.columns) if column.op in HASHES]


@pytest.mark.parametrize("trainers", [0, 8])
def test_no_true_hash_falls(court: Court, trainers: int) -> None:
    known, honest = settled(trainers)
    target = court.register(honest, known.rows)  # type: ignore[arg-type]
    for number in HASHED:
        if honest.columns[number].size:
            place = tuple(length - 1 for length in honest.columns[number].shape)
            with pytest.raises(Reverted, match="NotRefuted"):
                court.send(target, CellClaim(refutation_of(honest, number, place)))


@pytest.mark.parametrize("hidden", [False, True], ids=["known", "hidden"])
@pytest.mark.parametrize("part", range(4))
def test_every_other_hash_falls(court: Court, part: int, hidden: bool) -> None:
    """Known at nine entries, and hidden: one cell of each column, with all after it computed from that."""
    known, honest = settled(8)
    dice = random.Random(part)
    for number in HASHED[part::12] if hidden else HASHED[part::4]:
        place = tuple(map(dice.randrange, honest.columns[number].shape))
        told = dice.choice((honest.cell(number, place) + ORDER, honest.cell(number, place) ^ 1, 0, -1, 2**255 - 1))
        game = play(court, known, lie(known, honest, number, place, told), hidden=hidden)
        assert isinstance(game.end, Refute), PROGRAM.columns[number]
        assert game.refute_gas <= REFUTATION


def test_what_fills_a_group_counts_as_nothing(court: Court) -> None:
    """A sealer that fills a column up with something has to hash zeros there all the same."""
    b = Builder()
    hashed = b.hash(b.hash(b.hash(b.source(Source.STAKE))))
    b.output(Output.SETTLEMENT, hashed)
    program = b.program()
    dice = random.Random(5)
    task = Federation(dice, trainers=9)
    lengths, given = task.given(task.crowd(9)[:9], None)
    known, honest = round_known(program, lengths, given)
    stakes = [int(one) for one in honest.columns[0]]
    assert len(stakes) == 9
    assert int(honest.columns[1][1]) == hash_of(stakes[8])
    assert honest.cell(2, (0,)) == hash_of(*map(int, honest.columns[1]))
    assert honest.cell(3, ()) == honest.cell(2, (0,))  # alone: it is not hashed again
    again = lie(known, honest, 3, (), hash_of(honest.cell(2, (0,))))
    assert isinstance(play(court, known, again, hidden=False).end, Refute)
    game = play(court, known, lie(known, honest, 1, (1,), hash_of(stakes[8], 1)), hidden=False)
    assert isinstance(game.end, Refute)


@pytest.mark.parametrize("stake", [0, 5, 2**79])
def test_what_stands_alone_is_itself(court: Court, stake: int) -> None:
    """Modulo r, as all that is hashed: below 0 a number is that much less than r."""
    b = Builder()
    b.hash(b.source(Source.STAKE) - 5)
    program = b.program()
    task = Federation(random.Random(5), trainers=1)
    lengths, given = task.given(task.crowd(0), None)
    given = replace(given, sources={**given.sources, Source.STAKE: np.array([stake], dtype=object)})
    known, honest = round_known(program, lengths, given)
    last = len(program.columns) - 1
    assert honest.cell(last, (0,)) == (stake - 5) % ORDER == recompute(honest, last, (0,))
    for told in ((stake - 4) % ORDER, hash_of(stake - 5), -5):
        assert isinstance(play(court, known, lie(known, honest, last, (0,), told), hidden=False).end, Refute)


def test_an_empty_column_has_the_hash_0(court: Court) -> None:
    b = Builder()
    b.output(Output.SETTLEMENT, b.hash(b.hash(b.hash(b.source(Source.STAKE)))))
    b.plain(Op.POSEIDON3, b.hash_along(b.ones(Axis.DIRECTION), 2), 3, 4)
    program = b.program()
    task = Federation(random.Random(5), trainers=1, directions=0)
    _, given = task.given([], None)
    known, honest = round_known(program, Lengths(0, 9), given)
    assert honest.cell(program.outputs[Output.SETTLEMENT], ()) == 0
    assert honest.cell(len(program.columns) - 1, ()) == hash_of(0, 3, 4)
    for number in (program.outputs[Output.SETTLEMENT], len(program.columns) - 1):
        assert isinstance(play(court, known, lie(known, honest, number, (), 7), hidden=True).end, Refute)
