"""A round's rule as data: columns of cells, each by one instruction, with bounds that hold whatever the round.

A column is a named array of cells over at most three axes. Its instruction says how each cell follows from at most
three others, at places that a fixed map names, so that one cell can be decided without looking at the rest. The bytes
of a program are what a task will freeze and everybody evaluate (`tape`). Not in use yet: rounds are judged by
`contribution/`, `aggregation/` and `protocol/payout`, and disputes decided by contracts/disputes/.

Rules write programs through `building.Builder`, which works the bounds out and refuses a column whose cells could leave
2^250. A program that comes from elsewhere is checked again by the same arithmetic (`Program.from_bytes`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.operations import PLAIN, WIDEST, Bounds, Op, bounds_of, operands_of

MAGIC = b"flp1"
MAX_COLUMNS = 1_024
MAX_AXES = 3
_WORD = 32
_NONE = 0xFFFF << 20  # an operand that an operation has not


class Axis(IntEnum):
    """What a column's places count. ENTRY and OTHER are the same entries, for pairs."""

    ENTRY = 1  # roster entries in order, forced ones behind
    OTHER = 2
    SEAT = 3  # accounts, by seat
    DIRECTION = 4
    BLOCK = 5


# The longest that each can be: what the bounds of sums are reckoned with.
LONGEST: Mapping[Axis, int] = {
    Axis.ENTRY: 512, Axis.OTHER: 512, Axis.SEAT: 65_536, Axis.DIRECTION: 16, Axis.BLOCK: 256,
}  # fmt: skip


class Map(IntEnum):
    """Which cell of an operand a cell reads. What lies outside of the operand is 0."""

    OWN = 0  # at the own place; axes that the operand has not are dropped
    SWAPPED = 1  # as OWN, with ENTRY and OTHER exchanged
    DIAGONAL = 2  # as OWN, with OTHER at the place of ENTRY
    BEFORE = 3  # as OWN, one place earlier along the own last axis
    LAST = 4  # as OWN, at the last place of the operand's last axis, which the own column has not


class Source(IntEnum):
    """Where a SOURCE column's cells come from. Each is bound before the sealer's window opens, or in the seal."""

    COUNT = 1  # of entries
    SEAT_OF = 2  # of an entry's trainer
    STAKE = 3  # joined stake of an entry, wei
    REFUSED = 4  # 1 where the entry's update is refused, as the seal says with its evidence
    POT = 5  # of the round, wei
    FEE_BPS = 6
    AGGREGATOR = 7  # seat of who seals
    EARNED = 8  # carried: wei earned by each seat before this round
    REPUTATION = 9  # carried, fixed point
    SAMPLES = 10  # claimed in an entry's receipt
    SCORE_SUM = 11  # carried: signed sum of each seat's scores before this round
    PAID_SCORED = 12  # carried: wei paid to each seat for scores
    POTS_BEFORE = 13  # carried: wei that went by worth


@dataclass(frozen=True)
class Given:
    """A source's shape and the bounds that the protocol gives it."""

    axes: tuple[Axis, ...]
    bounds: Bounds


