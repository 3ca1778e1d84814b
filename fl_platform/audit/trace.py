"""From one cell of a sealed round back to what it follows from: receipts, stakes, rules, the round before.

Every cell is its instruction's outcome of at most three others (`protocol.program`), so a payout can be followed cell
by cell. The cells are those that the round's bundle tells; beside each stands what follows from the chain where that is
another value. A lie is where a cell differs and none of the cells that it reads does: there the walk departs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fl_platform.errors import AuditDifference, ConfigError
from fl_platform.judging.admit import MISSING
from fl_platform.judging.judge_public import public_tape
from fl_platform.judging.tapes import axis_in_words, column_in_words, place_in_words, told_tape
from fl_platform.protocol.openings import reads_of
from fl_platform.protocol.operations import HINTS, ROWS, Op
from fl_platform.protocol.program import Column, Program
from fl_platform.protocol.receipt import Receipt
from fl_platform.protocol.sources import WORDS, Axis, Kind, Source
from fl_platform.protocol.tape import Place, Tape
from fl_platform.task.reading import TaskReader
from fl_platform.task.validating import parse_slice, readable_slice, utility_of

Cell = tuple[int, Place]  # column, place

_OF_PEOPLE = frozenset({Axis.ENTRY, Axis.OTHER, Axis.SEAT})
_MANY = {
    Axis.ENTRY: "updates", Axis.OTHER: "updates", Axis.SEAT: "accounts", Axis.BLOCK: "blocks of parameters",
    Axis.DIRECTION: "earlier sums", Axis.OTHER_DIRECTION: "earlier sums",
}  # fmt: skip
_FORMULAS = {
    Op.ADD: "{0} + {1}", Op.SUB: "{0} - {1}", Op.MUL: "{0} * {1}", Op.MULADD: "{0} * {1} + {2}",
    Op.DIV: "floor({0} / {1})", Op.MULDIV: "floor({0} * {1} / {2})", Op.ROOT: "square root of {0}",
    Op.MIN: "the smaller of {0} and {1}", Op.MAX: "the larger of {0} and {1}",
    Op.CLAMP: "{0}, but at least {1} and at most {2}", Op.LT: "1 if {0} < {1}, else 0",
    Op.EQ: "1 if {0} = {1}, else 0", Op.SEL: "{1} if {0} is not 0, else {2}",
    Op.BITS: "bits of {0}",
    Op.SHIFT: "{0} * 2^{1}", Op.GATHER: "the cell ({0}) at the place that another names ({1})",
    Op.MUST: "a check: {0} must not be 0", Op.LEAST: "a hint, which checks hold to its one right value",
    Op.INVERSE: "a hint, which checks hold to its one right value", Op.CLAIMED: "the sealer's word",
    Op.DOT: "inner product of two updates or sums", Op.DOT_SHIFTED: "inner product of two updates or sums",
    Op.COMBINE: "content root of the weighted sum of all updates",
    Op.POSEIDON3: "hash of {0}, {1} and {2}",
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One cell of the walk."""

    depth: int  # 0: the cell that was asked for
    cell: str  # in words
    value: str  # as the bundle tells it
    follows: str  # what follows from the chain, where that is another value; empty: the same
    why: str  # how it follows, with the values of what it reads
    departs: bool = False  # it differs, and nothing that it reads does
    again: bool = False  # shown before, with what it reads
    more: int = 0  # cells that it reads and that are below the depth

    def __str__(self) -> str:
        """One line for a person."""
        differs = f"  DIFFERS: {self.follows} follows" if self.follows else ""
        departs = "  <- HERE: all that it reads is as it should be" if self.departs else ""
        why = "see above" if self.again else self.why
        more = f" .. {self.more} more below" if self.more else ""
        return f"{'  ' * self.depth}{self.cell} = {self.value}  ({why}){more}{differs}{departs}"


