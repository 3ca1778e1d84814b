"""A28: screening ranks as exact arithmetic does; the float32 formula on whole weights does not (ATTACKS, trap 5)."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from fl_platform.aggregation.gram import GramRow, gram_matrix
from fl_platform.aggregation.rules import krum_scores, squared_distance
from fl_platform.protocol.spec import ModelSpec, ScaleSpec, TensorSpec

SIZE, PEOPLE, BYZANTINE = 100_000, 10, 2
MODEL = ModelSpec("m", (TensorSpec("w", (SIZE,)),))


def krum_winner(distances: np.ndarray) -> int:
    scores = [np.sort(np.delete(row, i))[: PEOPLE - BYZANTINE - 2].sum() for i, row in enumerate(distances)]
    return int(np.argmin(scores))


def test_exact_where_float32_names_another_winner() -> None:
    """Updates of 10^-4 of the weights: |x|^2 + |y|^2 - 2xy in float32 drowns them, integers of the deltas do not."""
    wrong, negative = 0, 0
    for trial in range(6):
        rng = np.random.default_rng(trial)
        integers = [rng.integers(-100, 101, SIZE).astype(np.int8) for _ in range(PEOPLE)]
        rows = [GramRow(str(i), i, 8) for i in range(PEOPLE)]
        gram = gram_matrix(rows, integers.__getitem__, model=MODEL, scale=ScaleSpec(128, 0, (0,)))
        exact = np.array([[squared_distance(gram, i, j) for j in range(PEOPLE)] for i in range(PEOPLE)], dtype=object)
        direct = np.array(
            [[int(((a.astype(np.int64) - b) ** 2).sum()) for b in integers] for a in integers], dtype=object
        )
        assert (exact == direct).all()
        assert int(np.argmin(krum_scores(range(PEOPLE), gram, byzantine=BYZANTINE))) == krum_winner(direct)
        weights = [(1.0 + q.astype(np.float64) * 1e-6).astype(np.float32) for q in integers]
        stacked = np.stack(weights)
        squares = (stacked * stacked).sum(axis=1)
        naive = squares[:, None] + squares[None, :] - 2 * (stacked @ stacked.T)
        wrong += krum_winner(naive) != krum_winner(direct)
        negative += bool((naive[~np.eye(PEOPLE, dtype=bool)] < 0).any() or (np.diag(naive) < 0).any())
    assert wrong >= 2
    assert negative >= 1


def test_distances_of_equal_updates_are_zero_and_of_any_two_not_negative() -> None:
    rng = np.random.default_rng(0)
    update = rng.integers(-127, 128, SIZE).astype(np.int8)
    near = update.copy()
    near[17] += 1 if near[17] < 127 else -1
    rows = [GramRow(str(i), i, 8) for i in range(3)]
    gram = gram_matrix(rows, [update, update, near].__getitem__, model=MODEL, scale=ScaleSpec(128, 0, (3,)))
    assert squared_distance(gram, 0, 1) == 0
    assert squared_distance(gram, 0, 2) == 64  # one step of a tensor with exponent 3: (2^3)^2
    assert Fraction(gram.at(0, 0)) > 0
