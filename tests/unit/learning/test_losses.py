"""Losses by kind of task, against sums written out; and a data owner's own task of each kind, learned and measured."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from fl_platform.errors import ConfigError
from fl_platform.learning.evaluation import measure
from fl_platform.learning.losses import (
    aligned,
    binary_cross_entropy,
    cross_entropy,
    mean_squared_error,
    token_cross_entropy,
)
from fl_platform.learning.metrics import (
    AreaUnderCurve,
    IntersectionOverUnion,
    MeanSquaredError,
    Metric,
    TokenAccuracy,
)
from fl_platform.learning.parameters import initial_state
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.task import LearningTask
from fl_platform.learning.train import train_locally


def surprise(logits: np.ndarray, target: int) -> float:
    """-log softmax(logits)[target], in Python's floats."""
    return math.log(sum(math.exp(float(value)) for value in logits)) - float(logits[target])


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_cross_entropy_of_classes_is_the_mean_surprise_and_torchs_own_bits(rng: np.random.Generator) -> None:
    logits, targets = rng.normal(size=(12, 5)).astype(np.float32), rng.integers(0, 5, 12)
    found = cross_entropy(torch.tensor(logits), torch.tensor(targets))
    assert float(found) == pytest.approx(np.mean([surprise(*pair) for pair in zip(logits, targets, strict=True)]))
    assert torch.equal(found, torch.nn.functional.cross_entropy(torch.tensor(logits), torch.tensor(targets)))


def test_cross_entropy_of_masks_counts_every_pixel_but_the_unlabelled(rng: np.random.Generator) -> None:
    logits, masks = rng.normal(size=(2, 3, 4, 5)), rng.integers(0, 3, (2, 4, 5))
    masks[0, :2] = -100
    kept = [surprise(logits[n, :, h, w], masks[n, h, w]) for n, h, w in np.argwhere(masks >= 0)]
    assert len(kept) == 30
    assert float(cross_entropy(torch.tensor(logits), torch.tensor(masks))) == pytest.approx(np.mean(kept))


def test_a_batch_of_rows_without_a_label_has_no_loss_and_not_nan() -> None:
    logits = torch.randn(3, 4, requires_grad=True)
    nothing = cross_entropy(logits, torch.full((3,), -100))
    nothing.backward()  # type: ignore[no-untyped-call]
    assert not nothing.detach()
    assert logits.grad is not None
    assert not logits.grad.any()
    some = torch.tensor([-100, 2, -100])
    torch.testing.assert_close(cross_entropy(logits, some), cross_entropy(logits[1:2], some[1:2]))


@pytest.mark.parametrize("ignore", [-100, 0])
def test_token_cross_entropy_leaves_padding_out(rng: np.random.Generator, ignore: int) -> None:
    logits, tokens = rng.normal(size=(3, 6, 7)), rng.integers(1, 7, (3, 6))
    tokens[1, 2:] = ignore
    kept = [surprise(logits[n, t], tokens[n, t]) for n, t in np.argwhere(tokens != ignore)]
    found = token_cross_entropy(torch.tensor(logits), torch.tensor(tokens), ignore=ignore)
    assert float(found) == pytest.approx(np.mean(kept))


def test_a_batch_without_any_counted_token_or_pixel_moves_nothing() -> None:
    logits = torch.randn(2, 3, 4, requires_grad=True)
    token_cross_entropy(logits, torch.full((2, 3), -100)).backward()
    assert logits.grad is not None
    assert not logits.grad.any()
    assert float(cross_entropy(torch.randn(2, 3, 4), torch.full((2, 4), -100))) == 0


