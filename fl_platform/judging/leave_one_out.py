"""Leave-one-out worth: how much the new model loses on the revealed validation rows when one update stays out.

    marginal_i = U(parent + step of all) - U(parent + step of all but i and its near-duplicates)

U is an integer: how many revealed rows the model gets right. The models are exact (integers moved by integers); U
itself comes from a forward pass in floating point, so it is the same on two machines unless the two largest outputs
of a row agree to within rounding. So these cells are the sealer's word (`rules.worth`); how near-duplicates share what
they made, and what it pays, is the program's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np

from fl_platform.errors import DocumentInvalid
from fl_platform.judging.model_step import moved
from fl_platform.judging.sums import RowSource, Sums
from fl_platform.judging.validation import RevealedRow, check_revealed
from fl_platform.protocol.bundle import TaskState
from fl_platform.protocol.rows import LARGEST_FACTOR
from fl_platform.protocol.spec import TaskSpec
from fl_platform.protocol.tape import Tape
from fl_platform.updates.model_row import Model, ModelRow, floats_of
from fl_platform.updates.tensors import Tensors

logger = logging.getLogger(__name__)

# Number of `rows` that a model gets right: pure, trusted, given by the task (learning.evaluate on decoded rows).
Utility = Callable[[Tensors, Sequence[RevealedRow]], int]

LEAVE_ONE_OUT = "leave-one-out"


def measurable(
    spec: TaskSpec, before: TaskState, validation: Sequence[RevealedRow], utility: Utility | None
) -> bool:  # fmt: skip
    """Whether a leave-one-out round's slice is the committed one, so that its updates can be evaluated at all."""
    worth = spec.worth
    if worth.kind != LEAVE_ONE_OUT or utility is None or not 0 <= before.round < worth.validation_slices:
        return False
    try:
        check_revealed(validation, root=worth.validation_root, slices=worth.validation_slices, number=before.round)
    except DocumentInvalid as error:
        logger.warning("round %d: worth is not measured: %s", before.round, error)
        return False
    return True


def marginals(
    tape: Tape, read: RowSource, *, sums: Sums, parent: ModelRow, spec: TaskSpec,
    utility: Callable[[Model], int],
) -> tuple[int, ...]:  # fmt: skip
    """Return by entry what the model loses without it and its near-duplicates: signed, 0 where nothing leaves the sum.

    parent: int32 (d,). One evaluation for all and one for each set that leaves together; updates are read one by one.
    """
    weights, full = tape.named("weight").tolist(), tape.named("full_weight").tolist()
    divisor, passed = int(tape.named("divisor")), tape.named("passed").tolist()
    near = tape.named("near") if spec.worth.shares else np.eye(len(weights), dtype=np.int64)

    factors, tensors = tape.named("step_factor").tolist(), spec.model.tensors

    def value(rest: Sums, of: int) -> int:
        # the factor is a part of the divisor; of who is left the divisor is less
        packed = [
            2 * min(factor * divisor // of if of else 0, LARGEST_FACTOR) + one.nonnegative
            for factor, one in zip(factors, tensors, strict=True)
        ]
        return utility(floats_of(moved(parent, rest, packed, spec.model), spec.model))

    lost: dict[tuple[int, ...], int] = {(): 0}
    together: int | None = None
    found = []
    for i, counts in enumerate(passed):
        members = tuple(j for j, weight in enumerate(weights) if counts and near[i][j] and weight)
        if members not in lost:
            together = value(sums, divisor) if together is None else together
            rest: Sums = np.array(sums)
            for member in members:
                rest -= read(member).astype(np.int32) * np.int32(weights[member])
            lost[members] = together - value(rest, divisor - sum(full[member] for member in members))
        found.append(lost[members])
    return tuple(found)
