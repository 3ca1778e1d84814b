"""What a challenger knows of a round, and which of its cells are its sealer's to say.

Tests: tests/contracts/test_referee_bound.py
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace

import numpy as np

from fl_platform.dispute.answers import HeldTape, row_read
from fl_platform.dispute.questions import Answer, Node, Question
from fl_platform.dispute.views import NotShownError, block_of, cell_in
from fl_platform.protocol.openings import flat
from fl_platform.protocol.operations import CLOSED_ROWS, Op
from fl_platform.protocol.program import Program
from fl_platform.protocol.rows import RowLeaf, RowLeaves
from fl_platform.protocol.sources import Source
from fl_platform.protocol.tape import Given, Lengths, Place, Tape


@dataclass(frozen=True)
class KnownRound:
    """All that a challenger knows of a round without its seal.

    given: without rows, products and sums of them are the sealer's word; only a known tape can be looked at then.
    rows: opens leaves of what `given.rows` multiplies; products and sums of what does not open are the sealer's word.
    allowed: by entry, what the chain lets a sealer say of its refusal; empty: what `given` says.
    """

    program: Program
    lengths: Lengths
    given: Given
    rows: RowLeaves
    allowed: tuple[Set[int], ...] = ()


def is_sealers(known: KnownRound, held: HeldTape, number: int, place: Place, told: int) -> bool:
    """Whether `told` of a cell inside of its column is the sealer's to say: it is claimed, a refusal that the chain
    allows, or of a row that is not to be had here."""
    column = known.program.columns[number]
    if column.op is Op.SOURCE:
        refusal = column.immediate & 0xFF == Source.REFUSED and place[0] < len(known.allowed)
        return refusal and told in known.allowed[place[0]]
    if column.op is Op.STEP:
        roots = [held.operand(column, index, place) for index in (0, 1)]
        return all(roots) and not known.rows.has(*roots)
    return column.op is Op.CLAIMED or (column.op in CLOSED_ROWS and reads_closed(known, held, number, place))


def reads_closed(known: KnownRound, held: HeldTape, number: int, place: Place) -> bool:
    """Whether a product or sum reads a row that should open and does not."""
    closed, column = known.rows.closed, known.program.columns[number]
    if not closed:
        return False
    if column.op is not Op.COMBINE:
        return any(held.operand(column, index, place) in closed for index in (0, 1))
    entries = range(held.tape.lengths.of(column.operands[0].axes[-1]))
    return any(
        held.operand(column, 0, (*place, entry)) in closed and held.operand(column, 1, (*place, entry)) != 0
        for entry in entries
    )


def said_beside(
    known: KnownRound, held: HeldTape, number: int, shown: Mapping[Question, Answer]
) -> Iterator[tuple[Place, int]]:
    """Yield what a hidden tape says in all of a column's cells of rows that do not open.

    Raises NotShownError with all that must be asked for: so it takes one window, not one a cell.
    """
    if known.program.columns[number].op not in CLOSED_ROWS:
        return
    shape = held.tape.columns[number].shape
    places = [place for place in np.ndindex(*shape) if reads_closed(known, held, number, place)]
    numbers = {place: flat(place, shape) for place in places}
    blocks = {place: block_of(number, at, shape) for place, at in numbers.items()}
    if missing := [block for block in dict.fromkeys(blocks.values()) if block not in shown]:
        raise NotShownError(*missing)
    for place, block in blocks.items():
        yield place, cell_in(block, shown[block], numbers[place]).value


def closed_reads(known: KnownRound, tape: Tape) -> dict[int, Question]:
    """Return, of every row that does not open and that a tape multiplies or adds, the question about its first leaf."""
    held, found = HeldTape(tape, known.rows), dict[int, Question]()
    for number, column in enumerate(tape.program.columns):
        if column.op not in CLOSED_ROWS or not known.rows.closed - found.keys():
            continue
        count = tape.lengths.of(column.operands[0].axes[-1]) if column.op is Op.COMBINE else 2
        for place in np.ndindex(*tape.columns[number].shape):
            for leaf in range(count):
                question = Question(Node.OPERAND, number, place, leaf)
                root = held.operand(column, *row_read(column, question))
                if root in known.rows.closed:
                    found.setdefault(root, question)
    return found


def shown_row(question: Question, leaves: int, shown: Mapping[Question, Answer]) -> tuple[RowLeaf, ...] | None:
    """Return all leaves of a row, about one of which a question is; None: some were not shown yet."""
    answers = [shown.get(replace(question, index=index)) for index in range(leaves)]
    found = tuple(answer.leaf for answer in answers if answer is not None)
    return found if len(found) == leaves else None


def is_inside(tape: Tape, number: int, place: Place) -> bool:
    """Whether a place is one of a column's, not of its padding."""
    return all(at < length for at, length in zip(place, tape.columns[number].shape, strict=True))
