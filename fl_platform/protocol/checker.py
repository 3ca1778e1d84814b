"""What a program may be: shapes, kinds and bounds of every column follow from those before it, by interval arithmetic.

Run when a program is built and again by everybody who joins a task, so that no cell of any round leaves 2^250 and no
instruction can be read in two ways.

Tests: tests/unit/protocol/test_program.py
"""

from __future__ import annotations

from collections.abc import Sequence

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.operations import HASHES, PLAIN, ROWS, WIDEST, Bounds, Op, bounds_of, operands_of
from fl_platform.protocol.program import MAX_AXES, SHAPES, Column, Operand, Program
from fl_platform.protocol.sources import GROUPED, LONGEST, RAW, SECOND, TWINS, Axis, Kind, Map, given_of, grouped

_ROWS = (Kind.UPDATE, Kind.SUMS)
_STEPPED = (Kind.MODEL, Kind.SUMS)
# A product of two rows: integers of 16 and 32 bits at most, 2^28 of them.
ROW_BITS = {Kind.UPDATE: 15, Kind.SUMS: 31}
_LONGEST_ROW = 28
WIDEST_SHIFT = 63
_SCANS = PLAIN | {Op.POSEIDON3}
BY_BLOCK = frozenset({Op.DOT_SHIFTED, Op.STEP})  # whose third operand is read at the block of each leaf


def check(program: Program) -> None:
    """Raise DocumentInvalid where a column's shape, operands or bounds do not follow from those before it."""
    names = [one.name for one in program.columns]
    if odd := [name for name in names if not (0 < len(name) <= 32 and name.isascii() and name.isprintable())]:
        raise DocumentInvalid(f"a column has the name {odd[0]!r}; 1 to 32 ASCII signs fit an instruction")
    if len(set(names)) != len(names):
        raise DocumentInvalid(f"two columns have the name {next(n for n in names if names.count(n) > 1)!r}")
    for output, number in program.outputs.items():
        if number >= len(program.columns):
            raise DocumentInvalid(f"output {output.name} is column {number} of {len(program.columns)}")
        column = program.columns[number]
        if (column.axes, column.kind) != SHAPES[output]:
            raise DocumentInvalid(f"output {output.name} is column {column.name!r}, which has another shape or kind")
    for number, column in enumerate(program.columns):
        kind, bounds = checked(column, number, program.columns[:number])
        if (kind, bounds) != (column.kind, column.bounds):
            told = f"{column.kind.name} {column.bounds}"
            raise DocumentInvalid(f"column {column.name!r} declares {told}, what follows is {kind.name} {bounds}")
    for column in program.columns:
        if column.op is Op.PREV:
            _check_carried(column, program)


def checked(column: Column, number: int, before: Sequence[Column]) -> tuple[Kind, Bounds]:
    """Return the kind and the bounds of a column's cells. Raises DocumentInvalid.

    Of what a PREV reads, which comes later, nothing is asked here.
    """
    if len(column.operands) != operands_of(column.op):
        raise _bad(column, f"has {len(column.operands)} operands, {column.op.name} takes {operands_of(column.op)}")
    _check_axes(column)
    if column.op is Op.PREV:
        return column.kind, _declared(column)
    for index in range(len(column.operands)):
        _check_place(column, index, number, before)
    kind = _kind(column, number, before)
    if kind is not Kind.NUMBER:
        return kind, RAW
    found = _bounds(column, number, before)
    if not -WIDEST <= found[0] <= found[1] <= WIDEST:
        raise _bad(column, f"could have a cell of {max(-found[0], found[1]).bit_length()} bits; 250 is the limit")
    return kind, found


def counted(column: Column) -> Axis | None:
    """Return the axis that operands have beside the column's own: the one that a LEAST counts over, a COMBINE adds up,
    or the blocks of a DOT_SHIFTED or STEP."""
    if column.op is Op.LEAST:
        return Axis(column.immediate)
    if column.op in BY_BLOCK:
        return Axis.BLOCK
    return column.operands[0].axes[-1] if column.op is Op.COMBINE else None


