"""An aggregator that judges honestly and seals something else (A08): one cell of the round's tape is another, and all
that follows from it follows from the lie.

It keeps the claims' total, which the ledger checks, and publishes a bundle that fits its tape, as a liar that hides
nothing does. `dispute.watcher` finds the cell that does not follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fl_platform.errors import ConfigError
from fl_platform.judging.admit import RoundContext
from fl_platform.judging.judge import Judgement, conclude
from fl_platform.judging.model_step import ModelSteps
from fl_platform.judging.round_rows import cell_of
from fl_platform.protocol.arithmetic import Array
from fl_platform.protocol.bundle import Entry, TaskState
from fl_platform.protocol.evaluation import evaluate
from fl_platform.protocol.operations import CLOSED_ROWS, Op
from fl_platform.protocol.program import Output
from fl_platform.protocol.sources import Axis
from fl_platform.protocol.spec import TaskSpec
from fl_platform.protocol.tape import Given, ModelStepper, Tape
from fl_platform.round.conduct import AggregatorConduct
from fl_platform.rules.verdicts import Verdict
from fl_platform.task.reading import TaskReader
from fl_platform.updates.model_row import ModelRow, row_root

ATTACK = "lying-aggregator"
DEFAULT_LIE = "pay-itself"
BEND_PRODUCT = "bend-product"
BEND_SUMS = "bend-sums"
BEND_MODEL = "bend-model"
_TAKEN = frozenset({Op.SOURCE, Op.PREV, Op.CLAIMED, *CLOSED_ROWS})


@dataclass(frozen=True)
class Lied:
    """A column with what a liar says of it."""

    column: int
    cells: Array


def pay_itself(tape: Tape, aggregator: int) -> Lied:
    """Move half of everybody's pay to the aggregator's own seat; the total stays."""
    number = tape.program.outputs[Output.EARNED]
    cells = tape.columns[number].astype(object)
    half = cells // 2
    half[aggregator] = 0
    cells -= half
    cells[aggregator] += half.sum()
    return Lied(number, cells)


def raise_score(tape: Tape, _: int) -> Lied:
    """Raise the score of one friend among the admitted; it is paid by that."""
    number = tape.program.column("score")
    cells = tape.columns[number].astype(object)
    friend = int(np.argmax(tape.named("weight")))
    cells[friend] += max(1, abs(int(cells[friend])) // 100)
    return Lied(number, cells)


def drop_one(tape: Tape, _: int) -> Lied:
    """Give an admitted update the verdict of no work."""
    number = tape.program.column("verdict")
    cells = tape.columns[number].astype(object)
    cells[int(np.argmax(tape.named("weight")))] = int(Verdict.NO_WORK)
    return Lied(number, cells)


def bend_product(tape: Tape, _: int) -> Lied:
    """Add one to the inner product of two updates, and to its mirror. Raises ConfigError: the rule has none."""
    columns = tape.program.columns
    pairs = (n for n, c in enumerate(columns) if c.op is Op.DOT and c.axes == (Axis.ENTRY, Axis.OTHER))
    number = next(pairs, None)
    if number is None:
        raise ConfigError("this task's rule reads no product of two updates: bend something else")
    cells = tape.columns[number].astype(object)
    first, second = (int(at) for at in np.argwhere(tape.named("weight") > 0)[-2:, 0])
    cells[first, second] += 1
    cells[second, first] += 1
    return Lied(number, cells)


LIES: Mapping[str, Callable[[Tape, int], Lied] | None] = {
    "pay-itself": pay_itself,
    "raise-score": raise_score,
    "drop-one": drop_one,
    BEND_PRODUCT: bend_product,
    BEND_SUMS: None,  # not of the tape alone: the sums and the model are objects of their own
    BEND_MODEL: None,
}


class Lying(AggregatorConduct):
    """Seals `lie` of what it found in round `when`, bundle and tape alike; honest in every other round."""

    def __init__(self, lie: str | None = DEFAULT_LIE, *, when: int = 0) -> None:
        """lie: one of LIES; None: the truth. Raises KeyError: no such lie."""
        if lie is not None and lie not in LIES:
            raise KeyError(lie)
        self.lie, self.when = lie, when

    def judge(
        self, reader: TaskReader, round_number: int, aggregator: bytes, entries: Sequence[Entry], honest: Judgement
    ) -> Judgement:
        """Return a false judgement in the round of the lie."""
        if self.lie is None or round_number != self.when:
            return honest
        before, context = reader.current_state(), reader.round_context(round_number, aggregator, entries)
        parent = reader.parent_row(before)
        return false_judgement(reader.spec, context, before, entries, parent, honest, self.lie)


def false_judgement(
    spec: TaskSpec, context: RoundContext, before: TaskState, entries: Sequence[Entry], parent: ModelRow,
    honest: Judgement, lie: str,
) -> Judgement:  # fmt: skip
    """Return what a liar seals of an honest judgement; parent: int32 (d,). Raises KeyError: no such lie."""
    make, sums, new = LIES[lie], honest.sums, honest.row
    if make is not None:
        seat = [party.address for party in spec.aggregators].index(context.aggregator)
        lied = make(honest.tape, seat)
    elif lie == BEND_SUMS:
        sums = sums.copy()
        sums[int(np.argmax(np.abs(sums)))] += max(1, honest.divisor // 2)
        lied = _output(honest.tape, Output.SUMS, row_root(sums, spec.model))
    else:
        new = new.copy()
        new[0] ^= 1
        lied = _output(honest.tape, Output.MODEL, row_root(new, spec.model))
    known = {cell_of(row_root(one, spec.model)): one for one in (honest.sums, sums)}
    steps = ModelSteps(spec.model, {cell_of(before.model_root): parent}, known.__getitem__)
    tape = false_tape(honest.tape, lied, steps)
    nothing = [None] * len(entries)
    new = steps.made.get(int(tape.output(Output.MODEL)), new)
    return conclude(spec, context, before, entries, nothing, tape=tape, sums=sums, new=new)


def _output(tape: Tape, output: Output, root: bytes) -> Lied:
    return Lied(tape.program.outputs[output], np.array(cell_of(root), object))


def false_tape(honest: Tape, lied: Lied, steps: ModelStepper | None = None) -> Tape:
    """Return a tape with one column changed and all after it computed from that; without `steps` but the model."""
    taken = _TAKEN if steps is not None else _TAKEN | {Op.STEP}
    brought = {
        number: cells
        for number, cells in enumerate(honest.columns)
        if number < lied.column or honest.program.columns[number].op in taken
    }
    given = Given(stepper=steps, brought=brought | {lied.column: lied.cells})
    return evaluate(honest.program, honest.lengths, given)
