"""What a challenger does next: a pure function of what is known, without any chain.

    lapse    a question was not answered in time                  the seal falls
    refute   a cell does not follow, by cells that are known      the seal falls
    ask      for the nodes that the next step needs

Where the sealer's tape is known, every column is evaluated again from the sealer's own earlier ones: the first cell
that differs does not follow from cells that are there. Where it is hidden, the search goes down to the first cell that
differs from the honest tape. What is the sealer's to say there is put in (`known`). A hint that differs is not wrong by
itself, too: with it put in, a check on it is 0, or one of the cells between them is not what follows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from eth_abi.abi import encode

from fl_platform.dispute.answers import HeldTape, place_at
from fl_platform.dispute.claims import CellClaim, Claim, CombineClaim, DotClaim, PaddingClaim
from fl_platform.dispute.descent import below, descend, first_other, led_to, shown_of
from fl_platform.dispute.known import KnownRound, is_inside, is_sealers, said_beside
from fl_platform.dispute.questions import FAN, NO_CELL, NO_LEAF, PARTS, PREFIXES, Answer, Node, Question
from fl_platform.dispute.views import Frontier, HiddenView, KnownView, NotShownError, View
from fl_platform.protocol.arithmetic import Array
from fl_platform.protocol.evaluation import evaluate, evaluate_column
from fl_platform.protocol.openings import Opened, instruction_path, reads_of, refuting
from fl_platform.protocol.operations import CLOSED_ROWS, HINTS, Op
from fl_platform.protocol.program import Column
from fl_platform.protocol.rows import SUM_BITS, body_of, row_leaf_hash, row_levels
from fl_platform.protocol.sources import Axis
from fl_platform.protocol.tape import Place, Tape, all_unlike, place_of
from fl_platform.protocol.tree import depth_of

GIVEN = frozenset({Op.SOURCE, Op.PREV})
TAKEN = HINTS | {Op.CLAIMED}  # the sealer's to bring, as whole columns


@dataclass(frozen=True)
class Ask:
    """Ask for these nodes, all at once."""

    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Lapse:
    """End a question that nobody answered."""

    question: Question


@dataclass(frozen=True)
class Refute:
    """Send a claim."""

    claim: Claim


@dataclass(frozen=True)
class GivenDiffers:
    """A source or a carried cell is another than the chain's: who binds sources shows it."""

    column: int
    place: Place
    claimed: Opened


Move = Ask | Lapse | Refute | GivenDiffers


def next_moves(
    known: KnownRound, root: bytes, *, published: Tape | None, shown: Mapping[Question, Answer],
    overdue: tuple[Question, ...] = (),
) -> tuple[Move, ...]:  # fmt: skip
    """Return what to do about a seal of `root`; nothing where it is true.

    `published`: the tape that the sealer shows, if its root is the sealed one. `shown`: what was shown of it on chain.
    `overdue`: questions that nobody answered in time.
    """
    if overdue:
        return (Lapse(overdue[0]),)
    try:
        if published is not None and published.root == root:
            found = _in_known(known, published, shown)
        else:
            found = _in_hidden(known, root, shown)
    except NotShownError as missing:
        return (Ask(tuple(dict.fromkeys(missing.questions))),)
    return () if found is None else (found,)


# --- a tape that is known ---------------------------------------------------------------------------------------------


def _in_known(known: KnownRound, tape: Tape, shown: Mapping[Question, Answer]) -> Move | None:
    view, held = KnownView(tape), HeldTape(tape, known.rows)
    for number, column in enumerate(tape.program.columns):
        if column.op in TAKEN or (column.op in CLOSED_ROWS and known.given.rows is None):
            continue
        right = evaluate_column(tape.program, tape.lengths, known.given, tape.columns[:number], number)
        for place in all_unlike(tape.columns[number], right):
            if not is_sealers(known, held, number, place, tape.cell(number, place)):
                return _step(known, view, held, number, place, shown)
    broken = next(tape.broken(), None)
    return None if broken is None else _step(known, view, held, *broken, shown)


# --- a tape that is hidden --------------------------------------------------------------------------------------------


