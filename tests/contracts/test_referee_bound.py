"""The referee on the real ledger: honest seals stand, and what the chain knows to be otherwise fells a seal."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fl_platform.dispute.answers import HeldTape
from fl_platform.dispute.claims import CellClaim, DotClaim
from fl_platform.dispute.known import KnownRound
from fl_platform.dispute.next_moves import Ask, GivenDiffers, Refute, next_moves
from fl_platform.dispute.outputs import OutputClaim, answer_claims, next_claims, program_path
from fl_platform.dispute.questions import NO_CELL, Answer, Node, Question, blocks_of, encoded_instruction
from fl_platform.dispute.targets import source_claim
from fl_platform.protocol.merkle_sum import Leaf
from fl_platform.protocol.openings import instruction_path, opened
from fl_platform.protocol.operations import Op, wrap
from fl_platform.protocol.program import Output, Program
from fl_platform.protocol.sources import Axis, Refused, Source
from fl_platform.protocol.tape import Tape
from tests.support.bound_rounds import ASK_BOND, CHALLENGER, BoundTask, RefereeWorld, Sealed, referee_world
from tests.support.contracts import digest
from tests.support.evm import Reverted, account
from tests.support.referee import Liar, lie


@pytest.fixture
def world() -> RefereeWorld:
    return referee_world()


def claim(world: RefereeWorld, sealed: Sealed, made: Any, blocks: tuple[int, ...] = ()) -> int:
    """Send a claim; return the gas."""
    target = sealed.target.encoded(blocks)
    return world.disputes.send(CHALLENGER, made.function, target, *made.encoded()).gas


def given_claim(sealed: Sealed, number: int, place: tuple[int, ...], tape: Tape) -> Any:
    cell = opened(tape, number, place)
    return source_claim(sealed.target, number, place, cell, entries=sealed.entries, parent=sealed.parent)


def has_fallen(world: RefereeWorld, sealed: Sealed) -> bool:
    """Whether the round is there again to be sealed by another one, and the sealer's bond is gone."""
    head = world.ledger.call("head", sealed.target.task)
    bond = world.escrow.call("member", sealed.target.task, sealed.target.record.aggregator)[0]
    return bool(head[2] <= sealed.target.round and bond == 0)


@pytest.mark.parametrize("seed", range(6))
def test_no_source_of_an_honest_seal_is_refuted(world: RefereeWorld, seed: int) -> None:
    dice = random.Random(seed)
    task = BoundTask(dice, world)
    for _ in range(3):
        sealed = task.play()
        assert next_moves(sealed.known, sealed.honest.root, published=sealed.honest, shown={}) == ()
        assert next_claims(sealed.target, sealed.honest, sealed.seats, published=None, shown={}) is None
        for number, column in enumerate(task.program.columns):
            shape = sealed.honest.columns[number].shape
            if column.op not in (Op.SOURCE, Op.PREV) or 0 in shape:
                continue
            place = tuple(dice.randrange(length) for length in shape)
            with pytest.raises(Reverted, match="NotRefuted"):
                claim(world, sealed, given_claim(sealed, number, place, sealed.honest))


@pytest.mark.parametrize("source", [*Source, None], ids=lambda s: "carried" if s is None else s.name)
def test_a_lie_about_each_source_falls(world: RefereeWorld, source: Source | None) -> None:
    """One cell of the source is another, and all after it is computed from that."""
    dice = random.Random(100 + (source or 0))
    task = BoundTask(dice, world)
    numbers = [
        n for n, column in enumerate(task.program.columns)
        if (column.op is Op.PREV if source is None else column.op is Op.SOURCE and column.immediate & 0xFF == source)
    ]  # fmt: skip
    if not numbers:
        assert source in {Source.ROUND, Source.SAMPLES, Source.BLOCK_COUNTS}, "the shipped rule reads it"
        return
    task.play()
    number = dice.choice(numbers)

    def lying(known: KnownRound, honest: Tape) -> Tape:
        shape = honest.columns[number].shape
        place = tuple(dice.randrange(length) for length in shape)
        cell = honest.cell(number, place)
        if source is Source.REFUSED:
            return lie(known, honest, number, place, Refused.CONVICTED)
        return lie(known, honest, number, place, task.fed.row(1, 1) if source is Source.CONTENT else wrap(cell + 1))

    def allotting(leaves: list[Leaf]) -> list[Leaf]:  # the ledger takes no seal that allots more
        over = int(source is Source.POT)
        return [*leaves[:8], replace(leaves[8], amount=leaves[8].amount - over), *leaves[9:]]

    sealed = task.play(lying, claims=allotting)
    known = sealed.known
    if source is Source.REFUSED:  # nobody was convicted
        given = dict(known.given.sources)
        cells = sealed.sealed.columns[number]
        given[Source.REFUSED] = np.where(cells == Refused.CONVICTED, 0, cells)
        known = replace(known, given=replace(known.given, sources=given))
    (move,) = next_moves(known, sealed.sealed.root, published=sealed.sealed, shown={})
    assert isinstance(move, GivenDiffers)
    assert move.column == number
    made = source_claim(
        sealed.target, number, move.place, move.claimed, entries=sealed.entries, parent=sealed.parent
    )
    claim(world, sealed, made)
    assert has_fallen(world, sealed)


