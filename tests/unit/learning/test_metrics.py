"""Metrics, against scikit-learn's and in many batches."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, jaccard_score, mean_squared_error, roc_auc_score

from fl_platform.errors import ConfigError
from fl_platform.learning.metrics import (
    Accuracy,
    AreaUnderCurve,
    IntersectionOverUnion,
    MeanSquaredError,
    Metric,
    TokenAccuracy,
)

ROWS = 203
Case = tuple[Callable[[], Metric], torch.Tensor, torch.Tensor, float]


def cases() -> dict[str, Case]:
    """Each metric with outputs, targets and what scikit-learn makes of them."""
    rng = np.random.default_rng(5)
    logits, labels = rng.normal(size=(ROWS, 4)), rng.integers(0, 4, ROWS)
    pairs, binary = rng.normal(size=(ROWS, 2)), rng.integers(0, 2, ROWS)
    coarse = np.round(rng.normal(size=ROWS), 1)  # many ties
    tokens, wanted = rng.normal(size=(ROWS, 6, 5)), rng.integers(0, 5, (ROWS, 6))
    wanted[::3, 4:] = -100
    kept = wanted != -100
    masks, pixels = (
        rng.integers(0, 3, (ROWS, 2, 3)),
        rng.normal(size=(ROWS, 4, 2, 3)),
    )
    numbers, answers = rng.normal(size=(ROWS, 2)), rng.normal(size=(ROWS, 2))
    return {
        "accuracy": (Accuracy, t(logits), t(labels), accuracy_score(labels, logits.argmax(1))),
        "pixels": (Accuracy, t(pixels), t(masks), accuracy_score(masks.ravel(), pixels.argmax(1).ravel())),
        "AUC of logits": (AreaUnderCurve, t(pairs), t(binary), roc_auc_score(binary, pairs[:, 1] - pairs[:, 0])),
        "AUC with ties": (AreaUnderCurve, t(coarse), t(binary), roc_auc_score(binary, coarse)),
        "AUC of a column": (AreaUnderCurve, t(coarse[:, None]), t(binary), roc_auc_score(binary, coarse)),
        "squares": (MeanSquaredError, t(numbers), t(answers), mean_squared_error(answers, numbers)),
        "tokens": (TokenAccuracy, t(tokens), t(wanted), accuracy_score(wanted[kept], tokens.argmax(-1)[kept])),
        "masks": (
            lambda: IntersectionOverUnion(5),
            t(pixels),
            t(masks),
            jaccard_score(masks.ravel(), pixels.argmax(1).ravel(), average="macro"),
        ),
    }


def t(array: np.ndarray) -> torch.Tensor:
    return torch.tensor(array)


@pytest.mark.parametrize("name", list(cases()))
def test_a_metric_is_scikit_learns_in_one_batch_and_in_many(name: str) -> None:
    make, outputs, targets, expected = cases()[name]
    whole, parts = make(), make()
    whole.add(outputs, targets)
    for block in torch.split(torch.arange(ROWS), 10):
        parts.add(outputs[block], targets[block])
    assert whole.value() == pytest.approx(expected, rel=1e-12)
    assert parts.value() == pytest.approx(whole.value(), rel=1e-12)


@pytest.mark.parametrize("name", list(cases()))
def test_a_metric_of_nothing_is_not_a_number(name: str) -> None:
    assert math.isnan(cases()[name][0]().value())


@pytest.mark.parametrize("make", [Accuracy, TokenAccuracy])
def test_ties_of_logits_go_to_the_lowest_class(make: Callable[[], Metric]) -> None:
    metric = make()
    metric.add(torch.zeros(3, 4), torch.tensor([0, 1, 0]))
    assert metric.value() == pytest.approx(2 / 3)


def test_half_precision_outputs_are_measured_too() -> None:
    metric = AreaUnderCurve()
    metric.add(torch.tensor([[0, 1], [0, 2], [1, 0]], dtype=torch.bfloat16), torch.tensor([0, 1, 0]))
    assert metric.value() == 1.0


@pytest.mark.parametrize(("scores", "targets"), [([0.1, 0.2], [1, 1]), ([0.1, 0.2], [0, 0]), ([math.nan, 0.2], [0, 1])])
def test_an_area_under_no_curve_is_not_a_number(scores: list[float], targets: list[int]) -> None:
    metric = AreaUnderCurve()
    metric.add(torch.tensor(scores), torch.tensor(targets))
    assert math.isnan(metric.value())


def test_what_a_metric_cannot_count_is_refused_in_words() -> None:
    area = AreaUnderCurve()
    area.add(torch.zeros(2), torch.tensor([1, 2]))
    with pytest.raises(ConfigError, match="from 1 to 2"):
        area.value()
    for label in (2, -1):
        with pytest.raises(ConfigError, match="not 0 to 1"):
            IntersectionOverUnion(2).add(torch.zeros(1, 2, 1, 1), torch.full((1, 1, 1), label))
    with pytest.raises(ConfigError, match="must be equal"):
        MeanSquaredError().add(torch.zeros(4, 3), torch.zeros(4))


@pytest.mark.parametrize(
    ("metric", "outputs", "targets"),
    [
        (Accuracy(), (8, 1), (8,)),  # one logit a row: argmax is 0 for all
        (Accuracy(), (8, 1), (8, 1)),
        (Accuracy(), (3, 3), (3, 3)),  # one-hot targets, which would be compared across rows
        (Accuracy(), (8, 6, 5), (8, 6)),  # tokens: classes come last
        (Accuracy(), (8,), (8,)),
        (TokenAccuracy(), (8, 6, 5), (8, 5)),
        (TokenAccuracy(), (8, 6, 1), (8, 6)),
        (IntersectionOverUnion(2), (8, 1, 4, 4), (8, 4, 4)),
        (IntersectionOverUnion(2), (8, 2, 4, 4), (8, 1, 4, 4)),
    ],
)
def test_what_holds_no_class_scores_is_refused_and_not_counted(
    metric: Metric, outputs: tuple[int, ...], targets: tuple[int, ...]
) -> None:
    with pytest.raises(ConfigError, match=r"(accuracy|IoU) of outputs .*override `metric`"):
        metric.add(torch.zeros(outputs), torch.zeros(targets))


def test_an_output_that_is_no_tensor_is_refused_by_its_form() -> None:
    with pytest.raises(ConfigError, match=r"outputs \(\(8, 3\) float32, \(\) float32\)"):
        Accuracy().add((torch.zeros(8, 3), torch.zeros(())), torch.zeros(8))  # type: ignore[arg-type]