SOURCES: Mapping[Source, Given] = {
    Source.COUNT: Given((), (0, LONGEST[Axis.ENTRY])),
    Source.SEAT_OF: Given((Axis.ENTRY,), (0, LONGEST[Axis.SEAT] - 1)),
    Source.STAKE: Given((Axis.ENTRY,), (0, 2**80 - 1)),
    Source.REFUSED: Given((Axis.ENTRY,), (0, 1)),
    Source.POT: Given((), (0, 2**80 - 1)),
    Source.FEE_BPS: Given((), (0, 10_000)),
    Source.AGGREGATOR: Given((), (0, LONGEST[Axis.SEAT] - 1)),
    Source.EARNED: Given((Axis.SEAT,), (0, 2**96 - 1)),
    Source.REPUTATION: Given((Axis.SEAT,), (0, 2**64 - 1)),
    Source.SAMPLES: Given((Axis.ENTRY,), (0, 2**32 - 1)),
    Source.SCORE_SUM: Given((Axis.SEAT,), (-(2**120), 2**120)),
    Source.PAID_SCORED: Given((Axis.SEAT,), (0, 2**96 - 1)),
    Source.POTS_BEFORE: Given((), (0, 2**96 - 1)),
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
    immediate: int  # CONST: the value; SOURCE: which; INNER, LEAST: the axis that is summed over
    bounds: Bounds

    def words(self) -> bytes:
        """Return the five words of 32 bytes that stand for the column."""
        packed = int(self.op) << 12 | _axes(self.axes)
        for operand in (*self.operands, *(None,) * (3 - len(self.operands))):
            one = _NONE if operand is None else operand.column << 20 | int(operand.map) << 12 | _axes(operand.axes)
            packed = packed << 36 | one
        low, high = self.bounds
        return b"".join([
            packed.to_bytes(_WORD, "big"), _signed(self.immediate), _signed(low), _signed(high),
            self.name.encode("ascii").ljust(_WORD, b"\0"),
        ])  # fmt: skip


@dataclass(frozen=True)
class Program:
    """A checked program."""

    columns: tuple[Column, ...]
    outputs: Mapping[str, int]  # what the round is decided by: name -> column

    def column(self, name: str) -> int:
        """Return the number of a column. Raises KeyError."""
        for number, one in enumerate(self.columns):
            if one.name == name:
                return number
        raise KeyError(name)

    def to_bytes(self) -> bytes:
        """Return the program's bytes: a header, then five words a column."""
        return self._header() + b"".join(one.words() for one in self.columns)

    @property
    def root(self) -> bytes:
        """The Merkle root of header and instructions, 32 bytes: what a task freezes."""
        return merkle_root(self.leaves())

    def leaves(self) -> list[bytes]:
        """Return the leaves of that tree: the header's, then one a column."""
        return [keccak256(b"\0" + data) for data in (self._header(), *(one.words() for one in self.columns))]

    def _header(self) -> bytes:
        named = b"".join(
            name.encode("ascii").ljust(_WORD, b"\0") + column.to_bytes(2, "big")
            for name, column in sorted(self.outputs.items())
        )
        return MAGIC + len(self.columns).to_bytes(2, "big") + len(self.outputs).to_bytes(2, "big") + named

    @classmethod
    def from_bytes(cls, data: bytes) -> Program:
        """Read a program (untrusted) and check it. Raises DocumentInvalid naming the column."""
        if data[:4] != MAGIC or len(data) < 8:
            raise DocumentInvalid(f"a round program begins with {MAGIC.decode()}, not with {data[:4]!r}")
        count, outputs = int.from_bytes(data[4:6], "big"), int.from_bytes(data[6:8], "big")
        body = 8 + outputs * (_WORD + 2)
        if not 0 < count <= MAX_COLUMNS or outputs > count or len(data) != body + 5 * _WORD * count:
            raise DocumentInvalid(f"a round program of {count} columns, {outputs} outputs and {len(data)} bytes")
        named = {}
        for start in range(8, body, _WORD + 2):
            named[_name(data[start : start + _WORD])] = int.from_bytes(data[start + _WORD : start + _WORD + 2], "big")
        columns = tuple(_read(data[i : i + 5 * _WORD]) for i in range(body, len(data), 5 * _WORD))
        found = cls(columns, named)
        check(found)
        if found.to_bytes() != data:
            raise DocumentInvalid("the round program is not in its one spelling")
        return found


def check(program: Program) -> None:
    """Raise DocumentInvalid where a column's shape, operands or bounds do not follow from those before it."""
    names = [one.name for one in program.columns]
    if len(set(names)) != len(names):
        raise DocumentInvalid(f"two columns have the name {next(n for n in names if names.count(n) > 1)!r}")
    for name, output in program.outputs.items():
        if output >= len(program.columns):
            raise DocumentInvalid(f"output {name!r} is column {output} of {len(program.columns)}")
    for number, column in enumerate(program.columns):
        checked = checked_column(column, number, program.columns[:number])
        if checked != column.bounds:
            raise DocumentInvalid(f"column {column.name!r} declares {column.bounds}, what follows is {checked}")


def checked_column(column: Column, number: int, before: Sequence[Column]) -> Bounds:
    """Return the bounds of a column's cells, by interval arithmetic. Raises DocumentInvalid."""
    if len(column.operands) != operands_of(column.op):
        raise _bad(column, f"has {len(column.operands)} operands, {column.op.name} takes {operands_of(column.op)}")
    if len(set(column.axes)) != len(column.axes) or (Axis.OTHER in column.axes and Axis.ENTRY not in column.axes):
        raise _bad(column, f"has the axes {[axis.name for axis in column.axes]}")
    for index in range(len(column.operands)):
        _check_place(column, index, number, before)
    found = _bounds(column, number, before)
    if not -WIDEST <= found[0] <= found[1] <= WIDEST:
        raise _bad(column, f"could have a cell of {max(-found[0], found[1]).bit_length()} bits; 250 is the limit")
    return found


def summed(column: Column) -> Axis | None:
    """Return the axis that a column sums over, beside its own."""
    return Axis(column.immediate) if column.op in (Op.INNER, Op.LEAST) else None


def _check_place(column: Column, index: int, number: int, before: Sequence[Column]) -> None:
    operand = column.operands[index]
    if column.op in (Op.INNER, Op.LEAST) and column.immediate not in set(Axis):
        raise _bad(column, f"sums over {column.immediate}, which is no axis")
    alone = column.op is Op.LEAST and index == 2  # what is wanted in all is no matter of a step
    own = column.axes + (() if (axis := summed(column)) is None or alone else (axis,))
    if operand.column > number:
        raise _bad(column, f"reads column {operand.column}, which comes later")
    if operand.axes != (column if operand.column == number else before[operand.column]).axes:
        raise _bad(column, f"says that operand {index} has the axes {[axis.name for axis in operand.axes]}")
    if operand.column == number:
        if operand.map is not Map.BEFORE or column.op not in PLAIN or not column.axes:
            raise _bad(column, "reads itself at another place than the one before")
        return
    read = before[operand.column].axes
    if column.op is Op.INVERSE:
        if len(column.axes) != 1 or len(read) != 1 or operand.map is not Map.OWN:
            raise _bad(column, f"turns {before[operand.column].name!r} round, and both must have one axis")
        return
    if column.op is Op.GATHER and index == 0:
        if not read or operand.map is not Map.OWN:
            raise _bad(column, f"gathers from {before[operand.column].name!r}, which must have an axis and no map")
        read = read[:-1]
    if operand.map is Map.BEFORE and column.op not in PLAIN:
        raise _bad(column, f"reads the place before, which {column.op.name} cannot")
    if operand.map is Map.LAST:
        if not read or read[-1] in own:
            raise _bad(column, f"reads the last cell of {before[operand.column].name!r} along an axis of its own")
        read = read[:-1]
    if operand.map is Map.DIAGONAL:
        read = tuple(axis for axis in read if axis is not Axis.OTHER)
    if operand.map is Map.SWAPPED:
        read = tuple(_SWAP.get(axis, axis) for axis in read)
    if operand.map is Map.BEFORE and not column.axes:
        raise _bad(column, "has no axis along which something could be before")
    if not set(read) <= set(own):
        raise _bad(column, f"reads {before[operand.column].name!r} along an axis that it has not")


_SWAP = {Axis.ENTRY: Axis.OTHER, Axis.OTHER: Axis.ENTRY}


def _bounds(column: Column, number: int, before: Sequence[Column]) -> Bounds:
    op, immediate = column.op, column.immediate
    if op is Op.CONST:
        return immediate, immediate
    if op is Op.SOURCE:
        given = SOURCES.get(Source(immediate)) if immediate in set(Source) else None
        if given is None or given.axes != column.axes:
            raise _bad(column, f"is no source of the protocol: number {immediate}, axes {list(column.axes)}")
        return given.bounds
    if any(operand.column == number for operand in column.operands):
        return _scanned(column, number, before)
    x = [_read_bounds(operand, before[operand.column].bounds) for operand in column.operands]
    if op in PLAIN:
        return bounds_of(op, *x)
    if op is Op.INVERSE:
        return 0, LONGEST[column.operands[0].axes[0]]
    if op is Op.GATHER:
        return min(0, x[0][0]), max(0, x[0][1])
    axis = summed(column)
    if axis is None or axis in column.axes:
        if op is Op.MUST:
            return x[0]
        raise _bad(column, f"sums over {immediate}, which is no axis beside its own")
    if op is Op.INNER:
        low, high = bounds_of(Op.MUL, *x)
        return min(0, LONGEST[axis] * low), max(0, LONGEST[axis] * high)
    if x[1][0] < 0:
        raise _bad(column, "is a hint with a weight that could be negative: more than one value could be right")
    return column.bounds  # a hint's declared range


def _read_bounds(operand: Operand, bounds: Bounds) -> Bounds:
    """What lies outside of an operand is 0."""
    return (min(0, bounds[0]), max(0, bounds[1])) if operand.map in (Map.BEFORE, Map.LAST) else bounds


def _scanned(column: Column, number: int, before: Sequence[Column]) -> Bounds:
    """A running value: as many steps as its axis can be long, from 0."""
    longest = LONGEST[column.axes[-1]]
    if column.op is Op.ADD:
        others = [_read_bounds(o, before[o.column].bounds) for o in column.operands if o.column != number]
        low, high = others[0] if others else (0, 0)
        return min(low, longest * low), max(high, longest * high)
    running: Bounds = (0, 0)
    hull: Bounds | None = None
    seen: set[Bounds] = set()
    for _ in range(longest):
        x = [
            (min(0, running[0]), max(0, running[1])) if o.column == number else _read_bounds(o, before[o.column].bounds)
            for o in column.operands
        ]
        running = bounds_of(column.op, *x)
        hull = running if hull is None else (min(hull[0], running[0]), max(hull[1], running[1]))
        if running in seen or max(-hull[0], hull[1]) > WIDEST:  # it goes round from here on, or is refused
            break
        seen.add(running)
    assert hull is not None
    return hull


def _bad(column: Column, what: str) -> DocumentInvalid:
    return DocumentInvalid(f"column {column.name!r} {what}")


def _read(data: bytes) -> Column:
    words = [data[i : i + _WORD] for i in range(0, len(data), _WORD)]
    packed = int.from_bytes(words[0], "big")
    parts = [packed >> shift & 0xFFFFFFFFF for shift in (72, 36, 0)]
    name = _name(words[4])
    try:
        return Column(
            name=name, op=Op(packed >> 120), axes=_from_axes(packed >> 108),
            operands=tuple(
                Operand(part >> 20, Map(part >> 12 & 0xFF), _from_axes(part)) for part in parts if part != _NONE
            ),
            immediate=_from_signed(words[1]), bounds=(_from_signed(words[2]), _from_signed(words[3])),
        )  # fmt: skip
    except ValueError as error:
        raise DocumentInvalid(f"column {name!r} of the round program: {error}") from error


def _axes(axes: tuple[Axis, ...]) -> int:
    packed = 0
    for axis in (*axes, *(0,) * (MAX_AXES - len(axes))):
        packed = packed << 4 | int(axis)
    return packed


def _from_axes(packed: int) -> tuple[Axis, ...]:
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
    level = list(leaves)
    level += [bytes(_WORD)] * ((1 << (len(level) - 1).bit_length()) - len(level))
    while len(level) > 1:
        level = [keccak256(b"\1" + left + right) for left, right in zip(level[::2], level[1::2], strict=True)]
    return level[0]