def reads_beside(column: Column, index: int) -> bool:
    """Whether operand `index` is read along the axis that `counted` names."""
    if column.op in BY_BLOCK:
        return index == 2
    return column.op is Op.COMBINE or (column.op is Op.LEAST and index < 2)


def read_axes(operand: Operand, *, gathered: bool = False) -> tuple[Axis, ...]:
    """Return the axes along which a cell sees an operand, once its map has been followed."""
    read = operand.axes[:-1] if gathered or operand.map is Map.LAST else operand.axes
    if operand.map is Map.DIAGONAL:
        read = tuple(axis for axis in read if axis not in SECOND)
    if operand.map is Map.SWAPPED:
        read = tuple(TWINS.get(axis, axis) for axis in read)
    return read


def joined(operands: Sequence[Operand]) -> tuple[Axis, ...]:
    """Return the axes of a cell that reads these, each once: as the longest of them has them where it has all."""
    wanted = {axis for one in operands for axis in read_axes(one)}
    wanted |= {TWINS[axis] for axis in wanted & SECOND}
    for one in operands:
        if one.map in (Map.OWN, Map.BEFORE) and set(read_axes(one)) == wanted:
            return read_axes(one)
    return sorted_axes(wanted)


def sorted_axes(axes: set[Axis]) -> tuple[Axis, ...]:
    """Return axes in their order, with the first of each pair."""
    return tuple(sorted(axes | {TWINS[axis] for axis in axes & SECOND}))


def _check_axes(column: Column) -> None:
    axes = column.axes
    alone = [axis for axis in axes if axis in SECOND and TWINS[axis] not in axes]
    if len(set(axes)) != len(axes) or len(axes) > MAX_AXES or alone:
        raise _bad(column, f"has the axes {[axis.name for axis in axes]}")


def _check_place(column: Column, index: int, number: int, before: Sequence[Column]) -> None:
    operand = column.operands[index]
    if operand.column > number:
        raise _bad(column, f"reads column {operand.column}, which comes later")
    source = column if operand.column == number else before[operand.column]
    if operand.axes != source.axes:
        raise _bad(column, f"says that operand {index} has the axes {[axis.name for axis in operand.axes]}")
    if operand.column == number:
        if operand.map is not Map.BEFORE or column.op not in _SCANS or not column.axes:
            raise _bad(column, "reads itself at another place than the one before")
        return
    gathered = column.op is Op.GATHER and index == 0
    if column.op is Op.POSEIDON:
        if not operand.axes or operand.map is not Map.OWN or grouped(operand.axes) != column.axes:
            raise _bad(column, f"hashes {source.name!r} by eight, which must have groups as its last axis, and no map")
        return
    if column.op is Op.INVERSE:
        if len(column.axes) != 1 or operand.axes != (Axis.ENTRY,) or operand.map is not Map.OWN:
            raise _bad(column, f"turns {source.name!r} round, which must be of entries, and have one axis itself")
        return
    _check_map(column, operand, source.name, gathered=gathered)
    beside = _beside(column) if reads_beside(column, index) else ()
    if not set(read_axes(operand, gathered=gathered)) <= {*column.axes, *beside}:
        raise _bad(column, f"reads {source.name!r} along an axis that it has not")


def _beside(column: Column) -> tuple[Axis, ...]:
    if column.op is Op.LEAST and column.immediate not in set(Axis):
        raise _bad(column, f"counts over {column.immediate}, which is no axis")
    if column.op is Op.COMBINE and not column.operands[0].axes:
        raise _bad(column, "adds up rows, and has one")
    axis = counted(column)
    assert axis is not None
    if column.op in ROWS and len(column.axes) == MAX_AXES:
        raise _bad(column, f"has {MAX_AXES} axes, and {column.op.name} needs room for one more")
    if axis in column.axes:
        raise _bad(column, f"counts over {axis.name}, which is its own")
    return (axis,)