def test_an_honest_claim_a_wrong_owner_and_a_wrong_amount(world: RefereeWorld) -> None:
    dice = random.Random(7)
    task = BoundTask(dice, world)
    sealed = task.play()
    program = sealed.target.program
    for output in (Output.EARNED, Output.REPUTATION, Output.TOTAL, Output.MODEL):
        seat = dice.randrange(len(sealed.seats))
        place = () if output in (Output.TOTAL, Output.MODEL) else (seat,)
        tree = task.run.seals[0][1]
        made = OutputClaim(
            output, program.header(), program_path(program), opened(sealed.honest, program.outputs[output], place),
            seat, tree.leaves[seat], tree.path(seat),
        )  # fmt: skip
        with pytest.raises(Reverted, match="NotRefuted"):
            claim(world, sealed, made)


def test_a_model_that_is_not_its_tapes_falls(world: RefereeWorld) -> None:
    """The tape is true, and the seal names another model beside it."""
    task = BoundTask(random.Random(8), world)
    task.play()
    sealed = task.play(model=digest("another model"))
    assert next_moves(sealed.known, sealed.honest.root, published=sealed.honest, shown={}) == ()
    move = next_claims(sealed.target, sealed.honest, sealed.seats, published=sealed.claims, shown={})
    assert isinstance(move, Refute)
    assert isinstance(move.claim, OutputClaim)
    assert move.claim.output is Output.MODEL
    claim(world, sealed, move.claim)
    assert has_fallen(world, sealed)


@pytest.mark.parametrize("kind", ["owner", "amount", "reputation", "more seats"])
@pytest.mark.parametrize("hidden", [False, True], ids=["known", "hidden"])
def test_a_lie_about_claims_falls(world: RefereeWorld, kind: str, hidden: bool) -> None:
    dice = random.Random(len(kind))
    task = BoundTask(dice, world, trainers=9)
    task.play()

    def lying(leaves: list[Leaf]) -> list[Leaf]:
        at, other = dice.sample(range(9, len(leaves)), 2)
        one, two = leaves[at], leaves[other]
        if kind == "owner":
            leaves[at] = replace(one, owner=CHALLENGER.address)
        elif kind == "reputation":
            leaves[at] = replace(one, data=(5).to_bytes(32, "big"))
        elif kind == "amount":
            leaves[at], leaves[other] = replace(one, amount=one.amount + two.amount), replace(two, amount=0)
        else:
            leaves.append(Leaf(CHALLENGER.address, 0, bytes(32)))
        return leaves

    sealed = task.play(claims=lying)
    shown: dict[Question, Answer] = {}
    target = sealed.target.encoded()
    while True:
        published = None if hidden else sealed.claims
        move = next_claims(sealed.target, sealed.sealed, sealed.seats, published=published, shown=shown)
        if isinstance(move, Refute):
            break
        assert move is not None
        for question in move.questions:
            world.disputes.send(CHALLENGER, "ask", target, question.encoded(), bytes(32))
            shown[question] = answer_claims(sealed.claims, question)
            sealer = sealed.target.record.aggregator
            world.disputes.send(sealer, "show", target, question.encoded(), shown[question].encoded())
    assert len(shown) == (0 if not hidden or kind == "more seats" else 2)
    claim(world, sealed, move.claim)
    assert has_fallen(world, sealed)


