"""What fells a lie in one transaction. Twins of the structs of contracts/interfaces/IReferee.sol and Refutation.sol.

Tests: tests/contracts/test_referee.py
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fl_platform.dispute.questions import NO_CELL, NO_LEAF, encoded_cell, encoded_instruction, encoded_leaf
from fl_platform.protocol.openings import Opened, Refutation
from fl_platform.protocol.rows import RowLeaf
from fl_platform.protocol.tape import Place


@dataclass(frozen=True)
class CellClaim:
    """A cell does not follow from cells at named places."""

    refutation: Refutation
    function = "refute"

    def encoded(self) -> tuple[object, ...]:
        """Return the call's arguments behind the target."""
        claim = self.refutation
        words, path = encoded_instruction(claim.words, claim.path)
        operands = [encoded_cell(one or NO_CELL) for one in claim.operands]
        return ((claim.column, _place(claim.place), words, path, encoded_cell(claim.claimed), operands),)


@dataclass(frozen=True)
class PaddingClaim:
    """Behind the last column there is something."""

    index: int
    node: bytes
    siblings: tuple[bytes, ...]
    function = "refutePadding"

    def encoded(self) -> tuple[object, ...]:
        """Return the call's arguments behind the target."""
        return self.index, self.node, list(self.siblings)


@dataclass(frozen=True)
class DotClaim:
    """A part of an inner product is not what two leaves give."""

    column: int
    place: Place
    words: bytes
    path: tuple[bytes, ...]
    cell: Opened
    leaf: int  # of the run that the cell is over
    rows: tuple[Opened, Opened]
    shown: bytes = b""
    shift: Opened = NO_CELL
    block: int = 0
    leaves: tuple[RowLeaf, RowLeaf] = (NO_LEAF, NO_LEAF)
    function = "refuteDot"

    def encoded(self) -> tuple[object, ...]:
        """Return the call's arguments behind the target."""
        return ((
            self.column, _place(self.place), encoded_instruction(self.words, self.path), encoded_cell(self.cell),
            self.leaf, self.shown, [encoded_cell(row) for row in self.rows], encoded_cell(self.shift), self.block,
            [encoded_leaf(leaf) for leaf in self.leaves],
        ),)  # fmt: skip


@dataclass(frozen=True)
class CombineClaim:
    """A leaf of a sum is not what an entry makes of the leaf before it."""

    column: int
    place: Place
    words: bytes
    path: tuple[bytes, ...]
    leaf: int
    entry: int
    shown: bytes
    before: bytes
    before_shown: bytes
    row: Opened
    weight: Opened
    row_leaf: RowLeaf
    function = "refuteCombine"

    def encoded(self) -> tuple[object, ...]:
        """Return the call's arguments behind the target."""
        return ((
            self.column, _place(self.place), encoded_instruction(self.words, self.path), self.leaf, self.entry,
            self.shown, self.before, self.before_shown, encoded_cell(self.row), encoded_cell(self.weight),
            encoded_leaf(self.row_leaf),
        ),)  # fmt: skip


class Claim(Protocol):
    """What fells a seal: a function of the contract, and its arguments."""

    @property
    def function(self) -> str:
        """Name of the function."""

    def encoded(self) -> tuple[object, ...]:
        """Return the call's arguments behind the target."""


def _place(place: Place) -> list[int]:
    return [*place, *[0] * (3 - len(place))]
