"""A data owner's own task, as it would write it: the text of a module."""

TASK = """
import numpy as np
from torch import nn
from fl_platform.learning import Labelled, LearningTask

class Mine(LearningTask):
    def model(self):
        return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    def rows(self, count, seed):
        rng = np.random.default_rng(seed)
        y = rng.integers(0, 3, count)
        return Labelled(rng.normal(size=(count, 3)) + 3 * np.eye(3)[y], y)
    def train_data(self):
        return self.rows(300, 1)
    def validation_data(self):
        return self.rows(100, 2)
"""