def _in_hidden(known: KnownRound, root: bytes, shown: Mapping[Question, Answer]) -> Move | None:
    brought, held, found = _believed(known, root, shown)
    if found is None:
        broken = next(held.tape.broken(), None)
        return None if broken is None else _step(known, KnownView(held.tape), held, *broken, shown)
    if isinstance(found, PaddingClaim):
        return Refute(found)
    place = place_at(found.number, held.tape.columns[found.column].shape)
    if known.program.columns[found.column].op in HINTS and is_inside(held.tape, found.column, place):
        brought[found.column] = _with(held.tape.columns[found.column], place, found.value)
        return _from_checks(known, brought, place, found.column, shown)
    return _step(known, HiddenView(held, shown, found), held, found.column, place, shown)


def believed(known: KnownRound, root: bytes, shown: Mapping[Question, Answer]) -> Tape:
    """Return a hidden tape about which there is nothing to do: with what is its sealer's to say as that says it."""
    return _believed(known, root, shown)[1].tape


def _believed(
    known: KnownRound, root: bytes, shown: Mapping[Question, Answer]
) -> tuple[dict[int, Array], HeldTape, Frontier | PaddingClaim | None]:
    """Put in what is the sealer's to say, up to the first cell that differs and is not; None: there is none."""
    brought: dict[int, Array] = dict(known.given.brought)
    while True:
        held = HeldTape(evaluate(known.program, known.lengths, replace(known.given, brought=brought)), known.rows)
        if held.tape.root == root:
            return brought, held, None
        found = descend(held, shown)
        if isinstance(found, PaddingClaim):
            return brought, held, found
        number = found.column
        place = place_at(found.number, held.tape.columns[number].shape)
        if not is_inside(held.tape, number, place) or not is_sealers(known, held, number, place, found.value):
            return brought, held, found
        brought[number] = _with(held.tape.columns[number], place, found.value)
        for at, value in said_beside(known, held, number, shown):
            brought[number][at] = value


def _with(cells: Array, place: Place, value: int) -> Array:
    changed = cells.astype(object)
    changed[place] = value
    return changed


def _from_checks(
    known: KnownRound, brought: dict[int, Array], place: Place, hint: int, shown: Mapping[Question, Answer]
) -> Move:
    """A hint that is not the right one: with it put in, a check is 0. It is 0 in the sealer's tape, or a cell that the
    check reads, at this place, is not what follows."""
    held = HeldTape(evaluate(known.program, known.lengths, replace(known.given, brought=brought)), known.rows)
    number, at = next((n, p) for n, p in held.tape.broken() if n > hint)
    view = HiddenView(held, shown)
    return _back(known, view, held, number, at, shown)


def _back(
    known: KnownRound, view: HiddenView, held: HeldTape, number: int, place: Place, shown: Mapping[Question, Answer]
) -> Move:
    """Go from a cell back to what it reads, until one differs whose operands do not."""
    column = known.program.columns[number]
    told = view.opened(number, place)
    if column.op is Op.MUST and told.value == 0:
        return _step(known, view, held, number, place, shown)
    if any(operand.column == number for operand in column.operands):
        along = [(*place[:-1], at) for at in range(place[-1] + 1)]
        cells = _all_opened(view, [(number, at) for at in along])
        place = next(at for at, cell in zip(along, cells, strict=True) if cell.value != held.tape.cell(number, at))
    reads = [(read, at) for read, at in reads_of(held.tape, number, place) if at is not None and read != number]
    cells = _all_opened(view, reads)
    for (read, at), cell in zip(reads, cells, strict=True):
        if cell.value != held.tape.cell(read, at):
            return _back(known, view, held, read, at, shown)
    return _step(known, view, held, number, place, shown)


def _all_opened(view: View, wanted: list[tuple[int, Place]]) -> list[Opened]:
    """Open cells; raises NotShownError with all that is missing, so that it is asked for at once."""
    found: list[Opened] = []
    missing: list[Question] = []
    for number, place in wanted:
        try:
            found.append(view.opened(number, place))
        except NotShownError as error:
            missing += error.questions
    if missing:
        raise NotShownError(*missing)
    return found


# --- the last step ----------------------------------------------------------------------------------------------------


