"""One pure function decides a round: `judge_round`. The aggregator calls it to seal, the auditor to compare.

Its inputs are the task's frozen rules, what the chain says (`RoundContext`), the state before, the entries and ways to
read updates and models by digest; its output is everything that the round's bundle claims. No clock or network, and no
randomness that shows in a result; integers throughout, but for the model step (IEEE-exact) and a leave-one-out utility
(see there).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from fl_platform.aggregation import rules
from fl_platform.aggregation.admit import (
    ADMITTED,
    REFERENCE,
    Admission,
    OpenedUpdates,
    RoundContext,
    UpdateSource,
    admit_entries,
    is_reference,
)
from fl_platform.aggregation.commitments import KeySource, blinding_sums, layer_of
from fl_platform.aggregation.gram import Gram, GramRow, gram_matrix
from fl_platform.aggregation.projection import independent
from fl_platform.aggregation.server import Model, apply_sums
from fl_platform.aggregation.sums import Sums, tensor_energies, weighted_sum
from fl_platform.aggregation.weights import weighted_median
from fl_platform.contribution.leave_one_out import Utility
from fl_platform.contribution.settle import Rostered, settle
from fl_platform.contribution.validation import RevealedRow
from fl_platform.contribution.worth import Candidates, Evaluation, Worth, measure_worth
from fl_platform.errors import DocumentInvalid, NotEnoughTrainers, ReceiptDuplicate, ReceiptForeign
from fl_platform.protocol.bundle import Entry, TaskState, Verdict
from fl_platform.protocol.payout import PotSplit
from fl_platform.protocol.spec import ScaleSpec, TaskSpec
from fl_platform.protocol.trace import DIRECTION_BITS
from fl_platform.store.unixfs import cid_of
from fl_platform.updates import encode_model, next_scale, norm_bound_squared, quantise_direction_nearest
from fl_platform.updates.content import SUM_BITS, content_root
from fl_platform.updates.tensors import Integers, Tensors

# A model by the digest in its file's CID: decoded and verified by the caller. Raises StoreMissing, CidMismatch.
ModelSource = Callable[[bytes], Tensors]

# Public directions (last applied aggregates) in the Gram matrix of an anchored task. With one, replaying the aggregate
# before the last earns 17 to 28 % of an honest mean (benchmark `worth`); with four, no public mix earns 6 %.
DIRECTIONS = 4
# DIRECTION_BITS is wider than an update: a direction costs nothing to store, and its quantisation error is a loophole.

NO_GROUP = -1  # a refused entry has no row in the Gram matrix
OFF_ROSTER = frozenset({ReceiptForeign.__name__, ReceiptDuplicate.__name__})


@dataclass(frozen=True)
class Judgement:
    """All that a round's bundle says about the round, recomputable from its inputs."""

    verdicts: tuple[Verdict, ...]  # one per entry, same order
    gram: Gram
    direction_roots: tuple[bytes, ...]  # content root of each public direction, newest first
    divisor: int
    sums: Sums  # int64 (d,): sum of weight * integers
    sums_root: bytes  # content root of the sums
    model: Model  # the new global model
    model_bytes: bytes
    measured: bool  # whether worth was measured; if not, the pot went by stake
    trainers: tuple[bytes, ...]  # addresses that `split` is parallel to
    split: PotSplit
    after: TaskState
    blindings: tuple[int, ...] = ()  # layer P: sum of weight * blinding modulo r, one a chunk

    @property
    def aggregate_bytes(self) -> bytes:
        """The sums as int64 little endian: the document that the bundle's `aggregate` names."""
        return self.sums.astype("<i8").tobytes()


