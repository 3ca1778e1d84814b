"""Lines of text with a class each: which part of Python's own library is a line from? Replace `lines` by your own.

Text becomes bytes, bytes become numbers 0 to 255, and the model embeds them: whole numbers stay whole on their way.

Tests: tests/unit/cli/test_new.py
"""

from __future__ import annotations

import argparse
import decimal
import inspect
import socket
import unittest.case

import numpy as np
import torch
from torch import nn

from fl_platform.learning import Labelled, LearningTask

SOURCES = (argparse, decimal, socket, unittest.case)  # one class each
LENGTH = 48  # bytes of a line that are read
HELD_OUT = 5  # every fifth line is for validation


class Reader(nn.Module):
    """Bytes to classes: an embedding, a recurrent layer, the mean over the line."""

    def __init__(self, classes: int) -> None:
        """Build the layers for so many classes."""
        super().__init__()
        self.embedding = nn.Embedding(256, 16)
        self.layer = nn.GRU(16, 32, batch_first=True)
        self.head = nn.Linear(32, classes)

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        """Return logits (n, classes) of lines (n, LENGTH)."""
        states, _ = self.layer(self.embedding(text))
        logits: torch.Tensor = self.head(states.mean(dim=1))
        return logits


class Mine(LearningTask):
    """The task; commands call it task:Mine."""

    def model(self) -> nn.Module:
        """The reader above; all parties must build the same."""
        return Reader(len(SOURCES))

    def train_data(self) -> Labelled:
        """Lines to learn from."""
        rows = lines()
        return rows.take(np.flatnonzero(np.arange(len(rows)) % HELD_OUT != 0))

    def validation_data(self) -> Labelled:
        """Lines that are only measured on."""
        return lines().take(slice(0, None, HELD_OUT))


def lines() -> Labelled:
    """Return all lines: int64 (n, LENGTH) of bytes, filled up with zeros, and the number of their source."""
    texts, classes = [], []
    for number, module in enumerate(SOURCES):
        for line in inspect.getsource(module).splitlines():
            if len(line.strip()) > 10:
                texts.append(list(line.strip().encode()[:LENGTH].ljust(LENGTH, b"\0")))
                classes.append(number)
    return Labelled(np.array(texts, np.int64), np.array(classes, np.int64))