@dataclass(frozen=True)
class TracedRound:
    """A sealed round's two tapes: what its bundle tells, and what follows from chain and rules."""

    round: int
    told: Tape
    right: Tape
    receipts: tuple[Receipt, ...]
    seats: tuple[bytes, ...]

    @property
    def program(self) -> Program:
        """The round's program."""
        return self.told.program

    def words(self, cell: Cell) -> str:
        """Say which cell this is; of a running sum, how far it goes: its last cell is no single party's."""
        number, place = cell
        column = self.program.columns[number]
        if not _is_running(column, number):
            return place_in_words(self.program, number, place, self.receipts, self.seats)
        *parts, last = (
            axis_in_words(axis, at, self.receipts, self.seats) for axis, at in zip(column.axes, place, strict=True)
        )
        of = f" of {' and '.join(parts)}" if parts else ""
        axis = column.axes[-1]
        whole = place[-1] + 1 == self.told.lengths.of(axis)
        many = _MANY.get(axis, "groups")
        over = f"all {many}" if whole else f"{many} up to that of {last}"
        return f"{column_in_words(self.program, number)}{of}, added up over {over}"

    def differs(self, cell: Cell) -> bool:
        """Whether the bundle tells another value of a cell than follows."""
        return self.told.cell(*cell) != self.right.cell(*cell)


def traced_round(reader: TaskReader, number: int) -> TracedRound:
    """Read a sealed round and evaluate it again; products of updates are taken as the bundle tells them.

    Raises AuditDifference (its entries are not those on chain), DocumentInvalid, StoreMissing, and ConfigError
    where the round is not sealed.
    """
    record = reader.history().rounds[number] if number < len(reader.history().rounds) else None
    if record is None or record.seal is None:
        raise ConfigError(f"round {number} of task {reader.task} is not sealed; `fl-platform task show` says which are")
    bundle, spec = reader.bundle(number), reader.spec
    reader.check_roster(number, bundle.entries)
    forced = [entry.receipt for entry in bundle.entries if entry.forced]
    if forced != [item.receipt for item in record.forced]:
        raise AuditDifference(f"round {number}: the bundle's forced receipts are not the {len(record.forced)} on chain")
    context = reader.round_context(number, record.seal.aggregator, bundle.entries)
    # a sealer that could have the update after all need not leave it out
    context = replace(context, missing=context.missing & bundle.with_verdict(MISSING))
    rows, utility = readable_slice(spec, parse_slice(bundle.validation)), utility_of(spec)
    right, _ = public_tape(spec, context, reader.state_before(number), bundle, validation=rows, utility=utility)
    receipts = tuple(entry.receipt for entry in bundle.entries)
    return TracedRound(number, told_tape(spec, bundle), right, receipts, context.seats)


def walk(traced: TracedRound, cell: Cell, *, depth: int) -> Iterator[Step]:
    """Yield a cell and what it follows from, each cell once, to so many levels below it; a difference is followed down
    to where it begins."""
    seen: set[Cell] = set()
    yield from _walk(traced, cell, 0, depth, seen)


def _walk(traced: TracedRound, cell: Cell, level: int, depth: int, seen: set[Cell]) -> Iterator[Step]:
    reads, again = _reads(traced, cell), cell in seen
    departs = traced.differs(cell) and not any(map(traced.differs, reads))
    follows = _value(traced.program, cell, traced.right.cell(*cell)) if traced.differs(cell) else ""
    value = _value(traced.program, cell, traced.told.cell(*cell))
    lie = next(filter(traced.differs, reads), None)  # one way down is enough
    down = [one for one in reads if traced.program.columns[one[0]].op is not Op.CONST]
    shown = [] if again else [one for one in down if level < depth or one == lie]
    more = 0 if again else len(down) - len(shown)
    yield Step(level, traced.words(cell), value, follows, _why(traced, cell), departs and not again, again, more)
    seen.add(cell)
    for one in shown:
        yield from _walk(traced, one, level + 1, depth, seen)


def _reads(traced: TracedRound, cell: Cell) -> list[Cell]:
    """Return the cells that a cell reads; of a running sum the terms of all places up to its own, not its own past."""
    number, _ = cell
    column = traced.program.columns[number]
    if column.op in ROWS or column.op in HINTS or column.op is Op.PREV:
        return []
    if not _is_running(column, number):
        return _operands(traced, cell)
    return [one for term in _terms(traced, cell) if _counts(traced, term) for one in term]


def _terms(traced: TracedRound, cell: Cell) -> list[list[Cell]]:
    """Return what is added up to a running sum's cell: at each place up to its own, the factors of a term."""
    number, place = cell
    cells = (_operands(traced, (number, (*place[:-1], at))) for at in range(place[-1] + 1))
    return [[one for one in some if one[0] != number] for some in cells]


def _operands(traced: TracedRound, cell: Cell) -> list[Cell]:
    return [
        (number, at) for number, at in reads_of(traced.told, *cell) if at is not None and _is_there(traced, number, at)
    ]


