"""Games about one Gram entry: a lie ends at one leaf, an honest entry cannot be lost, and who does not move loses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fl_platform.aggregation.products import first_difference, split_range
from fl_platform.chain import work_evidence
from fl_platform.chain.bisections import Game as ChainGame
from fl_platform.chain.bisections import digest_of
from fl_platform.chain.evidence import Question
from fl_platform.chain.records import struct
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.trace import COORDINATES, Trace
from fl_platform.updates.content import leaf_count
from tests.support.disputes import Stage
from tests.support.evm import Account, Outcome, Reverted, account
from tests.support.rounds import Round, build_round
from tests.support.work import Work, big_round, big_spec

CHALLENGER = account("challenger")
SMALL = ((3, 50), (7,), (200,), ())  # 358 coordinates, 3 leaves: one split
OFFSETS = (1, 4, 0, 2)


def in_gram(row: int, column: int, add: int) -> Callable[[Trace], Trace]:
    """Change an entry and its mirror, so that symmetry does not tell."""

    def lie(t: Trace) -> Trace:
        rows = [list(r) for r in t.gram]
        rows[row][column] += add
        if row != column:
            rows[column][row] += add
        return replace(t, gram=tuple(tuple(r) for r in rows))

    return lie


class Game:
    """One game between a challenger and the sealer of round 0."""

    def __init__(self, row: int, column: int, *, add: int = 0, made: Round | None = None) -> None:
        made = made or big_round(big_spec(*SMALL, offsets=OFFSETS))
        self.stage = Stage.start(made)
        judged = self.stage.seal(made, trace=in_gram(row, column, add))
        self.work = Work(self.stage.rounds[0], judged)
        self.row, self.column = row, column
        self.games = self.stage.world.bisections
        self.sealer = self.stage.run.params.aggregators[0]
        self.listed = self.stage.run.params.aggregators
        self.told: dict[int, ChainGame] = {}

    def open(self) -> int:
        trace = self.stage.traces[0]
        evidence = work_evidence.gram_entry(trace, self.row, self.column)
        done = self.games.send(CHALLENGER, "open", self.stage.case(0, Question.SUM), evidence)
        number = int(done.output[0])
        self.learn(done, number)
        return number

    @property
    def statement(self) -> work_evidence.Statement:
        return work_evidence.statement_of(self.stage.traces[0], self.row, self.column)

    def state(self, number: int) -> ChainGame:
        """The game as its last event told it, held against the hash that the contract keeps."""
        told = self.told[number]
        assert digest_of(told) == self.games.call("gameDigest", number)
        return told

    def learn(self, done: Outcome, number: int) -> Outcome:
        """Remember what an event says of a game."""
        (values,) = [v for name, v in done.events if name.startswith("Bisection")]
        self.told[number] = struct(ChainGame, values["game"])
        return done

    def parts(self, number: int, lie: int = 0) -> list[int]:
        """The true parts of the range in question; `lie` is hidden in the second one (or the only one)."""
        game = self.state(number)
        _, width = work_evidence.parts_of(game.count)
        products = self.work.products(self.row, self.column)
        parts = list(split_range(products, first=game.first, count=game.count, width=width))
        parts[min(1, len(parts) - 1)] += lie
        return parts

    def split(
        self, number: int, parts: list[int], who: Account | bytes | None = None, tensors: bytes = b""
    ) -> Outcome:
        sealer = self.stage.run.params.aggregators[0]
        shown = (number, self.told[number], self.stage.record(0), self.statement, parts, tensors or self.work.layout)
        done = self.games.send(who or sealer, "split", *shown)
        return self.learn(done, number)

    def pick(self, number: int, parts: list[int], index: int, who: Account = CHALLENGER) -> Outcome:
        done = self.games.send(who, "pick", number, self.told[number], self.stage.record(0), parts, index)
        return self.learn(done, number)

    def prove(self, number: int, parts: list[int], index: int, leaf: int | None = None) -> Outcome:
        game = self.told[number]
        product = self.work.product(self.row, self.column, game.first + index if leaf is None else leaf)
        return self.games.send(
            CHALLENGER, "prove", number, game, self.stage.record(0), self.statement, parts, index, product, self.listed
        )

    def expire(self, number: int) -> Outcome:
        return self.games.send(
            account("anyone"), "expire", number, self.told[number], self.stage.record(0), self.listed
        )

    def bond_of(self, who: Any) -> int:
        return int(self.stage.run.member(who)[0])


def test_a_lie_in_a_gram_entry_ends_at_a_leaf_and_takes_the_bond() -> None:
    game = Game(1, 2, add=5)
    number = game.open()
    assert game.stage.world.views.call("isChallenged", game.stage.run.task, 0)
    parts = game.parts(number, lie=5)
    game.split(number, parts)
    true = game.parts(number)
    wrong = first_difference(parts, true)
    assert wrong == 1
    game.prove(number, parts, wrong)
    assert game.bond_of(game.sealer) == 0
    assert game.games.call("gameDigest", number) == bytes(32)
    assert game.stage.run.member(CHALLENGER)[1] > 0


@pytest.mark.parametrize(("row", "column"), [(0, 1), (1, 1), (2, 3), (3, 0)])
def test_an_honest_entry_cannot_be_lost(row: int, column: int) -> None:
    game = Game(row, column)
    number = game.open()
    parts = game.parts(number)
    game.split(number, parts)
    for index in range(len(parts)):
        with pytest.raises(Reverted, match="Bisections_NotRefuted"):
            game.prove(number, parts, index)
    bond, before = game.state(number).bond, game.stage.run.member(game.sealer)[1]
    game.stage.world.wait(game.state(number).deadline)
    game.expire(number)
    assert game.stage.run.member(game.sealer)[1] - before == bond  # the challenger's bond goes to the sealer
    assert game.bond_of(game.sealer) > 0
    assert not game.stage.world.views.call("isChallenged", game.stage.run.task, 0)


def test_a_long_row_takes_two_splits() -> None:
    """313 leaves: runs of three, then leaves. The lie is in the last, shorter run."""
    made = big_round(big_spec((200, 200), (7,), offsets=(0, 3)), trainers=2)
    game = Game(1, 2, add=-9, made=made)
    number = game.open()
    assert game.state(number).count == leaf_count(40_007) == 313
    assert work_evidence.parts_of(313) == (105, 3) == game.games.call("partsOf", 313)
    parts = game.parts(number)
    parts[-1] -= 9
    game.split(number, parts)
    with pytest.raises(Reverted, match="Bisections_OutOfRange"):
        game.pick(number, parts, 105)
    game.pick(number, parts, 103)  # a right part of three leaves: the sealer splits it rightly
    again = game.parts(number)
    assert len(again) == 3
    game.split(number, again)
    with pytest.raises(Reverted, match="Bisections_NotRefuted"):
        game.prove(number, again, 2)


def test_the_last_run_is_one_leaf_and_decides_at_once() -> None:
    made = big_round(big_spec((200, 200), (7,), offsets=(0, 3)), trainers=2)
    game = Game(1, 2, add=-9, made=made)
    number = game.open()
    parts = game.parts(number)
    parts[-1] -= 9
    game.split(number, parts)
    with pytest.raises(Reverted, match="Bisections_NotALeaf"):
        game.pick(number, parts, 104)
    game.prove(number, parts, 104, leaf=312)
    assert game.bond_of(game.sealer) == 0


def test_a_row_of_one_leaf_is_split_into_itself() -> None:
    made = big_round(big_spec((10, 10), offsets=(2,)))
    game = Game(1, 2, add=1, made=made)
    number = game.open()
    claimed = game.state(number).claimed
    with pytest.raises(Reverted, match="Bisections_PartSum"):
        game.split(number, [claimed - 1])
    game.split(number, [claimed])
    game.prove(number, [claimed], 0)
    assert game.bond_of(game.sealer) == 0


def test_a_sealer_that_does_not_split_loses() -> None:
    game = Game(1, 2, add=5)
    number = game.open()
    deadline = game.state(number).deadline
    game.stage.world.wait(deadline - 1)
    with pytest.raises(Reverted, match="Bisections_Deadline"):
        game.expire(number)
    game.stage.world.wait(deadline)
    with pytest.raises(Reverted, match="Bisections_Deadline"):
        game.split(number, game.parts(number, lie=5))
    game.expire(number)
    assert game.bond_of(game.sealer) == 0


def test_a_challenger_that_does_not_pick_loses_its_bond() -> None:
    game = Game(1, 2, add=5)
    number = game.open()
    parts = game.parts(number, lie=5)
    game.split(number, parts)
    game.stage.world.wait(game.state(number).deadline)
    with pytest.raises(Reverted, match="Bisections_Deadline"):
        game.prove(number, parts, 1)
    game.expire(number)
    assert game.bond_of(CHALLENGER) == 0
    assert game.bond_of(game.sealer) > 0
    with pytest.raises(Reverted, match="Bisections_UnknownGame"):
        game.expire(number)


def test_a_game_about_a_round_that_fell_ends_without_effect() -> None:
    game = Game(1, 2, add=5)
    first, second = game.open(), game.open()
    parts = game.parts(first, lie=5)
    game.split(first, parts)
    game.prove(first, parts, 1)
    with pytest.raises(Reverted, match="Bisections_WrongEvidence"):
        game.split(second, parts)
    credit = game.stage.run.member(CHALLENGER)[1]
    game.expire(second)
    assert game.stage.run.member(CHALLENGER)[1] == credit + game.stage.world.disputes.call(
        "bondOf", game.stage.run.task
    )


def test_who_may_move_and_with_what() -> None:
    game = Game(1, 2, add=5)
    number = game.open()
    parts = game.parts(number, lie=5)
    with pytest.raises(Reverted, match="Bisections_NotYourMove"):
        game.split(number, parts, who=account("anyone"))
    with pytest.raises(Reverted, match=r"Bisections_PartCount\(given=2, expected=3\)"):
        game.split(number, parts[:2])
    with pytest.raises(Reverted, match="Bisections_PartSum"):
        game.split(number, game.parts(number))
    with pytest.raises(Reverted, match="Bisections_NotYourMove"):
        game.prove(number, parts, 1)
    game.split(number, parts)
    with pytest.raises(Reverted, match="Bisections_NotYourMove"):
        game.split(number, parts)
    with pytest.raises(Reverted, match="Bisections_NotYourMove"):
        game.pick(number, parts, 0, who=account("anyone"))
    with pytest.raises(Reverted, match="Bisections_WrongEvidence"):
        game.prove(number, [*parts[:2], parts[2] + 1], 1)
    with pytest.raises(Reverted, match="Contents_LeafMismatch"):
        game.prove(number, parts, 1, leaf=0)
    other = replace(game.statement, size=game.statement.size + 1)
    product = game.work.product(1, 2, 1)
    with pytest.raises(Reverted, match="Bisections_WrongEvidence"):
        game.games.send(
            CHALLENGER, "prove", number, game.told[number], game.stage.record(0), other, parts, 1, product, game.listed
        )
    with pytest.raises(Reverted, match="Contents_LayoutMismatch"):
        game.games.send(
            CHALLENGER, "prove", number, game.told[number], game.stage.record(0), game.statement, parts, 1,
            replace(product, tensors=product.tensors[:-1] + b"\x07"), game.listed,
        )  # fmt: skip


def test_who_cannot_show_the_layout_cannot_answer() -> None:
    """A sealed layout hash that nobody knows would leave no way to multiply: the sealer must show what it hashes."""
    game = Game(1, 2, add=5)
    number = game.open()
    parts = game.parts(number, lie=5)
    with pytest.raises(Reverted, match="Contents_LayoutMismatch"):
        game.split(number, parts, tensors=game.work.layout[:-1] + bytes([3]))
    made = big_round(big_spec(*SMALL, offsets=OFFSETS))

    def short(t: Trace) -> Trace:
        told = in_gram(1, 2, 5)(t)
        return replace(told, work=replace(told.work, layout=int.from_bytes(keccak256(game.work.layout[:-9]), "big")))

    stage = Stage.start(made)
    judged = stage.seal(made, trace=short)
    other = Game.__new__(Game)
    other.stage, other.work, other.row, other.column = stage, Work(stage.rounds[0], judged), 1, 2
    other.games, other.listed, other.told = stage.world.bisections, stage.run.params.aggregators, {}
    other.sealer = stage.run.params.aggregators[0]
    number = other.open()
    with pytest.raises(Reverted, match="Bisections_LayoutSize"):
        other.split(number, other.parts(number, lie=5), tensors=game.work.layout[:-9])


def test_only_games_use_the_seam() -> None:
    game = Game(1, 2)
    record, disputes = game.stage.record(0), game.stage.world.disputes
    nobody = account("anyone")
    calls: list[tuple[str, tuple[Any, ...]]] = [
        ("enter", (1, 0, record, nobody.address)),
        ("uphold", (1, 0, record, nobody.address, 1, game.listed)),
        ("drop", (1, 0, record, nobody.address, 1, nobody.address)),
        ("release", (1, 0, record, nobody.address, 1)),
        ("lockBond", (1, nobody.address, 1)),
        ("returnBond", (1, nobody.address, 1)),
        ("forfeitBond", (1, nobody.address, 1, nobody.address)),
        ("penalise", (1, nobody.address, 1, nobody.address, 1)),
    ]
    for name, arguments in calls:
        with pytest.raises(Reverted, match="Disputes_NotGame"):
            disputes.send(nobody, name, *arguments)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    bits=st.sampled_from([4, 8, 16]),
    sizes=st.lists(st.integers(1, 150), min_size=1, max_size=5),
    data=st.data(),
)
def test_the_contract_multiplies_leaves_as_python_does(bits: int, sizes: list[int], data: st.DataObject) -> None:
    """Random widths, tensors and extremes: the contract's product of every leaf is the twin's, or the leaf loses."""
    offsets = tuple(data.draw(st.integers(0, 4)) for _ in sizes)
    spec = big_spec(*((size,) for size in sizes), offsets=offsets)
    spec = replace(spec, codec=replace(spec.codec, bits=bits))
    top = 2 ** (bits - 1) - 1
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    kind = np.int16 if bits == 16 else np.int8

    def draw() -> np.ndarray:
        values = rng.integers(-top, top + 1, spec.model.size)
        values[rng.random(spec.model.size) < 0.2] = top
        return np.asarray(values, dtype=kind)

    reference = draw()
    made = build_round(spec, [draw(), reference], reference=reference)
    game = Game(1, 0, made=made)
    number = game.open()
    parts = game.parts(number)
    game.split(number, parts)
    for index in range(len(parts)):
        with pytest.raises(Reverted, match="Bisections_NotRefuted"):
            game.prove(number, parts, index)
    assert sum(parts) == game.stage.traces[0].gram[1][0]
    assert COORDINATES * len(parts) >= spec.model.size
