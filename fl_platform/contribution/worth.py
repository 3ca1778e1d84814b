"""One round's scores by the task's kind of worth, one per candidate; or the finding that worth could not be measured.

"anchored" needs the reference's row; "leave-one-out" needs the revealed slice of validation rows; "equal" never
measures. What cannot be measured is paid by stake among the admitted, and the bundle says so: no score is made up.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from fl_platform.aggregation import rules
from fl_platform.aggregation.gram import Gram
from fl_platform.aggregation.sums import RowSource, Sums
from fl_platform.contribution.anchored import Anchor, Scored, anchored_scores
from fl_platform.contribution.leave_one_out import Contributor, Utility, leave_one_out_scores
from fl_platform.contribution.validation import RevealedRow, check_revealed
from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.bundle import TaskState
from fl_platform.protocol.spec import TaskSpec
from fl_platform.updates.tensors import Tensors

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidates:
    """The well-formed updates of a round, as parallel tuples, and what the rule decided about them."""

    entries: tuple[int, ...]  # entry numbers: arguments of the row source
    rows: tuple[int, ...]  # Gram rows
    decision: rules.Decision
    reference: int | None  # Gram row of the reference
    directions: tuple[int, ...]  # independent Gram rows of the public directions, newest first


@dataclass(frozen=True)
class Worth:
    """Scores of one round, parallel to the candidates."""

    measured: bool
    scores: tuple[int, ...]  # signed fixed point; 0 for who was dropped by the screen
    groups: tuple[int, ...]  # near-duplicates share a number: the least Gram row among them


@dataclass(frozen=True)
class Evaluation:
    """What a leave-one-out task needs beside the Gram matrix."""

    source: RowSource
    sums: Sums
    parent: Tensors
    validation: Sequence[RevealedRow]  # of this round's slice, unproven
    utility: Utility | None


def measure_worth(
    spec: TaskSpec, before: TaskState, candidates: Candidates, gram: Gram, evaluation: Evaluation
) -> Worth:
    """Score every candidate that passed the screen, by the task's kind of worth."""
    screened = candidates.decision.screened
    live = [k for k, item in enumerate(screened) if item.capped]
    leaders = rules.duplicate_groups(
        [candidates.rows[k] for k in live],
        [screened[k].energy for k in live],
        gram,
        duplicate_bps=spec.aggregation.duplicate_bps,
    )
    groups = dict(zip(live, leaders, strict=True))
    scores: tuple[int, ...] | None = None
    if spec.worth.kind == "anchored" and candidates.reference is not None:
        scores = _anchored(spec, candidates, live, groups, gram)
    elif spec.worth.kind == "leave-one-out":
        scores = _left_out(spec, before, candidates, live, groups, evaluation)
    by_candidate = dict(zip(live, scores or (), strict=False))
    everyone = range(len(screened))
    return Worth(
        measured=scores is not None,
        scores=tuple(by_candidate.get(k, 0) for k in everyone),
        groups=tuple(groups.get(k, candidates.rows[k]) for k in everyone),
    )


def _anchored(
    spec: TaskSpec, candidates: Candidates, live: Sequence[int], groups: dict[int, int], gram: Gram
) -> tuple[int, ...] | None:
    assert candidates.reference is not None
    if not gram.at(candidates.reference, candidates.reference):
        return None
    screened = candidates.decision.screened
    return anchored_scores(
        [Scored(candidates.rows[k], screened[k].capped, screened[k].energy, groups[k]) for k in live],
        gram,
        Anchor(
            reference=candidates.reference,
            directions=candidates.directions,
            alpha_num=spec.worth.alpha_num,
            alpha_den=spec.worth.alpha_den,
            median_norm=candidates.decision.median_norm,
            size=spec.model.size,
        ),
    )


def measurable(spec: TaskSpec, before: TaskState, evaluation: Evaluation) -> bool:
    """Whether a leave-one-out round's slice is the committed one, so that its updates can be evaluated at all."""
    worth = spec.worth
    if evaluation.utility is None or not 0 <= before.round < worth.validation_slices:
        return False
    try:
        check_revealed(
            evaluation.validation, root=worth.validation_root, slices=worth.validation_slices, number=before.round
        )
    except DocumentInvalid as error:
        logger.warning("round %d: worth is not measured: %s", before.round, error)
        return False
    return True


def _left_out(
    spec: TaskSpec, before: TaskState, candidates: Candidates, live: Sequence[int], groups: dict[int, int],
    evaluation: Evaluation,
) -> tuple[int, ...] | None:  # fmt: skip
    utility = evaluation.utility
    if utility is None or not measurable(spec, before, evaluation):
        return None
    screened = candidates.decision.screened
    contributors = [
        Contributor(candidates.entries[k], screened[k].weight, screened[k].full_weight, screened[k].capped, groups[k])
        for k in live
    ]
    rows = evaluation.validation
    return leave_one_out_scores(
        contributors,
        evaluation.source,
        sums=evaluation.sums,
        parent=evaluation.parent,
        model=spec.model,
        scale=before.scale,
        rule=spec.aggregation,
        utility=lambda model: utility(model, rows),
    )
