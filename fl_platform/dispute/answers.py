"""What a sealer shows: the answer to any question about a tape that it holds whole, and every step that fells a lie.

Tests: tests/contracts/test_referee.py
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from fl_platform.dispute.questions import FAN, PARTS, PREFIXES, Answer, Node, Question
from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.openings import instruction_path, opened
from fl_platform.protocol.operations import Op
from fl_platform.protocol.program import Column
from fl_platform.protocol.rows import (
    COORDINATES,
    SUM_BITS,
    UNBLINDED,
    Integers,
    RowLeaves,
    add_scaled,
    body_of,
    row_leaf_hash,
    shifted,
)
from fl_platform.protocol.sources import Axis
from fl_platform.protocol.tape import Place, Tape, place_of
from fl_platform.protocol.tree import Nodes, climbed, column_levels, depth_of


@dataclass
class HeldTape:
    """A tape with the rows behind it, as its sealer has both."""

    tape: Tape
    rows: RowLeaves
    _levels: dict[int, list[Nodes]] = field(default_factory=dict)

    def answer(self, question: Question) -> Answer:
        """Return what shows a node. Raises DocumentInvalid: there is no such node."""
        if question.node is Node.COLUMNS:
            return self._columns(question)
        column = self.tape.program.columns[question.column]
        answer = Answer(words=column.words(), path=instruction_path(self.tape.program, question.column))
        if question.node is Node.CELLS:
            return self._cells(question, answer)
        if question.node is Node.ROW:
            return self._row(question, answer)
        if question.node is Node.SUMS:
            return self._sums(question, column, answer)
        if question.node is Node.OPERAND:
            return self._operand(question, column, answer)
        return self._prefixes(question, column, answer)

    # --- trees --------------------------------------------------------------------------------------------------------

    def _columns(self, question: Question) -> Answer:
        roots = list(self.tape.roots)
        levels = [[*roots, *[bytes(32)] * ((1 << depth_of(len(roots))) - len(roots))]]
        while len(levels[-1]) > 1:
            row = levels[-1]
            levels.append([keccak256(b"\1" + a + b) for a, b in zip(row[::2], row[1::2], strict=True)])
        if question.level >= len(levels) or question.index >= len(levels[question.level]):
            raise DocumentInvalid(f"the tape has no node {question.index} on level {question.level} of its columns")
        down = min(FAN, question.level)
        below = levels[question.level - down]
        width = 1 << down
        siblings = [row[(question.index >> up) ^ 1] for up, row in enumerate(levels[question.level : -1])]
        return Answer(hashes=tuple(below[question.index * width :][:width]), siblings=tuple(siblings))

    def _cells(self, question: Question, answer: Answer) -> Answer:
        levels = self.levels(question.column)
        if question.level >= len(levels) or question.index >= len(levels[question.level]):
            raise DocumentInvalid(f"column {question.column} has no node {question.index} on level {question.level}")
        down = min(FAN, question.level)
        width = 1 << down
        siblings = [
            row[(question.index >> up) ^ 1].tobytes() for up, row in enumerate(levels[question.level : -1])
        ]
        siblings += opened(self.tape, question.column, self._zero(question.column)).siblings[len(levels) - 1 :]
        answer = replace(answer, siblings=tuple(siblings))
        first = question.index * width
        if question.level <= FAN:
            return replace(answer, cells=tuple(self.flat_cell(question.column, first + i) for i in range(width)))
        below = levels[question.level - down][first : first + width]
        return replace(answer, hashes=tuple(node.tobytes() for node in below))

    def _row(self, question: Question, answer: Answer) -> Answer:
        answer = replace(answer, cell=opened(self.tape, question.column, question.place))
        root = self.tape.cell(question.column, question.place)
        if question.level == 0:
            return replace(answer, leaf=self.rows.leaf(root, question.index))
        down = min(FAN, question.level)
        first = question.index << question.level
        level = question.level - down
        below = [self._row_node(root, (question.index << down) + i, level) for i in range(1 << down)]
        siblings = self.rows.leaf(root, first).siblings[question.level :]
        return replace(answer, hashes=tuple(below), siblings=siblings)

    def _row_node(self, root: int, number: int, level: int) -> bytes:
        """Return a node of a row's tree: from one of its leaves, or of nothing behind the last."""
        index = number << level
        if index >= self.rows.shape.leaves:
            return _missing(level)
        leaf = self.rows.leaf(root, index)
        return climbed(row_leaf_hash(index, leaf.blind, leaf.body), index, leaf.siblings[:level])

    def _operand(self, question: Question, column: Column, answer: Answer) -> Answer:
        reads, at = row_read(column, question)
        place = place_of(column.operands[reads], column, at, column.operands[reads].axes, self.tape.lengths)
        if question.level or place is None:
            raise DocumentInvalid(f"column {question.column} reads no row {question.leaf} at {question.place}")
        answer = replace(answer, cell=opened(self.tape, column.operands[reads].column, place))
        return replace(answer, leaf=self.rows.leaf(answer.cell.value, question.index)) if answer.cell.value else answer

    # --- running values -----------------------------------------------------------------------------------------------

    def _sums(self, question: Question, column: Column, answer: Answer) -> Answer:
        products = self.leaf_products(question.column, question.place)
        width = PARTS ** (question.level - 1)
        first = question.index * width * PARTS
        if not 1 <= question.level <= 4 or first >= len(products):
            raise DocumentInvalid(f"no part {question.index} on level {question.level} of {len(products)} leaves")
        starts = range(first, min(len(products), first + width * PARTS), width)
        parts = tuple(int(sum(products[start : start + width])) for start in starts)
        answer = replace(answer, parts=parts)
        if width * PARTS >= len(products):
            return replace(answer, cell=opened(self.tape, question.column, question.place))
        above = replace(question, level=question.level + 1, index=question.index // PARTS)
        return replace(answer, above=self.answer(above).shown())

    def leaf_products(self, number: int, place: Place) -> list[int]:
        """Return the product of every leaf that a DOT or DOT_SHIFTED cell runs over."""
        column, shape = self.tape.program.columns[number], self.rows.shape
        left, right = (self.operand(column, index, place) for index in (0, 1))
        first, end = 0, shape.counted_leaves
        if Axis.BLOCK in column.axes:
            block = place[column.axes.index(Axis.BLOCK)]
            first, end = shape.starts[block], shape.starts[block + 1]
        if not left or not right:
            return [0] * (end - first)
        a, b = self.rows.integers(left)[first:end], self.rows.integers(right)[first:end]
        found = [int(value) for value in (a.astype(object) * b.astype(object)).sum(axis=1)]
        if column.op is Op.DOT_SHIFTED:
            shifts = [self.operand(column, 2, (*place, shape.block_of(leaf))) for leaf in range(first, end)]
            found = [shifted(value, shift) for value, shift in zip(found, shifts, strict=True)]
        return found

    def _prefixes(self, question: Question, column: Column, answer: Answer) -> Answer:
        entries = self.tape.lengths.of(column.operands[0].axes[-1])
        width = PREFIXES ** (question.level - 1)
        first = question.index * width * PREFIXES
        if not 1 <= question.level <= 3 or first >= entries:
            raise DocumentInvalid(f"no run {question.index} on level {question.level} of {entries} entries")
        ends = [min(entries, start + width) for start in range(first, min(entries, first + width * PREFIXES), width)]
        bodies = self.prefixes(question.column, question.place, question.leaf)
        hashes = tuple(row_leaf_hash(question.leaf, UNBLINDED, body_of(bodies[end], SUM_BITS)) for end in ends)
        answer = replace(answer, hashes=hashes)
        if width * PREFIXES >= entries:
            root = self.tape.cell(question.column, question.place)
            cell = opened(self.tape, question.column, question.place)
            return replace(answer, cell=cell, leaf=self.rows.leaf(root, question.leaf))
        above = replace(question, level=question.level + 1, index=question.index // PREFIXES)
        return replace(answer, above=self.answer(above).shown())

    def prefixes(self, number: int, place: Place, leaf: int) -> list[Integers]:
        """Return one leaf of a sum before the first entry, and after each."""
        column = self.tape.program.columns[number]
        found: list[Integers] = [np.zeros(COORDINATES, np.int64)]
        for entry in range(self.tape.lengths.of(column.operands[0].axes[-1])):
            root = self.operand(column, 0, (*place, entry))
            weight = self.operand(column, 1, (*place, entry))
            adds = root and weight
            found.append(add_scaled(found[-1], weight, self.rows.integers(root)[leaf]) if adds else found[-1])
        return found

    def operand(self, column: Column, index: int, place: Place) -> int:
        """Return the cell that a cell reads. `place`: with the axis beside its own where the operand has it."""
        operand = column.operands[index]
        at = place_of(operand, column, place, operand.axes, self.tape.lengths)
        return 0 if at is None else self.tape.cell(operand.column, at)

    # --- cells by number ----------------------------------------------------------------------------------------------

    def levels(self, column: int) -> list[Nodes]:
        """Return the nodes over a column's cells."""
        if column not in self._levels:
            self._levels[column] = column_levels(self.tape.columns[column])
        return self._levels[column]

    def flat_cell(self, column: int, number: int) -> int:
        """Return a cell by its number among the leaves of its column; padding is 0."""
        return self.tape.cell(column, place_at(number, self.tape.columns[column].shape))

    def _zero(self, column: int) -> Place:
        return (0,) * self.tape.columns[column].ndim


def row_read(column: Column, question: Question) -> tuple[int, Place]:
    """Return which operand of a product or sum a question is about, and the place that it is read from. Raises
    DocumentInvalid: it is no such column's."""
    if column.op is Op.COMBINE:
        return 0, (*question.place, question.leaf)
    if column.op not in (Op.DOT, Op.DOT_SHIFTED) or question.leaf > 1:
        raise DocumentInvalid(f"{column.name!r} reads no row {question.leaf}")
    return question.leaf, question.place


def place_at(number: int, shape: Place) -> Place:
    """Return the place of leaf `number` of a column, in its padding too."""
    found: list[int] = []
    for length in reversed(shape):
        depth = depth_of(length)
        found.insert(0, number & (1 << depth) - 1)
        number >>= depth
    return tuple(found)


def _missing(level: int) -> bytes:
    """Return the node over 2^level leaves that are not there."""
    node = bytes(32)
    for _ in range(level):
        node = keccak256(b"\1" + node * 2)
    return node
