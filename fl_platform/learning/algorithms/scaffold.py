"""SCAFFOLD: descent corrected for what one's own rows pull aside (Karimireddy et al. 2020, arXiv 1910.06378).

Algorithm 1, option II: each step is y <- y - r (g - c_i + c), and after K steps c_i <- c_i - c + (x - y) / (K r). The
paper's server keeps c, the mean of all c_i, and sends it along. Here nothing more travels: when all trained from the
same x with K steps, the mean of the new c_i is c - c + mean(x - y) / (K r), and mean(x - y) is what two public models
differ by. So c = (model before - parent) / (K r) with the rate of the round before; K is one's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from fl_platform.errors import ConfigError
from fl_platform.learning.algorithms.seam import Algorithm, Local, LocalResult, Tensors, descend
from fl_platform.learning.plan import TrainPlan

_STEPS = ".steps"  # of the round that the memory is from; no parameter has a dot in front


class Scaffold(Algorithm):
    """FedAvg with control variates."""

    name = "scaffold"

    def check(self, plan: TrainPlan) -> None:
        """Refuse steps that are not the gradient's: the control variate would be of another size."""
        super().check(plan)
        if plan.optimizer != "sgd" or plan.momentum or plan.weight_decay:
            raise ConfigError("scaffold corrects plain gradient steps: use --optimizer sgd without momentum and decay")

    def run(self, local: Local) -> LocalResult:
        """See Algorithm."""
        own = local.memory if _fits(local.memory, local.parent) else {}
        common = self._common(local, own)
        shift = {}  # c - c_i of each weight
        for name, weight in local.learned.items():
            shift[id(weight)] = common[name] - own[name].to(common[name]) if own else common[name]

        def adjust(weights: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor]) -> None:
            for weight, gradient in zip(weights, gradients, strict=True):
                gradient.add_(shift[id(weight)])

        result = descend(local, adjust)
        reach = max(1, result.steps) * local.rate
        memory = {
            name: (local.parent[name] - weight.detach()) / reach - shift[id(weight)]
            for name, weight in local.learned.items()
        }
        steps = torch.tensor(result.steps, dtype=torch.float32)
        return LocalResult(result.steps, result.losses, {**memory, _STEPS: steps})

    def _common(self, local: Local, own: Tensors) -> Mapping[str, torch.Tensor]:
        """Return c: zero in the first round, and for whoever has taken no part yet and knows no K."""
        if not own or not local.previous or not local.rate_before:
            return {name: torch.zeros_like(value) for name, value in local.parent.items()}
        reach = max(1.0, float(own[_STEPS])) * local.rate_before
        before = local.previous[0]
        return {name: (before[name].to(value) - value) / reach for name, value in local.parent.items()}


def _fits(memory: Tensors, parent: Tensors) -> bool:
    """Whether a memory is of this model: the folder may be an older one, of a task of the same number elsewhere."""
    shapes = {name: tensor.shape for name, tensor in memory.items()}
    return shapes == {**{name: tensor.shape for name, tensor in parent.items()}, _STEPS: torch.Size()}
