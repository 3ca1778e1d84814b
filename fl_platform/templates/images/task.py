"""Small grey images with a class each: handwritten digits. Replace the two methods that return rows by your own.

For a folder of images a class, which need not fit in memory (extra `data`):

    from fl_platform.learning.sources import ImageFolder
    return ImageFolder("train", size=(64, 64), channels=3)

Tests: tests/e2e/test_hour.py
"""

from __future__ import annotations

from torch import nn

from fl_platform.learning import Labelled, LearningTask
from fl_platform.learning.datasets import load_digits_split

CLASSES = 10


class Mine(LearningTask):
    """The task; commands call it task:Mine."""

    def model(self) -> nn.Module:
        """A convolutional network with BatchNorm, whose statistics stay at home; all parties must build the same."""
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(128, CLASSES),
        )  # fmt: skip

    def train_data(self) -> Labelled:
        """Images to learn from: float32 (n, channels, height, width), and int64 (n,) classes from 0 on."""
        return load_digits_split().train

    def validation_data(self) -> Labelled:
        """Images that are only measured on."""
        return load_digits_split().test
