"""Judging a round again without any key: the round's program, with what only a key shows as the bundle tells it.

That are products and sums of rows, claimed scores and, with layer P, the blinding sums
(`judging.commitments.check_round_sum` holds sums against commitments). All other cells are evaluated, from the
chain's sources and the state before.

Tests: tests/unit/judging/test_tape_rounds.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fl_platform.errors import DocumentInvalid
from fl_platform.judging.admit import Refusal, RoundContext, public_refusals
from fl_platform.judging.judge import Judgement, ModelSource, conclude, parent_row, refused_of, require_start
from fl_platform.judging.leave_one_out import LEAVE_ONE_OUT, Utility, measurable
from fl_platform.judging.model_step import ModelSteps
from fl_platform.judging.program import program_of
from fl_platform.judging.round_rows import cell_of
from fl_platform.judging.sums import Sums
from fl_platform.judging.tapes import given_of, only_a_key_shows, round_lengths, stepped_columns, told_cells, told_tape
from fl_platform.judging.validation import RevealedRow
from fl_platform.protocol.bundle import RoundBundle, TaskState
from fl_platform.protocol.commitment_opening import PEDERSEN
from fl_platform.protocol.evaluation import evaluate
from fl_platform.protocol.program import Output
from fl_platform.protocol.spec import TaskSpec
from fl_platform.protocol.tape import ModelStepper, Tape
from fl_platform.updates.model_row import row_root


def rejudge_public(
    spec: TaskSpec,
    context: RoundContext,
    before: TaskState,
    bundle: RoundBundle,
    *,
    sums: Sums,
    models: ModelSource,
    validation: Sequence[RevealedRow] = (),
    utility: Utility | None = None,
) -> Judgement:
    """Recompute a sealed round from its bundle and the stored sums, int32 (d,). Both are the aggregator's claims.

    `validation`, `utility`: as in `judge_round`; here they only tell whether worth could be measured.

    Raises DocumentInvalid when the claims do not fit together, and what `models` raises.
    """
    stored = {cell_of(row_root(sums, spec.model)): sums}
    if int(told_tape(spec, bundle).output(Output.SUMS)) not in stored:
        raise DocumentInvalid(f"round {bundle.round}: the stored sums are not those with the tape's content root")
    parent = {cell_of(before.model_root): parent_row(spec, before, models)}
    steps = ModelSteps(spec.model, parent, stored.__getitem__)
    tape, refusals = public_tape(
        spec, context, before, bundle, validation=validation, utility=utility, stepper=steps
    )  # fmt: skip
    new = steps.row(int(tape.output(Output.MODEL)))
    judged = conclude(spec, context, before, bundle.entries, refusals, tape=tape, sums=sums, new=new)
    return replace(judged, blindings=bundle.blindings if spec.commitments == PEDERSEN else ())


def public_tape(
    spec: TaskSpec, context: RoundContext, before: TaskState, bundle: RoundBundle, *,
    validation: Sequence[RevealedRow] = (), utility: Utility | None = None, stepper: ModelStepper | None = None,
) -> tuple[Tape, tuple[Refusal | None, ...]]:  # fmt: skip
    """Return the tape as it follows from what anybody can know and what only a key shows; and why entries were refused.

    Without `stepper` the new model is as it is told.

    Raises DocumentInvalid when the claims do not fit together.
    """
    require_start(context, before)
    program, cells = program_of(spec), told_cells(spec, bundle)
    refusals = public_refusals(bundle.entries, spec=spec, context=context)
    words = refused_of(spec, context.domain, bundle.entries, refusals)
    taken = only_a_key_shows(program) | (stepped_columns(program) if stepper is None else frozenset())
    brought = {number: cells[number] for number in taken}
    if spec.worth.kind == LEAVE_ONE_OUT and not measurable(spec, before, validation, utility):
        brought[program.column("measured")] = np.array(0, object)
        brought[program.column("marginal")] = np.zeros(len(bundle.entries), object)
    given = given_of(spec, context, before, bundle.entries, words, stepper=stepper, brought=brought)
    return evaluate(program, round_lengths(spec, context, bundle.entries), given), tuple(refusals)
