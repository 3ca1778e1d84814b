"""The referee and who moves there: no honest seal falls whatever is claimed, every lie does, known or hidden."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from fl_platform.dispute.answers import HeldTape, place_at
from fl_platform.dispute.claims import CellClaim, PaddingClaim
from fl_platform.dispute.known import KnownRound
from fl_platform.dispute.next_moves import Ask, GivenDiffers, Lapse, Refute, next_moves
from fl_platform.dispute.questions import FAN, Answer, Node, Question
from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.building import Builder
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.openings import Opened, Refutation, instruction_path, opened, refutation_of
from fl_platform.protocol.operations import ROWS, Op
from fl_platform.protocol.rows import path_of, row_leaf_hash, row_levels
from fl_platform.protocol.sources import Axis, Kind, Source
from fl_platform.protocol.tape import Given, Lengths, Tape
from fl_platform.protocol.tree import Nodes, column_levels, column_root, depth_of, tape_root
from fl_platform.rules.compose import Rule
from scripts.bench.lies import sealed_round
from tests.support.evm import Reverted
from tests.support.integer_rows import IntegerRows
from tests.support.referee import ANSWER, WINDOW, Court, Liar, drawn_round, lie, play, round_known, some_lie


@pytest.fixture(scope="module")
def court() -> Court:
    return Court()


@pytest.mark.parametrize("seed", range(30))
def test_nothing_is_asked_about_an_honest_tape(seed: int) -> None:
    known, honest = drawn_round(random.Random(seed))
    assert next_moves(known, honest.root, published=honest, shown={}) == ()
    assert next_moves(known, honest.root, published=None, shown={}) == ()


@pytest.mark.parametrize("seed", range(40))
def test_a_lie_on_a_known_tape_falls(court: Court, seed: int) -> None:
    known, _, liar, op = some_lie(seed)
    game = play(court, known, liar, hidden=False)
    if op in (Op.SOURCE, Op.PREV):
        assert isinstance(game.end, GivenDiffers)
    else:
        assert isinstance(game.end, Refute), op


@pytest.mark.parametrize("seed", range(60))
def test_a_lie_on_a_hidden_tape_falls(court: Court, seed: int) -> None:
    known, _, liar, op = some_lie(seed + 1000)
    game = play(court, known, liar, hidden=True)
    assert isinstance(game.end, GivenDiffers if op in (Op.SOURCE, Op.PREV) else Refute), op


REDUCED = [Op.DOT, Op.DOT_SHIFTED, Op.COMBINE, Op.STEP, Op.LEAST, Op.INVERSE, Op.POSEIDON, Op.POSEIDON3]


@pytest.mark.parametrize("op", REDUCED, ids=lambda op: op.name)
@pytest.mark.parametrize("hidden", [False, True], ids=["known", "hidden"])
def test_each_kind_of_reduction_and_hint_falls(court: Court, op: Op, hidden: bool) -> None:
    for seed in range(4):
        known, _, liar, _ = some_lie(5000 + 10 * seed + op, among=frozenset({op}))
        assert isinstance(play(court, known, liar, hidden=hidden).end, Refute)


@pytest.mark.parametrize("seed", range(6))
def test_what_a_hidden_tape_claims_is_taken_and_shields_nothing(court: Court, seed: int) -> None:
    """Whoever looks knows nothing of claimed cells before they are shown."""
    known, honest, liar, op = some_lie(seed + 7000)
    brought = {number: np.zeros_like(cells) for number, cells in known.given.brought.items()}
    assert brought, "the program claims nothing"
    stranger = replace(known, given=replace(known.given, brought=brought))
    game = play(court, stranger, liar, hidden=True)
    assert isinstance(game.end, GivenDiffers if op in (Op.SOURCE, Op.PREV) else Refute), op
    true = play(court, stranger, honest, hidden=True)
    assert not isinstance(true.end, Refute | GivenDiffers | Lapse)


def test_who_shows_nothing_falls(court: Court) -> None:
    known, _, liar, _ = some_lie(7)
    assert isinstance(play(court, known, liar, hidden=True, silent=True).end, Lapse)


def padded_root(tape: Tape, number: int, leaf: int) -> tuple[bytes, list[Nodes], list[bytes]]:
    """Return the root of a tape with a 5 in a column's padding, the nodes of that column, the roots of all."""
    shape = tuple(1 << depth_of(length) for length in tape.columns[number].shape)
    cells = np.zeros(shape, dtype=object)
    cells[tuple(slice(0, length) for length in tape.columns[number].shape)] = tape.columns[number]
    cells[place_at(leaf, shape)] = 5
    roots = [*tape.roots]
    roots[number] = column_root(number, cells)
    return tape_root(roots), column_levels(cells), roots


