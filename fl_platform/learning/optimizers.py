"""Steps of SGD, Adam and AdamW by PyTorch's own functions.

PyTorch's optimizer classes import torch._dynamo, .7 CPU-s a process; its functions do not, and compute the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from fl_platform.errors import ConfigError
from fl_platform.learning.plan import TrainPlan

Weights = Sequence[torch.Tensor]
BETAS = (0.9, 0.999)  # of Adam and AdamW, as in their papers
EPSILON = 1e-8


class Optimizer(Protocol):
    """Moves weights by their gradients."""

    def step(self, weights: Weights, gradients: Weights, rate: float) -> None:
        """Take one step in place; both lists have the same order in every call."""


class Sgd:
    """w -= rate * v, with v = momentum * v + g + decay * w (Sutskever et al. 2013, as PyTorch writes it)."""

    def __init__(self, plan: TrainPlan, *, fused: bool) -> None:
        self._plan, self._fused = plan, fused
        self._velocity: dict[int, torch.Tensor | None] = {}

    def step(self, weights: Weights, gradients: Weights, rate: float) -> None:
        """See Optimizer."""
        buffers = [self._velocity.get(id(weight)) for weight in weights]
        sgd(
            list(weights),
            list(gradients),
            buffers,
            fused=self._fused or None,
            lr=rate,
            momentum=self._plan.momentum,
            weight_decay=self._plan.weight_decay,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )
        self._velocity.update((id(weight), buffer) for weight, buffer in zip(weights, buffers, strict=True))


class Adam:
    """Adam (Kingma & Ba 2015), or with decoupled weight decay AdamW (Loshchilov & Hutter 2019)."""

    def __init__(self, plan: TrainPlan, *, decoupled: bool) -> None:
        self._plan, self._decoupled = plan, decoupled
        self._moments: dict[int, tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = {}

    def step(self, weights: Weights, gradients: Weights, rate: float) -> None:
        """See Optimizer."""
        states = [self._state(weight) for weight in weights]
        adam(
            list(weights),
            list(gradients),
            [first for first, _, _ in states],
            [second for _, second, _ in states],
            [],
            [count for _, _, count in states],
            fused=True,
            decoupled_weight_decay=self._decoupled,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=rate,
            weight_decay=self._plan.weight_decay,
            eps=EPSILON,
            maximize=False,
        )

    def _state(self, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if id(weight) not in self._moments:
            self._moments[id(weight)] = (
                torch.zeros_like(weight),
                torch.zeros_like(weight),
                torch.zeros((), dtype=torch.float32, device=weight.device),
            )
        return self._moments[id(weight)]


def make_optimizer(plan: TrainPlan, *, fused: bool) -> Optimizer:
    """Return the plan's optimizer with a fresh state. `fused`: SGD in one kernel (CUDA). Raises ConfigError."""
    if plan.optimizer == "sgd":
        return Sgd(plan, fused=fused)
    if plan.optimizer in ("adam", "adamw"):
        return Adam(plan, decoupled=plan.optimizer == "adamw")
    raise ConfigError(f"optimizer {plan.optimizer!r} is unknown; use sgd, adam or adamw")