def _is_there(traced: TracedRound, number: int, place: Place) -> bool:
    """Whether a place is one of a column's: a hash reads what fills its last group as well."""
    return all(at < length for at, length in zip(place, traced.told.columns[number].shape, strict=True))


def _counts(traced: TracedRound, term: Sequence[Cell]) -> bool:
    """Whether a term of a running sum is not 0, or not what it should be."""
    return any(map(traced.differs, term)) or all(traced.told.cell(*one) != 0 for one in term)


def _is_running(column: Column, number: int) -> bool:
    """Whether it is a sum; a chain of hashes reads its own past as any cell."""
    return column.op is not Op.POSEIDON3 and any(operand.column == number for operand in column.operands)


def _why(traced: TracedRound, cell: Cell) -> str:
    number, place = cell
    column = traced.program.columns[number]
    if column.op is Op.CONST:
        return "a constant of the program"
    if column.op is Op.SOURCE:
        return _source_in_words(column)
    if column.op is Op.PREV:
        before = column_in_words(traced.program, column.operands[0].column)
        return f"{before} of round {traced.round - 1}" if traced.round else "what round 0 starts with"
    if column.op in ROWS or column.op in HINTS:
        return _FORMULAS[column.op]
    if _is_running(column, number):
        return _terms_in_words(traced, cell)
    values = [
        "0" if at is None else _value(traced.program, (read, at), traced.told.cell(read, at))
        for read, at in reads_of(traced.told, number, place)
    ]
    if column.op is Op.POSEIDON:
        return f"hash of {', '.join(values)}"
    return _FORMULAS[column.op].format(*values)


def _terms_in_words(traced: TracedRound, cell: Cell) -> str:
    terms = _terms(traced, cell)
    counted = sum(_counts(traced, term) for term in terms)
    many = f"the sum of {len(terms)} term{'s' * (len(terms) > 1)}"
    return f"{many}, {counted} of them not 0" if counted else f"{many}, all 0"


def _source_in_words(column: Column) -> str:
    source = Source(column.immediate & 0xFF)
    if source is Source.WORD:
        index = column.immediate >> 8
        return f"the task's rules: {WORDS[index].name if index < len(WORDS) else f'its own word {index}'}"
    if source in (Source.ENTRY_PARENT, Source.LENGTH, Source.SAMPLES, Source.CONTENT):
        return f"the receipt: {source.name.lower()}"
    if source is Source.REFUSED:
        return "the seal, with its ground on chain: why the update was left out; 0: it was not"
    return f"the chain: {source.name.lower().replace('_', ' ')}"


def _value(program: Program, cell: Cell, value: int) -> str:
    if program.columns[cell[0]].kind is Kind.NUMBER:
        return str(value)
    return f"0x{(value % 2**256).to_bytes(32, 'big').hex()[:16]}.." if value else "0"


# --- which cell -------------------------------------------------------------------------------------------------------


def cell_of(traced: TracedRound, name: str, where: Sequence[int | bytes]) -> Cell:
    """Return the cell that a person named: a column, and along each of its axes a number or an address (20 bytes).

    Raises ConfigError with what there is.
    """
    names = [column.name for column in traced.program.columns]
    if name not in names:
        known = ", ".join(one for one in names if not one.startswith("c") or not one[1:].isdigit())
        raise ConfigError(f"the task's program has no column {name!r}; those with names: {known}")
    number = names.index(name)
    axes = traced.program.columns[number].axes
    if len(where) != len(axes):
        wanted = ", ".join(axis.name.lower() for axis in axes) or "nothing"
        example = f"{name}[{','.join('alice' if axis in _OF_PEOPLE else '0' for axis in axes)}]" if axes else name
        raise ConfigError(
            f"{name} is named with {len(where)} places in brackets; it has {len(axes)}: {wanted}; write {example!r}"
        )
    return number, tuple(_place(traced, axis, one) for axis, one in zip(axes, where, strict=True))


def _place(traced: TracedRound, axis: Axis, where: int | bytes) -> int:
    length = traced.told.lengths.of(axis)
    if isinstance(where, int):
        if not 0 <= where < length:
            raise ConfigError(f"{axis.name.lower()} {where} is not there: round {traced.round} has {length}, from 0")
        return where
    there: Sequence[bytes] = traced.seats if axis is Axis.SEAT else ()
    if axis in (Axis.ENTRY, Axis.OTHER):
        there = [receipt.trainer for receipt in traced.receipts]
    if where not in there:
        raise ConfigError(f"0x{where.hex()} has no {axis.name.lower()} in round {traced.round}")
    return list(there).index(where)