@pytest.mark.parametrize("seed", range(8))
def test_what_fills_a_column_is_zero(court: Court, seed: int) -> None:
    """It decides nothing, but would hide a tape for good."""
    dice = random.Random(seed)
    number = None
    while number is None:
        known, honest = drawn_round(dice)
        number = next((n for n, c in enumerate(honest.columns) if c.ndim == 1 and len(c) in (3, 5, 6)), None)
    leaf = len(honest.columns[number])
    root, levels, roots = padded_root(honest, number, leaf)
    column_path = path_of(row_levels(roots), number)
    path = (*path_of([[bytes(node) for node in row] for row in levels], leaf), *column_path)
    words, program_path = known.program.columns[number].words(), instruction_path(known.program, number)
    claim = CellClaim(Refutation(number, (leaf,), words, program_path, Opened(5, path), ()))
    target = court.register(honest, known.rows, root=root)
    court.send(target, claim)
    assert court.fallen(target)
    honest_path = opened(honest, number, (leaf,))
    target = court.register(honest, known.rows)
    with pytest.raises(Reverted):
        court.send(target, CellClaim(Refutation(number, (leaf,), words, program_path, honest_path, ())))


def test_what_fills_the_tree_over_the_columns_is_zero(court: Court) -> None:
    known, honest = drawn_round(random.Random(5))
    columns = len(honest.columns)
    assert columns < 1 << depth_of(columns)
    levels = row_levels([*honest.roots, keccak256(b"something")])
    shown = {}
    for top in range(depth_of(columns), 0, -FAN):
        down = min(FAN, top)
        index = columns >> top
        hashes = levels[top - down][index << down :][: 1 << down]
        shown[Question(Node.COLUMNS, level=top, index=index)] = Answer(hashes=tuple(hashes))
    (move,) = next_moves(known, levels[-1][0], published=None, shown=shown)
    assert isinstance(move, Refute)
    target = court.register(honest, known.rows, root=levels[-1][0])
    court.send(target, move.claim)
    assert court.fallen(target)
    target = court.register(honest, known.rows)
    zero = PaddingClaim(columns, bytes(32), path_of(row_levels(honest.roots), columns))
    with pytest.raises(Reverted):
        court.send(target, zero)


@pytest.mark.parametrize("seed", range(25))
def test_no_honest_seal_falls(court: Court, seed: int) -> None:
    """The claims that fell a liar, made about the honest tape with its own paths, show nothing."""
    known, honest, liar, op = some_lie(seed + 300)
    if op in (Op.SOURCE, Op.PREV):
        return
    target, held = court.register(honest, known.rows), HeldTape(honest, known.rows)
    found = next_moves(known, liar.root, published=liar, shown={})[0]
    if isinstance(found, Ask):
        for question in found.questions:  # an answer of the liar's is none to this seal, the sealer's own is
            court.ask(target, question)
            with pytest.raises(Reverted):
                court.show(target, question, Liar(liar, known.rows).answer(question))
            court.show(target, question, held.answer(question))
        assert next_moves(known, honest.root, published=honest, shown={}) == ()
        return
    assert isinstance(found, Refute)
    with pytest.raises(Reverted):
        court.send(target, found.claim)
    assert not court.fallen(target)


