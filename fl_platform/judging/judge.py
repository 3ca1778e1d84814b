"""One pure function decides a round: `judge_round`. The aggregator calls it to seal, the auditor to compare.

Its inputs are the task's frozen rules, what the chain says (`RoundContext`), the state before, the entries and ways to
read updates, models and sums by digest. It opens what the round's program reads, evaluates the program, and reads off
the tape all that the round's bundle claims: no rule is written here. No clock or network, and no randomness that shows
in a result; integers throughout, but for a leave-one-out utility (see there).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fl_platform.errors import (
    DocumentInvalid,
    ReceiptDuplicate,
    ReceiptForeign,
    ReceiptParentMismatch,
    ReceiptReplayed,
)
from fl_platform.judging.admit import (
    CONVICTED,
    MISSING,
    Admission,
    OpenedUpdates,
    Refusal,
    RoundContext,
    UpdateSource,
    admit_entries,
)
from fl_platform.judging.commitments import KeySource, blinding_sums, layer_of
from fl_platform.judging.leave_one_out import LEAVE_ONE_OUT, Utility, marginals, measurable
from fl_platform.judging.model_step import ModelSteps
from fl_platform.judging.program import program_of
from fl_platform.judging.round_rows import RoundRows, cell_of, root_of
from fl_platform.judging.sums import Sums
from fl_platform.judging.tapes import carried_out, given_of, round_lengths, told
from fl_platform.judging.validation import RevealedRow
from fl_platform.protocol.arithmetic import Array
from fl_platform.protocol.bundle import Entry, EntryVerdict, TaskState
from fl_platform.protocol.evaluation import evaluate
from fl_platform.protocol.keypackage import has_package
from fl_platform.protocol.model_spec import ScaleSpec
from fl_platform.protocol.operations import ROWS
from fl_platform.protocol.program import Output, Program
from fl_platform.protocol.receipt import Domain
from fl_platform.protocol.rows import path_of
from fl_platform.protocol.sources import Refused
from fl_platform.protocol.spec import TaskSpec
from fl_platform.protocol.tape import Tape
from fl_platform.rules import verdicts as words
from fl_platform.store.unixfs import cid_of
from fl_platform.updates import encode_model, floats_of, update_length
from fl_platform.updates.model_row import Model, ModelRow, row_root

# The integers of the model that a state starts from. Raises StoreMissing, CidMismatch.
ModelSource = Callable[[TaskState], ModelRow]
# The sums of an earlier round, int32 (d,), by the digest in their file's CID. Raises StoreMissing, CidMismatch.
SumsSource = Callable[[bytes], Sums]

MODELS_BACK = 4  # earlier parents that a state names

# What the program itself says of a receipt: nobody has to refuse such an entry.
_PROGRAM_SAYS = frozenset(
    error.__name__ for error in (ReceiptReplayed, ReceiptForeign, ReceiptDuplicate, ReceiptParentMismatch)
)


@dataclass(frozen=True)
class Split:
    """What a round's pot went to, wei; by seat."""

    fee: int  # of who seals
    base: tuple[int, ...]  # by stake
    scored: tuple[int, ...]  # by worth
    scored_pot: int  # of this pot what went by worth
    dust: int  # the owner's


@dataclass(frozen=True)
class Judgement:
    """All that a round's bundle says about the round, recomputable from its inputs."""

    verdicts: tuple[EntryVerdict, ...]  # one per entry, same order
    tape: Tape
    sums: Sums  # int32 (d,): sum of weight * integers
    row: ModelRow  # int32 (d,): the new global model's integers
    model: Model  # the same as floats
    model_bytes: bytes
    after: TaskState
    blindings: tuple[int, ...] = ()  # layer P: sum of weight * blinding modulo r, one a chunk

    @property
    def aggregate_bytes(self) -> bytes:
        """The sums as int32 little endian: the document that the bundle's `aggregate` names."""
        return self.sums.astype("<i4").tobytes()

    @property
    def divisor(self) -> int:
        """What the sum is divided by."""
        return int(self.tape.output(Output.DIVISOR))

    @property
    def sums_root(self) -> bytes:
        """Content root of the sums."""
        return root_of(int(self.tape.output(Output.SUMS)))

    @property
    def measured(self) -> bool:
        """Whether worth was measured; if not, the pot went by stake."""
        return bool(self.tape.named("by_worth"))

    @property
    def columns(self) -> tuple[tuple[int, ...], ...]:
        """The tape's cells as a bundle tells them."""
        return told(self.tape)

    @property
    def split(self) -> Split:
        """How the pot was split."""
        fee, pot, dust = (int(self.tape.named(name)) for name in ("fee", "scored_pot", "dust"))
        base, scored = (tuple(map(int, self.tape.named(name))) for name in ("base", "scored"))
        return Split(fee, base, scored, pot, dust)


