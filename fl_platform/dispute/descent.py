"""Down the trees of a hidden tape, by what was shown of them, to the first cell that differs.

Tests: tests/contracts/test_referee.py
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fl_platform.dispute.answers import HeldTape
from fl_platform.dispute.claims import PaddingClaim
from fl_platform.dispute.questions import FAN, Answer, Node, Question, top_of
from fl_platform.dispute.views import Frontier, NotShownError, cell_in
from fl_platform.protocol.rows import row_levels
from fl_platform.protocol.tree import depth_of


def descend(held: HeldTape, shown: Mapping[Question, Answer]) -> Frontier | PaddingClaim:
    """Go down to the first cell that differs. Raises NotShownError."""
    columns = len(held.tape.program.columns)
    question = top_of(held.tape.program)
    while question.level:
        at = first_other(shown_of(question, shown).hashes, held.answer(question).hashes)
        question = below(question, at)
    if question.index >= columns:
        return _padding(question.index, columns, shown)
    number = question.index
    question = Question(Node.CELLS, number, level=len(held.levels(number)) - 1)
    while question.level > FAN:
        at = first_other(shown_of(question, shown).hashes, held.answer(question).hashes)
        question = below(question, at)
    answer = shown_of(question, shown)
    at = first_other(answer.cells, held.answer(question).cells)
    leaf = (question.index << question.level) + at
    cell = cell_in(question, answer, leaf)
    return Frontier(number, leaf, cell.siblings, cell.value)


def shown_of(question: Question, shown: Mapping[Question, Answer]) -> Answer:
    """Return what showed a node. Raises NotShownError."""
    answer = shown.get(question)
    if answer is None:
        raise NotShownError(question)
    return answer


def first_other(told: tuple[object, ...], right: tuple[object, ...]) -> int:
    """Return where two rows of nodes begin to differ."""
    return next(i for i, (a, b) in enumerate(zip(told, right, strict=True)) if a != b)


def below(question: Question, at: int) -> Question:
    """Return the question about a node that an answer shows."""
    down = min(FAN, question.level)
    return replace(question, level=question.level - down, index=(question.index << down) + at)


def _padding(index: int, columns: int, shown: Mapping[Question, Answer]) -> PaddingClaim:
    """Return the claim that something lies behind the last column."""
    return PaddingClaim(index, *led_to(Question(Node.COLUMNS, level=depth_of(columns)), index, shown))


def led_to(top: Question, index: int, shown: Mapping[Question, Answer]) -> tuple[bytes, tuple[bytes, ...]]:
    """Return the lowest node that answers led to, and its path, from those answers. `top`: the first question, above
    level 0."""
    depth = top.level
    level = 0
    siblings: list[bytes] = []
    node = b""
    while level < depth:
        upper = next(t for t in range(depth, 0, -FAN) if t - min(FAN, t) == level)
        question = replace(top, level=upper, index=index >> upper)
        row, at = list(shown_of(question, shown).hashes), (index >> level) & (1 << (upper - level)) - 1
        node = node or row[at]
        levels = row_levels(row)
        siblings += [line[(at >> up) ^ 1] for up, line in enumerate(levels[:-1])]
        level = upper
    return node, tuple(siblings)
