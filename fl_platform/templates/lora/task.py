"""A large model that nobody changes, and small adapters that are learned: LoRA (Hu et al. 2021, arXiv 2106.09685).

Only the adapters travel. The base is stored once, under the digest that the task's rules name. Replace `Base` by the
model that you start from, with its own weights loaded in `model()`.

Tests: tests/unit/cli/test_new.py
"""

from __future__ import annotations

import torch
from torch import nn

from fl_platform.learning import Labelled, LearningTask
from fl_platform.learning.datasets import load_digits_split

RANK = 4
WIDTH = 256


class Adapter(nn.Module):
    """A frozen linear layer W and a learned change of low rank: W x + B A x."""

    def __init__(self, frozen: nn.Linear) -> None:
        """Freeze a layer and put a change of nothing beside it."""
        super().__init__()
        self.frozen = frozen.requires_grad_(requires_grad=False)
        self.a = nn.Parameter(torch.randn(RANK, frozen.in_features) / frozen.in_features**0.5)
        self.b = nn.Parameter(torch.zeros(frozen.out_features, RANK))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the changed layer's outputs."""
        kept: torch.Tensor = self.frozen(rows)
        return kept + rows @ self.a.T @ self.b.T


class Base(nn.Sequential):
    """The model to start from."""

    def __init__(self) -> None:
        """Build it with weights that follow from a seed, in place of those that somebody trained."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            super().__init__(
                nn.Flatten(), nn.Linear(64, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10)
            )


class Mine(LearningTask):
    """The task; commands call it task:Mine."""

    def model(self) -> nn.Module:
        """The base with an adapter around each linear layer."""
        return nn.Sequential(*(Adapter(layer) if isinstance(layer, nn.Linear) else layer for layer in Base()))

    def train_data(self) -> Labelled:
        """Rows to learn from."""
        return load_digits_split().train

    def validation_data(self) -> Labelled:
        """Rows that are only measured on."""
        return load_digits_split().test