def judge_round(
    spec: TaskSpec,
    context: RoundContext,
    before: TaskState,
    entries: Sequence[Entry],
    *,
    updates: UpdateSource,
    models: ModelSource,
    sums: SumsSource,
    keys: KeySource | None = None,
    validation: Sequence[RevealedRow] = (),
    utility: Utility | None = None,
) -> Judgement:
    """Judge a round wholly: tape, verdicts, sum, new model, state after.

    `updates(i)` gives the plaintext of entry i (see UpdateSource), `models(before)` the parent, `sums(digest)` those of
    earlier rounds, `keys(i)` the key of entry i's update (needed in tasks with layer P). `validation` is the slice
    revealed for this round, `utility` reads it (leave-one-out tasks only).
    No round is too small. Raises UpdatesNotOpened, DocumentInvalid when context, state and sums do not belong together,
    and what `models` and `sums` raise.
    """
    require_start(context, before)
    opened = OpenedUpdates(updates, spec)
    admission = admit_entries(entries, opened, spec=spec, context=context, keys=keys)
    program, refused = program_of(spec), refused_of(spec, context.domain, entries, admission.refusals)
    rows = RoundRows(
        spec.model, spec.codec.bits, updates=_first_of(entries, admission), read=opened.read,
        past=past_sums(spec, before, sums),
    )  # fmt: skip
    parent = {cell_of(before.model_root): parent_row(spec, before, models)}
    steps = ModelSteps(spec.model, parent, rows.made.__getitem__)
    tape = _evaluated(spec, context, before, entries, refused, rows, steps, opened, program, validation, utility)
    total, new = rows.made[int(tape.output(Output.SUMS))], steps.row(int(tape.output(Output.MODEL)))
    judged = conclude(spec, context, before, entries, admission.refusals, tape=tape, sums=total, new=new)
    layer = layer_of(spec, context.domain, task=context.task, round_number=context.round)
    if layer is None:
        return judged
    weights = [verdict.weight for verdict in judged.verdicts]
    return replace(judged, blindings=blinding_sums(layer, admission.seeds, range(len(entries)), weights))


def require_start(context: RoundContext, before: TaskState) -> None:
    """Demand that a state is what a round of the chain starts from. Raises DocumentInvalid."""
    if (context.round, context.parent) != (before.round, before.model_root):
        raise DocumentInvalid(f"state before round {before.round} does not start round {context.round} of the chain")
    if context.seats[: len(before.seats)] != before.seats:
        raise DocumentInvalid(f"state before round {before.round} has other accounts in its seats than the chain")


def parent_row(spec: TaskSpec, before: TaskState, models: ModelSource) -> ModelRow:
    """Return the integers of the model that a round starts from. Raises DocumentInvalid: they are another model's,
    and what `models` raises."""
    row, wanted = models(before), before.model_root
    if row_root(row, spec.model) != wanted:
        raise DocumentInvalid(f"the model in 0x{before.model.hex()} has not the content root 0x{wanted.hex()}")
    return row


def conclude(
    spec: TaskSpec, context: RoundContext, before: TaskState, entries: Sequence[Entry],
    refusals: Sequence[Refusal | None], *, tape: Tape, sums: Sums, new: ModelRow,
) -> Judgement:  # fmt: skip
    """Return what follows from the tape, its sums and its model's integers: verdicts in words, state after."""
    divisor = int(tape.output(Output.DIVISOR))
    data = encode_model(new, spec.model)
    past = (cid_of(sums.astype("<i4").tobytes()).digest, *before.sums) if divisor else before.sums
    after = TaskState(
        round=before.round + 1,
        model=cid_of(data).digest,
        model_root=root_of(int(tape.output(Output.MODEL))),
        previous_models=(before.model, *before.previous_models)[:MODELS_BACK],
        scale=ScaleSpec(tuple(map(int, tape.output(Output.EXPONENTS)))),
        scale_path=path_of(tape.levels, tape.program.outputs[Output.EXPONENTS]),
        seats=context.seats,
        state=carried_out(tape),
        sums=past[: spec.aggregation.directions],
    )
    verdicts = verdicts_of(tape, entries, refusals)
    return Judgement(verdicts, tape, sums, new, floats_of(new, spec.model), data, after)