def _check_map(column: Column, operand: Operand, name: str, *, gathered: bool) -> None:
    if gathered and (not operand.axes or operand.map is not Map.OWN):
        raise _bad(column, f"gathers from {name!r}, which must have an axis and no map")
    if operand.map is Map.BEFORE and (column.op not in _SCANS or not column.axes):
        raise _bad(column, f"reads the place before, which {column.op.name} here cannot")
    if operand.map is Map.LAST:
        own = {*column.axes, counted(column)}
        if not operand.axes or operand.axes[-1] in own or column.op in ROWS:
            raise _bad(column, f"reads the last cell of {name!r} along an axis of its own")


# --- kinds ------------------------------------------------------------------------------------------------------------


def _kind(column: Column, number: int, before: Sequence[Column]) -> Kind:
    op = column.op
    if op is Op.SOURCE:
        given = given_of(column.immediate)
        if given is None or given.axes != column.axes:
            raise _bad(column, f"is no source of the protocol: number {column.immediate}, axes {list(column.axes)}")
        return given.kind
    kinds = [column.kind if o.column == number else _kind_of(before[o.column]) for o in column.operands]
    if op in HASHES:
        return Kind.FIELD if set(kinds) <= {Kind.NUMBER, Kind.FIELD, None} else _refuse(column, kinds)
    if Kind.FIELD in kinds and op is not Op.EQ:
        return _refuse(column, kinds)
    if op is Op.SEL:
        return _same(column, kinds[1:]) if kinds[0] in (Kind.NUMBER, None) else _refuse(column, kinds)
    if op is Op.EQ:
        _same(column, kinds)
        return Kind.NUMBER
    if op is Op.GATHER:
        return kinds[0] or Kind.NUMBER if kinds[1] in (Kind.NUMBER, None) else _refuse(column, kinds)
    if op in ROWS:
        return _row_kind(column, kinds)
    return Kind.NUMBER if all(kind in (Kind.NUMBER, None) for kind in kinds) else _refuse(column, kinds)


def _kind_of(column: Column) -> Kind | None:
    """None: the number 0, which stands for no row as well."""
    return None if (column.op, column.immediate) == (Op.CONST, 0) else column.kind


def _same(column: Column, kinds: Sequence[Kind | None]) -> Kind:
    found = {kind for kind in kinds if kind is not None}
    if len(found) > 1:
        _refuse(column, kinds)
    return found.pop() if found else Kind.NUMBER


def _row_kind(column: Column, kinds: Sequence[Kind | None]) -> Kind:
    if column.op is Op.STEP:
        fits = kinds == [*_STEPPED, Kind.NUMBER] and column.immediate == row_kinds(_STEPPED)
        return Kind.MODEL if fits else _refuse(column, kinds)
    rows = kinds[:1] if column.op is Op.COMBINE else kinds[:2]
    if not all(kind in _ROWS for kind in rows) or any(kind not in (Kind.NUMBER, None) for kind in kinds[len(rows) :]):
        _refuse(column, kinds)
    if column.op is not Op.COMBINE:
        return Kind.NUMBER
    return Kind.SUMS if rows == [Kind.UPDATE] else _refuse(column, kinds)


def _refuse(column: Column, kinds: Sequence[Kind | None]) -> Kind:
    read = [Kind(kind or 0).name for kind in kinds]
    raise _bad(column, f"reads {', '.join(read)}, which {column.op.name} cannot")


# --- bounds -----------------------------------------------------------------------------------------------------------


def _bounds(column: Column, number: int, before: Sequence[Column]) -> Bounds:
    op, immediate = column.op, column.immediate
    if op is Op.CONST:
        return immediate, immediate
    if op is Op.SOURCE:
        given = given_of(immediate)
        assert given is not None
        return given.bounds
    if op is Op.CLAIMED:
        return _declared(column)
    if any(operand.column == number for operand in column.operands):
        return _scanned(column, number, before)
    x = [_seen(operand, before[operand.column].bounds) for operand in column.operands]
    if op is Op.EQ and before[column.operands[0].column].kind is not Kind.NUMBER:
        return 0, 1
    if op in PLAIN:
        return bounds_of(op, *x)
    if op is Op.INVERSE:
        return 0, LONGEST[column.operands[0].axes[0]]
    if op is Op.GATHER:
        return min(0, x[0][0]), max(0, x[0][1])
    if op is Op.MUST:
        return x[0]
    if op is Op.LEAST:
        if x[1][0] < 0:
            raise _bad(column, "is a hint with a weight that could be negative: more than one value could be right")
        return _declared(column)
    return _product_bounds(column, x, before)