def test_any_cell_that_does_not_follow_falls_on_the_ledger(world: RefereeWorld) -> None:
    dice = random.Random(3)
    task = BoundTask(dice, world)
    task.play()
    number = task.program.column("weight")

    def lying(known: KnownRound, honest: Tape) -> Tape:
        return lie(known, honest, number, (0,), honest.cell(number, (0,)) + 1)

    sealed = task.play(lying)
    (move,) = next_moves(sealed.known, sealed.sealed.root, published=sealed.sealed, shown={})
    assert isinstance(move, Refute)
    assert isinstance(move.claim, CellClaim)
    claim(world, sealed, move.claim)
    assert has_fallen(world, sealed)
    with pytest.raises(Reverted):
        claim(world, sealed, move.claim)


def test_a_product_by_blocks_of_no_row_falls(world: RefereeWorld) -> None:
    """No leaf says which block it is of: the cell's place does."""
    task = BoundTask(random.Random(11), world, trainers=8)
    number = next(n for n, c in enumerate(task.program.columns) if c.op is Op.DOT and Axis.BLOCK in c.axes)
    column, none = task.program.columns[number], list[int]()

    def lying(known: KnownRound, honest: Tape) -> Tape:
        held = HeldTape(honest, known.rows)
        none.extend(i for i in range(honest.lengths.entries) if not held.operand(column, 0, (i, 1)))
        return lie(known, honest, number, (none[0], 1), 10**6) if none else honest

    while not none:
        sealed = task.play(lying)
    (move,) = next_moves(sealed.known, sealed.sealed.root, published=sealed.sealed, shown={})
    assert isinstance(move, Refute)
    assert isinstance(move.claim, DotClaim)
    assert (move.claim.column, move.claim.place) == (number, (none[0], 1))
    claim(world, sealed, move.claim, (move.claim.block,))
    assert has_fallen(world, sealed)


def products(program: Program) -> dict[str, int]:
    """Return a column of every kind of product, with one row for each entry on its left."""

    def first(op: Op, blocks: bool) -> int:
        return next(
            n for n, column in enumerate(program.columns)
            if column.op is op and (Axis.BLOCK in column.axes) is blocks and column.axes[:1] == (Axis.ENTRY,)
        )  # fmt: skip

    return {"whole": first(Op.DOT, False), "by blocks": first(Op.DOT, True), "shifted": first(Op.DOT_SHIFTED, False)}


@pytest.mark.parametrize("kind", ["whole", "by blocks", "shifted"])
def test_an_honest_sealer_shows_the_parts_of_every_product(world: RefereeWorld, kind: str) -> None:
    """With the block that the package sends, and no other."""
    task = BoundTask(random.Random(5), world)
    sealed, number = task.play(), products(task.program)[kind]
    question = Question(Node.SUMS, number, (0,) * sealed.honest.columns[number].ndim, level=1)
    world.disputes.send(world.aggregators[1], "ask", sealed.target.encoded(), question.encoded(), bytes(32))
    target = sealed.target.encoded(blocks_of(question, task.program, len(task.terms.blocks)))
    answer = HeldTape(sealed.honest, sealed.known.rows).answer(question).encoded()
    columns = task.program.columns
    instruction = encoded_instruction(columns[number].words(), instruction_path(task.program, number))
    with pytest.raises(Reverted, match="Referee_Answerable"):
        world.disputes.send(CHALLENGER, "dismiss", target, question.encoded(), instruction)
    world.disputes.send(sealed.target.record.aggregator, "show", target, question.encoded(), answer)


def test_a_question_stops_the_round_until_it_is_answered(world: RefereeWorld) -> None:
    """The asker's bond goes to who sealed; the ledger stands still from the first question to the last answer."""
    task = BoundTask(random.Random(5), world)
    sealed = task.play()
    target, question = sealed.target.encoded(), Question(Node.CLAIMS, level=0, index=9)
    world.disputes.send(CHALLENGER, "ask", target, question.encoded(), bytes(32))
    assert world.ledger.call("head", task.run.task)[9]
    before = world.escrow.call("member", task.run.task, sealed.target.record.aggregator)[1]
    answer = answer_claims(sealed.claims, question)
    world.disputes.send(sealed.target.record.aggregator, "show", target, question.encoded(), answer.encoded())
    assert world.escrow.call("member", task.run.task, sealed.target.record.aggregator)[1] - before == ASK_BOND
    release(world, sealed)
    assert not world.ledger.call("head", task.run.task)[9]
    task.play()
    task.run.finalize()
    assert task.run.claim(1, 9)


