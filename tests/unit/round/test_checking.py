"""`task check`'s figures: integers' loss against an independent count, warnings where something is off, true gas."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fl_platform.errors import ConfigError, UpdateNotFinite
from fl_platform.learning import DataTask, Labelled, TrainPlan, load_digits_split
from fl_platform.learning.models import digits_mlp
from fl_platform.round.checking import Checked, check_task
from fl_platform.task.gas import GAS

ROOT = Path(__file__).resolve().parents[3]
SPLIT = load_digits_split()
DIGITS = DataTask(digits_mlp, SPLIT.train.take(slice(0, 300)), SPLIT.test)


def check(task: DataTask, plan: TrainPlan = TrainPlan(3, 16, 0.1), bits: int = 8) -> Checked:  # noqa: B008
    return check_task(task, name="own", plan=plan, bits=bits)


def test_a_good_task_is_measured_and_nothing_stands_out() -> None:
    found = check(DIGITS)
    assert found.warnings == ()
    assert (found.model.size, found.samples, found.update.steps) == (4810, 300, 57)
    assert found.after.value > found.before.value + 0.3
    assert found.wire_bytes == {4: 32 + 2405, 8: 32 + 4810, 16: 32 + 9620}
    assert found.whole.errors[16] < found.whole.errors[8] / 8 < found.whole.errors[4] / 16
    assert found.frozen_bytes == 0


def test_what_integers_lose_adds_up_over_the_tensors() -> None:
    """Squared lengths of what is lost add up, so the whole's share lies between the tensors'."""
    found = check(DIGITS)
    lengths = [float((found.update.delta[one.name] ** 2).sum()) for one in found.tensors]
    lost = sum(length * one.errors[8] ** 2 for length, one in zip(lengths, found.tensors, strict=True))
    assert found.whole.errors[8] == pytest.approx(math.sqrt(lost / sum(lengths)), rel=1e-4)


@dataclass(frozen=True)
class Frozen(DataTask):
    """The digits with a first layer that nobody learns."""

    def model(self) -> nn.Module:
        module = digits_mlp()
        for parameter in list(module.parameters())[:2]:
            parameter.requires_grad_(requires_grad=False)
        return module


def test_a_frozen_base_is_counted_apart() -> None:
    found = check(Frozen(digits_mlp, DIGITS.train, DIGITS.validation))
    assert found.model.size == 650
    assert found.frozen_bytes > 4 * 4160


def spoilt(column: float = 1.0, every: float = 1.0) -> DataTask:
    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, 200)
    x = (rng.normal(size=(200, 5)) + 2 * np.eye(5)[y]) * every
    x[:, 1] *= column
    return DataTask(lambda: nn.Linear(5, 3), Labelled(x, y), Labelled(x, y))


class Masking(nn.Linear):
    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return super().forward(rows.clamp(min=-10))


def masked() -> DataTask:
    y = np.arange(200) % 3
    x = np.where(np.eye(3)[y] > 0, 1.0, -np.inf)
    return DataTask(lambda: Masking(3, 3), Labelled(x, y), Labelled(x, y))


@pytest.mark.parametrize(
    ("task", "plan", "says"),
    [
        (spoilt(column=10_000), TrainPlan(1, 16, 1e-6), "feature 1 is 10,684 times as spread"),
        (spoilt(every=10_000), TrainPlan(1, 16, 1e-6), "inputs reach"),
        (spoilt(column=10_000), TrainPlan(1, 16, 0.1), "are the rows normalised?"),
        (spoilt(), TrainPlan(1, 16, 300.0), "the loss did not fall"),
        (masked(), TrainPlan(1, 16, 0.1), "inputs hold infinity"),
        (
            DataTask(lambda: nn.Sequential(digits_mlp(), nn.Softmax(1)), DIGITS.train, DIGITS.validation),
            TrainPlan(1, 16, 0.1),
            "leave the softmax out of model()",
        ),
    ],
)
def test_what_is_off_is_said(task: DataTask, plan: TrainPlan, says: str) -> None:
    assert any(says in warning for warning in check(task, plan).warnings), check(task, plan).warnings


def test_coarse_integers_are_said_at_the_width_that_was_chosen() -> None:
    assert any("4 bits lose" in warning for warning in check(DIGITS, bits=4).warnings)


class Column(nn.Linear):
    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        return super().forward(numbers[:, None])


def test_rows_of_one_number_and_a_round_of_few_steps_are_nothing_to_warn_of() -> None:
    x = np.linspace(-1, 1, 100)
    rows = Labelled(x, (x > 0).astype(np.int64))
    found = check(DataTask(lambda: Column(1, 2), rows, rows), TrainPlan(1, 50, 0.1), bits=16)
    assert found.update.steps == 2
    assert found.warnings == ()


def test_what_the_opening_would_refuse_is_refused_here() -> None:
    class Drawn(nn.Linear):
        def __init__(self) -> None:
            super().__init__(5, 3)
            self.register_buffer("noise", torch.randn(3))

    with pytest.raises(ConfigError, match="'noise' comes out differently each time"):
        check(DataTask(Drawn, spoilt().train, spoilt().train))
    for wrong in (math.nan, math.inf, 1e-9):
        with pytest.raises(ConfigError, match="learning rate"):
            check(DIGITS, TrainPlan(1, 16, wrong))


def test_a_diverged_training_is_named_as_such() -> None:
    with pytest.raises(UpdateNotFinite, match="lower the learning rate"):
        check(DIGITS, TrainPlan(3, 16, 1e30))


def test_gas_is_that_of_the_snapshot() -> None:
    kept = json.loads((ROOT / "gas-snapshot.json").read_text())
    names = {
        "open": "openTask", "join": "join", "roster": "roster n=256", "seal": "seal n=256", "claim": "claim depth=8",
        "withdraw": "withdraw",
    }  # fmt: skip
    assert {name: kept[case] for name, case in names.items()} == dict(GAS)
