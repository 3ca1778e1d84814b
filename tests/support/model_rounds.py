"""Honest rounds of any model in memory: real training, real encoding, every round through `judge_round`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fl_platform.judging.admit import ADMITTED
from fl_platform.judging.judge import Judgement
from fl_platform.judging.sums import Sums
from fl_platform.learning.base import encode_base
from fl_platform.learning.parameters import initial_module, initial_state, model_spec
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.task import LearningTask
from fl_platform.learning.train import train_locally
from fl_platform.protocol.model_spec import ScaleSpec
from fl_platform.protocol.spec import CodecRule, TaskSpec, WorthRule
from fl_platform.store.unixfs import cid_of
from fl_platform.updates import encode_update, floats_of, integers_nearest, measured_scale, rounding_seed
from fl_platform.updates.model_row import with_points
from fl_platform.updates.tensors import Tensors
from tests.support.rounds import anchored_spec, build_round, first_state, place_of


@dataclass(frozen=True)
class ModelRounds:
    """What came out of some rounds."""

    spec: TaskSpec
    judged: tuple[Judgement, ...]
    models: tuple[Tensors, ...]  # the initial one, and that after each round
    scales: tuple[ScaleSpec, ...]  # of each round
    deltas: tuple[tuple[Tensors, ...], ...]  # by round, by trainer: floats, before the codec
    base: bytes | None

    @property
    def model(self) -> Tensors:
        """The model at the end."""
        return self.models[-1]


def play_rounds(
    parties: Sequence[LearningTask], *, plan: TrainPlan, rounds: int, bits: int = 8, seed: int = 1
) -> ModelRounds:
    """Play rounds of honest trainers, paid equally; the first one's model and rows are the owner's, too.

    Demands that nobody's update is refused.
    """
    factory = parties[0].model
    base = encode_base(initial_module(factory, seed=seed))
    parent: Tensors = initial_state(factory, seed=seed)
    shapes = model_spec(factory(), "any")
    first = train_locally(parties[0], parent, plan=plan, seed=seed, base=base).delta
    scale = measured_scale(first, model=shapes, bits=bits)
    model = with_points(shapes, scale, parent, {name: parent[name] + change for name, change in first.items()})
    spec = replace(_spec(CodecRule(bits, "stochastic", scale), len(parties)), model=model)
    row = integers_nearest(parent, model)
    parent, state = floats_of(row, model), first_state(spec, row)
    rows, models = {state.model: row}, {state.model: parent}
    judged: list[Judgement] = []
    sums: dict[bytes, Sums] = {}
    scales: list[ScaleSpec] = []
    learned: list[tuple[Tensors, ...]] = []
    for number in range(rounds):
        zeros = [np.zeros(model.size, dtype=np.int8 if bits < 16 else np.int16)] * len(parties)
        round_ = build_round(spec, zeros, reference=None, before=state, models=rows)
        round_.sums = sums
        scales.append(state.scale)
        start = 1000 * seed + 50 * number
        learned.append(
            tuple(
                train_locally(party, models[state.model], plan=plan, seed=start + who, base=base).delta
                for who, party in enumerate(parties, start=1)
            )
        )
        for who, delta in enumerate(learned[-1], start=1):
            noise = rounding_seed(f"secret of {who}".ljust(16).encode(), task=7, round_number=number)
            encoded = encode_update(delta, model=model, scale=state.scale, bits=bits, seed=noise)
            round_.data[place_of(round_, who)] = encoded.data
        judged.append(round_.judge())
        assert {verdict.code for verdict in judged[-1].verdicts} == {ADMITTED}
        state = judged[-1].after
        rows[state.model], models[state.model] = judged[-1].row, judged[-1].model
        sums[cid_of(judged[-1].aggregate_bytes).digest] = judged[-1].sums
    chain = (parent, *(judgement.model for judgement in judged))
    return ModelRounds(spec, tuple(judged), chain, tuple(scales), tuple(learned), base)


def _spec(codec: CodecRule, trainers: int) -> TaskSpec:
    spec = anchored_spec(codec=codec)
    rule = replace(spec.aggregation, clip_bps=20_000, reject_bps=1_000_000, floor_bps=0, duplicate_bps=10_000)
    return replace(spec, aggregation=rule, worth=WorthRule("equal", 0, 1, 0, 10_000, bytes(32), 0))
