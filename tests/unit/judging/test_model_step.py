"""The model step: integers moved by integers, equal to slow exact fractions one by one."""

from __future__ import annotations

import random
from fractions import Fraction
from math import floor

import numpy as np
import pytest

from fl_platform.judging.model_step import ModelSteps, moved
from fl_platform.judging.round_rows import cell_of
from fl_platform.protocol.model_spec import ModelSpec, TensorSpec
from fl_platform.protocol.operations import wrap
from fl_platform.protocol.rows import LARGEST_FACTOR, LARGEST_WEIGHT, STEP_POINT, step_body
from fl_platform.updates.model_row import row_root

MODEL = ModelSpec("m", (TensorSpec("w", (90, 3)), TensorSpec("var", (7,), counted=False, nonnegative=True)))
EDGES = (0, 1, -1, 2**31 - 1, 1 - 2**31, -(2**31), 2**16, -(2**16) - 1)


def drawn(seed: int) -> np.ndarray:
    dice = random.Random(seed)
    found = [dice.choice((*EDGES, dice.randint(-(2**31), 2**31 - 1))) for _ in range(MODEL.size)]
    return np.array(found, dtype=np.int64)


@pytest.mark.parametrize("factor", [0, 1, 2**STEP_POINT, 2**STEP_POINT - 1, 3 * 2**38 + 7, LARGEST_FACTOR, 2**50 + 1])
@pytest.mark.parametrize("low", [0, 1])
def test_each_integer_moves_by_the_exact_fraction_rounded_half_up(factor: int, low: int) -> None:
    row, sums = drawn(1), drawn(2)
    new = step_body(row, sums, 2 * factor + low)
    for w, s, found in zip(row.tolist(), sums.tolist(), new.tolist(), strict=True):
        exact = w + floor(Fraction(factor * s, 2**STEP_POINT) + Fraction(1, 2))
        assert found == max(0 if low else -LARGEST_WEIGHT, min(exact, LARGEST_WEIGHT))


@pytest.mark.parametrize("packed", [-1, -(2**200), 2**200 + 1, 2**255 - 1, 2 * LARGEST_FACTOR + 2])
def test_a_factor_that_no_program_gives_is_taken_as_a_contract_takes_it(packed: int) -> None:
    row, sums = drawn(3), drawn(4)
    for w, s, found in zip(row.tolist(), sums.tolist(), step_body(row, sums, packed).tolist(), strict=True):
        change = wrap(s * (packed >> 1) + 2 ** (STEP_POINT - 1)) >> STEP_POINT
        assert found == max(0 if packed & 1 else -LARGEST_WEIGHT, min(w + change, LARGEST_WEIGHT))


def test_every_tensor_has_a_factor_of_its_own() -> None:
    row, sums = np.full(MODEL.size, 10, np.int32), np.full(MODEL.size, -4, np.int32)
    new = moved(row, sums, [2 * 2**STEP_POINT, 2 * 3 * 2**STEP_POINT + 1], MODEL)
    assert new.tolist() == [6] * 270 + [0] * 7
    assert new.dtype == np.int32


def test_steps_know_rows_by_their_roots_and_keep_what_they_make() -> None:
    row, sums = np.arange(MODEL.size, dtype=np.int32), np.ones(MODEL.size, np.int32)
    root, moving = cell_of(row_root(row, MODEL)), cell_of(row_root(sums, MODEL))
    steps = ModelSteps(MODEL, {root: row}, {moving: sums}.__getitem__)
    assert steps.step(root, moving, [0, 1]) == root  # nothing moves, and all of it is named as before
    new = steps.step(root, moving, [2 * 2**STEP_POINT, 1])
    assert steps.row(new)[:270].tolist() == list(range(1, 271))
    assert steps.row(root).tolist() == row.tolist()
    with pytest.raises(KeyError):
        steps.step(root, root, [0, 0])


def test_a_thousand_rounds_of_sums_without_a_mean_do_not_drift() -> None:
    """Rounded half up: the mean error stays within five units of the model; rounded down it would be 500."""
    dice = np.random.default_rng(7)
    size, factor = 4_096, 2**STEP_POINT * 3 // 65_536  # a unit is 21,845 of the sum
    row, exact = np.zeros(size, dtype=np.int64), np.zeros(size)
    for _ in range(1_000):
        sums = np.rint(dice.normal(0, 300_000, size)).astype(np.int64)
        sums -= round(sums.mean())
        row = step_body(row, sums, 2 * factor)
        exact += sums * (factor / 2**STEP_POINT)
    error = row - exact
    assert abs(error.mean()) <= 5
    assert np.abs(error).max() <= 60  # of a random walk of a thousand halves