@pytest.mark.parametrize("ended", ["shown", "dismissed"])
def test_who_answers_its_own_question_pays_the_sealer_all_the_same(world: RefereeWorld, ended: str) -> None:
    """Else whoever keeps a task waiting pays gas alone, with a friend or without."""
    asker, friend = account("asker"), account("friend")
    world.fill(asker, 3 * ASK_BOND)
    task = BoundTask(random.Random(5), world)
    sealed = task.play()
    sealer = sealed.target.record.aggregator
    target, instruction = sealed.target.encoded(), encoded_instruction(bytes(160), ())
    pot = world.views.call("allotted", task.run.task, 1)
    for time, who in enumerate((asker, friend, asker)):
        question = Question(Node.CLAIMS, level=0, index=time if ended == "shown" else 999)
        world.disputes.send(asker, "ask", target, question.encoded(), bytes(32))
        if ended == "shown":
            answer = answer_claims(sealed.claims, question).encoded()
            world.disputes.send(who, "show", target, question.encoded(), answer)
        else:
            world.disputes.send(who, "dismiss", target, question.encoded(), instruction)
        assert task.run.member(sealer)[1] == (time + 1) * ASK_BOND
    assert tuple(task.run.member(asker))[:2] == tuple(task.run.member(friend))[:2] == (0, 0)
    assert world.token.call("balanceOf", asker.address) == 0
    assert world.views.call("allotted", task.run.task, 1) == pot  # who seals the next round knows what to allot


def release(world: RefereeWorld, sealed: Sealed) -> None:
    """Wait for what may follow from the last answer, and let the task go on."""
    target = sealed.target.encoded()
    if world.ledger.call("head", sealed.target.task)[9]:
        with pytest.raises(Reverted, match="Deadline"):
            world.disputes.send(CHALLENGER, "release", target)
        world.evm.now += 1_000
        world.disputes.send(CHALLENGER, "release", target)
    with pytest.raises(Reverted, match="QuestionState"):
        world.disputes.send(CHALLENGER, "release", target)


def test_a_hidden_lie_is_followed_however_many_questions_others_ask(world: RefereeWorld) -> None:
    """After the window the sealer shows each node as late as it may. A friend of its asks about the claims, one after
    the other, and asks first for what everybody needs next."""
    friend = account("friend")
    world.fill(friend)
    task = BoundTask(random.Random(3), world)

    def lying(known: KnownRound, honest: Tape) -> Tape:
        number = known.program.column("weight")
        return lie(known, honest, number, (0,), honest.cell(number, (0,)) + 1)

    sealed = task.play(lying)
    target, answer = sealed.target.encoded(), task.run.params.windows.takeover
    held, shown = Liar(sealed.sealed, sealed.known.rows), dict[Question, Answer]()
    asker, after = CHALLENGER, bytes(32)
    world.evm.now += task.run.params.windows.challenge - 1
    while True:
        (move,) = next_moves(sealed.known, sealed.sealed.root, published=None, shown=shown)
        if not isinstance(move, Ask):
            break
        for question in move.questions:
            world.disputes.send(asker, "ask", target, question.encoded(), after)
        world.evm.now += answer - 1
        for question in move.questions:
            shown[question], sealer = held.answer(question), sealed.target.record.aggregator
            world.disputes.send(sealer, "show", target, question.encoded(), shown[question].encoded())
            after = question.id(sealed.target.key)
        if asker == CHALLENGER and len(shown) == 1:
            asker = friend
            for index in range(11):
                helper = Question(Node.CLAIMS, level=0, index=index)
                told = answer_claims(sealed.claims, helper).encoded()
                world.disputes.send(friend, "ask", target, helper.encoded(), after)
                world.disputes.send(friend, "show", target, helper.encoded(), told)
                after = helper.id(sealed.target.key)
        else:
            asker = CHALLENGER
        world.evm.now += 1  # the next block
    assert len(shown) > 2
    assert isinstance(move, Refute)
    claim(world, sealed, move.claim)
    assert has_fallen(world, sealed)


