"""Challenges of an honest tape: well formed ones, which say nothing against it, and what one change makes of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from eth_abi.abi import encode

from fl_platform.dispute.answers import HeldTape
from fl_platform.dispute.claims import CellClaim, Claim, CombineClaim, DotClaim, PaddingClaim
from fl_platform.dispute.known import KnownRound
from fl_platform.dispute.questions import NO_CELL, NO_LEAF, Node, Question
from fl_platform.protocol.openings import OTHER_KINDS, Opened, Refutation, instruction_path, opened, refutation_of
from fl_platform.protocol.operations import ROWS, Op, wrap
from fl_platform.protocol.rows import SUM_BITS, RowLeaf, body_of, row_leaf_hash
from fl_platform.protocol.sources import Axis
from fl_platform.protocol.tape import Place, Tape, place_of

_WIDE = (1, -1, 2**40, -(2**200))


@dataclass
class Challenger:
    """Draws challenges of an honest tape whose rows have one leaf a block."""

    known: KnownRound
    honest: Tape
    dice: random.Random

    def __post_init__(self) -> None:
        self.held = HeldTape(self.honest, self.known.rows)
        columns = self.known.program.columns
        self._there = [n for n in range(len(columns)) if self.honest.columns[n].size]
        self._rows = [n for n in self._there if columns[n].op in ROWS]

    def draw(self) -> Claim:
        """Return a challenge; one in four is well formed."""
        number = self.dice.choice(self._rows if self.dice.random() < 0.3 else self._there)
        place = tuple(self.dice.randrange(length) for length in self.honest.columns[number].shape)
        claim = self._whole(number, place)
        return claim if self.dice.random() < 0.25 else self._changed(claim)

    # --- well formed --------------------------------------------------------------------------------------------------

    def _whole(self, number: int, place: Place) -> CellClaim | DotClaim | CombineClaim:
        op = self.known.program.columns[number].op
        if op is Op.COMBINE:
            return self._combine(number, place)
        if op in ROWS:
            return self._dot(number, place)
        if op not in OTHER_KINDS:
            return CellClaim(refutation_of(self.honest, number, place))
        words, path = self._instruction(number)
        return CellClaim(Refutation(number, place, words, path, opened(self.honest, number, place), ()))

    def _dot(self, number: int, place: Place) -> DotClaim:
        column, rows = self.known.program.columns[number], self.known.rows
        left, right = (self._read(number, index, place) for index in (0, 1))
        by_block = Axis.BLOCK in column.axes
        block = place[column.axes.index(Axis.BLOCK)] if by_block else self.dice.randrange(rows.shape.counting)
        cell = opened(self.honest, number, place)
        claim = DotClaim(number, place, *self._instruction(number), cell, 0 if by_block else block, (left, right))
        claim = replace(claim, block=block)
        if not left.value or not right.value:
            return claim
        claim = replace(claim, leaves=(rows.leaf(left.value, block), rows.leaf(right.value, block)))
        if column.op is Op.STEP:
            told = rows.leaf(cell.value, block)
            node = row_leaf_hash(block, told.blind, told.body)
            claim = replace(claim, shown=encode(["bytes32", "bytes32[]"], [node, list(told.siblings)]))
        return claim if column.op is Op.DOT else replace(claim, shift=self._read(number, 2, (*place, block)))

    def _combine(self, number: int, place: Place) -> CombineClaim:
        shape, entries = self.known.rows.shape, self.honest.lengths.entries
        leaf, entry = self.dice.randrange(shape.leaves), self.dice.randrange(entries)
        row, weight = (self._read(number, index, (*place, entry)) for index in (0, 1))
        shown = self.held.answer(Question(Node.PREFIXES, number, place, leaf, 1)).shown()
        before = body_of(self.held.prefixes(number, place, leaf)[entry], SUM_BITS)
        opens = self.known.rows.leaf(row.value, leaf) if row.value and weight.value else NO_LEAF
        words, path = self._instruction(number)
        return CombineClaim(number, place, words, path, leaf, entry, shown, before, b"", row, weight, opens)

    def _instruction(self, number: int) -> tuple[bytes, tuple[bytes, ...]]:
        program = self.known.program
        return program.columns[number].words(), instruction_path(program, number)

    def _read(self, number: int, index: int, place: Place) -> Opened:
        column = self.known.program.columns[number]
        operand = column.operands[index]
        at = place_of(operand, column, place, operand.axes, self.honest.lengths)
        return NO_CELL if at is None else opened(self.honest, operand.column, at)

    # --- changed ------------------------------------------------------------------------------------------------------

    def _changed(self, claim: CellClaim | DotClaim | CombineClaim) -> Claim:
        """Change one thing."""
        if self.dice.random() < 0.05:
            columns, node = len(self.known.program.columns), self.dice.randbytes(32)
            return PaddingClaim(columns + self.dice.randrange(3), node, self._path(self._cell().siblings))
        inner: Any = claim.refutation if isinstance(claim, CellClaim) else claim
        changes: dict[type, dict[str, Callable[[Any], Any]]] = {
            int: dict.fromkeys(("column", "leaf", "entry", "block"), self._number),
            tuple: {"place": self._place, "path": self._path, "operands": self._operands, "rows": self._operands,
                    "leaves": self._leaves},
            bytes: dict.fromkeys(("words", "shown", "before", "before_shown"), self._bytes),
            Opened: dict.fromkeys(("claimed", "cell", "shift", "row", "weight"), self._opened),
            RowLeaf: {"row_leaf": self._leaf},
        }  # fmt: skip
        ways = {name: way for group in changes.values() for name, way in group.items() if hasattr(inner, name)}
        name = self.dice.choice(sorted(ways))
        made: Any = replace(inner, **{name: ways[name](getattr(inner, name))})
        found: Claim = CellClaim(made) if isinstance(claim, CellClaim) else made
        return found

    def _number(self, number: int) -> int:
        return max(0, number + self.dice.choice((1, -1, 3, 1_000)))

    def _place(self, place: Place) -> Place:
        if not place:
            return (1,)
        at = self.dice.randrange(len(place))
        return (*place[:at], self._number(place[at]), *place[at + 1 :])

    def _path(self, path: tuple[bytes, ...]) -> tuple[bytes, ...]:
        at = self.dice.randrange(len(path) + 1)
        kept = path[at + 1 :] if self.dice.random() < 0.7 else path[at:]
        return (*path[:at], *([self.dice.randbytes(32)] if self.dice.random() < 0.7 else []), *kept)

    def _bytes(self, data: bytes) -> bytes:
        if not data:
            return self.dice.randbytes(32)
        at = self.dice.randrange(len(data))
        return data[:at] + bytes([data[at] ^ 1 << self.dice.randrange(8)]) + data[at + 1 :]

    def _cell(self) -> Opened:
        number = self.dice.choice(self._there)
        place = tuple(self.dice.randrange(length) for length in self.honest.columns[number].shape)
        return opened(self.honest, number, place)

    def _opened(self, cell: Opened | None) -> Opened:
        if cell is None or self.dice.random() < 0.3:
            return self._cell()
        if self.dice.random() < 0.5:
            return replace(cell, value=wrap(cell.value + self.dice.choice(_WIDE)))
        return replace(cell, siblings=self._path(cell.siblings))

    def _operands(self, operands: tuple[Opened | None, ...]) -> tuple[Opened | None, ...]:
        if not operands:
            return (self._cell(),)
        at = self.dice.randrange(len(operands))
        return (*operands[:at], self._opened(operands[at]), *operands[at + 1 :])

    def _leaves(self, leaves: tuple[RowLeaf, RowLeaf]) -> tuple[RowLeaf, RowLeaf]:
        one, two = leaves
        return (two, one) if one != two and self.dice.random() < 0.3 else (self._leaf(one), two)

    def _leaf(self, leaf: RowLeaf) -> RowLeaf:
        way = self.dice.randrange(3)
        if way == 0:
            return replace(leaf, body=self._bytes(leaf.body))
        if way == 1:
            return replace(leaf, siblings=self._path(leaf.siblings))
        return replace(leaf, blind=self.dice.randbytes(32))