def _step(
    known: KnownRound, view: View, held: HeldTape, number: int, place: Place, shown: Mapping[Question, Answer]
) -> Move:
    """Return what fells a cell that does not follow from the cells that it reads."""
    column = known.program.columns[number]
    if not is_inside(held.tape, number, place):
        return Refute(CellClaim(refuting(held.tape, number, place, view.opened(number, place), ())))
    if column.op in GIVEN:
        return GivenDiffers(number, place, view.opened(number, place))
    if column.op in (Op.DOT, Op.DOT_SHIFTED):
        return Refute(_dot(known, view, held, number, place, shown))
    if column.op is Op.COMBINE:
        return Refute(_combine(known, view, held, number, place, shown))
    if column.op is Op.STEP:
        return Refute(_stepped(known, view, held, number, place, shown))
    reads = reads_of(held.tape, number, place)
    claimed, *cells = _all_opened(view, [(number, place), *((read, at) for read, at in reads if at is not None)])
    rest: Iterator[Opened] = iter(cells)
    operands = [None if at is None else next(rest) for _, at in reads]
    return Refute(CellClaim(refuting(held.tape, number, place, claimed, operands)))


def _dot(
    known: KnownRound, view: View, held: HeldTape, number: int, place: Place, shown: Mapping[Question, Answer]
) -> DotClaim:
    column, shape = known.program.columns[number], known.rows.shape
    reads = [(o.column, _spot(held.tape, column, i, place)) for i, o in enumerate(column.operands[:2])]
    cell, left, right = _all_opened(view, [(number, place), *reads])
    # a product by blocks is over its place's, also where no leaf is shown
    own = place[column.axes.index(Axis.BLOCK)] if Axis.BLOCK in column.axes else None
    path = instruction_path(known.program, number)
    claim = DotClaim(number, place, column.words(), path, cell, 0, (left, right), block=own or 0)
    products = held.leaf_products(number, place)
    if not left.value or not right.value or not products:
        return claim
    told, leaf = b"", 0
    if len(products) > 1:
        leaf, told = _wrong_part(products, number, place, shown)
    first = 0 if own is None else shape.starts[own]
    block = shape.block_of(first + leaf)
    leaves = known.rows.leaf(left.value, first + leaf), known.rows.leaf(right.value, first + leaf)
    claim = replace(claim, leaf=leaf, shown=told, block=block, leaves=leaves)
    if column.op is Op.DOT:
        return claim
    at = _spot(held.tape, column, 2, (*place, block))
    return replace(claim, shift=view.opened(column.operands[2].column, at))


def _wrong_part(products: list[int], number: int, place: Place, shown: Mapping[Question, Answer]) -> tuple[int, bytes]:
    """Follow wrong parts down to a leaf; return it and the parts that it is among. Raises NotShownError."""
    level = 1
    while PARTS**level < len(products):
        level += 1
    index = 0
    while True:
        question = Question(Node.SUMS, number, place, level=level, index=index)
        answer = shown_of(question, shown)
        width = PARTS ** (level - 1)
        starts = range(index * width * PARTS, min(len(products), (index + 1) * width * PARTS), width)
        right = [sum(products[start : start + width]) for start in starts]
        at = next(i for i, (told, part) in enumerate(zip(answer.parts, right, strict=True)) if told != part)
        index = index * PARTS + at
        if level == 1:
            return index, answer.shown()
        level -= 1


