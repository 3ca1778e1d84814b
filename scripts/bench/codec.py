"""Accuracy that integer updates cost: int8 and int4 against float32, MNIST, 10 of 100 trainers a round.

One run is one federated training: (model, partition, arm, seed). All arms of a seed share the initial model, the
clients drawn each round and every local training's seed; they differ only in what happens to the deltas. Equal weights,
server step 1, scales by the codec's frozen formula. A run's figure is the mean test accuracy after its last three
rounds; a row's is the mean over seeds of float32's figure minus the arm's, in points, so a positive value is a loss.

The issue expects rounding to nearest to lose at least 3 points at 4 bits; that bar stands on the CNN, as it was set,
and holds or does not. The MLP's and the "coarse" rows (steps four times the codec's own) have no such bar: they are
there to show on what the loss depends.

`--resume FILE` keeps finished runs, so that the whole can be made in pieces; `--finished` trains nothing and reports
each setting over the seeds that are whole there (a row says how many).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from fl_platform.learning.evaluation import evaluate
from fl_platform.learning.parameters import initial_state, model_spec
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.tasks import Federation, federate, load_split
from fl_platform.learning.train import train_locally
from fl_platform.protocol.model_spec import ModelSpec, ScaleSpec
from fl_platform.updates.codec import decode_update, encode_update
from fl_platform.updates.model_row import with_points
from fl_platform.updates.rounding import rounding_seed
from fl_platform.updates.scale import SPREAD, measured_scale
from scripts.bench.averaging import Arm, State, average, trained
from scripts.bench.harness import Row, at_least, at_most, cpu_time

PARTIES, SAMPLED, ROOT_ROWS, LAST = 100, 10, 600, 3


@dataclass(frozen=True)
class Setting:
    """One model on one partition."""

    model: str
    partition: str
    rounds: int
    plan: TrainPlan

    @property
    def name(self) -> str:
        return f"{self.model} {self.partition}"

    @property
    def arms(self) -> tuple[Arm, ...]:
        coarse = (COARSE, COARSE_NEAREST) if (self.model, self.partition) == ("mnist-mlp", "iid") else ()
        return ARMS + coarse


@dataclass(frozen=True)
class Outcome:
    """Test accuracies (percent) after the last rounds, and what the run cost."""

    accuracies: tuple[float, ...]
    cpu_s: float
    halvings: int  # updates that were shortened because they saturated
    clipped: int

    @property
    def figure(self) -> float:
        return statistics.fmean(self.accuracies)


FLOAT, INT8, INT4 = Arm("float32", None), Arm("int8", 8), Arm("int4", 4)
INT4_NEAREST = Arm("int4 nearest", 4, "nearest")
ARMS = (FLOAT, INT8, INT4, INT4_NEAREST)
COARSE_SPREAD = 4 * SPREAD[4]
COARSE = Arm("int4 coarse", 4, "stochastic", COARSE_SPREAD)
COARSE_NEAREST = Arm("int4 nearest coarse", 4, "nearest", COARSE_SPREAD)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this benchmark's options."""
    parser.add_argument("--rounds", type=int, help="rounds of the CNN (default 10); the MLP gets four times as many")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 1..N")
    parser.add_argument("--models", default="mnist-cnn,mnist-mlp", help="comma-separated")
    parser.add_argument("--partitions", default="iid,2-shard", help="comma-separated")
    parser.add_argument("--mnist", type=Path, help="folder of the four idx files")
    parser.add_argument("--finished", action="store_true", help="report what --resume holds, train nothing")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="keep finished runs here and reuse them")


