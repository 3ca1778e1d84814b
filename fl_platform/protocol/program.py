"""A round's rule as data: columns of cells, each by one instruction, with bounds that hold whatever the round.

A column is a named array of cells over at most three axes. Its instruction says how each cell follows from at most
three others, at places that a fixed map names, so that one cell can be decided without looking at the rest. The bytes
of a program are what a task freezes and everybody evaluates (`evaluation`).

    bytes   header, then one instruction a column
    header  "flp1", columns u16, then for each `Output` the column u16 that it is, 0xFFFF: none
    column  five words of 32 bytes: packed, immediate, least, most, name (ASCII)
    packed  kind u4, op u8, axes 3 x u4, three operands of (column u16, map u8, axes 3 x u4), from the high end
    root    keccak(0x03, columns u16, Merkle root over leaf 0 = keccak(0x00, header), c + 1 = keccak(0x00, column c))

Rules write programs through `building.Builder`, which works the bounds out and refuses a column whose cells could leave
2^250. A program that comes from elsewhere is checked again by the same arithmetic (`Program.from_bytes`, `checker`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.operations import Bounds, Op
from fl_platform.protocol.sources import Axis, Kind, Map

MAGIC = b"flp1"
MAX_COLUMNS = 1_280
MAX_PROGRAM_BYTES = 256 * 1024
MAX_AXES = 3
_WORD = 32
_NO_OPERAND = 0xFFFF << 20
_NO_OUTPUT = 0xFFFF


class Output(IntEnum):
    """What a round is decided by, and a seal held to."""

    EARNED = 0  # by seat: wei earned up to and with this round
    REPUTATION = 1  # by seat, fixed point
    TOTAL = 2  # wei in all claims
    SUMS = 3  # content root of the weighted sum of updates
    DIVISOR = 4  # that the sum is divided by
    EXPONENTS = 5  # by block: of the next round's steps
    MODEL = 6  # content root of the new model
    SETTLEMENT = 7  # hash of all that was given and decides what is paid; what a proof of it is about


UNSEALED = frozenset({Output.SETTLEMENT})  # what a program may lack: no word of a seal is held to it
SHAPES: Mapping[Output, tuple[tuple[Axis, ...], Kind]] = {
    Output.EARNED: ((Axis.SEAT,), Kind.NUMBER),
    Output.REPUTATION: ((Axis.SEAT,), Kind.NUMBER),
    Output.TOTAL: ((), Kind.NUMBER),
    Output.SUMS: ((), Kind.SUMS),
    Output.DIVISOR: ((), Kind.NUMBER),
    Output.EXPONENTS: ((Axis.BLOCK,), Kind.NUMBER),
    Output.MODEL: ((), Kind.MODEL),
    Output.SETTLEMENT: ((), Kind.FIELD),
}


@dataclass(frozen=True)
class Operand:
    """A column that an instruction reads, and where."""

    column: int
    map: Map = Map.OWN
    axes: tuple[Axis, ...] = ()  # of that column; repeated here, so that one instruction says where its cells are


@dataclass(frozen=True)
class Column:
    """One instruction: how the cells of one column follow."""

    name: str  # ASCII, at most 32 bytes, for people
    op: Op
    axes: tuple[Axis, ...]
    operands: tuple[Operand, ...]
    immediate: int  # CONST: the value; SOURCE: which; PREV: the first value; LEAST: the axis; DOT: its rows' kinds
    bounds: Bounds
    kind: Kind = Kind.NUMBER

    def words(self) -> bytes:
        """Return the five words of 32 bytes that stand for the column."""
        packed = int(self.kind) << 128 | int(self.op) << 120 | _pack_axes(self.axes) << 108
        for place, operand in enumerate((*self.operands, *(None,) * (3 - len(self.operands)))):
            packed |= _pack_operand(operand) << (36 * (2 - place))
        low, high = self.bounds
        return b"".join([
            packed.to_bytes(_WORD, "big"), _signed(self.immediate), _signed(low), _signed(high),
            self.name.encode("ascii").ljust(_WORD, b"\0"),
        ])  # fmt: skip


@dataclass(frozen=True)
class Program:
    """A checked program."""

    columns: tuple[Column, ...]
    outputs: Mapping[Output, int]  # -> column

    def column(self, name: str) -> int:
        """Return the number of a column. Raises KeyError."""
        for number, one in enumerate(self.columns):
            if one.name == name:
                return number
        raise KeyError(name)

    def to_bytes(self) -> bytes:
        """Return the program's bytes."""
        return self.header() + b"".join(one.words() for one in self.columns)

    @property
    def root(self) -> bytes:
        """What a task freezes, 32 bytes."""
        return keccak256(b"\3" + len(self.columns).to_bytes(2, "big") + self.levels[-1][0])

    @cached_property
    def levels(self) -> list[list[bytes]]:
        """The tree over header and instructions, level by level from its padded leaves."""
        return merkle_levels(self.leaves())

    def leaves(self) -> list[bytes]:
        """Return the leaves of the tree over header and instructions."""
        return [keccak256(b"\0" + data) for data in (self.header(), *(one.words() for one in self.columns))]

    def header(self) -> bytes:
        """Return the header."""
        outputs = b"".join(self.outputs.get(each, _NO_OUTPUT).to_bytes(2, "big") for each in Output)
        return MAGIC + len(self.columns).to_bytes(2, "big") + outputs

    @classmethod
    def from_bytes(cls, data: bytes) -> Program:
        """Read a program (untrusted) and check it. Raises DocumentInvalid naming the column."""
        from fl_platform.protocol.building import Builder
        from fl_platform.protocol.checker import check

        start = len(MAGIC) + 2 + 2 * len(Output)
        if data[:4] != MAGIC or len(data) < start:
            raise DocumentInvalid(f"a round program begins with {MAGIC.decode()}, not with {data[:4]!r}")
        count = int.from_bytes(data[4:6], "big")
        if not 0 < count <= MAX_COLUMNS or len(data) != start + 5 * _WORD * count:
            raise DocumentInvalid(f"a round program of {count} columns (at most {MAX_COLUMNS}) and {len(data)} bytes")
        numbers = {each: int.from_bytes(data[6 + 2 * each : 8 + 2 * each], "big") for each in Output}
        columns = tuple(_read(data[i : i + 5 * _WORD]) for i in range(start, len(data), 5 * _WORD))
        found = cls(columns, {each: number for each, number in numbers.items() if number != _NO_OUTPUT})
        check(found)
        Builder().require_checks(columns)
        if found.to_bytes() != data:
            raise DocumentInvalid("the round program is not in its one spelling")
        return found


