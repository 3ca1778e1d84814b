"""What can be asked of a seal and what shows it. Twins of the structs of contracts/interfaces/IReferee.sol.

Tests: tests/contracts/test_referee.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from random import SystemRandom

from eth_abi.abi import encode

from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.openings import Opened
from fl_platform.protocol.program import Program
from fl_platform.protocol.rows import RowLeaf
from fl_platform.protocol.sources import Axis
from fl_platform.protocol.tree import depth_of

FAN = 5  # levels of a tree that one answer shows
PARTS = 128  # of an inner product, in one answer
PART_BYTES = 20  # enough for 2^28 products of sums, shifted by 63
PREFIXES = 32  # of a sum, in one answer
LEAVES = 64  # of updates that do not open, asked for about one seal
NO_CELL, NO_LEAF = Opened(0, ()), RowLeaf(bytes(32), b"", ())
QUESTION = "(uint8,uint16,uint32[3],uint32,uint8,uint32)"


class Node(IntEnum):
    """What kind of node is asked for."""

    COLUMNS = 0
    CELLS = 1
    SUMS = 2
    ROW = 3
    PREFIXES = 4
    CLAIMS = 5
    ROSTER = 6
    OPERAND = 7


@dataclass(frozen=True)
class Question:
    """One node of what a seal fixes."""

    node: Node
    column: int = 0
    place: tuple[int, ...] = ()
    leaf: int = 0
    level: int = 0
    index: int = 0

    def encoded(self) -> tuple[object, ...]:
        """Return the struct's fields."""
        place = [*self.place, *[0] * (3 - len(self.place))]
        return int(self.node), self.column, place, self.leaf, self.level, self.index

    def id(self, key: bytes) -> bytes:
        """Return its name about the seal `key`, 32 bytes."""
        return keccak256(encode(["bytes32", QUESTION], [key, self.encoded()]))


def blocks_of(question: Question, program: Program, blocks: int) -> tuple[int, ...]:
    """Return the block that a product is over, where it is block by block: who shows the node shows the block too."""
    if question.node is not Node.SUMS or question.column >= len(program.columns):
        return ()
    axes = program.columns[question.column].axes
    if Axis.BLOCK not in axes:
        return ()
    block = question.place[axes.index(Axis.BLOCK)]
    return (block,) if block < blocks else ()


def draw_leaves(rows: Sequence[Question], count: int) -> tuple[Question, ...]:
    """Draw the leaves to ask for, of rows of so many: at random, so that nobody knows which need not be there."""
    dice = SystemRandom()
    some = rows if len(rows) <= LEAVES else dice.sample(rows, LEAVES)
    each = min(count, LEAVES // len(some))
    return tuple(replace(row, index=index) for row in some for index in sorted(dice.sample(range(count), each)))


def top_of(program: Program) -> Question:
    """Return the question that every search in a hidden tape begins with."""
    return Question(Node.COLUMNS, level=depth_of(len(program.columns)))


@dataclass(frozen=True)
class Answer:
    """What shows a node; which fields count follows from the kind."""

    hashes: tuple[bytes, ...] = ()
    cells: tuple[int, ...] = ()
    siblings: tuple[bytes, ...] = ()
    parts: tuple[int, ...] = ()
    above: bytes = b""
    words: bytes = bytes(160)
    path: tuple[bytes, ...] = ()
    cell: Opened = NO_CELL
    leaf: RowLeaf = NO_LEAF
    claims: bytes = b""  # nodes of the tree over the claims, 48 bytes each, or one claim; an entry, encoded

    def encoded(self) -> tuple[object, ...]:
        """Return the struct's fields."""
        return (
            list(self.hashes), list(self.cells), list(self.siblings), self.claims or pack_parts(self.parts), self.above,
            encoded_instruction(self.words, self.path), encoded_cell(self.cell), encoded_leaf(self.leaf),
        )  # fmt: skip

    def shown(self) -> bytes:
        """Return what later answers and claims repeat of this one."""
        return pack_parts(self.parts) if self.parts else b"".join(self.hashes)


def pack_parts(parts: tuple[int, ...]) -> bytes:
    """Return parts of an inner product, 16 bytes each."""
    return b"".join(part.to_bytes(PART_BYTES, "big", signed=True) for part in parts)


def encoded_instruction(words: bytes, path: tuple[bytes, ...]) -> tuple[object, ...]:
    """Return the fields of an instruction's struct."""
    return [words[i : i + 32] for i in range(0, 160, 32)], list(path)


def encoded_cell(cell: Opened) -> tuple[object, ...]:
    """Return the fields of a cell's struct."""
    return cell.value, list(cell.siblings)


def encoded_leaf(leaf: RowLeaf) -> tuple[object, ...]:
    """Return the fields of a row leaf's struct."""
    return leaf.blind, leaf.body, list(leaf.siblings)
