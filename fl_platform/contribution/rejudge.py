"""Judging a round again without any key: everything that follows from public values.

Taken from the bundle as claimed: which well-formed updates there were and why others were refused after their receipts
held, the Gram matrix, the sums and, with layer P, the blinding sums (`aggregation.commitments.check_round_sum` holds
the last two against the commitments). Everything else is recomputed as `judge_round` does: receipts, screening,
selection, weights, divisor, scores, model, pot, standings, the next scale. Gram entries between public directions
are recomputed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fl_platform.aggregation.admit import Admission, Refusal, RoundContext, is_reference, public_refusals
from fl_platform.aggregation.gram import Gram, GramRow, from_triangle, gram_matrix
from fl_platform.aggregation.sums import Sums
from fl_platform.contribution.judge import (
    Facts,
    Judgement,
    ModelSource,
    address_text,
    conclude,
    direction_roots,
    public_directions,
    screen_candidates,
)
from fl_platform.contribution.leave_one_out import Utility
from fl_platform.contribution.validation import RevealedRow
from fl_platform.contribution.worth import Candidates, Evaluation, Worth, measurable, measure_worth
from fl_platform.errors import (
    CidMismatch,
    CommitmentMismatch,
    DocumentInvalid,
    EnvelopeInvalid,
    ObjectTooLarge,
    StoreMissing,
    UpdateHashMismatch,
    UpdateHeaderMismatch,
    UpdateLengthMismatch,
    UpdateRangeExceeded,
)
from fl_platform.protocol.bundle import RoundBundle, TaskState
from fl_platform.protocol.shown import PEDERSEN
from fl_platform.protocol.spec import TaskSpec
from fl_platform.protocol.trace import DIRECTION_BITS
from fl_platform.updates.tensors import Integers

# Verdicts on an update whose receipt holds that nobody can check without opening it.
ONLY_A_KEY_SHOWS = frozenset(
    error.__name__
    for error in (
        EnvelopeInvalid,
        StoreMissing,
        CidMismatch,
        ObjectTooLarge,
        UpdateLengthMismatch,
        UpdateHashMismatch,
        UpdateHeaderMismatch,
        UpdateRangeExceeded,
    )
)


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
    """Recompute a sealed round from its bundle and the stored sums, int64 (d,). Both are the aggregator's claims.

    `validation`, `utility`: as in `judge_round`; here they only tell whether worth could be measured.

    Raises DocumentInvalid when the claims do not fit together, NotEnoughTrainers, and what `models` raises.
    """
    if sums.shape != (spec.model.size,):
        raise DocumentInvalid(f"round {bundle.round}: the sums have {sums.size} entries, the model {spec.model.size}")
    admission = _claimed_admission(spec, context, bundle)
    directions = public_directions(spec, before, models)
    gram = from_triangle(bundle.rows, bundle.gram)
    _check_rows(bundle, admission, directions)
    _check_directions(spec, before, gram, directions)
    candidates = screen_candidates(spec, before, bundle.entries, admission, gram)
    parent = models(before.model)
    evaluation = Evaluation(_unread, sums, parent, validation, utility)
    worth = _worth(spec, before, bundle, candidates, gram, evaluation)
    facts = Facts(bundle.entries, admission, gram, direction_roots(spec, directions), candidates, sums, worth)
    judged = conclude(spec, context, before, facts, parent)
    return replace(judged, blindings=bundle.blindings if spec.commitments == PEDERSEN else ())


def _claimed_admission(spec: TaskSpec, context: RoundContext, bundle: RoundBundle) -> Admission:
    """Receipts are checked; what only a key can show is taken from the verdicts."""
    rows = frozenset(bundle.rows)
    refusals: list[Refusal | None] = []
    public = public_refusals(bundle.entries, spec=spec, context=context)
    unseen = ONLY_A_KEY_SHOWS | ({CommitmentMismatch.__name__} if spec.commitments == PEDERSEN else set())
    reference: int | None = None
    for index, (entry, verdict) in enumerate(zip(bundle.entries, bundle.verdicts, strict=True)):
        name = "reference" if is_reference(entry, spec) else address_text(entry.receipt.trainer)
        refusal = public[index]
        if refusal is None and name not in rows:
            if verdict.code not in unseen:
                raise DocumentInvalid(
                    f"round {bundle.round}: {name} has no Gram row, but its verdict is {verdict.code!r}; without "
                    f"a row only {', '.join(sorted(unseen))} can be"
                )
            refusal = Refusal(verdict.code, verdict.evidence)
        refusals.append(refusal)
        if refusal is None and name == "reference":
            reference = index
    return Admission(tuple(refusals), reference)


def _check_rows(bundle: RoundBundle, admission: Admission, directions: Sequence[Integers]) -> None:
    expected = [] if admission.reference is None else ["reference"]
    expected += [address_text(bundle.entries[i].receipt.trainer) for i in admission.trainers()]
    expected += [f"direction:{k + 1}" for k in range(len(directions))]
    if list(bundle.rows) != expected:
        raise DocumentInvalid(f"round {bundle.round}: the Gram rows are {list(bundle.rows)}, they should be {expected}")


def _check_directions(spec: TaskSpec, before: TaskState, gram: Gram, directions: Sequence[Integers]) -> None:
    rows = [GramRow(f"direction:{k + 1}", k, DIRECTION_BITS) for k in range(len(directions))]
    exact = gram_matrix(rows, lambda k: directions[k], model=spec.model, scale=before.scale)
    first = len(gram.names) - len(rows)
    for i in range(len(rows)):
        for j in range(i + 1):
            if gram.at(first + i, first + j) != exact.at(i, j):
                raise DocumentInvalid(
                    f"Gram entry (direction:{i + 1}, direction:{j + 1}) is {gram.at(first + i, first + j)}, "
                    f"recomputed {exact.at(i, j)}"
                )


def _worth(
    spec: TaskSpec,
    before: TaskState,
    bundle: RoundBundle,
    candidates: Candidates,
    gram: Gram,
    evaluation: Evaluation,
) -> Worth:
    """Scores from the Gram matrix; those of a leave-one-out task need the updates and are taken as claimed."""
    if spec.worth.kind != "leave-one-out" or not measurable(spec, before, evaluation):
        return measure_worth(spec, before, candidates, gram, evaluation)
    verdicts = [bundle.verdicts[i] for i in candidates.entries]
    return Worth(
        True,
        tuple(verdict.score for verdict in verdicts),
        tuple(verdict.group for verdict in verdicts),
    )


def _unread(_: int) -> Integers:
    raise DocumentInvalid("an update was asked for in an audit without a key")