def row_kinds(kinds: Sequence[Kind]) -> int:
    """Return the immediate of a product or step: its rows' kinds, so that one instruction says how wide they are."""
    return kinds[0] | kinds[1] << 8


def _product_bounds(column: Column, x: Sequence[Bounds], before: Sequence[Column]) -> Bounds:
    """Of DOT and DOT_SHIFTED: what rows of these kinds can give at most."""
    kinds = [before[operand.column].kind for operand in column.operands[:2]]
    if column.immediate != row_kinds(kinds):
        raise _bad(column, f"says {column.immediate} of its rows, which are {row_kinds(kinds)}")
    bits = sum(ROW_BITS[before[operand.column].kind] for operand in column.operands[:2]) + _LONGEST_ROW
    if column.op is Op.DOT_SHIFTED:
        if x[2][0] < 0 or x[2][1] > WIDEST_SHIFT:
            raise _bad(column, f"shifts by {x[2]}; 0 to {WIDEST_SHIFT} is allowed")
        bits += x[2][1]
    same = column.operands[0] == column.operands[1]
    return 0 if same else -(1 << bits), 1 << bits


def _declared(column: Column) -> Bounds:
    low, high = column.bounds
    if column.kind is not Kind.NUMBER:
        return RAW
    if not -WIDEST <= low <= high <= WIDEST:
        raise _bad(column, f"declares the range {column.bounds}")
    return column.bounds


def _check_carried(column: Column, program: Program) -> None:
    """What one round hands to the next: the same shape and kind, within the declared bounds."""
    operand = column.operands[0]
    if operand.column >= len(program.columns) or operand.map is not Map.OWN:
        raise _bad(column, f"carries column {operand.column} of {len(program.columns)}")
    source = program.columns[operand.column]
    if (source.axes, source.kind) != (column.axes, column.kind) or operand.axes != column.axes:
        raise _bad(column, f"carries {source.name!r}, which has another shape or kind")
    if {GROUPED.get(axis, (axis, 1))[0] for axis in column.axes} & {Axis.ENTRY, Axis.OTHER}:
        raise _bad(column, "carries entries, which every round has anew")
    if column.kind is Kind.FIELD:
        raise _bad(column, "carries a hash, which no later round reads")
    if column.kind is not Kind.NUMBER and column.immediate:
        raise _bad(column, f"begins with the root {column.immediate}, which nobody could open; begin with 0")
    least, most = min(column.immediate, source.bounds[0]), max(column.immediate, source.bounds[1])
    if column.kind is Kind.NUMBER and not column.bounds[0] <= least <= most <= column.bounds[1]:
        may = f"{source.name!r} may be {source.bounds}, at first {column.immediate}"
        raise _bad(column, f"declares {column.bounds}, {may}")


def _seen(operand: Operand, bounds: Bounds) -> Bounds:
    """What lies outside of an operand is 0."""
    return (min(0, bounds[0]), max(0, bounds[1])) if operand.map in (Map.BEFORE, Map.LAST) else bounds


def _scanned(column: Column, number: int, before: Sequence[Column]) -> Bounds:
    """A running value: as many steps as its axis can be long, from 0."""
    longest = LONGEST[column.axes[-1]]
    if column.op in (Op.ADD, Op.MULADD) and column.operands[-1].column == number:
        others = [_seen(o, before[o.column].bounds) for o in column.operands[:-1]]
        if all(o.column != number for o in column.operands[:-1]):
            low, high = others[0] if column.op is Op.ADD else bounds_of(Op.MUL, *others)
            return min(low, longest * low), max(high, longest * high)
    running: Bounds = (0, 0)
    hull: Bounds | None = None
    seen: set[Bounds] = set()
    for _ in range(longest):
        x = [
            (min(0, running[0]), max(0, running[1])) if o.column == number else _seen(o, before[o.column].bounds)
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