def test_who_shows_nothing_falls_and_open_bonds_go_back(world: RefereeWorld) -> None:
    task = BoundTask(random.Random(6), world)
    sealed = task.play()
    target = sealed.target.encoded()
    first, second = Question(Node.CLAIMS, level=0, index=1), Question(Node.COLUMNS, level=1, index=0)
    for question in (first, second):
        world.disputes.send(CHALLENGER, "ask", target, question.encoded(), bytes(32))
    with pytest.raises(Reverted, match="Deadline"):
        world.disputes.send(CHALLENGER, "lapse", target, first.encoded())
    world.evm.now += task.run.params.windows.takeover
    world.disputes.send(CHALLENGER, "lapse", target, first.encoded())
    assert has_fallen(world, sealed)
    world.disputes.send(CHALLENGER, "reclaim", target, second.encoded())
    with pytest.raises(Reverted):
        world.disputes.send(CHALLENGER, "reclaim", target, second.encoded())
    assert task.run.bond_of(CHALLENGER) == 0
    assert task.run.member(CHALLENGER)[1] == 2 * ASK_BOND + task.run.params.bond * 3_000 // 10_000


@pytest.mark.parametrize("part", ["record", "roster", "terms", "program", "aggregators"])
def test_a_target_that_is_not_the_chains_decides_nothing(world: RefereeWorld, part: str) -> None:
    task = BoundTask(random.Random(8), world)
    sealed = task.play()
    good = sealed.target
    false = {
        "record": lambda: replace(good, record=replace(good.record, trace=bytes(32))),
        "roster": lambda: replace(good, roster=replace(good.roster, seats=good.roster.seats + 1)),
        "terms": lambda: replace(good, terms=replace(good.terms, ask_bond=1)),
        "program": lambda: replace(good, program=replace(good.program, columns=good.program.columns[:-1])),
        "aggregators": lambda: replace(good, aggregators=(CHALLENGER.address, *good.aggregators[1:])),
    }[part]()
    claim_of_one = sealed.claims[0], task.run.seals[0][1].path(0)
    path = program_path(good.program)
    made = OutputClaim(Output.EARNED, good.program.header(), path, NO_CELL, 0, *claim_of_one)
    with pytest.raises(Reverted, match="Mismatch"):
        world.disputes.send(CHALLENGER, made.function, false.encoded(), *made.encoded())
    assert not has_fallen(world, sealed)


def test_a_program_has_no_other_number_of_columns(world: RefereeWorld) -> None:
    """More of them would make the tree over the columns deeper, and all that was sealed something else."""
    task = BoundTask(random.Random(8), world)
    sealed = task.play()
    question, columns = Question(Node.CLAIMS, index=9).encoded(), len(task.program.columns)
    fields = columns.to_bytes(32, "big") + task.program.levels[-1][0]
    target = sealed.target.encoded()
    assert target.count(fields) == 1
    more = target.replace(fields, (columns + 2**16).to_bytes(32, "big") + fields[32:])
    with pytest.raises(Reverted):
        world.disputes.send(CHALLENGER, "ask", more, question, bytes(32))
    world.disputes.send(CHALLENGER, "ask", target, question, bytes(32))


@pytest.mark.parametrize("who", ["trainer", "aggregator"])
def test_two_receipts_of_one_round_take_a_trainers_stake_and_nobody_elses(world: RefereeWorld, who: str) -> None:
    """A49: a bond answers for seals."""
    task = BoundTask(random.Random(8), world)
    run, signer = task.run, task.people[0] if who == "trainer" else world.aggregators[1]
    receipts = [run.receipt(signer, salt=digest("salt", number)) for number in range(2)]
    shown = [part for receipt in receipts for part in (receipt, run.sign(signer, receipt))]
    stake = run.member(signer)[0]
    assert stake
    if who == "trainer":
        world.disputes.show(CHALLENGER, "equivocation", *shown)
        assert run.member(signer)[0] == 0
        assert run.member(CHALLENGER)[1] == stake * 3_000 // 10_000
    else:
        with pytest.raises(Reverted, match="Equivocations_NotShown"):
            world.disputes.send(CHALLENGER, "equivocation", *shown)
        assert run.member(signer)[0] == stake