def judge_round(
    spec: TaskSpec,
    context: RoundContext,
    before: TaskState,
    entries: Sequence[Entry],
    *,
    updates: UpdateSource,
    models: ModelSource,
    keys: KeySource | None = None,
    validation: Sequence[RevealedRow] = (),
    utility: Utility | None = None,
) -> Judgement:
    """Judge a round wholly: verdicts, Gram matrix, weights, sum, new model, scores, pot, state after.

    `updates(i)` gives the plaintext of entry i (see UpdateSource), `models(digest)` the parent and the models before
    it, `keys(i)` the key of entry i's update (needed in tasks with layer P). `validation` is the slice revealed for
    this round, `utility` reads it (leave-one-out tasks only).
    A peer's fault becomes a verdict. Raises NotEnoughTrainers (nobody to pay, or too few for multi-Krum: do not seal),
    DocumentInvalid when context and state do not belong together, and what `models` raises.
    """
    if (context.round, context.parent) != (before.round, before.model):
        raise DocumentInvalid(f"state before round {before.round} does not start round {context.round} of the chain")
    opened = OpenedUpdates(updates, spec)
    admission = admit_entries(entries, opened, spec=spec, context=context, keys=keys)
    directions = public_directions(spec, before, models)
    rows = _Rows(spec, admission, opened, directions)
    gram = gram_matrix(rows.listed(entries), rows.read, model=spec.model, scale=before.scale)
    candidates = screen_candidates(spec, before, entries, admission, gram)
    weights = [item.weight for item in candidates.decision.screened]
    sums = weighted_sum(candidates.entries, weights, rows.read, size=spec.model.size, bits=spec.codec.bits)
    parent = models(before.model)
    worth = measure_worth(spec, before, candidates, gram, Evaluation(rows.read, sums, parent, validation, utility))
    facts = Facts(entries, admission, gram, direction_roots(spec, directions), candidates, sums, worth)
    judged = conclude(spec, context, before, facts, parent)
    layer = layer_of(spec, context.domain, task=context.task, round_number=context.round)
    if layer is None:
        return judged
    return replace(judged, blindings=blinding_sums(layer, admission.seeds, candidates.entries, weights))


@dataclass(frozen=True)
class Facts:
    """What was found out about a round's updates; the rest follows without them."""

    entries: Sequence[Entry]
    admission: Admission
    gram: Gram
    direction_roots: tuple[bytes, ...]
    candidates: Candidates
    sums: Sums
    worth: Worth


def conclude(spec: TaskSpec, context: RoundContext, before: TaskState, facts: Facts, parent: Tensors) -> Judgement:
    """Return what follows from the facts: new model, verdicts, pot, state after."""
    divisor = facts.candidates.decision.divisor
    new = apply_sums(parent, facts.sums, model=spec.model, scale=before.scale, rule=spec.aggregation, divisor=divisor)
    verdicts = _verdicts(facts.entries, facts.admission, facts.candidates, facts.worth)
    measured = facts.worth.measured
    pot = spec.money.pot if context.pot is None else context.pot
    roster = _rostered(spec, facts.entries, verdicts)
    settled = settle(spec, before, context.aggregator, roster, measured=measured, pot=pot)
    data = encode_model(new, spec.model)
    after = TaskState(
        round=before.round + 1,
        model=cid_of(data).digest,
        previous_models=(before.model, *before.previous_models)[:DIRECTIONS],
        scale=_scale_after(spec, before, facts.candidates, facts.gram, facts.sums),
        scored_pots=before.scored_pots + settled.split.scored_pot,
        dust=before.dust + settled.split.dust,
        standings=settled.standings,
    )
    return Judgement(
        verdicts=verdicts, gram=facts.gram, direction_roots=facts.direction_roots, divisor=divisor, sums=facts.sums,
        sums_root=sums_root(spec, facts.sums), model=new, model_bytes=data, measured=measured,
        trainers=settled.trainers, split=settled.split, after=after,
    )  # fmt: skip


class _Rows:
    """The Gram matrix' rows: reference, admitted trainers in entry order, directions; read by number.

    Entries have their own numbers; direction k (0 is newest) has number -1 - k.
    """

    def __init__(
        self, spec: TaskSpec, admission: Admission, opened: OpenedUpdates, directions: Sequence[Integers]
    ) -> None:
        self._spec, self._admission, self._opened, self._directions = spec, admission, opened, directions

    def listed(self, entries: Sequence[Entry]) -> list[GramRow]:
        """Name the rows in order."""
        bits = self._spec.codec.bits
        reference = self._admission.reference
        rows = [] if reference is None else [GramRow("reference", reference, bits)]
        rows += [GramRow(address_text(entries[i].receipt.trainer), i, bits) for i in self._admission.trainers()]
        return rows + [GramRow(f"direction:{k + 1}", -1 - k, DIRECTION_BITS) for k in range(len(self._directions))]

    def read(self, number: int) -> Integers:
        """Return one row's integers, shape (d,)."""
        return self._directions[-1 - number] if number < 0 else self._opened.read(number)


def address_text(address: bytes) -> str:
    """Return the lower-case 0x form that names a trainer's Gram row."""
    return "0x" + address.hex()