def test_a_question_is_asked_once_and_answered_once(court: Court) -> None:
    known, honest = drawn_round(random.Random(3))
    target, held = court.register(honest, known.rows), HeldTape(honest, known.rows)
    question = Question(Node.COLUMNS, level=len(known.program.columns).bit_length())
    court.ask(target, question)
    with pytest.raises(Reverted, match="Referee_QuestionState"):
        court.ask(target, question)
    court.show(target, question, held.answer(question))
    with pytest.raises(Reverted, match="Referee_QuestionState"):  # shown once: what came of it is settled
        court.show(target, question, held.answer(question))
    court.world.evm.now += ANSWER
    with pytest.raises(Reverted, match="Referee_QuestionState"):
        court.contract.send(court.challenger, "lapse", target, question.encoded())


def any_question(dice: random.Random, tape: Tape) -> Question:
    """Return a question that makes sense, or nearly, or not at all."""
    columns = len(tape.columns)
    number = dice.choice([n for n in range(columns) if tape.program.columns[n].op in ROWS] * 3 + [*range(columns + 1)])
    shape = tape.columns[number].shape if number < columns else ()
    place = tuple(dice.randrange(length + 2) if dice.random() < 0.2 else max(0, length - 1) for length in shape)
    node = dice.choice(list(Node))
    level = dice.choice((0, 0, 1, 1, 1, 2, 3, 5, 9, 40))
    index = dice.choice((0, 0, 0, 1, 2, 31, 2**32 - 1))
    odd = dice.random() < 0.1
    return Question(
        node, number if node is not Node.COLUMNS or odd else 0, place if node > Node.CELLS or odd else (),
        dice.choice((0, 1, 2, 99)) if node in (Node.PREFIXES, Node.OPERAND) or odd else 0, level, index,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(15))
def test_every_question_can_be_answered_or_dismissed_and_never_both(court: Court, seed: int) -> None:
    """Nobody honest falls for want of what cannot be shown; nobody gets rid of a question that has an answer."""
    dice = random.Random(seed)
    known, honest = drawn_round(dice)
    target, held = court.register(honest, known.rows), HeldTape(honest, known.rows)
    for question in {any_question(dice, honest) for _ in range(25)}:
        court.ask(target, question)
        column = min(question.column, len(honest.columns) - 1)
        words, path = known.program.columns[column].words(), instruction_path(known.program, column)
        mark = court.world.evm.snapshot()
        shown = dismissed = False
        try:
            court.show(target, question, held.answer(question))
            shown = True
        except (Reverted, DocumentInvalid, IndexError, KeyError, ValueError, OverflowError):
            pass
        court.world.evm.restore(mark)
        try:
            court.dismiss(target, question, words, path)
            dismissed = True
        except Reverted:
            pass
        assert shown or dismissed, question
        assert not (shown and dismissed) or question.leaf or question.place or question.column, question


def test_what_was_asked_too_early_can_be_asked_again(court: Court) -> None:
    """Parts below the top of a long product add up to what the top is shown to be; before that they have no answer.
    Dismissed, they are not closed for good: else a sealer's friend would ask first."""
    known, honest = sealed_round(Rule(worth="equal", shares=False), seed=1, trainers=2, sizes=(17_000, 10))
    number = next(n for n, c in enumerate(known.program.columns) if c.op is Op.DOT)
    place = (0,) * honest.columns[number].ndim
    target, held = court.register(honest, known.rows), HeldTape(honest, known.rows)
    words, path = known.program.columns[number].words(), instruction_path(known.program, number)
    below, top = Question(Node.SUMS, number, place, level=1, index=1), Question(Node.SUMS, number, place, level=2)
    for _ in range(2):
        court.ask(target, below)
        with pytest.raises(Reverted):
            court.show(target, below, held.answer(below))
        court.dismiss(target, below, words, path)
    court.ask(target, top)
    with pytest.raises(Reverted):
        court.dismiss(target, top, words, path)
    court.show(target, top, held.answer(top))
    court.ask(target, below)
    with pytest.raises(Reverted):
        court.dismiss(target, below, words, path)
    court.show(target, below, held.answer(below))


