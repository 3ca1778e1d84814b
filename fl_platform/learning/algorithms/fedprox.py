"""FedProx: descent that is held near the parent model (Li et al. 2020, arXiv 1812.06127, equation 2).

The local loss is f(y) + mu / 2 |y - x|^2 with x the parent, so each gradient grows by mu (y - x).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from fl_platform.learning.algorithms.seam import Algorithm, Local, LocalResult, descend


class FedProx(Algorithm):
    """FedAvg with a proximal term."""

    name = "fedprox"
    parameters = {"mu_ppm": (10_000, 0, 10**9)}  # noqa: RUF012  # read, never written

    def run(self, local: Local) -> LocalResult:
        """See Algorithm."""
        mu = local.value("mu_ppm") / 1e6
        home = {id(weight): local.parent[name] for name, weight in local.learned.items()}

        def adjust(weights: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor]) -> None:
            for weight, gradient in zip(weights, gradients, strict=True):
                gradient.add_(weight - home[id(weight)], alpha=mu)

        return descend(local, adjust)