def _combine(
    known: KnownRound, view: View, held: HeldTape, number: int, place: Place, shown: Mapping[Question, Answer]
) -> CombineClaim:
    column = known.program.columns[number]
    entries = held.tape.lengths.of(column.operands[0].axes[-1])
    leaf = _wrong_leaf(known, view, number, place, shown, _right_sum(known, held, number, place))
    if not entries:  # a sum of nothing is nothing
        told_leaf = shown_of(Question(Node.ROW, number, place, index=leaf), shown).leaf
        cell, path = view.opened(number, place), instruction_path(known.program, number)
        return CombineClaim(number, place, column.words(), path, leaf, 0, b"", b"", b"", cell, NO_CELL, told_leaf)
    bodies = [body_of(one, SUM_BITS) for one in held.prefixes(number, place, leaf)]
    level = 1
    while PREFIXES**level < entries:
        level += 1
    index, before_shown = 0, b""
    while True:
        answer = shown_of(Question(Node.PREFIXES, number, place, leaf, level, index), shown)
        width = PREFIXES ** (level - 1)
        ends = [min(entries, (index * PREFIXES + i + 1) * width) for i in range(len(answer.hashes))]
        right = [row_leaf_hash(leaf, bytes(32), bodies[end]) for end in ends]
        at = next(i for i, (told, one) in enumerate(zip(answer.hashes, right, strict=True)) if told != one)
        index = index * PREFIXES + at
        if level == 1:
            break
        level -= 1
    if index and index % PREFIXES == 0:
        before = Question(Node.PREFIXES, number, place, leaf, 1, (index - 1) // PREFIXES)
        before_shown = shown_of(before, shown).shown()
    reads = [(column.operands[i].column, _spot(held.tape, column, i, (*place, index))) for i in (0, 1)]
    row, weight = _all_opened(view, reads)
    row_leaf = known.rows.leaf(row.value, leaf) if row.value and weight.value else NO_LEAF
    return CombineClaim(
        number, place, column.words(), instruction_path(known.program, number), leaf, index, answer.shown(),
        bodies[index], before_shown, row, weight, row_leaf,
    )  # fmt: skip


def _right_sum(known: KnownRound, held: HeldTape, number: int, place: Place) -> int:
    column, given = known.program.columns[number], known.given.rows
    assert given is not None
    entries = range(held.tape.lengths.of(column.operands[0].axes[-1]))
    rows, weights = ([held.operand(column, index, (*place, entry)) for entry in entries] for index in (0, 1))
    return given.combine(rows, weights)


def _stepped(
    known: KnownRound, view: View, held: HeldTape, number: int, place: Place, shown: Mapping[Question, Answer]
) -> DotClaim:
    """A leaf of a model is not what the model before and the sums give."""
    column, shape, path = known.program.columns[number], known.rows.shape, instruction_path(known.program, number)
    reads = [(o.column, _spot(held.tape, column, i, place)) for i, o in enumerate(column.operands[:2])]
    cell, model, sums = _all_opened(view, [(number, place), *reads])
    claim = DotClaim(number, place, column.words(), path, cell, 0, (model, sums))
    if not model.value or not sums.value:
        return claim
    factors = [held.operand(column, 2, (*place, block)) for block in range(held.tape.lengths.blocks)]
    assert known.given.stepper is not None
    right = known.given.stepper.step(model.value, sums.value, factors)
    leaf = _wrong_leaf(known, view, number, place, shown, right)
    if isinstance(view, KnownView) and known.rows.has(cell.value):
        opened = known.rows.leaf(cell.value, leaf)
        told, way = row_leaf_hash(leaf, opened.blind, opened.body), opened.siblings
    elif shape.leaves == 1:
        told, way = cell.value.to_bytes(32, "big", signed=True), ()
    else:
        told, way = led_to(Question(Node.ROW, number, place, level=depth_of(shape.leaves)), leaf, shown)
    block = shape.block_of(leaf)
    at = _spot(held.tape, column, 2, (*place, block))
    return replace(
        claim, leaf=leaf, shown=encode(["bytes32", "bytes32[]"], [told, list(way)]), block=block,
        shift=view.opened(column.operands[2].column, at),
        leaves=(known.rows.leaf(model.value, leaf), known.rows.leaf(sums.value, leaf)),
    )  # fmt: skip


def _wrong_leaf(
    known: KnownRound, view: View, number: int, place: Place, shown: Mapping[Question, Answer], right: int
) -> int:
    """Return the first leaf of the sealer's sum or model that is not that of `right`; where none is known, go down to
    it. Raises NotShownError."""
    shape, told = known.rows.shape, view.opened(number, place).value
    if isinstance(view, KnownView) and known.rows.has(told):  # of a row that nobody published no leaf is known
        wrong = np.flatnonzero((known.rows.integers(told) != known.rows.integers(right)).any(axis=1))
        if len(wrong):
            return int(wrong[0])
    leaves = [known.rows.leaf(right, index) for index in range(shape.leaves)]
    levels = row_levels([row_leaf_hash(i, leaf.blind, leaf.body) for i, leaf in enumerate(leaves)])
    question = Question(Node.ROW, number, place, level=len(levels) - 1)
    while question.level:
        down = min(FAN, question.level)
        honest = levels[question.level - down][question.index << down :][: 1 << down]
        question = below(question, first_other(shown_of(question, shown).hashes, tuple(honest)))
    return question.index


def _spot(tape: Tape, column: Column, index: int, place: Place) -> Place:
    operand = column.operands[index]
    found = place_of(operand, column, place, operand.axes, tape.lengths)
    assert found is not None, "an operand of rows is read inside of its column"
    return found