def run(args: argparse.Namespace) -> Iterator[Row]:
    """Train every setting in every arm and report losses against float32, and the codec's own speed."""
    cnn_rounds = args.rounds or (2 if args.quick else 10)
    seeds = range(1, (1 if args.quick else args.seeds) + 1)
    models = ["mnist-mlp"] if args.quick else args.models.split(",")
    settings = [_setting(model, partition, cnn_rounds) for model in models for partition in args.partitions.split(",")]
    cache = _read_cache(args.resume)
    if not args.finished:
        _train_missing(args, settings, seeds, cache)
    for setting in settings:
        whole = [seed for seed in seeds if all(_key(setting, arm, seed) in cache for arm in setting.arms)]
        own = {(arm.name, seed): _from_json(cache[_key(setting, arm, seed)]) for arm in setting.arms for seed in whole}
        yield from _rows(setting, own, whole) if whole else []
    yield from _speed_rows(split_model=models[0])


def _train_missing(
    args: argparse.Namespace, settings: Sequence[Setting], seeds: Sequence[int], cache: dict[str, dict[str, Any]]
) -> None:
    """Fill the cache, seed after seed, so that a run that is cut short has whole seeds of everything."""
    split = load_split("mnist", folder=args.mnist)
    for seed, setting in product(seeds, settings):
        federation: Federation | None = None
        for arm in setting.arms:
            key = _key(setting, arm, seed)
            if key in cache:
                continue
            federation = federation or federate(
                split, model=setting.model, parties=PARTIES, partition=setting.partition,
                root_rows=ROOT_ROWS, seed=seed,
            )  # fmt: skip
            cache[key] = _as_json(train(federation, setting, arm, seed))
            _write_cache(args.resume, cache)
            print(f"{setting.name} seed {seed} {arm.name}: {cache[key]}", file=sys.stderr, flush=True)


def train(federation: Federation, setting: Setting, arm: Arm, seed: int) -> Outcome:
    """One federated training; returns its accuracies."""
    started = time.process_time()
    model = model_spec(federation.factory(), setting.model)
    state: State = initial_state(federation.factory, seed=seed)
    model, scale = _measured(federation, setting, arm, model, state, seed)
    first = scale
    accuracies: list[float] = []
    halvings = clipped = 0
    for number in range(setting.rounds):
        sampled = np.random.Generator(np.random.Philox([seed, number])).choice(PARTIES, SAMPLED, replace=False)
        deltas = [
            train_locally(
                federation.parties[party], state, plan=setting.plan, seed=_training_seed(seed, number, int(party))
            ).delta
            for party in sampled
        ]
        seeds = [rounding_seed(int(party).to_bytes(32, "big"), task=seed, round_number=number) for party in sampled]
        averaged = average(state, deltas, model=model, scale=scale, arm=arm, seeds=seeds, first=first)
        state, scale = averaged.state, averaged.scale
        halvings, clipped = halvings + averaged.halvings, clipped + averaged.clipped
        if number >= setting.rounds - LAST:
            accuracies.append(100 * evaluate(federation.factory(), state, federation.test).accuracy)
    return Outcome(tuple(accuracies), time.process_time() - started, halvings, clipped)


def _measured(
    federation: Federation, setting: Setting, arm: Arm, model: ModelSpec, state: State, seed: int
) -> tuple[ModelSpec, ScaleSpec | None]:
    """Return the model with its points and the first scale, as a task's owner measures both."""
    if arm.bits is None:
        return model, None
    root = type(federation.parties[0])(federation.factory, federation.root, federation.test)
    delta = train_locally(root, state, plan=setting.plan, seed=_training_seed(seed, 0, PARTIES)).delta
    scale = measured_scale(delta, model=model, bits=arm.bits, spread=arm.spread)
    return with_points(model, scale, state, trained(state, delta)), scale


def _rows(setting: Setting, outcomes: Mapping[tuple[str, int], Outcome], seeds: Sequence[int]) -> list[Row]:
    figures = {arm.name: [outcomes[arm.name, seed].figure for seed in seeds] for arm in setting.arms}
    reference = statistics.fmean(figures["float32"])
    after = f"round {setting.rounds}, seeds: {len(seeds)}"
    rows = [Row(f"{setting.name}: accuracy float32 ({after})", reference, "%")]
    for arm in setting.arms[1:]:
        losses = [exact - value for exact, value in zip(figures["float32"], figures[arm.name], strict=True)]
        rows += [
            _loss_row(setting, arm, statistics.fmean(losses), reference),
            Row(f"{setting.name}: standard error of loss {arm.name}", _error(losses), "points"),
        ]
    shortened = sum(outcome.halvings + outcome.clipped for outcome in outcomes.values())
    rows.append(Row(f"{setting.name}: updates clipped or halved, all arms", shortened, "updates"))
    return rows


