"""Local training against a plain PyTorch loop that takes the same steps, CPU-seconds, one thread.

Both start from the same parent on the same rows in memory, with the same batches and optimizer, and end with the delta
in arrays. The plain loop is what a tutorial shows: a module, torch.optim, zero_grad, backward, step. Ours keeps its
module and rows between rounds, as a resident trainer does; the loop keeps them, too.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from fl_platform.learning.datasets import Labelled
from fl_platform.learning.models import digits_mlp, mnist_cnn, mnist_mlp
from fl_platform.learning.parameters import State, initial_state, load_state, state_arrays
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.task import DataTask
from fl_platform.learning.train import Bench, train_locally
from scripts.bench.harness import Row, at_most, paired_cpu_time

BAR = 1.05


@dataclass(frozen=True)
class Case:
    """One model, its rows and its plan."""

    name: str
    factory: Callable[[], nn.Module]
    shape: tuple[int, ...]
    rows: int
    plan: TrainPlan


CASES = (
    Case("McMahan's CNN, 1,663,370 parameters, sgd", mnist_cnn, (1, 28, 28), 600, TrainPlan(1, 32, 0.05)),
    Case("McMahan's CNN, momentum and decay", mnist_cnn, (1, 28, 28), 600, TrainPlan(1, 32, 0.05, 0.9, 1e-4)),
    Case("McMahan's CNN, adamw", mnist_cnn, (1, 28, 28), 600, TrainPlan(1, 32, 1e-3, 0.0, 0.01, "adamw")),
    Case("McMahan's 2NN, 199,210 parameters, sgd", mnist_mlp, (1, 28, 28), 600, TrainPlan(5, 32, 0.05)),
    Case("digits MLP, 4,810 parameters, sgd", digits_mlp, (1, 8, 8), 180, TrainPlan(10, 16, 0.2)),
)


def run(args: argparse.Namespace) -> Iterator[Row]:
    """Measure each case; --quick: the smallest one, once, no bar."""
    for case in CASES[-1:] if args.quick else CASES:
        yield _row(case, repeats=1 if args.quick else 9, judged=not args.quick)


def _row(case: Case, *, repeats: int, judged: bool) -> Row:
    rng = np.random.default_rng(1)
    rows = Labelled(rng.standard_normal((case.rows, *case.shape), np.float32), rng.integers(0, 10, case.rows))
    task, parent, bench = DataTask(case.factory, rows, rows), initial_state(case.factory, seed=1), Bench()
    plain = Plain(case, rows, parent)
    found = paired_cpu_time(
        lambda: train_locally(task, parent, plan=case.plan, seed=1, bench=bench), plain.train, repeats=repeats
    )
    ratio = found.value / found.reference
    name = f"local training, {case.name}"
    row = at_most(
        name, found.value, BAR, ratio=ratio, unit="CPU-s", reference="a plain PyTorch loop of the same steps",
        reference_value=found.reference,
    )  # fmt: skip
    return row if judged else replace(row, bar=None, holds=None)


class Plain:
    """A plain loop."""

    def __init__(self, case: Case, rows: Labelled, parent: State) -> None:
        self._plan, self._parent = case.plan, parent
        self._module = case.factory().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._inputs, self._targets = torch.tensor(rows.x), torch.tensor(rows.y)

    def train(self) -> State:
        """Train from the parent and return the delta."""
        torch.set_num_threads(1)
        load_state(self._module, self._parent)
        self._module.train()
        optimizer = self._optimizer()
        for _ in range(self._plan.epochs):
            for chosen in torch.split(torch.randperm(len(self._targets)), self._plan.batch_size):
                optimizer.zero_grad(set_to_none=True)
                outputs = self._module(self._inputs[chosen])
                nn.functional.cross_entropy(outputs, self._targets[chosen]).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        return {name: value - self._parent[name] for name, value in state_arrays(self._module).items()}

    def _optimizer(self) -> torch.optim.Optimizer:
        plan, weights = self._plan, self._module.parameters()
        if plan.optimizer == "adamw":
            return torch.optim.AdamW(weights, lr=plan.learning_rate, weight_decay=plan.weight_decay)
        return torch.optim.SGD(
            weights, lr=plan.learning_rate, momentum=plan.momentum, weight_decay=plan.weight_decay
        )