def cell_of(known: KnownRound, honest: Tape, op: Op) -> tuple[int, tuple[int, ...]]:
    """Return the first cell of a column with this operation."""
    number = next(n for n, c in enumerate(known.program.columns) if c.op is op and honest.columns[n].size)
    return number, (0,) * honest.columns[number].ndim


@pytest.mark.parametrize("op", [Op.DOT, Op.COMBINE], ids=lambda op: op.name)
def test_nobody_but_the_sealer_says_what_running_values_are(court: Court, op: Op) -> None:
    """They are no part of the tape: whoever shows false parts that add up would fell an honest seal with them."""
    known, honest = sealed_round(Rule(worth="equal", shares=False), seed=1, trainers=2)
    target, held = court.register(honest, known.rows), HeldTape(honest, known.rows)
    number, place = cell_of(known, honest, op)
    question = Question(Node.SUMS if op is Op.DOT else Node.PREFIXES, number, place, level=1)
    answer = held.answer(question)
    false = replace(answer, hashes=(keccak256(b""), *answer.hashes[1:]))
    if op is Op.DOT:
        false = replace(answer, parts=(answer.parts[0] + 1, answer.parts[1] - 1, *answer.parts[2:]))
    court.ask(target, question)
    with pytest.raises(Reverted):
        court.contract.send(court.challenger, "show", target, question.encoded(), false.encoded())
    court.show(target, question, answer)


def test_what_another_seal_showed_opens_no_new_question(court: Court) -> None:
    known, honest = drawn_round(random.Random(3))
    old, held = court.register(honest, known.rows), HeldTape(honest, known.rows)
    court.world.evm.now += WINDOW
    late = court.register(honest, known.rows)
    top = Question(Node.COLUMNS, level=depth_of(len(honest.columns)))
    court.ask(late, top)
    court.show(late, top, held.answer(top))
    with pytest.raises(Reverted):
        court.ask(old, top, top.id(court.keys[late]))


def test_what_was_asked_as_late_as_may_be_can_be_refuted(court: Court) -> None:
    """Question follows question, each asked at its last moment and answered at its last: the step that they lead to is
    not too late."""
    known, honest = drawn_round(random.Random(3))
    target, held = court.register(honest, known.rows), HeldTape(honest, known.rows)
    court.world.evm.now += WINDOW - 1
    after = bytes(32)
    for index in range(13):
        question = Question(Node.COLUMNS, level=1, index=index)
        court.ask(target, question, after)
        court.world.evm.now += ANSWER - 1
        court.show(target, question, held.answer(question))
        court.world.evm.now += ANSWER - 1
        after = question.id(court.keys[target])
    late = Question(Node.CELLS, 0)
    with pytest.raises(Reverted, match="Referee_Deadline"):
        court.ask(target, late, after)
    number = next(n for n, c in enumerate(known.program.columns) if c.op is Op.CONST)
    with pytest.raises(Reverted, match="Referee_NotRefuted"):
        court.send(target, CellClaim(refutation_of(honest, number, ())))


def test_nobody_can_be_made_to_wait_for_ever(court: Court) -> None:
    """However many questions follow one another: the last second is the same."""
    known, honest = sealed_round(Rule(worth="equal", shares=False), seed=1, trainers=2)
    target, held = court.register(honest, known.rows), HeldTape(honest, known.rows)
    end = court.world.evm.now + WINDOW
    court.world.evm.now = end - 1
    after, asked = bytes(32), 0
    while True:
        question = Question(Node.COLUMNS, index=asked)
        if court.world.evm.now >= end + 24 * ANSWER:
            break
        court.ask(target, question, after)
        court.show(target, question, held.answer(question))
        after, asked = question.id(court.keys[target]), asked + 1
        court.world.evm.now += ANSWER - 1
    with pytest.raises(Reverted, match="Referee_Deadline"):
        court.ask(target, question, after)
    assert asked > 24
    court.world.evm.now = end + 26 * ANSWER
    number = next(n for n, c in enumerate(known.program.columns) if c.op is Op.CONST)
    with pytest.raises(Reverted, match="Referee_Deadline"):
        court.send(target, CellClaim(refutation_of(honest, number, ())))


