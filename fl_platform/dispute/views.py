"""What a challenger knows of a sealer's tape: all of it, or what was shown and what follows from that.

Tests: tests/contracts/test_referee.py
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from fl_platform.dispute.answers import HeldTape
from fl_platform.dispute.questions import FAN, Answer, Node, Question
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.openings import Opened, flat, opened
from fl_platform.protocol.tape import Place, Tape
from fl_platform.protocol.tree import climbed, depth_of, leaf_of


class NotShownError(Exception):
    """What must be asked for before a step can be taken."""

    def __init__(self, *questions: Question) -> None:
        """Name the questions, all of which can be asked at once."""
        super().__init__(f"{len(questions)} nodes were not shown yet")
        self.questions = questions


class View(Protocol):
    """The sealer's cells as far as they are known."""

    def opened(self, column: int, place: Place) -> Opened:
        """Return a cell with its path. Raises NotShownError."""


@dataclass(frozen=True)
class KnownView:
    """A tape that its sealer published: its root is the sealed one."""

    tape: Tape

    def opened(self, column: int, place: Place) -> Opened:
        """Return a cell with its path."""
        return opened(self.tape, column, place)


@dataclass(frozen=True)
class Frontier:
    """The first cell that differs: all before it is the honest tape's."""

    column: int
    number: int  # of the leaf in its column
    path: tuple[bytes, ...]
    value: int


@dataclass(frozen=True)
class HiddenView:
    """A tape of which some nodes were shown. `honest`: the challenger's own, equal to it before the frontier."""

    honest: HeldTape
    shown: Mapping[Question, Answer]
    frontier: Frontier | None = None

    def opened(self, column: int, place: Place) -> Opened:
        """Return a cell with its path: as it was shown, or as it follows from the frontier's."""
        shape = self.honest.tape.columns[column].shape
        number = flat(place, shape)
        question = block_of(column, number, shape)
        answer = self.shown.get(question)
        if answer is not None:
            return cell_in(question, answer, number)
        if self.frontier is not None and (column, number) < (self.frontier.column, self.frontier.number):
            return self._derived(self.frontier, column, number, place)
        raise NotShownError(question)

    def _derived(self, frontier: Frontier, column: int, number: int, place: Place) -> Opened:
        """Paths meet where a node holds both cells: below it all is honest, above it they are one, and there one's
        sibling is the node over the other."""
        own = opened(self.honest.tape, column, place)
        depth = len(self.honest.levels(column)) - 1
        ours, theirs = list(own.siblings), list(frontier.path)
        if column == frontier.column:
            meet = (number ^ frontier.number).bit_length() - 1
            node = climbed(leaf_of(frontier.value), frontier.number, theirs[:meet])
            return Opened(own.value, (*ours[:meet], node, *theirs[meet + 1 :]))
        their_depth = len(self.honest.levels(frontier.column)) - 1
        root = climbed(leaf_of(frontier.value), frontier.number, theirs[:their_depth])
        wrapped = keccak256(b"\2" + frontier.column.to_bytes(2, "big") + bytes([their_depth]) + root)
        meet = (column ^ frontier.column).bit_length() - 1
        above = theirs[their_depth:]
        node = climbed(wrapped, frontier.column, above[:meet])
        return Opened(own.value, (*ours[: depth + meet], node, *above[meet + 1 :]))


def block_of(column: int, number: int, shape: Place) -> Question:
    """Return the question whose answer shows a cell, with its neighbours."""
    level = min(FAN, sum(map(depth_of, shape)))
    return Question(Node.CELLS, column, level=level, index=number >> level)


def cell_in(question: Question, answer: Answer, number: int) -> Opened:
    """Return one of the cells that an answer shows."""
    level = [leaf_of(value) for value in answer.cells]
    at = number - (question.index << question.level)
    value, siblings = answer.cells[at], []
    while len(level) > 1:
        siblings.append(level[at ^ 1])
        level = [keccak256(b"\1" + a + b) for a, b in zip(level[::2], level[1::2], strict=True)]
        at //= 2
    return Opened(value, (*siblings, *answer.siblings))
