"""A benchmark's round is the product's: the integers make the same model and scale as the judge's."""

from __future__ import annotations

import numpy as np

from fl_platform.learning.datasets import load_digits_split
from fl_platform.learning.models import MODELS
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.task import DataTask
from fl_platform.protocol.spec import ModelSpec, TensorSpec
from fl_platform.updates import rounding_seed
from scripts.bench.averaging import Arm, average
from tests.support.model_rounds import play_rounds


def test_two_rounds_are_those_of_the_judge() -> None:
    split = load_digits_split()
    tasks = [DataTask(MODELS["digits-mlp"], split.train.take(slice(i, 300, 3)), split.test) for i in range(3)]
    played = play_rounds(tasks, plan=TrainPlan(epochs=1, batch_size=16, learning_rate=0.1), rounds=2)
    scale = played.scales[0]
    for number in range(2):
        averaged = average(
            played.models[number], played.deltas[number], model=played.spec.model, scale=scale, arm=Arm("int8", 8),
            seeds=[rounding_seed(f"secret of {w}".ljust(16).encode(), task=7, round_number=number) for w in (1, 2, 3)],
            first=played.scales[0],
        )  # fmt: skip
        for name, array in played.models[number + 1].items():
            np.testing.assert_allclose(averaged.state[name], array, rtol=0, atol=1e-7)
        assert averaged.scale == played.judged[number].after.scale
        assert (averaged.halvings, averaged.clipped) == (0, 0)
        scale = played.judged[number].after.scale


def test_float_deltas_are_averaged_as_they_are() -> None:
    state = {"t": np.array(1.0, np.float32), "w": np.zeros(3, np.float32)}
    deltas = [{"t": np.array(x, np.float32), "w": np.full(3, x, np.float32)} for x in (0.5, 1.0, -3.0)]
    model = ModelSpec("m", (TensorSpec("t", ()), TensorSpec("w", (3,))))
    averaged = average(state, deltas, model=model, scale=None, arm=Arm("float32", None), seeds=[])
    assert averaged.state["t"] == 0.5
    assert averaged.state["w"].tolist() == [-0.5] * 3