@pytest.mark.parametrize("op", [Op.COMBINE, Op.STEP], ids=lambda op: op.name)
def test_what_fills_a_row_is_zero(court: Court, op: Op) -> None:
    """Something behind the last leaf of a sum or model gives it another root, and no leaf of it is wrong."""
    known, honest = sealed_round(Rule(worth="equal", shares=False), seed=1, trainers=2)
    number, place = cell_of(known, honest, op)
    root, leaves = honest.cell(number, place), known.rows.shape.leaves
    opened_leaves = [known.rows.leaf(root, i) for i in range(leaves)]
    hashes = [row_leaf_hash(i, leaf.blind, leaf.body) for i, leaf in enumerate(opened_leaves)]
    levels = row_levels([*hashes, keccak256(b"something")])
    other = int.from_bytes(levels[-1][0], "big", signed=True)
    columns = list(honest.columns)
    columns[number] = np.array(other, dtype=object)
    liar = Tape(honest.program, honest.lengths, tuple(columns))
    (move,) = next_moves(known, liar.root, published=liar, shown={})
    question = Question(Node.ROW, number, place, level=len(levels) - 1)
    assert move == Ask((question,))
    target = court.register(liar, known.rows)
    court.ask(target, question)
    words, path = known.program.columns[number].words(), instruction_path(known.program, number)
    answer = Answer(hashes=tuple(levels[0]), words=words, path=path, cell=opened(liar, number, place))
    with pytest.raises(Reverted):
        court.show(target, question, answer)
    with pytest.raises(Reverted):
        court.dismiss(target, question, words, path)


def test_a_block_without_parameters_has_no_products(court: Court) -> None:
    known, honest = sealed_round(Rule(worth="equal", shares=False), seed=1, trainers=2, sizes=(300, 0, 20))
    number = next(n for n, c in enumerate(known.program.columns) if c.op is Op.DOT and Axis.BLOCK in c.axes)
    place = tuple(int(axis is Axis.BLOCK) for axis in known.program.columns[number].axes)
    words, path = known.program.columns[number].words(), instruction_path(known.program, number)
    target, question = court.register(honest, known.rows), Question(Node.SUMS, number, place, level=1)
    court.ask(target, question)
    court.dismiss(target, question, words, path)
    game = play(court, known, lie(known, honest, number, place, 5), hidden=False)
    assert isinstance(game.end, Refute)


def test_parts_of_the_widest_product_can_be_shown(court: Court) -> None:
    """Sums of int16 updates, whose exponents are as far apart as a program may say: an honest sealer answers."""
    b = Builder()
    past = b.carried("past", (Axis.DIRECTION,), kind=Kind.SUMS)
    b.dot(past, past.swapped(), shifts=b.select(b.source(Source.BLOCK_SIZE), 63, 0))
    b.carry(past, past)
    program = b.program()
    rows = IntegerRows((256,), 1, 16)
    root = rows.add(np.full(256, 2**31 - 1), bits=32)
    number = next(n for n, c in enumerate(program.columns) if c.op is Op.DOT_SHIFTED)
    previous = [np.array([root, root], dtype=object) if c.axes == (Axis.DIRECTION,) else np.zeros((), object)
                for c in program.columns]  # fmt: skip
    given = Given({Source.BLOCK_SIZE: np.array([256])}, previous=previous, rows=rows)
    _, honest = round_known(program, Lengths(0, 1, 1, 2), given)
    target, question = court.register(honest, rows), Question(Node.SUMS, number, (0, 1), level=1)
    court.ask(target, question)
    court.show(target, question, HeldTape(honest, rows).answer(question))
