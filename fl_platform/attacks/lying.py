"""An aggregator that judges honestly and seals something else (A08): what it changes in the round's bundle.

Each lie keeps the claims' total, which the ledger checks, and publishes a bundle and a trace that fit each other, as a
liar that hides nothing does. `roles.watcher` finds the leaf that does not follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from fl_platform.aggregation.server import apply_sums
from fl_platform.contribution.judge import Judgement, sums_root
from fl_platform.protocol.bundle import RoundBundle, Standing, TaskState
from fl_platform.protocol.spec import TaskSpec
from fl_platform.store.unixfs import cid_of
from fl_platform.updates import encode_model
from fl_platform.updates.tensors import Tensors


def pay_itself(bundle: RoundBundle) -> RoundBundle:
    """Move half of everybody's pay to the aggregator's own account."""
    nobody = Standing(bundle.aggregator, 0, 0, 0, 0)
    own = next((s for s in bundle.after.standings if s.trainer == bundle.aggregator), nobody)
    cut = [replace(s, paid_scored=s.paid_scored // 2) for s in bundle.after.standings if s.trainer != own.trainer]
    total = sum(s.earned for s in bundle.after.standings)
    gained = total - sum(s.earned for s in cut) - own.earned
    standings = [*cut, replace(own, paid_base=own.paid_base + gained)]
    ordered = tuple(sorted(standings, key=lambda s: s.trainer))
    return replace(bundle, after=replace(bundle.after, standings=ordered))


def raise_score(bundle: RoundBundle) -> RoundBundle:
    """Raise the score of one friend among the admitted, and its account's sum with it; pay stays as it is."""
    index = next(i for i, verdict in enumerate(bundle.verdicts) if verdict.weight > 0)
    friend, gain = bundle.verdicts[index], max(1, abs(bundle.verdicts[index].score) // 100)
    told = replace(friend, score=friend.score + gain)
    verdicts = (*bundle.verdicts[:index], told, *bundle.verdicts[index + 1 :])
    standings = tuple(
        replace(s, score_sum=s.score_sum + gain) if s.trainer == friend.trainer else s for s in bundle.after.standings
    )
    return replace(bundle, verdicts=verdicts, after=replace(bundle.after, standings=standings))


def drop_one(bundle: RoundBundle) -> RoundBundle:
    """Give an admitted update the verdict of no work."""
    index = next(i for i, verdict in enumerate(bundle.verdicts) if verdict.weight > 0)
    told = replace(bundle.verdicts[index], code="NoWork", evidence="length 0", weight=0, score=0)
    return replace(bundle, verdicts=(*bundle.verdicts[:index], told, *bundle.verdicts[index + 1 :]))


def bend_gram(bundle: RoundBundle) -> RoundBundle:
    """Add one to the inner product of the last two trainers; what follows from the matrix still follows."""
    row = max(i for i, name in enumerate(bundle.rows) if name.startswith("0x"))
    place = row * (row + 1) // 2 + row - 1
    return replace(bundle, gram=(*bundle.gram[:place], bundle.gram[place] + 1, *bundle.gram[place + 1 :]))


def bend_sums(spec: TaskSpec, before: TaskState, parent: Tensors, judged: Judgement) -> Judgement:
    """Add to the largest coordinate of the sums and take the model from them; the rest of the judgement stays."""
    sums = judged.sums.copy()
    sums[int(np.argmax(np.abs(sums)))] += max(1, judged.divisor // 2)
    rule, divisor = spec.aggregation, judged.divisor
    model = apply_sums(parent, sums, model=spec.model, scale=before.scale, rule=rule, divisor=divisor)
    data = encode_model(model, spec.model)
    after = replace(judged.after, model=cid_of(data).digest)
    return replace(judged, sums=sums, sums_root=sums_root(spec, sums), model=model, model_bytes=data, after=after)


BEND_SUMS = "bend-sums"  # not of the bundle alone: the sums and the model are objects of their own
LIES: Mapping[str, Callable[[RoundBundle], RoundBundle]] = {
    "pay-itself": pay_itself,
    "raise-score": raise_score,
    "drop-one": drop_one,
    "bend-gram": bend_gram,
    BEND_SUMS: lambda bundle: bundle,
}
