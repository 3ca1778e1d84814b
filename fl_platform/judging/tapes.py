"""A round's tape: from what chain, entries and sealer say to cells, and from a bundle's cells back to the tape.

What a bundle tells are the cells of all columns but constants and pairs of entries; of those only products of rows,
which nobody without the updates can compute. The rest of the tape follows from them (`told_tape`), whoever told them,
so that a lie about any cell stands in the open.

Tests: tests/unit/judging/test_tape_rounds.py
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fl_platform.errors import DocumentInvalid
from fl_platform.judging.admit import RoundContext, is_reference
from fl_platform.judging.program import lengths_of, program_of, terms_of
from fl_platform.judging.round_rows import cell_of
from fl_platform.protocol.arithmetic import Array
from fl_platform.protocol.bundle import Carried, Entry, RoundBundle, TaskState
from fl_platform.protocol.evaluation import evaluate
from fl_platform.protocol.operations import CLOSED_ROWS, ROWS, Op
from fl_platform.protocol.program import Column, Program
from fl_platform.protocol.receipt import Receipt
from fl_platform.protocol.seats import REFERENCE_SEAT
from fl_platform.protocol.sources import GROUPED, Axis, Source
from fl_platform.protocol.spec import TaskSpec
from fl_platform.protocol.tape import Given, Lengths, ModelStepper, Place, RowSource, Tape, first_unlike
from fl_platform.rules.verdicts import COLUMNS

_MOST_POT = 2**80 - 1
_STRANGER = 0  # the seat of whoever has none: an aggregator's, which no entry with a stake has


def round_lengths(spec: TaskSpec, context: RoundContext, entries: Sequence[Entry]) -> Lengths:
    """Return how long the round's axes are."""
    return lengths_of(spec, entries=len(entries), seats=len(context.seats))


def given_of(
    spec: TaskSpec, context: RoundContext, before: TaskState, entries: Sequence[Entry], refused: Sequence[int],
    *, rows: RowSource | None = None, stepper: ModelStepper | None = None, brought: Mapping[int, Array] | None = None,
) -> Given:  # fmt: skip
    """Return what the round's cells are evaluated from; `refused`: a `sources.Refused` an entry, as the sealer says."""
    terms, receipts = terms_of(spec), [entry.receipt for entry in entries]
    pot = spec.money.pot if context.pot is None else context.pot
    trainers = {who: seat for seat, who in enumerate(context.seats) if seat > REFERENCE_SEAT}

    def seat_of(entry: Entry) -> int:
        if not context.is_of(entry.receipt):
            return _STRANGER
        return REFERENCE_SEAT if is_reference(entry, spec) else trainers.get(entry.receipt.trainer, _STRANGER)

    def of(values: Sequence[int]) -> Array:
        return np.array(values, dtype=object).reshape(len(values))

    listed = [party.address for party in spec.aggregators]
    if context.aggregator not in listed:
        raise DocumentInvalid(f"0x{context.aggregator.hex()} is none of the task's aggregators")
    sources: dict[Source, Array | int] = {
        Source.COUNT: len(entries),
        Source.ROUND: context.round,
        Source.POT: min(pot, _MOST_POT),
        Source.AGGREGATOR: listed.index(context.aggregator),
        Source.PARENT: cell_of(context.parent),
        Source.SEAT_OF: of([seat_of(entry) for entry in entries]),
        Source.STAKE: of([_stake(entry, spec, context) for entry in entries]),
        Source.ENTRY_PARENT: of([cell_of(receipt.parent) for receipt in receipts]),
        Source.LENGTH: of([receipt.length for receipt in receipts]),
        Source.SAMPLES: of([receipt.samples for receipt in receipts]),
        Source.CONTENT: of([cell_of(receipt.content_root) for receipt in receipts]),
        Source.REFUSED: of(refused),
        Source.BLOCK_SIZE: of([block.size for block in terms.blocks]),
        Source.BLOCK_COUNTS: of([int(block.counts) for block in terms.blocks]),
        Source.FIRST_EXPONENT: of([block.first_exponent for block in terms.blocks]),
        Source.BLOCK_STEP_BITS: of([block.step_bits for block in terms.blocks]),
        Source.BLOCK_NONNEGATIVE: of([int(block.nonnegative) for block in terms.blocks]),
    }
    previous = carried_in(program_of(spec), before, spec)
    return Given(sources, terms.words, previous, rows, stepper, brought or {})


def _stake(entry: Entry, spec: TaskSpec, context: RoundContext) -> int:
    """Wei that the chain says its trainer had when the roster closed, whatever the roster's author wrote beside it."""
    who = entry.receipt.trainer
    if is_reference(entry, spec) or not context.is_of(entry.receipt) or who not in context.seats[REFERENCE_SEAT + 1 :]:
        return 0
    return max(0, entry.stake if context.members is None else context.members.get(who, 0))


# --- from one round to the next --------------------------------------------------------------------------------------


def carried_in(program: Program, before: TaskState, spec: TaskSpec) -> list[Array] | None:
    """Return a state's columns as `Given.previous` has them; None in the first round. Raises DocumentInvalid."""
    if not before.state:
        return None
    lengths = lengths_of(spec, entries=0, seats=len(before.seats))
    wanted = _carrying(program)
    if [column.name for column in before.state] != [column.name for column in wanted]:
        raise DocumentInvalid(f"the state before round {before.round} has not the columns of the task's program")
    found: list[Array] = [np.zeros(0, dtype=object)] * len(program.columns)
    for told, column in zip(before.state, wanted, strict=True):
        found[column.operands[0].column] = _shaped(told.cells, lengths.shape(column.axes), column.name)
    return found


