"""Each optimizer takes the steps of PyTorch's own class; clipping, precision and length of a round follow the plan."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fl_platform.errors import ConfigError
from fl_platform.learning.datasets import Labelled
from fl_platform.learning.machine import CPU, seeded
from fl_platform.learning.optimizers import make_optimizer
from fl_platform.learning.parameters import initial_state, load_state, state_arrays
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.task import DataTask
from fl_platform.learning.train import LocalUpdate, train_locally

ROWS = Labelled(
    np.random.default_rng(1).standard_normal((50, 6)).astype(np.float32), np.random.default_rng(2).integers(0, 3, 50)
)


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


def ours(plan: TrainPlan, seed: int = 5) -> LocalUpdate:
    return train_locally(DataTask(model, ROWS, ROWS), initial_state(model, seed=2), plan=plan, seed=seed)


@pytest.mark.parametrize("clip", [0.0, 0.05])
@pytest.mark.parametrize(
    ("name", "kind", "decay"),
    [("adam", torch.optim.Adam, 0.0), ("adam", torch.optim.Adam, 0.1), ("adamw", torch.optim.AdamW, 0.1)],
)
def test_adam_is_torchs_own(name: str, kind: type[torch.optim.Optimizer], decay: float, clip: float) -> None:
    plan = TrainPlan(2, 16, 0.01, weight_decay=decay, optimizer=name, clip_norm=clip)
    module, parent = model(), initial_state(model, seed=2)
    load_state(module, parent)
    optimizer = kind(module.parameters(), lr=0.01, weight_decay=decay)  # type: ignore[call-arg]
    order = np.random.Generator(np.random.Philox(5))
    with seeded(5, CPU):
        for _ in range(2):
            for rows in np.split(order.permutation(50), (16, 32, 48)):
                optimizer.zero_grad()
                batch = ROWS.take(rows)
                nn.functional.cross_entropy(module(torch.tensor(batch.x)), torch.tensor(batch.y)).backward()
                if clip:
                    nn.utils.clip_grad_norm_(module.parameters(), clip)
                optimizer.step()
    wanted, found = state_arrays(module), ours(plan).delta
    for key in parent:
        np.testing.assert_allclose(found[key], wanted[key] - parent[key], atol=2e-7)


def test_a_gradient_is_shortened_to_the_plans_length() -> None:
    """One step of rate 1: the delta is the gradient."""
    free, held = (ours(TrainPlan(1, 50, 1.0, clip_norm=clip)).delta for clip in (0.0, 0.01))
    length = np.sqrt(sum(float((part**2).sum()) for part in free.values()))
    assert length > 0.05
    for key in free:
        np.testing.assert_allclose(held[key], free[key] * (0.01 / length), rtol=1e-3, atol=1e-8)


def test_bfloat16_products_leave_float32_weights_and_end_near_float32() -> None:
    exact, rough = (ours(TrainPlan(4, 10, 0.1, precision=precision)) for precision in ("float32", "bf16"))
    difference = np.concatenate([(exact.delta[key] - rough.delta[key]).reshape(-1) for key in exact.delta])
    whole = np.concatenate([exact.delta[key].reshape(-1) for key in exact.delta])
    assert 0 < np.linalg.norm(difference) < 0.1 * np.linalg.norm(whole)
    assert all(part.dtype == np.float32 for part in rough.delta.values())


@pytest.mark.parametrize(("most", "steps"), [(0, 10), (1, 1), (7, 7), (100, 10)])
def test_a_round_ends_at_its_longest(most: int, steps: int) -> None:
    assert ours(TrainPlan(2, 10, 0.1, max_steps=most)).steps == steps


def test_losses_of_both_ends_show_that_something_was_learned() -> None:
    update = ours(TrainPlan(20, 10, 0.3))
    assert update.first_loss > update.mean_loss > update.last_loss > 0


def test_an_unknown_optimizer_is_refused() -> None:
    with pytest.raises(ConfigError, match="use sgd, adam or adamw"):
        make_optimizer(TrainPlan(1, 1, 0.1, optimizer="lbfgs"), fused=False)


@pytest.mark.parametrize(
    "plan",
    [
        TrainPlan(2, 10, 0.05, optimizer="adam"),
        TrainPlan(2, 10, 0.05, weight_decay=0.1, clip_norm=0.1),
        TrainPlan(2, 10, 0.05, algorithm="fedprox", parameters=(("mu_ppm", 100_000),)),
        TrainPlan(2, 10, 0.05, algorithm="scaffold"),
    ],
)
def test_a_sparse_gradient_takes_the_steps_of_a_dense_one(plan: TrainPlan) -> None:
    ids = Labelled(np.random.default_rng(3).integers(0, 9, (50, 4)), ROWS.y)

    def embedding(*, sparse: bool) -> nn.Module:
        return nn.Sequential(nn.EmbeddingBag(9, 3, sparse=sparse))

    parent = initial_state(lambda: embedding(sparse=False), seed=2)
    dense, sparse = (
        train_locally(DataTask(lambda: embedding(sparse=one), ids, ids), parent, plan=plan, seed=5)  # noqa: B023
        for one in (False, True)
    )
    assert np.abs(dense.delta["0.weight"]).max() > 0
    np.testing.assert_allclose(sparse.delta["0.weight"], dense.delta["0.weight"], atol=1e-6)
