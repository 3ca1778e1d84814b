"""A table of numbers, one row a patient: is a tumour malignant? Replace `rows.csv` and the names below by your own.

Each party has a file of its own with the same columns. Nothing of it leaves the machine but the update that is computed
from it.

Tests: tests/e2e/test_hour.py
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from torch import nn

from fl_platform.learning import Labelled, LearningTask
from fl_platform.learning.metrics import AreaUnderCurve, Metric

FILE = Path(__file__).parent / "rows.csv"
TARGET = "malignant"  # 0 or 1
# Centre and spread of each column, agreed on by all parties: whoever takes its own rows' teaches another model.
SCALE = {
    "radius": (14.1, 3.5), "texture": (19.3, 4.3), "perimeter": (92.0, 24.3), "area": (655.0, 352.0),
    "smoothness": (0.096, 0.014), "compactness": (0.104, 0.053), "concavity": (0.089, 0.08),
    "concave_points": (0.049, 0.039), "symmetry": (0.181, 0.027), "fractal_dimension": (0.063, 0.007),
}  # fmt: skip
HELD_OUT = 5  # every fifth row is for validation


class Mine(LearningTask):
    """The task; commands call it task:Mine."""

    def model(self) -> nn.Module:
        """A small network; all parties must build the same."""
        return nn.Sequential(nn.Linear(len(SCALE), 16), nn.ReLU(), nn.Linear(16, 2))

    def train_data(self) -> Labelled:
        """Rows to learn from."""
        rows = table()
        return rows.take(np.flatnonzero(np.arange(len(rows)) % HELD_OUT != 0))

    def validation_data(self) -> Labelled:
        """Rows that are only measured on."""
        return table().take(slice(0, None, HELD_OUT))

    def metric(self) -> Metric:
        """How often a malignant row is ranked over a benign one."""
        return AreaUnderCurve()


def table() -> Labelled:
    """Read the file: columns by name, scaled."""
    with FILE.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    scaled = [[(float(row[name]) - centre) / spread for name, (centre, spread) in SCALE.items()] for row in rows]
    return Labelled(np.array(scaled, np.float32), np.array([int(row[TARGET]) for row in rows]))
