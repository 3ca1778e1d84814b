"""FedProx against its formula, by hand in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fl_platform.errors import ConfigError
from fl_platform.learning.algorithms import algorithm_of, parameters_of
from fl_platform.learning.datasets import Labelled
from fl_platform.learning.parameters import initial_state
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.task import DataTask
from fl_platform.learning.train import train_locally

ROWS = Labelled(np.random.default_rng(1).standard_normal((20, 4)).astype(np.float32), np.arange(20) % 3)


def model() -> nn.Module:
    return nn.Linear(4, 3)


def delta(mu_ppm: int, epochs: int = 5) -> dict[str, np.ndarray]:
    plan = TrainPlan(epochs, 20, 0.5, algorithm="fedprox", parameters=(("mu_ppm", mu_ppm),))
    return dict(train_locally(DataTask(model, ROWS, ROWS), initial_state(model, seed=3), plan=plan, seed=1).delta)


def test_each_step_is_drawn_back_by_mu_times_the_way_from_the_parent() -> None:
    parent = {name: value.astype(np.float64) for name, value in initial_state(model, seed=3).items()}
    weights = {name: value.copy() for name, value in parent.items()}
    for _ in range(5):
        logits = ROWS.x.astype(np.float64) @ weights["weight"].T + weights["bias"]
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        error = (odds / odds.sum(axis=1, keepdims=True) - np.eye(3)[ROWS.y]) / 20
        slopes = {"weight": error.T @ ROWS.x, "bias": error.sum(axis=0)}
        weights = {key: weights[key] - 0.5 * (slopes[key] + 0.7 * (weights[key] - parent[key])) for key in weights}
    found = delta(700_000)
    for key, value in found.items():
        np.testing.assert_allclose(value, weights[key] - parent[key], atol=1e-6)


def test_without_a_pull_it_is_fedavg_and_a_strong_one_stays_at_home() -> None:
    task, parent = DataTask(model, ROWS, ROWS), initial_state(model, seed=3)
    plain = train_locally(task, parent, plan=TrainPlan(5, 20, 0.5), seed=1).delta
    assert all(np.array_equal(plain[key], value) for key, value in delta(0).items())
    assert np.linalg.norm(delta(1_900_000)["weight"]) < 0.5 * np.linalg.norm(plain["weight"])


def test_its_parameter_is_read_and_held_to_its_bounds() -> None:
    assert parameters_of("fedprox") == ("fedprox", (("mu_ppm", 10_000),))
    assert parameters_of("fedprox:mu_ppm=5") == ("fedprox", (("mu_ppm", 5),))
    for text in ("fedprox:mu_ppm=x", "fedprox:mu_ppm", "fedavg2"):
        with pytest.raises(ConfigError):
            parameters_of(text)
    for parameters in ((("mu_ppm", -1),), (("nu", 1),), ()):
        with pytest.raises(ConfigError, match="fedprox"):
            algorithm_of(TrainPlan(1, 1, 0.1, algorithm="fedprox", parameters=parameters))


def test_it_works_on_a_shape_of_no_axes() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.scale = nn.Linear(4, 3), nn.Parameter(torch.tensor(1.0))

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return self.inner(rows) * self.scale

    plan = TrainPlan(2, 5, 0.5, algorithm="fedprox", parameters=(("mu_ppm", 1000),))
    found = train_locally(DataTask(Scaled, ROWS, ROWS), initial_state(Scaled, seed=3), plan=plan, seed=1).delta
    assert found["scale"].shape == ()
    assert found["scale"] != 0
