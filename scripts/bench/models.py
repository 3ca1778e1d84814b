"""Accuracy that integer updates cost models of many kinds: int8 (adapters int16) against float32, digits, 5 rounds.

BatchNorm CNN, ResNet, LSTM, transformer with tied weights and a mask of -inf, and rank-4 adapters over a frozen base.
Five trainers, IID, all in every round; both arms share the initial model and every training's seed, average with equal
weights and treat buffers alike: none is sent, and BatchNorm's statistics are estimated from the owner's rows before a
model is measured. A run's figure is the mean test accuracy after its last three rounds; a row's is the mean over seeds
of float32's figure minus the integers', in points, so a positive value is a loss.

The adapters' base was trained on the owner's rows with the images turned by a quarter; it is encoded and loaded as a
task's frozen base is.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import nn

from fl_platform.learning.base import encode_base
from fl_platform.learning.datasets import Labelled, Split
from fl_platform.learning.evaluation import measure
from fl_platform.learning.parameters import initial_module, load_state, model_spec, state_arrays
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.task import DataTask
from fl_platform.learning.tasks import federate, load_split
from fl_platform.learning.train import train_locally
from fl_platform.updates.model_row import with_points
from fl_platform.updates.rounding import rounding_seed
from fl_platform.updates.scale import measured_scale
from scripts.bench.averaging import Arm, State, average, trained
from scripts.bench.harness import Row, at_most
from scripts.bench.zoo import ZOO, adapt, inputs_of, wide_mlp

PARTIES, ROOT_ROWS, ROUNDS, LAST, SEEDS, BAR = 5, 150, 5, 3, 3, 1.0
FLOAT, INT8, INT16 = Arm("float32", None), Arm("int8", 8), Arm("int16", 16)


@dataclass(frozen=True)
class Setting:
    """One model, how it is trained, and how wide its integers are."""

    model: str
    plan: TrainPlan
    arm: Arm = INT8


SETTINGS = (
    Setting("batchnorm-cnn", TrainPlan(epochs=2, batch_size=16, learning_rate=0.05, momentum=0.9)),
    Setting("resnet", TrainPlan(epochs=2, batch_size=16, learning_rate=0.05, momentum=0.9)),
    Setting("lstm", TrainPlan(epochs=5, batch_size=16, learning_rate=0.01, optimizer="adam")),
    Setting("transformer", TrainPlan(epochs=5, batch_size=16, learning_rate=0.005, optimizer="adam")),
    Setting("lora", TrainPlan(epochs=4, batch_size=16, learning_rate=0.02, momentum=0.9), INT16),
)


@dataclass(frozen=True)
class Seats:
    """One seed's parties and owner, with the model that all start from."""

    setting: Setting
    seed: int
    root: Labelled
    parties: tuple[Labelled, ...]
    test: Labelled

    @cached_property
    def start(self) -> nn.Module:
        """The seeded model; a base is trained for what adapts one."""
        if self.setting.model != "lora":
            return initial_module(ZOO[self.setting.model], seed=self.seed)
        turned = Labelled(np.rot90(self.root.x, axes=(2, 3)).copy(), self.root.y)
        module = initial_module(wide_mlp, seed=self.seed)
        state, plan = state_arrays(module), TrainPlan(epochs=20, batch_size=16, learning_rate=0.05)
        delta = train_locally(DataTask(wide_mlp, turned, turned), state, plan=plan, seed=self.seed).delta
        load_state(module, {name: state[name] + delta[name] for name in state})
        return initial_module(lambda: adapt(module), seed=self.seed)  # type: ignore[arg-type]

    def task(self, rows: Labelled) -> DataTask:
        """Rows as the model takes them; what counts is the test set."""
        return DataTask(ZOO[self.setting.model], self._fit(rows), self._fit(self.test))

    def _fit(self, rows: Labelled) -> Labelled:
        return Labelled(inputs_of(self.setting.model, rows.x), rows.y)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this benchmark's options."""
    parser.add_argument("--models", default=",".join(setting.model for setting in SETTINGS), help="comma-separated")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="seeds 1..N")


