"""The ten lines that a data owner writes, as the module's docstring shows them, learn digits."""

from __future__ import annotations

import textwrap

import numpy as np
import torch

from fl_platform.learning import task as task_module
from fl_platform.learning.datasets import Labelled, load_digits_split
from fl_platform.learning.evaluation import evaluate
from fl_platform.learning.models import MODELS, digits_mlp
from fl_platform.learning.parameters import initial_state
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.task import DataTask, LearningTask, TransformedTask
from fl_platform.learning.train import train_locally


def test_the_docstrings_example_runs_and_learns() -> None:
    text = task_module.__doc__ or ""
    example = text.partition("    class MyDigits")[2].partition("\n\nAnother loss")[0]
    code = textwrap.dedent("    class MyDigits" + example)
    names: dict[str, object] = {
        "LearningTask": LearningTask, "digits_mlp": digits_mlp, "Labelled": Labelled,
        "load_digits_split": load_digits_split, "nn": torch.nn,
    }  # fmt: skip
    exec(code, names)
    mine = names["MyDigits"]()  # type: ignore[operator]
    parent = initial_state(mine.model, seed=1)
    update = train_locally(mine, parent, plan=TrainPlan(3, 10, 0.1), seed=1)
    trained = {name: parent[name] + update.delta[name] for name in parent}
    before = evaluate(mine.model(), parent, mine.validation_data())
    after = evaluate(mine.model(), trained, mine.validation_data())
    assert before.accuracy < 0.3
    assert after.accuracy > 0.85


def small() -> DataTask:
    split = load_digits_split()
    return DataTask(MODELS["digits-mlp"], split.train.take(slice(0, 50)), split.test)


def test_a_transform_touches_training_rows_only() -> None:
    flipped = TransformedTask(small(), lambda data: Labelled(data.x, 9 - data.y))
    assert np.array_equal(flipped.train_data().y, 9 - small().train_data().y)
    assert np.array_equal(flipped.validation_data().y, small().validation_data().y)
    logits, targets = torch.randn(4, 10), torch.tensor([1, 2, 3, 4])
    assert torch.equal(flipped.loss(logits, targets), small().loss(logits, targets))
