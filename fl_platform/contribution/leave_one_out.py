"""Leave-one-out worth: how much the new model loses on the revealed validation rows when one update stays out.

    s_i = U(parent + step of all) - U(parent + step of all but group i)

U is an integer: how many revealed rows the model gets right. The models are exact (integer sums, one IEEE step); U
itself comes from a forward pass in floating point, so it is the same on two machines unless the two largest outputs
of a row agree to within rounding. Copies share: near-duplicates leave together and divide what they made by stake.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fl_platform.aggregation.server import Model, apply_sums
from fl_platform.aggregation.sums import RowSource, Sums
from fl_platform.contribution.validation import RevealedRow
from fl_platform.protocol.spec import AggregationRule, ModelSpec, ScaleSpec
from fl_platform.updates.tensors import Tensors

# Number of `rows` that a model gets right: pure, trusted, given by the task (learning.evaluate on decoded rows).
Utility = Callable[[Tensors, Sequence[RevealedRow]], int]

SCORE_PER_ROW = 10**9  # one row right or wrong, before stake shares


@dataclass(frozen=True)
class Contributor:
    """One update in the sum."""

    source: int  # argument of the row source
    weight: int  # in the sum
    full_weight: int  # in the divisor
    capped: int  # capped stake, wei
    group: int  # near-duplicates leave together


def leave_one_out_scores(
    contributors: Sequence[Contributor],
    source: RowSource,
    *,
    sums: Sums,
    parent: Tensors,
    model: ModelSpec,
    scale: ScaleSpec,
    rule: AggregationRule,
    utility: Callable[[Model], int],
) -> tuple[int, ...]:
    """Return each contributor's signed score: one evaluation per group and one for all; updates are read one by one."""
    divisor = sum(c.full_weight for c in contributors)
    together = utility(apply_sums(parent, sums, model=model, scale=scale, rule=rule, divisor=divisor))
    marginal: dict[int, int] = {}
    for group in sorted({c.group for c in contributors}):
        rest: Sums = np.array(sums)
        members = [c for c in contributors if c.group == group]
        for member in members:
            rest -= source(member.source).astype(np.int64) * member.weight
        left = divisor - sum(c.full_weight for c in members)
        without = utility(apply_sums(parent, rest, model=model, scale=scale, rule=rule, divisor=left))
        marginal[group] = together - without
    stakes = {g: sum(c.capped for c in contributors if c.group == g) for g in marginal}
    return tuple(SCORE_PER_ROW * marginal[c.group] * c.capped // max(1, stakes[c.group]) for c in contributors)