def run(args: argparse.Namespace) -> Iterator[Row]:
    """Train every model in both arms and report what the integers lose."""
    chosen = args.models.split(",")
    seeds = range(1, (1 if args.quick else args.seeds) + 1)
    for setting in SETTINGS:
        if setting.model in chosen:
            yield from rows_of(setting, seeds)


def rows_of(setting: Setting, seeds: range) -> Iterator[Row]:
    """Report one model: what is sent of it, float32's accuracy, and the loss."""
    split = load_split("digits")
    figures: dict[Arm, list[float]] = {FLOAT: [], setting.arm: []}
    last: dict[Arm, list[float]] = {FLOAT: [], setting.arm: []}
    for seed in seeds:
        seats = seat(split, setting, seed)
        for arm, found in figures.items():
            accuracies = play(seats, arm)
            found.append(statistics.fmean(accuracies[-LAST:]))
            last[arm].append(accuracies[-1])
    model = model_spec(seats.start, setting.model)
    frozen = sum(value.numel() for value in seats.start.parameters()) - model.size
    yield Row(f"{setting.model}: parameters sent", model.size, "parameters", "frozen", frozen)
    reference = statistics.fmean(figures[FLOAT])
    yield Row(f"{setting.model}: accuracy float32 (round {ROUNDS}, seeds: {len(seeds)})", reference, "%")
    losses = [exact - value for exact, value in zip(figures[FLOAT], figures[setting.arm], strict=True)]
    yield at_most(
        f"{setting.model}: loss {setting.arm.name}", statistics.fmean(losses), BAR, unit="points",
        reference="accuracy float32, %", reference_value=reference,
    )  # fmt: skip
    final = statistics.fmean(last[FLOAT]) - statistics.fmean(last[setting.arm])
    yield at_most(f"{setting.model}: loss {setting.arm.name} after round {ROUNDS} alone", final, BAR, unit="points")
    yield Row(f"{setting.model}: largest loss {setting.arm.name} of a seed", max(losses), "points")


def seat(split: Split, setting: Setting, seed: int) -> Seats:
    """Deal digits to the owner and the trainers."""
    dealt = federate(split, model="digits-mlp", parties=PARTIES, root_rows=ROOT_ROWS, seed=seed)
    return Seats(setting, seed, dealt.root, tuple(party.train for party in dealt.parties), split.test)


def play(seats: Seats, arm: Arm, rounds: int = ROUNDS) -> list[float]:
    """Train one federation in one arm; returns the test accuracy after each round, in percent."""
    start, seed, plan = seats.start, seats.seed, seats.setting.plan
    model, base = model_spec(start, seats.setting.model), encode_base(start)
    state: State = state_arrays(start)
    owner, parties = seats.task(seats.root), [seats.task(rows) for rows in seats.parties]

    def learn(task: DataTask, state: State, number: int, party: int) -> State:
        return train_locally(task, state, plan=plan, seed=(seed * 100 + number) * 100 + party, base=base).delta

    first = scale = None
    if arm.bits is not None:
        delta = learn(owner, state, 0, PARTIES)
        first = scale = measured_scale(delta, model=model, bits=arm.bits)
        model = with_points(model, scale, state, trained(state, delta))
    accuracies = []
    for number in range(rounds):
        deltas = [learn(task, state, number, party) for party, task in enumerate(parties)]
        seeds = [rounding_seed(bytes([party]) * 32, task=seed, round_number=number) for party in range(len(parties))]
        averaged = average(state, deltas, model=model, scale=scale, arm=arm, seeds=seeds, first=first)
        state, scale = averaged.state, averaged.scale
        accuracies.append(100 * measure(owner, state, base=base).value)
    return accuracies
