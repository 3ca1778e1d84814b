"""A task's own round program: what it reads and pays, told before anybody works, locks or audits by it.

No contract knows a rule, and a program that pays by a secret pattern passes every check: so what is not composed of the
package's own parts is refused until a person has named its root.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fl_platform.aggregation.round_rows import RoundRows, cell_of
from fl_platform.contribution.program import is_own, program_of, terms_of
from fl_platform.errors import FLError, ProgramNotAccepted
from fl_platform.protocol.arithmetic import Array
from fl_platform.protocol.operations import HINTS, Bounds, Op
from fl_platform.protocol.program import Output, Program
from fl_platform.protocol.seats import FIRST_SEAT, REFERENCE_SEAT
from fl_platform.protocol.sources import INDEX_OF, Source
from fl_platform.protocol.spec import TaskSpec
from fl_platform.protocol.tape import Given, Lengths, evaluate
from fl_platform.roles.reading import TaskReader
from fl_platform.updates.scale import largest_integer
from fl_platform.updates.tensors import Integers

EQUALS = 8  # equal honest trainers in the round that is tried
_READS = {"stakes": Source.STAKE, "accounts": Source.SEAT_OF, "claimed sample counts": Source.SAMPLES}


@dataclass(frozen=True)
class Described:
    """What a person should know of a program."""

    root: bytes
    reads: dict[str, tuple[str, ...]]  # of `_READS`: names of the columns that read it directly
    claimed: tuple[str, ...]  # columns that are the sealer's word
    hints: tuple[str, ...]
    paid: tuple[int, ...]  # wei, of EQUALS equal honest trainers in a first round
    dust: int  # wei, the owner's
    bounds: Bounds  # least and largest wei that a seat can have earned, as the checker proves


def demand_accepted(reader: TaskReader) -> None:
    """Raise ProgramNotAccepted where a task brings a program that this party has not accepted.

    Of rules that cannot be read it says nothing: whoever goes on to read them does.
    """
    try:
        spec = reader.spec
    except FLError:
        return
    if not is_own(spec) or program_of(spec).root in reader.accepted:
        return
    root = program_of(spec).root.hex()
    raise ProgramNotAccepted(
        f"task {reader.task} is judged by a program of its own, 0x{root}, which is not made of this package's parts: "
        f"it may pay anybody anything. `fl-platform task show {reader.task}` says what it reads and pays; go on with "
        f"--accept-program 0x{root}"
    )


def described(spec: TaskSpec) -> Described:
    """Return what a task's program reads, and what it pays in a round of equal honest trainers."""
    program = program_of(spec)
    earned = _equal_round(spec, program)
    return Described(
        root=program.root,
        reads={words: _readers(program, source) for words, source in _READS.items()},
        claimed=tuple(column.name for column in program.columns if column.op is Op.CLAIMED),
        hints=tuple(column.name for column in program.columns if column.op in HINTS),
        paid=tuple(earned[FIRST_SEAT:]),
        dust=earned[REFERENCE_SEAT],
        bounds=program.columns[program.outputs[Output.EARNED]].bounds,
    )


def _readers(program: Program, source: Source) -> tuple[str, ...]:
    """Return the columns that read a source's cells, by name."""
    given = {n for n, c in enumerate(program.columns) if c.op is Op.SOURCE and c.immediate & 0xFF == source}
    return tuple(
        column.name for column in program.columns if any(operand.column in given for operand in column.operands)
    )


def _equal_round(spec: TaskSpec, program: Program) -> list[int]:
    """Return what each seat earns in a first round of a reference and EQUALS updates that are alike but not copies."""
    terms = terms_of(spec)
    dice, most = np.random.default_rng(0), largest_integer(spec.codec.bits)
    way = dice.normal(0, 1, spec.model.size)

    def update() -> Integers:
        drawn = (0.8 * way + 0.6 * dice.normal(0, 1, spec.model.size)) * most / 6
        return np.clip(np.rint(drawn), -most, most).astype(np.int16 if spec.codec.bits > 8 else np.int8)

    updates = [update() for _ in range(EQUALS + 1)]
    roots = [cell_of(number.to_bytes(32, "big")) for number in range(1, EQUALS + 2)]
    places = {root: i for i, root in enumerate(roots)}
    rows = RoundRows(spec.model, spec.codec.bits, updates=places, read=updates.__getitem__, past={})
    count = EQUALS + 1
    parent = cell_of(spec.initial_model)

    def of(value: int) -> Array:
        return np.array([value] * count, object)

    stakes = of(spec.money.stake)
    stakes[0] = 0
    sources: dict[Source, Array | int] = {
        Source.COUNT: count, Source.ROUND: 0, Source.POT: spec.money.pot, Source.AGGREGATOR: 0, Source.PARENT: parent,
        Source.SEAT_OF: np.array([REFERENCE_SEAT, *range(FIRST_SEAT, FIRST_SEAT + EQUALS)], object),
        Source.STAKE: stakes, Source.ENTRY_PARENT: of(parent),
        Source.LENGTH: of(terms.words[INDEX_OF["update_length"]]), Source.SAMPLES: of(1),
        Source.CONTENT: np.array(roots, object), Source.REFUSED: of(0),
        Source.BLOCK_SIZE: np.array([block.size for block in terms.blocks], object),
        Source.BLOCK_COUNTS: np.array([int(block.counts) for block in terms.blocks], object),
        Source.FIRST_EXPONENT: np.array([block.first_exponent for block in terms.blocks], object),
    }
    lengths = Lengths(count, FIRST_SEAT + EQUALS, len(terms.blocks), spec.aggregation.directions)
    claimed = {
        number: np.zeros([lengths.of(axis) for axis in column.axes], object)
        for number, column in enumerate(program.columns) if column.op is Op.CLAIMED
    }  # fmt: skip
    tape = evaluate(program, lengths, Given(sources, terms.words, None, rows, claimed))
    return [int(wei) for wei in tape.output(Output.EARNED)]
