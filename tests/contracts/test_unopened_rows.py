"""A content root that no tree has: a trainer commits to it, and its friend seals whatever it likes over it.

Nobody can refute such a product, because nobody can show a leaf; but who sealed it can be asked for any leaf.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from fl_platform.dispute.answers import HeldTape
from fl_platform.dispute.known import KnownRound, closed_reads
from fl_platform.dispute.next_moves import next_moves
from fl_platform.dispute.questions import Answer, Node, Question
from fl_platform.protocol.openings import Opened, opened
from fl_platform.protocol.operations import Op
from fl_platform.protocol.receipt import Receipt
from fl_platform.protocol.rows import RowLeaf
from fl_platform.protocol.sources import Source
from fl_platform.protocol.tape import Given, Lengths
from tests.support.bound_rounds import ASK_BOND, REFERENCE, BoundTask, RefereeWorld, Sealed, referee_world, word_of
from tests.support.contracts import digest
from tests.support.evm import Reverted
from tests.support.integer_rows import IntegerRows
from tests.support.rule_rounds import DEFAULTS

NOTHING = int.from_bytes(digest("no tree has this root"), "big", signed=True)


@pytest.fixture
def world() -> RefereeWorld:
    return referee_world()


class Friendly(BoundTask):
    """The last trainer has no update; the sealer multiplies by one that it likes."""

    def _entries(self, parent: Sealed | None) -> tuple[list[Receipt], list[Receipt]]:
        length, model = DEFAULTS["update_length"], self.terms.initial_model
        roots = [self.fed.row(0.2, 1) for _ in self.people[:-1]]
        self.rows.rows[NOTHING] = self.rows.rows[self.fed.row(2, 0)]
        self.rows._bits[NOTHING] = 8
        made = [
            self.run.receipt(who, parent=model, content_root=word_of(root), length=length)
            for who, root in zip((*self.people, REFERENCE), (*roots, NOTHING, self.fed.row(1, 0)), strict=True)
        ]
        return sorted(made, key=lambda one: one.trainer), []

    def _given(self, *arguments: object) -> tuple[Lengths, Given]:
        lengths, given = super()._given(*arguments)  # type: ignore[arg-type]
        refused = given.sources[Source.REFUSED] * 0
        return lengths, replace(given, sources={**given.sources, Source.REFUSED: refused})


def stranger_to(sealed: Sealed) -> KnownRound:
    """Return the round as somebody knows it for whom that update does not open."""
    rows = sealed.known.rows
    assert isinstance(rows, IntegerRows)
    others = replace(rows, rows={k: v for k, v in rows.rows.items() if k != NOTHING}, closed=frozenset({NOTHING}))
    return replace(sealed.known, given=replace(sealed.known.given, rows=others), rows=others)


def ask(world: RefereeWorld, sealed: Sealed, question: Question) -> None:
    second = sealed.target.aggregators[1]  # it has a key
    world.fill(second)
    world.disputes.send(second, "ask", sealed.target.encoded(), question.encoded(), bytes(32))


def show(world: RefereeWorld, sealed: Sealed, question: Question, answer: Answer) -> None:
    sealer = sealed.target.record.aggregator
    world.disputes.send(sealer, "show", sealed.target.encoded(), question.encoded(), answer.encoded())


def test_who_sealed_a_product_over_leaves_that_nobody_has_falls(world: RefereeWorld) -> None:
    task = Friendly(random.Random(1), world)
    sealed, friend = task.play(), task.people[-1]
    paid = {owner: claim.amount for owner, claim in zip(sealed.seats, sealed.claims, strict=True)}
    assert paid[friend.address] > sum(paid[who.address] for who in task.people[:-1])
    known = stranger_to(sealed)
    assert next_moves(known, sealed.sealed.root, published=sealed.sealed, shown={}) == ()
    (question,) = closed_reads(known, sealed.sealed).values()
    ask(world, sealed, replace(question, index=1))
    held = HeldTape(sealed.sealed, sealed.known.rows)
    (place,), entries = question.place, len(sealed.entries)
    other = held.answer(replace(question, place=((place + 1) % entries,), index=1))  # that row has leaves
    reads = task.program.columns[question.column].operands[question.leaf].column
    right = replace(other, cell=opened(sealed.sealed, reads, question.place))
    none = replace(other, cell=Opened(0, right.cell.siblings))
    for false in (other, right, none, replace(right, leaf=RowLeaf(bytes(32), bytes(128), other.leaf.siblings))):
        with pytest.raises(Reverted):
            show(world, sealed, replace(question, index=1), false)
    world.evm.now += task.run.params.windows.takeover
    world.disputes.send(friend, "lapse", sealed.target.encoded(), replace(question, index=1).encoded())
    assert world.escrow.call("member", task.run.task, sealed.target.record.aggregator)[0] == 0


def test_who_has_them_shows_every_leaf(world: RefereeWorld) -> None:
    task = BoundTask(random.Random(1), world)
    task.play()
    sealed = task.play()
    held, shape = HeldTape(sealed.sealed, sealed.known.rows), sealed.known.rows.shape
    shown = 0
    for number, column in enumerate(task.program.columns):
        if column.op not in (Op.DOT, Op.DOT_SHIFTED, Op.COMBINE) or not sealed.sealed.columns[number].size:
            continue
        place = tuple(length - 1 for length in sealed.sealed.columns[number].shape)
        for leaf in (0, 1):
            question = Question(Node.OPERAND, number, place, leaf, index=shape.leaves - 1)
            ask(world, sealed, question)
            show(world, sealed, question, held.answer(question))
            shown += 1
    assert shown
    # the askers' bonds are its sealer's
    assert task.run.member(sealed.target.record.aggregator)[1] == shown * ASK_BOND