def carried_out(tape: Tape) -> tuple[Carried, ...]:
    """Return what a round hands to the next one."""
    return tuple(
        Carried(column.name, _flat(tape.columns[column.operands[0].column])) for column in _carrying(tape.program)
    )


def _carrying(program: Program) -> list[Column]:
    return [column for column in program.columns if column.op is Op.PREV]


# --- what a bundle tells ---------------------------------------------------------------------------------------------


def told_numbers(program: Program) -> tuple[int, ...]:
    """Return the columns whose cells a bundle has."""
    return tuple(
        number
        for number, column in enumerate(program.columns)
        if column.op in ROWS or (column.op is not Op.CONST and Axis.OTHER not in column.axes)
    )


def told(tape: Tape) -> tuple[tuple[int, ...], ...]:
    """Return a tape's cells as a bundle has them."""
    return tuple(_flat(tape.columns[number]) for number in told_numbers(tape.program))


def told_cells(spec: TaskSpec, bundle: RoundBundle) -> dict[int, Array]:
    """Return a bundle's cells by column. Raises DocumentInvalid where they are not as many as the round's."""
    program = program_of(spec)
    lengths = lengths_of(spec, entries=len(bundle.entries), seats=len(bundle.after.seats))
    numbers = told_numbers(program)
    if len(bundle.columns) != len(numbers):
        raise DocumentInvalid(f"round {bundle.round}: {len(bundle.columns)} columns are told, {len(numbers)} wanted")
    columns = program.columns
    return {
        number: _shaped(cells, lengths.shape(columns[number].axes), columns[number].name)
        for number, cells in zip(numbers, bundle.columns, strict=True)
    }


def told_tape(spec: TaskSpec, bundle: RoundBundle) -> Tape:
    """Return the tape of which a bundle tells: its cells as they are, and what follows from them. Raises
    DocumentInvalid."""
    lengths = lengths_of(spec, entries=len(bundle.entries), seats=len(bundle.after.seats))
    return evaluate(program_of(spec), lengths, Given(brought=told_cells(spec, bundle)))


def only_a_key_shows(program: Program) -> frozenset[int]:
    """Return the columns that a reader without updates takes as they are told."""
    shown = CLOSED_ROWS | {Op.CLAIMED}
    return frozenset(n for n, column in enumerate(program.columns) if column.op in shown)


def stepped_columns(program: Program) -> frozenset[int]:
    """Return the columns that a reader without the model or the sums takes as they are told."""
    return frozenset(n for n, column in enumerate(program.columns) if column.op is Op.STEP)


def _flat(cells: Array) -> tuple[int, ...]:
    return tuple(int(cell) for cell in np.asarray(cells, dtype=object).reshape(-1))


def _shaped(cells: Sequence[int], shape: Place, name: str) -> Array:
    size = int(np.prod(shape, dtype=np.int64)) if shape else 1
    if len(cells) != size:
        raise DocumentInvalid(f"column {name!r} is told with {len(cells)} cells, wanted {size}")
    return np.array(cells, dtype=object).reshape(shape)


# --- two tapes -------------------------------------------------------------------------------------------------------


def first_difference(one: Tape, other: Tape) -> tuple[int, Place] | None:
    """Return the first cell in which two tapes of a program differ: column and place. None: they are the same.

    Of tapes with other lengths the first column of another shape, at its first cell.
    """
    for number, (left, right) in enumerate(zip(one.columns, other.columns, strict=True)):
        if left.shape != right.shape:
            return number, (0,) * left.ndim
        place = first_unlike(left, right)
        if place is not None:
            return number, place
    return None


def place_in_words(
    program: Program, number: int, place: Place, receipts: Sequence[Receipt], seats: Sequence[bytes]
) -> str:
    """Say which cell this is: `weight of 0xab..`."""
    axes = program.columns[number].axes
    parts = [axis_in_words(axis, at, receipts, seats) for axis, at in zip(axes, place, strict=True)]
    words = column_in_words(program, number)
    return f"{words} of {' and '.join(parts)}" if parts else words


def column_in_words(program: Program, number: int) -> str:
    """Name a column; one without a name of its own is a step of the program."""
    name = program.columns[number].name
    if name == f"c{number}":
        return f"step {number}"
    about = COLUMNS.get(name, name)
    return name if about == name else f"{name} ({about})"


_PLACES = {Axis.BLOCK: "block", Axis.DIRECTION: "earlier sum", Axis.OTHER_DIRECTION: "earlier sum"}


def axis_in_words(axis: Axis, at: int, receipts: Sequence[Receipt], seats: Sequence[bytes]) -> str:
    """Say whose, or which, a place along an axis is."""
    if axis in (Axis.ENTRY, Axis.OTHER) and at < len(receipts):
        return f"0x{receipts[at].trainer.hex()}"
    if axis is Axis.SEAT and at < len(seats):
        return f"0x{seats[at].hex()} (seat {at})"
    if axis in GROUPED:
        of, places = GROUPED[axis]
        return f"group {at} of {places} {'seats' if of is Axis.SEAT else 'entries'}"
    return f"{_PLACES.get(axis, axis.name.lower())} {at}"