def _loss_row(setting: Setting, arm: Arm, loss: float, reference: float) -> Row:
    case, beside = f"{setting.name}: loss {arm.name}", _beside(reference)
    if arm is INT8:
        return at_most(case, loss, 0.5, **beside)
    if arm is INT4:
        return at_most(case, loss, 1.0, **beside)
    if arm is INT4_NEAREST and setting.model == "mnist-cnn":
        return at_least(case, loss, 3.0, **beside)
    return Row(case=case, value=loss, **beside)


def _beside(float_accuracy: float) -> dict[str, Any]:
    return {"unit": "points", "reference": "accuracy float32, %", "reference_value": float_accuracy}


def _speed_rows(*, split_model: str) -> list[Row]:
    factory = _factory(split_model)
    model = model_spec(factory(), split_model)
    rng = np.random.Generator(np.random.Philox(0))
    delta = {t.name: (rng.standard_normal(t.shape) * 0.01).astype(np.float32) for t in model.tensors}
    rows = []
    for bits in (4, 8, 16):
        scale = measured_scale(delta, model=model, bits=bits)
        data = encode_update(delta, model=model, scale=scale, bits=bits, seed=bytes(32)).data

        def encode(bits: int = bits, scale: ScaleSpec = scale) -> object:
            return encode_update(delta, model=model, scale=scale, bits=bits, seed=bytes(32))

        def decode(bits: int = bits, data: bytes = data) -> object:
            return decode_update(data, model=model, bits=bits)

        for name, function in (("encode", encode), ("decode", decode)):
            speed = model.size / cpu_time(function) / 1e6
            rows.append(Row(f"{split_model}: {name} int{bits}", speed, "million parameters per CPU-second"))
    return rows


def _factory(name: str) -> Callable[[], Any]:
    from functools import partial

    from fl_platform.learning.models import build_model

    return partial(build_model, name)


def _error(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else None


def _setting(model: str, partition: str, cnn_rounds: int) -> Setting:
    if model == "mnist-cnn":
        return Setting(model, partition, cnn_rounds, TrainPlan(epochs=1, batch_size=10, learning_rate=0.05))
    return Setting(model, partition, 4 * cnn_rounds, TrainPlan(epochs=1, batch_size=10, learning_rate=0.05))


def _training_seed(seed: int, number: int, party: int) -> int:
    return (seed * 10_000 + number) * 1_000 + party


def _key(setting: Setting, arm: Arm, seed: int) -> str:
    spread = (arm.spread or SPREAD[arm.bits]) if arm.bits else 0
    text = f"{setting} {arm} {seed} spread={spread} {PARTIES} {SAMPLED} {ROOT_ROWS}"
    return f"{setting.name} {arm.name} {seed} {hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _as_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "accuracies": [round(value, 4) for value in outcome.accuracies],
        "cpu_s": round(outcome.cpu_s, 1),
        "halvings": outcome.halvings,
        "clipped": outcome.clipped,
    }


def _from_json(value: Mapping[str, Any]) -> Outcome:
    return Outcome(tuple(value["accuracies"]), value["cpu_s"], value["halvings"], value["clipped"])


def _read_cache(path: Path | None) -> dict[str, dict[str, Any]]:
    if path is None or not path.is_file():
        return {}
    loaded: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def _write_cache(path: Path | None, cache: Mapping[str, Mapping[str, Any]]) -> None:
    if path is not None:
        partial_file = path.with_name(path.name + ".partial")
        partial_file.write_text(json.dumps(cache, indent=1) + "\n", encoding="utf-8")
        partial_file.replace(path)
