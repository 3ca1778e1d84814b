"""FedAvg: local epochs of plain descent (McMahan et al. 2017, arXiv 1602.05629, algorithm 1).

Tests: tests/unit/learning/test_train.py
"""

from __future__ import annotations

from fl_platform.learning.algorithms.seam import Algorithm, Local, LocalResult, descend


class FedAvg(Algorithm):
    """y <- y - rate * grad f(y), from the parent model."""

    name = "fedavg"

    def run(self, local: Local) -> LocalResult:
        """See Algorithm."""
        return descend(local)
