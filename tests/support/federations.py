"""Whole tasks in memory: digits, real training, real attackers, every round through `judge_round`.

Trainer numbers start at 1 (0 signs the reference); the honest come first, then the attackers. Trainings of honest
trainers depend on the parent model alone, so what differs between two tasks is what their attackers did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from fl_platform.attacks import Attack, View
from fl_platform.errors import StoreMissing
from fl_platform.judging.judge import Judgement
from fl_platform.judging.sums import Sums
from fl_platform.learning import (
    DataTask,
    Federation,
    Labelled,
    TrainPlan,
    evaluate,
    federate,
    initial_state,
    load_split,
    model_spec,
    train_locally,
)
from fl_platform.protocol.model_spec import ScaleSpec
from fl_platform.protocol.spec import AggregationRule, CodecRule, TaskSpec, WorthRule
from fl_platform.store.unixfs import cid_of
from fl_platform.updates import encode_update, floats_of, integers_nearest, measured_scale, rounding_seed
from fl_platform.updates.model_row import with_points
from fl_platform.updates.tensors import Tensors
from tests.support.rounds import address_of, anchored_spec, build_round, first_state, place_of

PLAN = TrainPlan(epochs=5, batch_size=16, learning_rate=0.1)
MODEL = "digits-mlp"


@dataclass(frozen=True)
class Task:
    """What came out of a task."""

    judged: tuple[Judgement, ...]
    accuracy: tuple[float, ...]  # after each round
    honest: int
    people: int

    def earned(self, number: int) -> int:
        """Wei of a trainer over the task."""
        return sum(s.earned for s in self.judged[-1].after.standings if s.trainer == address_of(number))

    def honest_pay(self) -> list[int]:
        """Wei of each honest trainer."""
        return [self.earned(number) for number in range(1, self.honest + 1)]

    def hostile_pay(self) -> list[int]:
        """Wei of each attacker."""
        return [self.earned(number) for number in range(self.honest + 1, self.people + 1)]

    def codes(self, number: int) -> list[str]:
        """A trainer's verdict in each round."""
        return [next(v.code for v in j.verdicts if v.trainer == address_of(number)) for j in self.judged]

    def reputation(self, number: int) -> int:
        """A trainer's reputation at the end."""
        return next(s.reputation for s in self.judged[-1].after.standings if s.trainer == address_of(number))


def digits_spec(scale: ScaleSpec, **rule: object) -> TaskSpec:
    """The task's rules: anchored at alpha = 1, int8, FedAvg unless changed."""
    spec = anchored_spec()
    aggregation = AggregationRule("mean", 0, 20_000, 1_000_000, 1_000, 9_800, 1, 1)
    model = model_spec(_federation(1, "iid", 1).factory(), MODEL)
    return replace(
        spec,
        model=model,
        codec=CodecRule(8, "stochastic", scale),
        aggregation=replace(aggregation, **rule),  # type: ignore[arg-type]
        worth=WorthRule("anchored", 1, 1, 0, 10_000, bytes(32), 0),
        money=replace(spec.money, fee_bps=0),
    )


@cache
def _federation(parties: int, partition: str, seed: int) -> Federation:
    return federate(
        load_split("digits", seed=seed), model=MODEL, parties=parties, partition=partition, root_rows=150, seed=seed
    )


def play_task(
    honest: int, attackers: Sequence[Attack] = (), *, rounds: int = 4, seed: int = 1, partition: str = "iid",
    stakes: Sequence[int] | None = None, **rule: object,
) -> Task:  # fmt: skip
    """Play a task of `honest` trainers and `attackers` (one trainer each; the same object may stand several times)."""
    people = honest + len(attackers)
    federation = _federation(people, partition, seed)
    owner = federation.owner
    parent: Tensors = initial_state(federation.factory, seed=seed)
    first = train_locally(owner, parent, plan=PLAN, seed=seed).delta
    spec = digits_spec(measured_scale(first, model=model_spec(federation.factory(), MODEL), bits=8), **rule)
    spec = replace(spec, model=with_points(spec.model, spec.codec.initial_scale, parent))
    row = integers_nearest(parent, spec.model)
    parent, state = floats_of(row, spec.model), first_state(spec, row)
    rows, models = {state.model: row}, {state.model: parent}
    sums: dict[bytes, Sums] = {}
    judged: list[Judgement] = []
    accuracy: list[float] = []
    for number in range(rounds):
        chain = [models[d] for d in (state.model, *state.previous_models)]
        deltas = _deltas(federation, owner, chain, attackers, honest, number, seed)
        zeros = [np.zeros(spec.model.size, dtype=np.int8)] * people
        round_ = build_round(spec, zeros, reference=zeros[0], before=state, models=rows, stakes=stakes)
        round_.sums = sums
        for who, delta in enumerate(deltas):
            rounding = rounding_seed(f"secret of {who}".ljust(16).encode(), task=7, round_number=number)
            data = encode_update(delta, model=spec.model, scale=state.scale, bits=8, seed=rounding).data
            sealed = attackers[who - honest - 1].tamper(data) if who > honest else data
            round_.data[place_of(round_, who)] = StoreMissing("nothing stored") if sealed is None else sealed
        judged.append(round_.judge())
        state = judged[-1].after
        rows[state.model], models[state.model] = judged[-1].row, judged[-1].model
        sums[cid_of(judged[-1].aggregate_bytes).digest] = judged[-1].sums
        accuracy.append(evaluate(federation.factory(), judged[-1].model, federation.test).accuracy)
    return Task(tuple(judged), tuple(accuracy), honest, people)


def _deltas(
    federation: Federation, owner: DataTask, chain: Sequence[Tensors], attackers: Sequence[Attack], honest: int,
    number: int, seed: int,
) -> list[Tensors]:  # fmt: skip
    """Deltas of the reference and all trainers; attackers see what the honest did."""
    start = seed * 1_000 + number * 50
    deltas: list[Tensors] = [train_locally(owner, chain[0], plan=PLAN, seed=start).delta]
    for who, party in enumerate(federation.parties, start=1):
        attack = attackers[who - honest - 1] if who > honest else Attack()
        data = party.train_data()
        task = DataTask(party.factory, Labelled(data.x, attack.poison(data.y, classes=10)), party.validation)
        deltas.append(train_locally(task, chain[0], plan=PLAN, seed=start + who).delta)
    view = View(
        honest=deltas[1], parent=chain[0], previous=tuple(chain[1:]), rng=np.random.default_rng(start), round=number,
        others=tuple(deltas[1 : honest + 1]), hostile=len(attackers),
    )  # fmt: skip
    for who in range(honest + 1, len(deltas)):
        rng = np.random.default_rng(start + who)
        deltas[who] = attackers[who - honest - 1].forge(replace(view, honest=deltas[who], rng=rng))
    return deltas