def public_directions(spec: TaskSpec, before: TaskState, models: ModelSource) -> list[Integers]:
    """Public directions, newest first: what the last rounds changed in the model, in this round's steps."""
    if spec.worth.kind != "anchored":
        return []
    chain = [models(digest) for digest in (before.model, *before.previous_models[:DIRECTIONS])]
    return [
        quantise_direction_nearest(after, old, model=spec.model, scale=before.scale, bits=DIRECTION_BITS)
        for after, old in pairwise(chain)
    ]


def direction_roots(spec: TaskSpec, directions: Sequence[Integers]) -> tuple[bytes, ...]:
    """Return the content root of each public direction."""
    size = spec.model.size
    return tuple(
        content_root(row.astype("<i2").tobytes(), size=size, bits=DIRECTION_BITS, key=None) for row in directions
    )


def sums_root(spec: TaskSpec, sums: Sums) -> bytes:
    """Return the content root of the sums, int64 little endian."""
    return content_root(sums.astype("<i8").tobytes(), size=spec.model.size, bits=SUM_BITS, key=None)


def screen_candidates(
    spec: TaskSpec, before: TaskState, entries: Sequence[Entry], admission: Admission, gram: Gram
) -> Candidates:
    """Screen and weigh the admitted trainers."""
    trainers = admission.trainers()
    first = 0 if admission.reference is None else 1
    numbers = tuple(range(first, first + len(trainers)))
    directions = independent(range(first + len(trainers), len(gram.names)), gram)
    decision = rules.decide(
        [
            rules.Candidate(number, entries[i].receipt.trainer, entries[i].stake)
            for number, i in zip(numbers, trainers, strict=True)
        ],
        gram,
        rule=spec.aggregation,
        stake_cap_bps=spec.worth.stake_cap_bps,
        bounds=rules.Bounds(
            norm_bound_squared(before.scale, spec.model, spec.codec.bits),
            rules.rounding_energy(spec.model, before.scale, spec.codec.rounding),
            directions,
            0 if first and gram.at(0, 0) else None,
        ),
        refused=sum(
            1
            for entry, refusal in zip(entries, admission.refusals, strict=True)
            if refusal is not None and refusal.code not in OFF_ROSTER and not is_reference(entry, spec)
        ),
    )
    return Candidates(trainers, numbers, decision, 0 if first else None, directions)


def _verdicts(
    entries: Sequence[Entry], admission: Admission, candidates: Candidates, worth: Worth
) -> tuple[Verdict, ...]:
    place = {i: k for k, i in enumerate(candidates.entries)}
    verdicts = []
    for index, entry in enumerate(entries):
        trainer, refusal = entry.receipt.trainer, admission.refusals[index]
        if refusal is not None:
            verdicts.append(Verdict(trainer, refusal.code, refusal.evidence, 0, 0, NO_GROUP))
        elif index == admission.reference:
            verdicts.append(Verdict(trainer, REFERENCE, "", 0, 0, 0))
        else:
            k = place[index]
            item = candidates.decision.screened[k]
            verdicts.append(Verdict(trainer, item.code, item.evidence, item.weight, worth.scores[k], worth.groups[k]))
    return tuple(verdicts)


def _rostered(spec: TaskSpec, entries: Sequence[Entry], verdicts: Sequence[Verdict]) -> list[Rostered]:
    """Trainers with a place on the roster: all but the reference, strangers and second entries.

    Raises NotEnoughTrainers where nobody has one: the pot has no owner, so no ledger takes such a seal.
    """
    rostered = []
    for entry, verdict in zip(entries, verdicts, strict=True):
        if is_reference(entry, spec) or verdict.code in OFF_ROSTER:
            continue
        screened = verdict.code in (ADMITTED, rules.NOT_SELECTED)
        rostered.append(Rostered(verdict.trainer, entry.stake, verdict.code == ADMITTED, screened, verdict.score))
    if not rostered:
        raise NotEnoughTrainers(
            f"none of {len(entries)} entries belongs to a trainer of the task with its stake: nobody can be paid, the "
            f"round cannot be sealed and its pot goes to those who joined"
        )
    return rostered


def _scale_after(spec: TaskSpec, before: TaskState, candidates: Candidates, gram: Gram, sums: Sums) -> ScaleSpec:
    """The frozen formula on this round's public values: lower median of the summed updates' squared lengths."""
    screened = candidates.decision.screened
    squares = [gram.at(row, row) for row, item in zip(candidates.rows, screened, strict=True) if item.code == ADMITTED]
    return next_scale(
        before.scale,
        model=spec.model,
        bits=spec.codec.bits,
        median_norm_squared=weighted_median(squares, [1] * len(squares)),
        aggregate_energies=tensor_energies(sums, spec.model),
    )