def _read(data: bytes) -> Column:
    words = [data[i : i + _WORD] for i in range(0, len(data), _WORD)]
    packed = int.from_bytes(words[0], "big")
    parts = [packed >> shift & 0xFFFFFFFFF for shift in (72, 36, 0)]
    name = _name(words[4])
    try:
        return Column(
            name=name, op=Op(packed >> 120 & 0xFF), axes=_unpack_axes(packed >> 108), kind=Kind(packed >> 128),
            operands=tuple(
                Operand(part >> 20, Map(part >> 12 & 0xFF), _unpack_axes(part))
                for part in parts
                if part != _NO_OPERAND
            ),
            immediate=_from_signed(words[1]), bounds=(_from_signed(words[2]), _from_signed(words[3])),
        )  # fmt: skip
    except ValueError as error:
        raise DocumentInvalid(f"column {name!r} of the round program: {error}") from error


def _pack_operand(operand: Operand | None) -> int:
    if operand is None:
        return _NO_OPERAND
    return operand.column << 20 | int(operand.map) << 12 | _pack_axes(operand.axes)


def _pack_axes(axes: tuple[Axis, ...]) -> int:
    packed = 0
    for axis in (*axes, *(0,) * (MAX_AXES - len(axes))):
        packed = packed << 4 | int(axis)
    return packed


def _unpack_axes(packed: int) -> tuple[Axis, ...]:
    return tuple(Axis(axis) for axis in (packed >> 8 & 0xF, packed >> 4 & 0xF, packed & 0xF) if axis)


def _name(data: bytes) -> str:
    name = data.rstrip(b"\0")
    if not name or not all(0x20 < byte < 0x7F for byte in name):
        raise DocumentInvalid(f"a name in the round program is {data!r}; letters, digits and signs only")
    return name.decode("ascii")


def _signed(value: int) -> bytes:
    return value.to_bytes(_WORD, "big", signed=True)


def _from_signed(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaves, padded with zero leaves to a power of two: inner node keccak(0x01, l, r)."""
    return merkle_levels(leaves)[-1][0]


def merkle_levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """Return the nodes of that tree, level by level from the padded leaves."""
    level = list(leaves)
    level += [bytes(_WORD)] * ((1 << (len(level) - 1).bit_length()) - len(level))
    levels = [level]
    while len(level) > 1:
        level = [keccak256(b"\1" + left + right) for left, right in zip(level[::2], level[1::2], strict=True)]
        levels.append(level)
    return levels
