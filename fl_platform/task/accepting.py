"""A task's own round program: what it reads and pays, told before anybody works, locks or audits by it.

No contract knows a rule, and a program that pays by a secret pattern passes every check: so what is not composed of the
package's own parts is refused until a person has named its root.

Tests: tests/unit/round/test_own_program.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fl_platform.errors import FLError, ProgramNotAccepted
from fl_platform.judging.admit import RoundContext, is_reference_party, seats_of
from fl_platform.judging.program import is_own, program_of
from fl_platform.judging.round_rows import RoundRows, cell_of
from fl_platform.judging.tapes import given_of, round_lengths
from fl_platform.protocol.bundle import Entry, TaskState
from fl_platform.protocol.evaluation import evaluate
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.model_spec import ModelSpec
from fl_platform.protocol.operations import HINTS, Bounds, Op
from fl_platform.protocol.program import Output, Program
from fl_platform.protocol.receipt import NOTHING, NOWHERE, Receipt
from fl_platform.protocol.seats import FIRST_SEAT, REFERENCE_SEAT
from fl_platform.protocol.sources import Refused, Source
from fl_platform.protocol.spec import TaskSpec
from fl_platform.task.reading import TaskReader
from fl_platform.updates import update_length
from fl_platform.updates.codec import DTYPES
from fl_platform.updates.scale import largest_integer

EQUALS = 8  # equal honest trainers in the round that is tried
FEW = 1_024  # parameters of each tensor in it
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


def require_accepted(reader: TaskReader) -> None:
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
    """Return what each seat earns in a first round of EQUALS updates that are alike but not copies, and a reference."""
    spec = replace(spec, model=_cropped(spec.model))
    entries, context = _equals(spec)
    lengths = round_lengths(spec, context, entries)
    claimed = {
        number: np.zeros([lengths.of(axis) for axis in column.axes], object)
        for number, column in enumerate(program.columns) if column.op in (Op.CLAIMED, Op.STEP)  # no pay reads a model
    }  # fmt: skip
    given = given_of(
        spec, context, TaskState.first(spec), entries, [Refused.NO] * len(entries), rows=_rows(spec, entries),
        brought=claimed,
    )  # fmt: skip
    return [int(wei) for wei in evaluate(program, lengths, given).output(Output.EARNED)]


def _cropped(model: ModelSpec) -> ModelSpec:
    """Return a model of few parameters: a stranger's declared sizes must not cost memory."""
    return replace(model, tensors=tuple(replace(t, shape=(min(t.size, FEW),)) for t in model.tensors))


def _equals(spec: TaskSpec) -> tuple[list[Entry], RoundContext]:
    """Return the entries of made-up trainers, with the reference's where the task has one, and their round."""
    # by the digest, so that no task can name a party of the same address
    trainers = [keccak256(spec.digest + bytes([number]))[12:] for number in range(EQUALS)]
    stakes = dict.fromkeys(trainers, spec.money.stake)
    reference = [spec.reference.address] if is_reference_party(spec.reference.address, spec) else []
    context = RoundContext(
        NOWHERE, 0, 0, spec.aggregators[0].address, spec.initial_root, stakes, seats_of(spec, trainers), life=0
    )
    entries = []
    for number, who in enumerate([*reference, *trainers], start=1):
        receipt = Receipt(
            task=0, round=0, life=0, base_round=0, trainer=who, parent=spec.initial_root, update=NOTHING,
            length=update_length(spec.model.size, spec.codec.bits), key_hash=NOTHING, leaves_root=NOTHING,
            content_root=number.to_bytes(32, "big"), commitment=NOTHING, samples=1, salt=NOTHING,
        )  # fmt: skip
        entries.append(Entry(receipt, b"", stakes.get(who, 0), (), b"", forced=False))
    return entries, context


def _rows(spec: TaskSpec, entries: Sequence[Entry]) -> RoundRows:
    """Return rows that go one way, each with noise of its own."""
    dice, size, most = np.random.default_rng(0), spec.model.size, largest_integer(spec.codec.bits)
    way = dice.normal(0, 1, size)
    drawn = ((0.8 * way + 0.6 * dice.normal(0, 1, size)) * most / 6 for _ in entries)
    updates = [np.clip(np.rint(row), -most, most).astype(DTYPES[spec.codec.bits]) for row in drawn]
    places = {cell_of(entry.receipt.content_root): i for i, entry in enumerate(entries)}
    return RoundRows(spec.model, spec.codec.bits, updates=places, read=updates.__getitem__, past={})