@pytest.mark.parametrize("shape", [(9,), (9, 1)])
@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.bool])
def test_binary_cross_entropy_takes_flat_and_column_logits(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    logits, targets = rng.normal(size=9), rng.integers(0, 2, 9)
    by_hand = np.mean([surprise(np.array([0.0, logit]), t) for logit, t in zip(logits, targets, strict=True)])
    found = binary_cross_entropy(torch.tensor(logits).reshape(shape), torch.tensor(targets).to(dtype))
    assert float(found) == pytest.approx(by_hand)


def test_mean_squared_error_of_a_column_against_a_row_is_not_broadcast(rng: np.random.Generator) -> None:
    predicted, wanted = rng.normal(size=8), rng.normal(size=8)
    by_hand = sum((a - b) ** 2 for a, b in zip(predicted, wanted, strict=True)) / 8
    for outputs, targets in ((predicted[:, None], wanted), (predicted, wanted[:, None]), (predicted, wanted)):
        assert float(mean_squared_error(torch.tensor(outputs), torch.tensor(targets))) == pytest.approx(by_hand)


def test_shapes_that_do_not_fit_are_refused_with_both_named() -> None:
    with pytest.raises(ConfigError, match=r"\(4, 3\) against targets of shape \(4,\)"):
        aligned(torch.zeros(4, 3), torch.zeros(4))


# --- a data owner's own task: the rows, a model, and one method where classes are not what is learned ----------------

Rows = tuple[np.ndarray, np.ndarray]


class Own(LearningTask):
    """Rows that are drawn anew from a seed."""

    def draw(self, rng: np.random.Generator) -> Rows:
        raise NotImplementedError

    def train_data(self) -> Rows:
        return self.draw(np.random.default_rng(1))

    def validation_data(self) -> Rows:
        return self.draw(np.random.default_rng(2))


class Prices(Own):
    """Numbers from numbers."""

    def model(self) -> nn.Module:
        return nn.Linear(3, 1)

    def draw(self, rng: np.random.Generator) -> Rows:
        x = rng.normal(size=(200, 3))
        return x, x @ [2.0, -1.0, 0.5] + 4

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return mean_squared_error(outputs, targets)

    def metric(self) -> Metric:
        return MeanSquaredError()


class Default(Own):
    """One of two, by one logit."""

    def model(self) -> nn.Module:
        return nn.Linear(2, 1)

    def draw(self, rng: np.random.Generator) -> Rows:
        x = rng.normal(size=(200, 2))
        return x, x[:, 0] > x[:, 1]

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return binary_cross_entropy(outputs, targets)

    def metric(self) -> Metric:
        return AreaUnderCurve()


class Sentences(Own):
    """Tokens from tokens: each is followed by the next of seven; the ends are padded."""

    def model(self) -> nn.Module:
        return nn.Sequential(nn.Embedding(7, 16), nn.Linear(16, 7))

    def draw(self, rng: np.random.Generator) -> Rows:
        ids = (rng.integers(0, 7, (60, 1)) + np.arange(9)) % 7
        following = (ids + 1) % 7
        following[::2, 6:] = -100
        return ids, following

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return token_cross_entropy(outputs, targets)

    def metric(self) -> Metric:
        return TokenAccuracy()


class Bright(Own):
    """A class for each pixel: cross-entropy takes masks as it is."""

    def model(self) -> nn.Module:
        return nn.Conv2d(1, 2, 3, padding=1)

    def draw(self, rng: np.random.Generator) -> Rows:
        images = rng.random((60, 1, 8, 8))
        return images, (images[:, 0] > 0.7).astype(np.int64)

    def metric(self) -> Metric:
        return IntersectionOverUnion(2)


@pytest.mark.parametrize(
    ("make", "rate", "bar"), [(Prices, 0.05, 0.01), (Default, 0.5, 0.99), (Sentences, 0.5, 1.0), (Bright, 1.0, 0.8)]
)
def test_an_own_task_of_each_kind_is_learned_and_measured(make: Callable[[], Own], rate: float, bar: float) -> None:
    task = make()
    parent = initial_state(task.model, seed=3)
    update = train_locally(task, parent, plan=TrainPlan(8, 10, rate), seed=3)
    before = measure(task, parent)
    after = measure(task, {name: parent[name] + change for name, change in update.delta.items()})
    assert after.loss < 0.5 * before.loss
    good, bad = (after.value, before.value) if task.metric().larger_is_better else (-after.value, -before.value)
    assert good > bad
    assert good >= (bar if task.metric().larger_is_better else -bar)