def verdicts_of(tape: Tape, entries: Sequence[Entry], refusals: Sequence[Refusal | None]) -> tuple[EntryVerdict, ...]:
    """Return the tape's verdicts in words: why a sealer did not open an update is its to say."""
    numbers, weights, scores = (tape.named(name).tolist() for name in ("verdict", "weight", "score"))
    found = []
    for i, entry in enumerate(entries):
        number, refusal = words.Verdict(int(numbers[i])), refusals[i]
        code, evidence = words.CODES[number], words.reason(tape, i)
        if number not in (words.Verdict.ADMITTED, words.Verdict.REFERENCE) and refusal is not None:
            code, evidence = refusal.code, refusal.evidence
        found.append(EntryVerdict(entry.receipt.trainer, code, evidence, int(weights[i]), int(scores[i])))
    return tuple(found)


def refused_of(
    spec: TaskSpec, domain: Domain, entries: Sequence[Entry], refusals: Sequence[Refusal | None]
) -> list[int]:  # fmt: skip
    """Return why each entry's update is not opened: a `Refused`; 0 too for what the program says of its receipt."""
    length = update_length(spec.model.size, spec.codec.bits)
    said = {CONVICTED: Refused.CONVICTED, MISSING: Refused.MISSING}

    def of(entry: Entry, refusal: Refusal | None) -> Refused:
        if refusal is None or refusal.code in _PROGRAM_SAYS or refusal.code in said:
            return said.get(refusal.code, Refused.NO) if refusal else Refused.NO
        silent = entry.receipt.length == length and not has_package(entry, domain, spec)
        return Refused.WITHHELD if silent else Refused.NO

    return [int(of(entry, refusal)) for entry, refusal in zip(entries, refusals, strict=True)]


def past_sums(spec: TaskSpec, before: TaskState, sums: SumsSource) -> dict[int, Sums]:
    """Return the sums that are this round's directions, by content root. Raises DocumentInvalid."""
    told = next((column.cells for column in before.state if column.name == "past"), ())
    wanted = [root for root in told if root]
    if len(wanted) != len(before.sums):
        raise DocumentInvalid(f"state before round {before.round}: {len(before.sums)} files for {len(wanted)} sums")
    found = {}
    for root, digest in zip(wanted, before.sums, strict=True):
        row = sums(digest)
        if cell_of(row_root(row, spec.model)) != root:
            raise DocumentInvalid(f"the sums in 0x{digest.hex()} have not the content root 0x{root_of(root).hex()}")
        found[root] = row
    return found


def _first_of(entries: Sequence[Entry], admission: Admission) -> dict[int, int]:
    """Return the first entry with each content root, of those that opened."""
    found: dict[int, int] = {}
    for i, entry in enumerate(entries):
        if admission.refusals[i] is None:
            found.setdefault(cell_of(entry.receipt.content_root), i)
    return found


def _evaluated(
    spec: TaskSpec, context: RoundContext, before: TaskState, entries: Sequence[Entry], refused: Sequence[int],
    rows: RoundRows, steps: ModelSteps, opened: OpenedUpdates, program: Program, validation: Sequence[RevealedRow],
    utility: Utility | None,
) -> Tape:  # fmt: skip
    """Evaluate the program; of a leave-one-out task once to weigh, and once with what was measured then."""
    lengths = round_lengths(spec, context, entries)
    given = given_of(spec, context, before, entries, refused, rows=rows, stepper=steps)
    if spec.worth.kind != LEAVE_ONE_OUT:
        return evaluate(program, lengths, given)
    measured, marginal = program.column("measured"), program.column("marginal")
    nothing: dict[int, Array] = {measured: np.array(0, object), marginal: np.zeros(len(entries), object)}
    tape = evaluate(program, lengths, replace(given, brought=nothing))
    if utility is None or not measurable(spec, before, validation, utility):
        return tape
    lost = marginals(
        tape, opened.read, sums=rows.made[int(tape.output(Output.SUMS))],
        parent=steps.row(cell_of(before.model_root)), spec=spec, utility=lambda model: utility(model, validation),
    )  # fmt: skip
    known = {number: tape.columns[number] for number, column in enumerate(program.columns) if column.op in ROWS}
    told = {measured: np.array(1, object), marginal: np.array(lost, dtype=object).reshape(len(entries))}
    return evaluate(program, lengths, replace(given, brought=known | told))
