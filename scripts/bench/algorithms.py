"""Client algorithms against FedAvg on digits where each party holds two classes: 2-shard, ten parties, ten rounds.

The demo's own plan (ten local epochs, batches of 16, rate 0.2), deltas through the int8 codec, equal weights. All
algorithms of a seed share the deal, the first model and every training's seed. A figure is the mean test accuracy after
the last three rounds. SCAFFOLD's bar is 2 points over FedAvg in the mean of the seeds.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Mapping

import numpy as np

from fl_platform.learning.algorithms import ALGORITHMS, parameters_of
from fl_platform.learning.evaluation import evaluate
from fl_platform.learning.parameters import State, initial_state, model_spec
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.task import DataTask
from fl_platform.learning.tasks import Federation, federate, load_split
from fl_platform.learning.train import Past, train_locally
from fl_platform.updates.model_row import with_points
from fl_platform.updates.rounding import rounding_seed
from fl_platform.updates.scale import measured_scale
from scripts.bench.averaging import Arm, average, trained
from scripts.bench.harness import Row, at_least

PARTIES, ROUNDS, LAST, ROOT_ROWS = 10, 10, 3, 150
INT8 = Arm("int8", 8)
BARS: Mapping[str, float] = {"scaffold": 2.0}  # points over FedAvg


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this benchmark's options."""
    parser.add_argument("--seeds", type=int, default=3, help="seeds 1..N")
    parser.add_argument("--rounds", type=int, default=ROUNDS)


def run(args: argparse.Namespace) -> Iterator[Row]:
    """Train every algorithm with every seed; --quick: one seed, three rounds, no bar."""
    seeds, rounds = (range(1, 2), 3) if args.quick else (range(1, args.seeds + 1), args.rounds)
    plain = [accuracy("fedavg", seed, rounds) for seed in seeds]
    yield Row(f"fedavg: accuracy after {rounds} rounds, seeds: {len(plain)}", statistics.fmean(plain), "%")
    for name in ALGORITHMS:
        if name == "fedavg":
            continue
        found = [accuracy(name, seed, rounds) for seed in seeds]
        gains = [own - other for own, other in zip(found, plain, strict=True)]
        beside = {"unit": "points", "reference": "accuracy of fedavg, %", "reference_value": statistics.fmean(plain)}
        case, gain = f"{name}: gain over fedavg", statistics.fmean(gains)
        if name in BARS and not args.quick:
            yield at_least(case, gain, BARS[name], **beside)
        else:
            yield Row(case, gain, "points", "accuracy of fedavg, %", statistics.fmean(plain))
        yield Row(f"{name}: least gain of a seed", min(gains), "points")


def accuracy(name: str, seed: int, rounds: int) -> float:
    """Return the mean test accuracy (percent) after the last rounds of one federated training."""
    federation = federate(
        load_split("digits", seed=seed), model="digits-mlp", parties=PARTIES, partition="2-shard",
        root_rows=ROOT_ROWS, seed=seed,
    )  # fmt: skip
    algorithm, parameters = parameters_of(name)
    plan = TrainPlan(10, 16, 0.2, algorithm=algorithm, parameters=parameters)
    model = model_spec(federation.factory(), "digits-mlp")
    state: State = initial_state(federation.factory, seed=seed)
    delta = _owner_delta(federation, state, plan, seed)
    first = scale = measured_scale(delta, model=model, bits=8)
    model = with_points(model, scale, state, trained(state, delta))
    models: list[State] = []
    memories: list[State] = [{} for _ in range(PARTIES)]
    accuracies = []
    for number in range(rounds):
        deltas = []
        for party, task in enumerate(federation.parties):
            update = train_locally(
                task, state, plan=plan, seed=(seed * 10_000 + number) * 1_000 + party,
                past=Past(number, rounds, models, memories[party]),
            )  # fmt: skip
            memories[party] = update.memory
            deltas.append(update.delta)
        seeds = [
            rounding_seed(party.to_bytes(32, "big"), task=seed, round_number=number) for party in range(PARTIES)
        ]
        after = average(state, deltas, model=model, scale=scale, arm=INT8, seeds=seeds, first=first)
        models.insert(0, state)
        assert after.scale is not None
        state, scale = after.state, after.scale
        accuracies.append(100 * evaluate(federation.factory(), state, federation.test).accuracy)
    return float(np.mean(accuracies[-LAST:]))


def _owner_delta(federation: Federation, state: State, plan: TrainPlan, seed: int) -> State:
    owner = DataTask(federation.factory, federation.root, federation.test)
    return train_locally(owner, state, plan=plan, seed=seed).delta
