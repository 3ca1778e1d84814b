"""SCAFFOLD against the paper's own two-vector algorithm, which keeps its control variate at a server."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fl_platform.errors import ConfigError
from fl_platform.learning.algorithms import algorithm_of
from fl_platform.learning.datasets import Labelled
from fl_platform.learning.machine import CPU, seeded
from fl_platform.learning.parameters import State, initial_state, load_state, state_arrays
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.task import DataTask
from fl_platform.learning.train import Past, train_locally

PARTIES, ROUNDS, ROWS, BATCH, RATE = 3, 4, 24, 8, 0.2
PLAN = TrainPlan(2, BATCH, RATE, algorithm="scaffold")


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))


def hands() -> list[Labelled]:
    rng = np.random.default_rng(4)
    return [
        Labelled(rng.standard_normal((ROWS, 4)).astype(np.float32) + party, rng.integers(0, 2, ROWS) + party % 2)
        for party in range(PARTIES)
    ]


def mean_of(states: list[State]) -> dict[str, np.ndarray]:
    return {name: np.mean([state[name] for state in states], axis=0, dtype=np.float64) for name in states[0]}


def by_the_paper() -> list[State]:
    """Algorithm 1 of arXiv 1910.06378 with option II: the server keeps c and sends it along with x."""
    x = initial_state(model, seed=7)
    zero = {name: np.zeros_like(value) for name, value in x.items()}
    c, own, after = dict(zero), [dict(zero) for _ in range(PARTIES)], []
    for number in range(ROUNDS):
        ends, moved = [], []
        for party, rows in enumerate(hands()):
            module, order = model(), np.random.Generator(np.random.Philox(10 * number + party))
            load_state(module, x)
            with seeded(0, CPU):
                for _ in range(2):
                    for chosen in np.split(order.permutation(ROWS), ROWS // BATCH):
                        module.zero_grad()
                        batch = rows.take(chosen)
                        nn.functional.cross_entropy(module(torch.tensor(batch.x)), torch.tensor(batch.y)).backward()
                        with torch.no_grad():
                            for name, weight in module.named_parameters():
                                assert weight.grad is not None
                                weight -= RATE * (weight.grad - torch.tensor(own[party][name]) + torch.tensor(c[name]))
            y, steps = state_arrays(module), 2 * ROWS // BATCH
            new = {name: own[party][name] - c[name] + (x[name] - y[name]) / (steps * RATE) for name in x}
            moved.append({name: new[name] - own[party][name] for name in x})
            ends.append(y)
            own[party] = new
        x = {name: value.astype(np.float32) for name, value in mean_of(ends).items()}
        c = {name: (c[name] + value).astype(np.float32) for name, value in mean_of(moved).items()}
        after.append(x)
    return after


def by_ours() -> list[State]:
    """No second vector travels: each party sees public models and its own memory."""
    states: list[State] = [initial_state(model, seed=7)]
    memories: list[State] = [{} for _ in range(PARTIES)]
    for number in range(ROUNDS):
        deltas = []
        for party, rows in enumerate(hands()):
            update = train_locally(
                DataTask(model, rows, rows), states[-1], plan=PLAN, seed=10 * number + party,
                past=Past(number, ROUNDS, tuple(reversed(states[:-1])), memories[party]),
            )  # fmt: skip
            memories[party] = update.memory
            deltas.append(update.delta)
        step = mean_of(deltas)
        states.append({name: (states[-1][name] + step[name]).astype(np.float32) for name in step})
    return states[1:]


def test_public_models_stand_for_the_servers_control_variate() -> None:
    for ours, paper in zip(by_ours(), by_the_paper(), strict=True):
        for name in paper:
            np.testing.assert_allclose(ours[name], paper[name], atol=2e-6)


def test_the_first_round_is_fedavg() -> None:
    rows = hands()[0]
    task, parent = DataTask(model, rows, rows), initial_state(model, seed=7)
    plain = train_locally(task, parent, plan=TrainPlan(2, BATCH, RATE), seed=3).delta
    first = train_locally(task, parent, plan=PLAN, seed=3)
    assert all(np.array_equal(plain[name], first.delta[name]) for name in plain)
    assert set(first.memory) == {*plain, ".steps"}


def test_a_memory_of_another_model_or_algorithm_is_none() -> None:
    rows, parent = hands()[0], initial_state(model, seed=7)
    task, name = DataTask(model, rows, rows), next(iter(parent))
    first = train_locally(task, parent, plan=PLAN, seed=3)
    good = dict(first.memory)
    for wrong in (
        {"velocity": np.zeros(3, np.float32)}, {**good, name: np.zeros((2, 2), np.float32)},
        {key: value for key, value in good.items() if key != name}, {key: good[key] for key in parent},
    ):  # fmt: skip
        again = train_locally(task, parent, plan=PLAN, seed=3, past=Past(1, 3, (parent,), wrong))
        assert all(np.array_equal(first.delta[key], again.delta[key]) for key in parent)


@pytest.mark.parametrize(
    "plan",
    [
        TrainPlan(1, 1, 0.1, momentum=0.9, algorithm="scaffold"),
        TrainPlan(1, 1, 0.1, optimizer="adam", algorithm="scaffold"),
        TrainPlan(1, 1, 0.1, weight_decay=0.1, algorithm="scaffold"),
    ],
)
def test_steps_that_are_not_the_gradients_are_refused(plan: TrainPlan) -> None:
    with pytest.raises(ConfigError, match="plain gradient steps"):
        algorithm_of(plan)
